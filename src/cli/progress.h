#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * How far a long work is, on standard error: a bar while that is a terminal, and elsewhere, where it is wanted, a line
 * every twenty seconds. At most one is alive. Ordinary output in between goes through progress_clear_all() first, so
 * that lines and the bar do not mix.
 */
typedef enum progress_show {
    PROGRESS_NOTHING,
    PROGRESS_BAR, /* nothing where there is no terminal */
    PROGRESS_BAR_OR_LINES,
} progress_show;

typedef struct progress {
    int64_t total;
    bool bar, lines;
    double drawn; /* seconds, of progress_clock() */
    int64_t
        base; /* the time left is told from what came after this much was done: the first step compiles kernels too */
    double base_time;
} progress;

double progress_clock(void); /* seconds that never run backwards */

void progress_begin(progress *p, int64_t total, int64_t done, progress_show show);

/* Draw, at most a few times a second: the counts, a blank and `label`, the time left. */
void progress_update(progress *p, int64_t done, const char *label);

void progress_end(progress *p); /* takes the bar away */
void progress_clear_all(void);  /* takes the bar away until it is drawn again */

#endif
