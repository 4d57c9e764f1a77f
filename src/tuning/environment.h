#ifndef CLORA_TUNING_ENVIRONMENT_H
#define CLORA_TUNING_ENVIRONMENT_H

#include <jansson.h>

#include "device/context.h"

/*
 * What a measurement holds for, in clear: the kernels' sources, the platform, the device, its driver and units; for
 * information also its clock and memory. An object; NULL without memory. The caller releases.
 */
json_t *environment_describe(const clora_context *context);

enum { ENVIRONMENT_NAME = 33 };

/* The name of the environment's directory: a hash of what decides which parameters are right or fast. */
clora_status environment_name(char out[ENVIRONMENT_NAME], const json_t *environment);

/* How well what was measured in one environment holds in another, from not at all to fully. */
typedef enum environment_match {
    ENVIRONMENT_OTHER,   /* another device */
    ENVIRONMENT_KERNELS, /* the same device, with the kernels of another release of clora: does not hold */
    ENVIRONMENT_DRIVER,  /* the same device and kernels with another driver */
    ENVIRONMENT_UNITS,   /* the same driver with more or fewer compute units, as a limit on threads leaves */
    ENVIRONMENT_SAME
} environment_match;

/* Clock and memory do not count: drivers of CPUs report what the system has left. */
environment_match environment_compare(const json_t *a, const json_t *b);

/* "with driver 3.1, here 5.0": what the measurements of `other` were made with, in words. */
void environment_difference(char *out, size_t size, const json_t *other, const json_t *here);

/* A device's name without what platforms put before it, for tables that travel: "haswell-AMD EPYC". */
const char *environment_plain_name(const char *device);

#endif
