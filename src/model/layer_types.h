#ifndef CLORA_MODEL_LAYER_TYPES_H
#define CLORA_MODEL_LAYER_TYPES_H

#include "base/json.h"
#include "model/config.h"

/*
 * Sliding windows. The settings that families share are here, for their read_config: which layers have one a family's
 * own keys tell, unless config.json lists all layers' types.
 */

/* "sliding_window" into c->window; null: 0. Without the key it is `fallback`. */
clora_status layer_types_read_window(model_config *c, const json_t *root, int fallback, const char *path);

/* "layer_types" into c->slides. *listed: it is there, and the family's other keys say nothing. */
clora_status layer_types_read(bool *listed, model_config *c, const json_t *root, const char *path);

/* The window of the layers that have one; 0: none has. */
int model_largest_window(const model_config *c);

#endif
