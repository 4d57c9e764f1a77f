#ifndef CLI_CMD_PLOT_H
#define CLI_CMD_PLOT_H

#include <stddef.h>

#include "cli/cli.h"

/* The parts of `clora plot`: cmd_plot.c has the options, plot_read.c reads logs, plot_draw.c draws what they hold. */

/* What a log says of steps. */
enum { PLOT_LOSS, PLOT_VALIDATION, PLOT_RATE, PLOT_SPEED, PLOT_CURVES };

typedef struct plot_point {
    double step, value;
} plot_point;

typedef struct plot_curve {
    plot_point *points; /* as they are in the log: where steps begin again another run does */
    size_t count, room;
} plot_curve;

typedef struct plot_run {
    const char *name; /* as it was given */
    plot_curve curve[PLOT_CURVES];
} plot_run;

extern const char *const plot_keys[PLOT_CURVES]; /* in a log */

/* The log, or that in the output directory of a run. CLI_DONE, or CLI_FAILED after saying what is wrong. */
int plot_read(const cli_state *cli, plot_run *run, const char *path);
void plot_finish(plot_run *run);

/* To a file, .svg or .png; NULL: to the terminal. CLI_DONE, or CLI_FAILED after saying what is wrong. */
int plot_draw(const cli_state *cli, const plot_run *runs, int count, const char *out);

#endif
