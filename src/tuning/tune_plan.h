#ifndef CLORA_TUNING_TUNE_PLAN_H
#define CLORA_TUNING_TUNE_PLAN_H

#include <clora/tune.h>

#include "tuning/recorder.h"

/* A kernel at a key, and how often one step of each use launches it. */
typedef struct tune_task {
    const kernel_row *row;
    kernel_key key;
    double launches;
} tune_task;

struct clora_tune_plan {
    clora_context *context;
    tune_task *task;
    size_t count, capacity;
    clora_tune_task told; /* that was asked for last */
    size_t footprint;     /* bytes of device memory in use: when it exceeds the caches, weights are cold */
};

/* Add what was launched, once for each kernel and key; a kernel without a choice is left out. */
clora_status tune_plan_add(clora_tune_plan *plan, const recorder *notes);

#endif
