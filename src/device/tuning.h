#ifndef CLORA_DEVICE_TUNING_H
#define CLORA_DEVICE_TUNING_H

#include "device/kernels.h"

/*
 * Which parameters a kernel runs with at a shape. A context's table holds what was measured; what it does not hold is
 * taken from a similar shape or from the registry's rules. The answer is kept, so that a launch looks it up by numbers
 * alone. Safe from several threads.
 */
typedef struct tuning tuning;

/* Where parameters come from, in the order of trust. */
typedef enum tuning_source {
    TUNING_DEFAULT, /* the registry's rule */
    TUNING_SIMILAR, /* measured here for a shape or rank nearby */
    TUNING_SHIPPED, /* measured on such a device by others */
    TUNING_OLDER,   /* measured here with another driver */
    TUNING_EXACT,   /* measured here */
    TUNING_SET,     /* by hand */
} tuning_source;

const char *tuning_source_name(tuning_source source);

/* A row of the table: the key's M is a bucket. */
typedef struct tuning_entry {
    const kernel_row *row;
    kernel_key key;
    int values[KERNEL_PARAMETERS];
    tuning_source source;
} tuning_entry;

clora_status tuning_create(tuning **out);
void tuning_free(tuning *t);

/* Rows are counted in buckets: the least of 1, 2, 4, 8, 16, 64, 256, ... that is not below M. */
int tuning_bucket(int M);

/* The parameters of the kernel at the key; `out->source` says how they were found. A kernel that does not exist gives
 * CLORA_ERROR_NOT_FOUND. */
clora_status tuning_resolve(tuning_entry *out, const clora_context *context, const char *kernel, const kernel_key *key);

/* Put an entry into the table; one of a lower source does not displace one of a higher. Values that the registry does
 * not allow here are CLORA_ERROR_ARGUMENT. */
clora_status tuning_add(clora_context *context, const tuning_entry *entry);

/* From now on the kernel runs with these values at every key; NULL ends it. For measuring. */
clora_status tuning_force(clora_context *context, const kernel_row *row, const int *values);

/* What was resolved so far is found anew: after a change of the context that the rules look at. */
void tuning_forget(clora_context *context);

/* One parameter at a key, for a choice between kernels before a launch. Both names must exist. */
int tuning_value(const clora_context *context, const char *kernel, const char *parameter, const kernel_key *key);

#endif
