#ifndef CLORA_AUTOTUNE_METER_GAUGE_H
#define CLORA_AUTOTUNE_METER_GAUGE_H

#include "meter/meter.h"

/*
 * Where measurements come from: a meter in this process, or a worker process that may crash or hang without harm. The
 * calls are meter.h's. A worker that is lost gives CLORA_ERROR_IO with the reason; the next call starts another.
 */
typedef struct gauge {
    void *self;
    clora_status (*prepare)(void *self, const kernel_row *row, const kernel_key *key, double cold, double *flops,
                            double *bytes);
    clora_status (*measure)(measurement *out, void *self, const int *values, bool check, double limit);
    clora_status (*compare)(double *samples, void *self, const int (*values)[KERNEL_PARAMETERS], int count, int rounds);
    void (*free)(void *self);
} gauge;

/* In this process, on this context. */
clora_status gauge_create_local(gauge *out, clora_context *context);

/* In a process made by `command`; `limit` seconds for each phase of a configuration. */
clora_status gauge_create_remote(gauge *out, const char *const *command, double limit);

#endif
