#ifndef CLORA_DEVICE_ENVIRONMENT_H
#define CLORA_DEVICE_ENVIRONMENT_H

#include <jansson.h>

#include "device/context.h"

/*
 * What a measurement holds for: the kernels' sources, the platform, the device, its driver, units, clock and memory. An
 * object with all of it in clear; NULL without memory. The caller releases.
 */
json_t *environment_describe(const clora_context *context);

enum { ENVIRONMENT_NAME = 33 };

/* The name of the environment's directory: a hash of the description. */
void environment_name(char out[ENVIRONMENT_NAME], const json_t *environment);

/* Do two descriptions differ in nothing but the driver? */
bool environment_is_other_driver(const json_t *a, const json_t *b);

/* A device's name without what platforms put in front of it, for tables that travel: "haswell-AMD EPYC". */
const char *environment_plain_name(const char *device);

/* Where clora keeps what it may lose: $CLORA_CACHE_DIR, $XDG_CACHE_HOME/clora, ~/.cache/clora. NULL when none of the
 * variables is set. The caller frees. */
char *environment_cache_directory(void);

#endif
