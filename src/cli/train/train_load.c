#include <stdlib.h>
#include <string.h>

#include <clora/inspect.h>

#include "cli/options/device.h"
#include "cli/inputs/ends.h"
#include "cli/ui/text.h"
#include "cli/inputs/tokenizer_ahead.h"
#include "cli/train/cmd_train.h"

static int load_data(train_state *state) {
    const train_args *args = state->args;
    const clora_model_options options = model_args_options(&args->model);
    clora_memory_plan plan;
    clora_model_info info;
    int status;

    /* From the heads of the files alone: a broken data file is found before gigabytes of weights are read. */
    if (clora_model_plan(&plan, &info, state->context, args->model_path, &options, args->adapter.rank,
                         args->data.batch_size, 1) != CLORA_OK ||
        (!state->tokenizer && clora_tokenizer_load(&state->tokenizer, args->model_path) != CLORA_OK))
        return cli_fail_library(state->cli);
    model_note_head(state->cli, args->model_path, info.own_head);
    if (args->data.eos == 0)
        ends_note_files(state->cli, args->model_path, state->tokenizer, &info);
    status = data_max_length(state->cli, &args->data, &info, &state->max_length);
    if (status == CLI_DONE)
        status = data_load(state->cli, &args->data, args->data.data, state->tokenizer, &info, state->max_length,
                           &state->data);
    if (status == CLI_DONE && args->val)
        status = data_load(state->cli, &args->data, args->val, state->tokenizer, &info, state->max_length, &state->val);
    return status;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

typedef struct list {
    char *text; /* whose commas have become ends */
    char **parts;
    size_t count;
} list;

/* The different parts between commas, sorted; false without memory. */
static bool list_split(list *out, const char *text) {
    size_t most = 1;

    for (const char *c = text; *c; c++)
        most += *c == ',';
    *out = (list){.text = strdup(text), .parts = malloc(most * sizeof(*out->parts))};
    if (!out->text || !out->parts)
        return false;
    size_t found = 0;
    for (char *next, *part = strtok_r(out->text, ",", &next); part; part = strtok_r(NULL, ",", &next))
        out->parts[found++] = part;
    qsort(out->parts, found, sizeof(*out->parts), by_text);
    for (size_t i = 0; i < found; i++)
        if (i == 0 || strcmp(out->parts[i], out->parts[i - 1]) != 0)
            out->parts[out->count++] = out->parts[i];
    return true;
}

static void list_finish(list *l) {
    free(l->text);
    free(l->parts);
}

static bool same_lists(const char *a, const char *b) {
    list x, y;
    const bool have_x = list_split(&x, a), have_y = list_split(&y, b);
    bool same = have_x && have_y && x.count == y.count;

    for (size_t i = 0; same && i < x.count; i++)
        same = strcmp(x.parts[i], y.parts[i]) == 0;
    list_finish(&x);
    list_finish(&y);
    return same;
}

static bool same_targets(const train_state *state, const clora_adapter_info *info) {
    const char *asked = state->args->adapter.target_modules;
    int linear = 0;

    if (strcmp(asked, "all-linear") != 0)
        return same_lists(asked, info->target_modules);
    for (int i = 0; i < clora_model_module_count(state->model); i++)
        linear += !clora_model_module(state->model, i).is_head;
    return info->modules == linear;
}

/* The adapter that is continued decides; an option that says otherwise is a mistake and not to be passed over. */
static int check_continued(const train_state *state) {
    const train_args *args = state->args;
    const clora_adapter_info info = clora_adapter_get_info(state->adapter);

    if (args->given_rank && args->adapter.rank != info.rank)
        return cli_misuse(state->cli, "--rank %d, but the adapter %s has rank %d: leave --rank out", args->adapter.rank,
                          args->init_adapter, info.rank);
    if (args->given_alpha && args->adapter.alpha != info.alpha)
        return cli_misuse(state->cli, "--alpha %g, but the adapter %s has alpha %g: leave --alpha out",
                          (double)args->adapter.alpha, args->init_adapter, (double)info.alpha);
    if (args->given_rslora && !info.rslora)
        return cli_misuse(state->cli, "--rslora, but the adapter %s is not rank-stabilised: leave --rslora out",
                          args->init_adapter);
    if (args->given_targets && !same_targets(state, &info))
        return cli_misuse(state->cli, "--target-modules %s, but the adapter %s is on %s: leave --target-modules out",
                          args->adapter.target_modules, args->init_adapter, info.target_modules);
    return CLI_DONE;
}

static int load_adapter(train_state *state) {
    const train_args *args = state->args;

    if (!args->init_adapter)
        return clora_adapter_create(&state->adapter, state->model, &args->adapter) == CLORA_OK
                   ? CLI_DONE
                   : cli_fail_library(state->cli);
    if (clora_adapter_load(&state->adapter, state->model, args->init_adapter) != CLORA_OK)
        return cli_fail_library(state->cli);
    const int status = check_continued(state);
    if (status != CLI_DONE)
        return status;
    if (args->given_dropout && clora_adapter_set_dropout(state->adapter, args->adapter.dropout) != CLORA_OK)
        return cli_fail_library(state->cli);
    return CLI_DONE;
}

static int load_model(train_state *state) {
    const clora_model_options options = model_args_options(&state->args->model);

    if (clora_model_load(&state->model, state->context, state->args->model_path, &options) != CLORA_OK)
        return cli_fail_library(state->cli);
    return CLI_DONE;
}

static int make_trainer(train_state *state) {
    clora_train_options options = state->args->train;

    options.batch_size = state->args->data.batch_size;
    options.pack = state->args->data.pack;
    options.max_length = options.pack ? state->max_length : 0; /* unpacked rows end with the longest sequence */
    if (clora_trainer_create(&state->trainer, state->model, state->adapter, state->data, &options) != CLORA_OK)
        return cli_fail_library(state->cli);
    return CLI_DONE;
}

static int start(train_state *state) {
    tokenizer_ahead ahead;

    tokenizer_ahead_start(&ahead, state->args->model_path);
    const clora_status made = cli_context_create(&state->context, state->cli);
    state->tokenizer = tokenizer_ahead_wait(&ahead);
    return made == CLORA_OK ? CLI_DONE : cli_fail_library(state->cli);
}

int train_load(train_state *state) {
    int status = clora_inspect_output(state->args->out) == CLORA_OK ? CLI_DONE : cli_fail_library(state->cli);

    state->report = state->cli->json ? stderr : stdout;
    state->val_step = -1;
    if (status == CLI_DONE)
        status = train_log_open(state->cli, &state->log, state->args, false);
    if (status == CLI_DONE)
        status = start(state);
    if (status == CLI_DONE)
        status = load_data(state);
    if (status == CLI_DONE)
        status = train_log_check(state->cli, &state->log);
    if (status == CLI_DONE)
        status = load_model(state);
    if (status == CLI_DONE)
        status = load_adapter(state);
    if (status == CLI_DONE)
        status = make_trainer(state);
    return status;
}

void train_release(train_state *state) {
    clora_trainer_free(state->trainer);
    clora_adapter_free(state->adapter);
    clora_model_free(state->model);
    clora_dataset_free(state->val);
    clora_dataset_free(state->data);
    clora_tokenizer_free(state->tokenizer);
    cli_context_free(state->context, state->cli);
    if (!state->begun)
        train_log_discard(&state->log);
    train_log_close(&state->log);
    clora_output_close(state->output, state->last.step > 0);
}
