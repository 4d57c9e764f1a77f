#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include <stddef.h>
#include <stdio.h>

#include "cli/cli.h"

/* All of a stream; *text is yours to free, zero-terminated besides. Returns CLI_DONE, or CLI_FAILED after
 * saying why. */
int input_read_all(const cli_state *cli, char **text, size_t *size, FILE *stream, const char *name);

/* The same for standard input; says on a terminal that text is awaited. */
int input_read_standard(const cli_state *cli, char **text, size_t *size, const char *what);

#endif
