#ifndef CLORA_METHODS_BOTTLENECK_CONFIG_H
#define CLORA_METHODS_BOTTLENECK_CONFIG_H

#include <clora/bottleneck.h>

#include "base/json.h"
#include "methods/base_model.h"

/*
 * AdapterHub's adapter_config.json: an object "config" with the method's settings in one that says what it belongs to.
 * Checked when it is read: whatever stands in it can be applied.
 */

enum { BOTTLENECK_MOST_COLUMNS = 65536 };

/* Is this the settings of a method of AdapterHub's, rather than of PEFT's? */
bool bottleneck_config_is(const json_t *root);

/* Read a file. Anything that would make the adapter another function is refused by its key. */
clora_status bottleneck_config_load(json_t **out, const char *path);

/* The settings of a fresh adapter. */
clora_status bottleneck_config_create(json_t **out, const base_model *base, const clora_bottleneck_options *options);

/* base_name NULL keeps the name that the settings have; one that is not UTF-8, which JSON cannot hold, becomes null. */
clora_status bottleneck_config_save(const json_t *config, const char *path, const char *base_name);

clora_status bottleneck_config_set_dropout(json_t *root, float dropout);

/* What checked settings say: the adapter's own name, the columns after a sublayer of the base (0: none there). */
const char *bottleneck_config_name(const json_t *root);
int bottleneck_config_columns(const json_t *root, int hidden, int layer, int sublayer);
bool bottleneck_config_swish(const json_t *root);
bool bottleneck_config_reads_stream(const json_t *root);
float bottleneck_config_dropout(const json_t *root);

#endif
