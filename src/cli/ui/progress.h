#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A bar on standard error while it is a terminal; nothing at all elsewhere. At most one is alive. Ordinary output in
 * between goes through progress_clear_all() first, so that lines and the bar do not mix.
 */
typedef struct progress {
    int64_t total;
    bool uncounted; /* the total is an amount of nothing that is worth a number: only its share is shown */
    bool shown;     /* on a terminal, and not --quiet */
    bool is_drawn;
    double drawn; /* seconds, of progress_clock() */
    /* the time left is told from what came after this much was done: the first step also compiles kernels */
    int64_t base;
    double base_time;
} progress;

double progress_clock(void); /* seconds that never run backwards */

void progress_begin(progress *p, int64_t total, int64_t done, bool quiet);

/* Say in the same place what goes on while there is nothing to count yet: loading, compiling. */
void progress_phase(bool quiet, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Draw, at most a few times a second: the share done, `label`, the time left. The label's fields, such as the loss, are
 * parted by two blanks; those that a narrow terminal has no room for are left out, the last first. */
void progress_update(progress *p, int64_t done, const char *label);

void progress_end(progress *p); /* takes the bar away */
void progress_clear_all(void);  /* takes the bar away until it is drawn again */

/* Says now and then, where no bar shows, that work goes on: true at most every so many seconds. */
bool progress_is_due(double *last, double seconds);

#endif
