#ifndef CLI_REQUESTS_H
#define CLI_REQUESTS_H

#include <clora/generate.h>

#include "cli/options/opt.h"

/* clora generate --requests: texts that each have their own adapter and settings, in the slots of an engine. */
typedef struct requests_args {
    const char *file, *adapters;
    uint64_t adapter_memory;
    int slots, capacity, cache_tokens, order;
} requests_args;

#define REQUESTS_ARGS_INIT \
    { .slots = 8 }

extern const opt requests_options[];

/* The options fit together, and with what else was given. CLI_DONE, or CLI_USAGE after saying what is wrong. */
int requests_check(const cli_state *cli, const requests_args *args, const opt_group *groups, int count);

/* Run all requests of the file; `usual` is what a line leaves out. A line of JSON on standard output for each. */
int requests_run(const cli_state *cli, clora_model *model, const clora_tokenizer *tokenizer, const requests_args *args,
                 const clora_generate_options *usual, bool stats);

#endif
