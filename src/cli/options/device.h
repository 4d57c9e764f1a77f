#ifndef CLI_DEVICE_H
#define CLI_DEVICE_H

#include <clora/tune.h>

#include "cli/cli.h"

/* A context on --device, whose lines about tuned parameters are notes: bad files, and with --verbose where each
 * kernel's parameters come from. The state must live as long as the context. */
clora_status cli_context_create(clora_context **out, const cli_state *cli);

/* Free it, NULL allowed; with --verbose after a note of all that it launched and the hash of that plan. */
void cli_context_free(clora_context *context, const cli_state *cli);

#endif
