#ifndef CLI_GENERATE_OPTIONS_H
#define CLI_GENERATE_OPTIONS_H

#include <clora/generate.h>

#include "cli/generate/requests.h"
#include "cli/options/model_options.h"
#include "cli/options/opt.h"

/* The options of generate but those of --requests, by their headings in the help. */
typedef struct generate_args {
    const char *prompt;
    const char *jsonl, *keys;
    opt_list adapter;
    model_args model;
    clora_generate_options generate;
    clora_sample_options sample;
    requests_args requests;
    opt_list stop;
    int batch_size;
    int stats, profile;
    int chat;
    const char *template; /* of jsonl; with chat NULL is the model's */
} generate_args;

extern const opt generate_text[], generate_choice[], generate_search[], generate_model[];

#endif
