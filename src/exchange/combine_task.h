#ifndef CLORA_EXCHANGE_COMBINE_TASK_H
#define CLORA_EXCHANGE_COMBINE_TASK_H

#include <clora/exchange.h>

#include "base/status.h"

/* The same factor of several adapters, as one, by the definitions of PEFT's merge_utils. */
typedef struct combine_task {
    const float **values; /* (count) arrays of n */
    double *weight;       /* (count) */
    float *kept;          /* (count, n) scratch: the values that are kept, others 0 */
    int count;
    size_t n;
    uint32_t stream; /* of random numbers; the i-th adapter's is stream + i */
} combine_task;

/* out (n) overwritten. */
clora_status combine_task_run(float *out, const combine_task *task, const clora_combine_options *options);

#endif
