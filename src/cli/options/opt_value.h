#ifndef CLI_OPT_VALUE_H
#define CLI_OPT_VALUE_H

#include "cli/options/opt.h"

/* Store the text of an option's value in its field. Returns OPT_GO_ON, or CLI_USAGE after saying what is wrong. */
int opt_store(const cli_state *cli, const opt *option, void *values, const char *text);

#endif
