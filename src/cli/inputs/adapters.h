#ifndef CLI_ADAPTERS_H
#define CLI_ADAPTERS_H

#include <clora/adapter.h>

#include "cli/options/opt.h"

#define ADAPTERS_HELP "apply this adapter, as ADAPTER does; may be given several times, for several methods at once"

/* "MODEL ADAPTER" says what "MODEL --adapter ADAPTER" says; `path` may be NULL. CLI_DONE, or the exit status after
 * saying what is wrong. */
int adapters_add(const cli_state *cli, opt_list *paths, const char *path);

/* The adapters that --adapter names, joined when there are several, or NULL. CLI_DONE, or the exit status after saying
 * what is wrong. */
int adapters_load(const cli_state *cli, clora_adapter **out, clora_model *model, const opt_list *paths);

#endif
