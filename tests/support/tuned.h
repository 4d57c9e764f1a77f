#ifndef CLORA_TESTS_TUNED_H
#define CLORA_TESTS_TUNED_H

/* Tuned entries of a fresh context, and what its log was told. Include after cmocka.h. */

#include <clora/tune.h>

/* Of the context's log. */
extern int log_lines;
extern char last_line[512];
void count_lines(void *user, const char *line);

/* The key of most tests. */
extern const clora_tune_key key;

/* cmocka setup: fresh_context_setup() with a log. */
int tuned_setup(void **state);

/* Another context, as of a program that starts now; the log begins anew. */
void start_again(void);

clora_tune_entry look_up(const clora_tune_key *k);
int value_of(const clora_tune_entry *e, const char *name);
void set_value(clora_tune_entry *e, const char *name, int value);

/* Keep an entry on disk that differs from the default in MOST_ROWS. */
clora_tune_entry save_entry(const clora_tune_key *k, int rows);

#endif
