#include <stdlib.h>
#include <string.h>

#include "cli/train/train_method.h"

static const train_method *const methods[TRAIN_METHOD_COUNT] = {
    [TRAIN_LORA] = &train_lora,     [TRAIN_BOTTLENECK] = &train_bottleneck, [TRAIN_FULL] = &train_full,
    [TRAIN_BIAS] = &train_bias,     [TRAIN_NORMS] = &train_norms,           [TRAIN_PREFIX] = &train_prefix,
    [TRAIN_PROMPT] = &train_prompt,
};

opt_group train_method_group(int i, train_args *args) {
    return (opt_group){.heading = methods[i]->heading, .options = methods[i]->options, .values = args};
}

const train_method *train_method_row(int i) {
    return methods[i];
}

int train_method_find(const char *name, size_t length) {
    int i = 0;

    while (i < TRAIN_METHOD_COUNT &&
           (strlen(methods[i]->name) != length || strncmp(methods[i]->name, name, length) != 0))
        i++;
    return i;
}

static bool is_init(const opt *o) {
    return strcmp(o->name, "init") == 0;
}

/* --init random is of the model and not of an adapter. */
static int choose_start(const cli_state *cli, train_args *args) {
    enum { RANDOM = CLORA_INIT_OLORA + 1 };

    if ((int)args->adapter.init != RANDOM)
        return CLI_DONE;
    if (!args->methods[TRAIN_FULL])
        return cli_misuse(cli, "--init random is for --method full, which trains all weights");
    args->adapter.init = CLORA_INIT_GAUSSIAN;
    args->from_scratch = true;
    return CLI_DONE;
}

/* An option of a method that does not take part would do nothing. */
static int check_options(const cli_state *cli, const train_args *args) {
    for (int i = 0; i < TRAIN_METHOD_COUNT; i++) {
        const opt_group *group = &args->method_groups[i];
        for (int k = 0; !args->methods[i] && group->options[k].name; k++)
            if (opt_given(group, 1, group->options[k].name) && !(args->from_scratch && is_init(&group->options[k])))
                return cli_misuse(cli, "--%s is an option of --method %s", group->options[k].name, methods[i]->name);
    }
    return CLI_DONE;
}

static int refuse_fresh(const cli_state *cli, const char *name) {
    return cli_misuse(cli, "--%s is for a new adapter; --init-adapter continues one", name);
}

static int check_continued(const cli_state *cli, const opt_group *groups) {
    for (int i = 0; i < TRAIN_METHOD_COUNT; i++)
        for (const char *const *name = methods[i]->fresh; *name; name++)
            if (opt_given(&groups[i], 1, *name))
                return refuse_fresh(cli, *name);
    return CLI_DONE;
}

int train_choose_methods(const cli_state *cli, train_args *args, bool given, const opt_group *groups) {
    args->method_groups = groups;
    if (args->init_adapter) /* which says what it is */
        return given ? refuse_fresh(cli, "method") : check_continued(cli, groups);
    for (const char *name = args->method; name; name = strchr(name, ',') ? strchr(name, ',') + 1 : NULL) {
        const size_t length = strcspn(name, ",");
        const int i = train_method_find(name, length);
        if (i == TRAIN_METHOD_COUNT)
            return cli_misuse(cli, "--method \"%.*s\": there is no such method; these are: " TRAIN_METHODS, (int)length,
                              name);
        if (args->methods[i])
            return cli_misuse(cli, "--method %s is given twice", methods[i]->name);
        args->methods[i] = true;
    }
    const int status = choose_start(cli, args);
    return status == CLI_DONE ? check_options(cli, args) : status;
}

const char *const *train_labels_of(const train_state *state, int method) {
    static const int order[] = {TRAIN_LORA, TRAIN_PREFIX, TRAIN_PROMPT};
    int first = 0;

    while (first < 2 && !state->args->methods[order[first]])
        first++;
    return order[first] == method ? clora_dataset_labels(state->data, NULL) : NULL;
}

