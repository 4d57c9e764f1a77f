#include <stdlib.h>
#include <string.h>

#include "cli/options/opt.h"
#include "cli/train/train_method.h"
#include "cli/ui/text.h"

/* The methods whose adapters stand before every sequence: prefix and prompt. */

/* In the order of the library's. */
static const char *const inits[] = {"vocabulary", "random", NULL};

#define OPTIONS(method, what)                                                                                    \
    {.name = #method "-tokens",                                                                                  \
     .type = OPT_INT,                                                                                            \
     .offset = offsetof(train_args, method.options.tokens),                                                      \
     .value = "N",                                                                                               \
     .low = 1,                                                                                                   \
     .high = 65536,                                                                                              \
     .help = "positions before every sequence"},                                                                 \
        {.name = #method "-init",                                                                                \
         .type = OPT_CHOICE,                                                                                     \
         .offset = offsetof(train_args, method.options.init),                                                    \
         .value = "KIND",                                                                                        \
         .choices = inits,                                                                                       \
         .help = "how " what " begin: as tokens drawn from the vocabulary, or normal with std 1"},               \
    {                                                                                                            \
        .name = #method "-text", .type = OPT_TEXT, .offset = offsetof(train_args, method.text), .value = "TEXT", \
        .help = "they begin as this text, repeated or cut off to fill the positions"                             \
    }

static const opt prefix_options[] = {
    OPTIONS(prefix, "keys and values"),
    {.name = "prefix-projection",
     .type = OPT_INT,
     .offset = offsetof(train_args, prefix.options.projection),
     .value = "N",
     .low = 0,
     .high = 65536,
     .help = "make them by two layers with N columns between, which begin at random and go after training (Li and "
             "Liang's re-parametrisation); 0 is off"},
    {.name = NULL},
};
static const opt prompt_options[] = {OPTIONS(prompt, "rows"), {.name = NULL}};
static const char *const prefix_fresh[] = {"prefix-tokens", "prefix-init", "prefix-text", "prefix-projection", NULL};
static const char *const prompt_fresh[] = {"prompt-tokens", "prompt-init", "prompt-text", NULL};

typedef clora_status (*creator)(clora_adapter **out, clora_model *model, const clora_prefix_options *options);

static clora_status make(clora_adapter **out, const train_state *state, int method, const train_past_args *args,
                         creator create) {
    clora_prefix_options options = args->options;
    clora_status status = CLORA_OK;
    int32_t *ids = NULL;

    if (args->text)
        status = clora_tokenizer_encode(state->tokenizer, args->text, strlen(args->text), 0, &ids, &options.id_count);
    options.ids = ids;
    options.seed = state->args->train.seed;
    options.labels = train_labels_of(state, method);
    if (status == CLORA_OK)
        status = create(out, state->model, &options);
    free(ids);
    return status;
}

static clora_status make_prefix(clora_adapter **out, const train_state *state) {
    return make(out, state, TRAIN_PREFIX, &state->args->prefix, clora_prefix_create);
}
static clora_status make_prompt(clora_adapter **out, const train_state *state) {
    return make(out, state, TRAIN_PROMPT, &state->args->prompt, clora_prompt_create);
}

static void set_prefix_size(train_args *args, int size) {
    args->prefix.options.tokens = size;
}
static void set_prompt_size(train_args *args, int size) {
    args->prompt.options.tokens = size;
}

/* No option says again what its files do. */
static int check_continued(const train_state *state, clora_adapter *adapter) {
    (void)state;
    (void)adapter;
    return CLI_DONE;
}

static void describe(FILE *out, const train_state *state, const clora_adapter *adapter) {
    fprintf(out, "%s%s before every sequence", text_amount(clora_adapter_past(adapter), "position", "positions"),
            state->args->init_adapter ? ", continued," : "");
    train_describe_labels(out, adapter);
}

const train_method train_prefix = {
    .name = "prefix",
    .heading = "Method prefix",
    .label = "prefix",
    .options = prefix_options,
    .fresh = prefix_fresh,
    .set_size = set_prefix_size,
    .make = make_prefix,
    .check_continued = check_continued,
    .describe = describe,
};

const train_method train_prompt = {
    .name = "prompt",
    .heading = "Method prompt",
    .label = "prompt",
    .options = prompt_options,
    .fresh = prompt_fresh,
    .set_size = set_prompt_size,
    .make = make_prompt,
    .check_continued = check_continued,
    .describe = describe,
};
