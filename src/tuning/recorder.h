#ifndef CLORA_TUNING_RECORDER_H
#define CLORA_TUNING_RECORDER_H

#include "device/program.h"

/* A launch as the registry sees it: the key's rows are a bucket. */
typedef struct launch_record {
    kernel_build build;
    kernel_key key;
    long count;
} launch_record;

/* While a context has one, launches are noted here. */
typedef struct recorder {
    bool tracing; /* launches are noted only: nothing is compiled or run */
    launch_record *list;
    size_t count, capacity;
} recorder;

clora_status recorder_note(recorder *r, const kernel_build *build, const kernel_key *key);

/* The first note of the kernel, at this key when one is given; NULL when there is none. */
const launch_record *recorder_find(const recorder *r, const kernel_row *row, const kernel_key *key);

/* Set r as the context's recorder (NULL: none) and return the one before. */
recorder *recorder_attach(clora_context *context, recorder *r);
void recorder_finish(recorder *r);

/* Are launches only noted? For what is not launched through the registry. */
bool recorder_is_tracing(const clora_context *context);

#endif