void train_describe_labels(FILE *out, const clora_adapter *adapter) {
    const char *const *labels = clora_adapter_get_info(adapter)->labels;
    int count = 0;

    while (labels && labels[count])
        count++;
    if (count > 0)
        fprintf(out, ", a head of %d labels", count);
}

static int continue_adapter(train_state *state) {
    if (clora_adapter_load(&state->adapter, state->model, state->args->init_adapter) != CLORA_OK)
        return cli_fail_library(state->cli);
    const char *name = clora_adapter_method(state->adapter);
    const int i = train_method_find(name, strlen(name));
    state->part[i] = state->adapter;
    return methods[i]->check_continued(state, state->adapter);
}

int train_make_adapter(train_state *state) {
    clora_adapter *made[TRAIN_METHOD_COUNT] = {NULL};
    size_t count = 0;

    if (state->args->init_adapter)
        return continue_adapter(state);
    for (int i = 0; i < TRAIN_METHOD_COUNT; i++) {
        if (!state->args->methods[i])
            continue;
        if (methods[i]->make(&state->part[i], state) != CLORA_OK)
            return cli_fail_library(state->cli);
        made[count++] = state->part[i];
    }
    if (count == 1)
        state->adapter = made[0];
    else if (clora_adapter_join(&state->adapter, made, count) != CLORA_OK)
        return cli_fail_library(state->cli);
    return CLI_DONE;
}

void train_free_adapter(train_state *state) {
    bool is_part = false;

    for (int i = 0; i < TRAIN_METHOD_COUNT; i++) {
        is_part |= state->part[i] == state->adapter;
        clora_adapter_free(state->part[i]);
    }
    if (!is_part)
        clora_adapter_free(state->adapter);
}

bool train_is_alone(const train_state *state) {
    for (int i = 0; i < TRAIN_METHOD_COUNT; i++)
        if (state->part[i] == state->adapter)
            return true;
    return false;
}

/* One method's files are the directory's own; of several each has a directory of its name in it. */
static clora_status save_part(const train_state *state, int i, const char *directory) {
    clora_adapter_save_options options = CLORA_ADAPTER_SAVE_OPTIONS_INIT;
    char *path = NULL;

    options.base_name = state->args->model_path;
    options.overwrite = 1; /* the run's own earlier state: nothing else is in a directory that it has claimed */
    options.dtype = i == TRAIN_LORA ? (clora_dtype)state->args->adapter_dtype : CLORA_DTYPE_F32;
    if (train_is_alone(state))
        return clora_adapter_save(state->part[i], directory, &options);
    if (asprintf(&path, "%s/%s", directory, methods[i]->name) < 0)
        return CLORA_ERROR_MEMORY;
    const clora_status status = clora_adapter_save(state->part[i], path, &options);
    free(path);
    return status;
}

clora_status train_save(const train_state *state, const char *directory) {
    clora_status status = CLORA_OK;

    for (int i = 0; i < TRAIN_METHOD_COUNT && status == CLORA_OK; i++)
        if (state->part[i])
            status = save_part(state, i, directory);
    return status;
}

void train_describe(FILE *out, const train_state *state) {
    for (int i = 0; i < TRAIN_METHOD_COUNT; i++) {
        if (!state->part[i])
            continue;
        fprintf(out, "%-12s", methods[i]->label);
        methods[i]->describe(out, state, state->part[i]);
        fprintf(out, "\n");
    }
}

int64_t train_total(const train_state *state) {
    int64_t total = clora_model_get_info(state->model)->parameters;

    for (int i = 0; i < TRAIN_METHOD_COUNT; i++)
        if (state->part[i] && !methods[i]->own)
            total += clora_adapter_get_info(state->part[i])->parameters;
    return total;
}

const char *train_result(const train_state *state) {
    for (int i = 0; i < TRAIN_METHOD_COUNT; i++)
        if (state->part[i] == state->adapter && methods[i]->own)
            return "model";
    return "adapter";
}
