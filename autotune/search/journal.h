#ifndef CLORA_AUTOTUNE_SEARCH_JOURNAL_H
#define CLORA_AUTOTUNE_SEARCH_JOURNAL_H

#include <clora/tune.h>

#include "meter/meter.h"

/*
 * Every configuration that was measured in an environment, one JSON object a line. "about" goes in before a
 * configuration runs: one that was begun three times and never ended, or that was seen to crash or hang, is poison and
 * is not tried again. Lines are appended whole, so processes may share the file.
 */
typedef struct journal journal;

/* Read what is there (a line that cannot be read is skipped, with one line in the context's log), then append. */
clora_status journal_open(journal **out, clora_context *context);
void journal_close(journal *j);

/* The same without going on: nothing is made when there is no journal. */
clora_status journal_open_to_read(journal **out, clora_context *context);

typedef struct journal_record {
    bool is_measured; /* at this key */
    double ratio;     /* time over that of the default; infinite when it cannot be used */
    bool is_poison;   /* at any key */
} journal_record;

/* Every result as an entry, in order; seconds are 0 where it could not be used. The caller frees. */
clora_status journal_list(clora_tune_entry **out, int *count, const journal *j);

journal_record journal_find(const journal *j, const kernel_row *row, const kernel_key *key, const int *values);

clora_status journal_about(journal *j, const kernel_row *row, const kernel_key *key, const int *values);
clora_status journal_result(journal *j, const kernel_row *row, const kernel_key *key, const int *values, double ratio,
                            const measurement *m);
clora_status journal_poison(journal *j, const kernel_row *row, const kernel_key *key, const int *values,
                            const char *why);

#endif
