#ifndef CLORA_TUNING_TABLE_H
#define CLORA_TUNING_TABLE_H

#include "tuning/launch_plan.h"
#include "tuning/memo.h"
#include "tuning/recorder.h"

/* A context's table of parameters that were measured or set, and the answers given with it. The fields are for tuning/
 * alone. */
typedef struct tuning {
    pthread_mutex_t lock;
    tuning_entry *entries;
    size_t entries_count, entries_capacity;
    tuning_entry *forced; /* keys do not matter */
    size_t forced_count, forced_capacity;
    size_t *most_items; /* in a group of each row's kernel, where its driver allows less than the device; else 0 */
    launch_notes launches;
    bool hidden; /* answers are neither told nor noted */
    memo given;  /* answers */
    clora_tune_mode mode;
    bool loaded;    /* the cache directory was read */
    recorder noted; /* in the mode tune */
    clora_tune_log log;
    void *log_user;
    bool verbose;
    char *directory; /* of this environment in the cache, once it was asked for */
    char older[256]; /* what entries of another driver were measured with; empty once that was told */
} tuning;

/* The mode is that of CLORA_TUNE, else use. The cache directory is read when the first kernel is asked for. */
clora_status tuning_create(tuning **out);
void tuning_free(tuning *t);

/* A line to the context's log. */
void tuning_log(const clora_context *context, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What the entries of CLORA_TUNE_SOURCE_OLDER that are added from now on were measured with, in words: told when the
 * first of them is taken. */
void tuning_older(clora_context *context, const char *measured);

/* Put an entry into the table; one of a lower source does not displace one of a higher. Values that the registry does
 * not allow here are CLORA_ERROR_ARGUMENT. */
clora_status tuning_add(clora_context *context, const tuning_entry *entry);

/* Is there anything in the table that was measured here, with whatever driver? */
bool tuning_is_measured(clora_context *context);

/* Could this entry be added? */
bool tuning_allows(const clora_context *context, const tuning_entry *entry);

/* From now on the kernel runs with these values at every key; NULL ends it. For measuring. */
clora_status tuning_force(clora_context *context, const kernel_row *row, const int *values);

/* From now on the kernel has groups of at most so many work-items, by the registry's rules: what was measured is for
 * larger ones. A line in the log. False when that was known: it has none so small. */
bool tuning_limit(clora_context *context, const kernel_row *row, size_t most_items);

/* What the rules go by for a kernel in this context. */
kernel_at tuning_at(const clora_context *context, const kernel_row *row, const kernel_key *key);

/* The parameters at a key whose rows are a bucket: CLORA_PARAM_<KERNEL>_<NAME>, else the table's, else the registry's
 * rule. Allocates nothing. The source of the table's entry that was taken, for this key or a similar one. */
clora_tune_source tuning_look_up(tuning_entry *out, const clora_context *context, const kernel_row *row,
                                 const kernel_key *key);

#endif
