#ifndef CLORA_MODEL_CONFIG_VALUES_H
#define CLORA_MODEL_CONFIG_VALUES_H

#include "base/json.h"

/* What config.json says under a key, in the ranges that models have. Errors name the file and the key. */

enum { CONFIG_SIZE_LIMIT = 1 << 24 };

/* There, and not null. */
bool config_is_set(const json_t *object, const char *key);

/* object[key] as a size from 1 to CONFIG_SIZE_LIMIT; fallback 0 means that the key is required. */
clora_status config_size(int *out, const json_t *object, const char *key, int fallback, const char *path);

/* object[key] as a positive finite float; fallback 0 means that the key is required. */
clora_status config_positive(float *out, const json_t *object, const char *key, double fallback, const char *path);

#endif
