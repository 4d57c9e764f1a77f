#ifndef CLORA_AUTOTUNE_SEARCH_TUNER_H
#define CLORA_AUTOTUNE_SEARCH_TUNER_H

#include "meter/gauge.h"
#include "search/journal.h"
#include "search/search.h"
#include "tuning/tune_plan.h"

/* A run of the tuner. */
typedef struct tuner {
    clora_context *context;
    clora_tune_plan *plan;
    clora_tune_options options;
    gauge gauge;
    journal *journal;
    clora_tune_result *result;
    double start, deadline; /* seconds; no deadline: infinite */
    double cold;
    int failures; /* in a row */
    clora_status status;

    /* the task in hand */
    const tune_task *task;
    int number;
    double task_end;
    double anchor, best; /* seconds of the default, last timed; the best ratio so far */
    int since_anchor;
    int standard[KERNEL_PARAMETERS];
    double flops, bytes;
} tuner;

/* Budget and limit are times. */
clora_status tuner_check_options(const clora_tune_options *options);

/* Search one task until `seconds` are over, settle the winner and keep it. */
void tuner_do_task(tuner *t, const tune_task *task, double seconds);

#endif
