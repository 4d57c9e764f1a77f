#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include <stddef.h>

#include "cli/cli.h"

/* All of standard input; *text is yours to free, zero-terminated besides. Says on a terminal that text is awaited.
 * Returns CLI_DONE, or CLI_FAILED after saying why. */
int input_read_standard(const cli_state *cli, char **text, size_t *size, const char *what);

#endif
