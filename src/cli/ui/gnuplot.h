#ifndef CLI_GNUPLOT_H
#define CLI_GNUPLOT_H

#include <stdio.h>

#include "cli/cli.h"

/*
 * A script for gnuplot, whose terminal and output are set: out is FILE.png, else an SVG of width x height pixels; NULL:
 * characters on standard output, width x height of them. NULL after saying what is wrong.
 */
FILE *gnuplot_open(const cli_state *cli, const char *out, int width, int height);

/* Let it draw. CLI_DONE, or CLI_FAILED after saying that it could not. */
int gnuplot_close(const cli_state *cli, FILE *script, const char *out);

/* A title in quotes, on one line. */
void gnuplot_title(FILE *script, const char *text);

#endif
