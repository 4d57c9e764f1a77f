#ifndef CLORA_TUNING_TUNING_H
#define CLORA_TUNING_TUNING_H

#include <clora/tune.h>

#include "device/kernels.h"
#include "tuning/recorder.h"

/*
 * Which parameters a kernel runs with at a shape. A context's table holds what was measured; what it does not hold is
 * taken from a similar shape or from the registry's rules. The answer is kept, so that a launch looks it up by numbers
 * alone. Safe from several threads.
 */
typedef struct tuning tuning;

/* A row of the table: the key's M is a bucket. */
typedef struct tuning_entry {
    const kernel_row *row;
    kernel_key key;
    int values[KERNEL_PARAMETERS];
    clora_tune_source source;
} tuning_entry;

/* The mode is that of CLORA_TUNE, else use. The cache directory is read when the first kernel is asked for. */
clora_status tuning_create(tuning **out);
void tuning_free(tuning *t);

/* A line to the context's log. */
void tuning_log(const clora_context *context, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What the entries of CLORA_TUNE_OLDER that are added from now on were measured with, in words: told when the first of
 * them is taken. */
void tuning_older(clora_context *context, const char *measured);

/* Rows are counted in buckets: the least of 1, 2, 4, 8, 16, 64, 256, ... that is not below M. */
int tuning_bucket(int M);

/* The parameters of the kernel at the key; `out->source` says how they were found. The name must live as long as the
 * context: answers are kept by its address, or found anew without memory to keep them. A kernel that does not exist
 * gives CLORA_ERROR_NOT_FOUND; nothing else fails. */
clora_status tuning_resolve(tuning_entry *out, clora_context *context, const char *kernel, const kernel_key *key);

/* Put an entry into the table; one of a lower source does not displace one of a higher. Values that the registry does
 * not allow here are CLORA_ERROR_ARGUMENT. */
clora_status tuning_add(clora_context *context, const tuning_entry *entry);

/* Is there anything in the table that was measured here, with whatever driver? */
bool tuning_is_measured(clora_context *context);

/* Could this entry be added? */
bool tuning_allows(const clora_context *context, const tuning_entry *entry);

/* From now on the kernel runs with these values at every key; NULL ends it. For measuring. */
clora_status tuning_force(clora_context *context, const kernel_row *row, const int *values);

/* Whether the log hears of every kernel's parameters; whether it did. */
bool tuning_set_verbose(clora_context *context, bool verbose);

/* What was launched in the mode CLORA_TUNE_TUNE; the caller may empty it. */
recorder *tuning_noted(clora_context *context);

/* What was resolved so far is found anew: after a change of the context that the rules look at. */
void tuning_forget(clora_context *context);

/* The first parameter of a choice at a key; noted like a launch. The name must exist. */
int tuning_choose(clora_context *context, const char *choice, const kernel_key *key);

/* May the choice fall on this value at the key with any number of rows? To plan for it; not noted. */
bool tuning_may_choose(clora_context *context, const char *choice, int value, const kernel_key *key);

/* One parameter at a key, for what must be known before a launch. Both names must exist. */
int tuning_value(clora_context *context, const char *kernel, const char *parameter, const kernel_key *key);

#endif
