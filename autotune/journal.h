#ifndef CLORA_AUTOTUNE_JOURNAL_H
#define CLORA_AUTOTUNE_JOURNAL_H

#include "bench.h"

/*
 * Every configuration that was measured in an environment, one JSON object a line. "about" goes in before a
 * configuration runs: one that was begun three times and never ended, or that was seen to crash or hang, is poison and
 * is not tried again. Lines are appended whole, so processes may share the file.
 */
typedef struct journal journal;

/* Read what is there (a line that cannot be read is skipped, with one line in the context's log) and go on behind it.
 */
clora_status journal_open(journal **out, clora_context *context);
void journal_close(journal *j);

typedef struct journal_record {
    bool is_measured; /* at this key */
    double ratio;     /* time over that of the default; infinite when it cannot be used */
    bool is_poison;   /* at any key */
} journal_record;

journal_record journal_find(const journal *j, const kernel_row *row, const kernel_key *key, const int *values);

clora_status journal_about(journal *j, const kernel_row *row, const kernel_key *key, const int *values);
clora_status journal_result(journal *j, const kernel_row *row, const kernel_key *key, const int *values, double ratio,
                            const measurement *m);
clora_status journal_poison(journal *j, const kernel_row *row, const kernel_key *key, const int *values,
                            const char *why);

#endif
