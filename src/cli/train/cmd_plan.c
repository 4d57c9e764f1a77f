#include <string.h>

#include <clora/tokenizer.h>

#include "cli/options/device.h"
#include "cli/train/train_memory.h"
#include "cli/ui/json_out.h"
#include "cli/ui/memory_out.h"
#include "cli/ui/page.h"
#include "cli/ui/text.h"

/* `clora plan`: what `clora train` with the same options would take. */

static const opt size_options[] = {
    {.name = "batch-size",
     .type = OPT_INT,
     .offset = offsetof(train_args, data.batch_size),
     .value = "N",
     .low = 1,
     .high = 65536,
     .help = "sequences in a batch"},
    {.name = "max-length",
     .type = OPT_INT,
     .offset = offsetof(train_args, data.max_length),
     .value = "N",
     .low = 2,
     .high = 2147483647,
     .standard = DATA_LENGTH_STANDARD,
     .help = "longest sequence in tokens"},
    {.name = "validate",
     .type = OPT_SET,
     .offset = offsetof(train_args, validate),
     .help = "with held-out pairs, as with train's --val"},
    {.name = "dtype",
     .type = OPT_CHOICE,
     .offset = offsetof(train_args, model.dtype),
     .value = "TYPE",
     .choices = model_dtypes,
     .help = MODEL_DTYPE_HELP},
    {.name = NULL},
};

/* Those of train's options that change what is kept. */
static const char *const kept_names[] = {"accumulate", "optimizer", "momentum", "recompute", "clip"};
enum { KEPT = sizeof(kept_names) / sizeof(kept_names[0]) };

static void pick(opt out[KEPT + 1]) {
    memset(out, 0, sizeof(*out) * (KEPT + 1));
    for (int i = 0; i < KEPT; i++)
        for (const opt *o = train_options; o->name; o++)
            if (strcmp(o->name, kept_names[i]) == 0)
                out[i] = *o;
}

/* The first of the groups that methods have, and all groups. */
enum { METHODS = 2, GROUPS = METHODS + TRAIN_METHOD_COUNT + 2 };

static json_t *choices_json(const memory_choices *c, uint64_t budget) {
    json_t *array = json_array();

    for (int i = 0; array && i < c->count; i++) {
        const memory_choice *one = &c->list[i];
        if (budget && one->bytes + c->compiler > budget)
            continue;
        json_push(&array, json_pack("{s:I, s:o, s:i, s:i, s:s}", "bytes", (json_int_t)one->bytes, "time",
                                    json_number(one->time), "batch_size", one->train.batch_size, "accumulate",
                                    one->train.accumulate, "options", train_choice_text(one, &c->list[0])));
    }
    return array;
}

static int print_json(const train_state *state, const memory_choices *c, int length) {
    json_t *object = json_pack("{s:I, s:i, s:I, s:I}", "bytes", (json_int_t)c->list[0].bytes, "max_length", length,
                               "process", (json_int_t)c->process, "compiler", (json_int_t)c->compiler);

    json_put(&object, "device", memory_json(&c->list[0].plan));
    json_put(&object, "choices", choices_json(c, state->args->memory));
    return json_print(state->cli, object);
}

static void print_choices(FILE *out, const memory_choices *c, uint64_t budget) {
    for (int i = budget ? 0 : 1; i < c->count; i++) {
        const memory_choice *one = &c->list[i];
        if (budget && one->bytes + c->compiler > budget)
            continue;
        fprintf(out, "  %-11s %.2f times the time  %s\n", text_bytes(one->bytes + (budget ? c->compiler : 0)),
                one->time, i == 0 ? "as asked for" : train_choice_text(one, &c->list[0]));
    }
}

static void print_plan(FILE *out, const train_state *state, const memory_choices *c, int length) {
    const clora_model_info *m = clora_model_get_info(state->model);
    const data_args *d = &state->args->data;

    fprintf(out, "model       %s: %s, %s parameters in %s\n", state->args->model_path, m->model_type,
            text_count(m->parameters), m->dtype);
    train_describe(out, state);
    fprintf(out, "batches     %s of at most %s\n", text_amount(d->batch_size, "sequence", "sequences"),
            text_amount(length, "token", "tokens"));
    fprintf(out, "memory      %s: ", text_bytes(c->list[0].bytes));
    memory_print(out, &c->list[0].plan);
    if (c->process)
        fprintf(out, ", process %s", text_bytes(c->process));
    fprintf(out, "\n");
    if (c->compiler)
        fprintf(out, "            and %s while kernels are compiled for the first time\n", text_bytes(c->compiler));
    if (state->args->memory)
        fprintf(out, "\nwithin %s%s:\n", text_bytes(state->args->memory), c->compiler ? ", compiling included" : "");
    else if (c->count > 1)
        fprintf(out, "\nless is possible:\n");
    print_choices(out, c, state->args->memory);
}

static int plan(train_state *state) {
    static memory_choices choices;
    const clora_model_options options = model_args_options(&state->args->model);
    int length;

    if (cli_context_create(&state->context, state->cli) != CLORA_OK ||
        clora_model_outline(&state->model, state->context, state->args->model_path, &options) != CLORA_OK)
        return cli_fail_library(state->cli);
    (void)clora_tokenizer_load(&state->tokenizer, state->args->model_path);
    int status = data_max_length(state->cli, &state->args->data, clora_model_get_info(state->model), &length);
    if (status == CLI_DONE)
        status = train_make_adapter(state);
    train_forget_texts(state);
    if (status == CLI_DONE)
        status = train_list_choices(&choices, state, length, state->args->validate);
    if (status != CLI_DONE)
        return status;
    if (state->args->memory && !train_first_fit(&choices, state->args->memory))
        return train_nothing_fits(state->cli, &choices, state->args->memory);
    if (state->cli->json)
        return print_json(state, &choices, length);
    page lines;
    print_plan(page_begin(&lines, stdout, 12), state, &choices, length);
    page_end(&lines);
    return CLI_DONE;
}

static int run(cli_state *cli, int argc, char **argv) {
    static const char *const names[] = {"MODEL", NULL};
    train_args args = TRAIN_ARGS_INIT;
    opt kept[KEPT + 1];
    opt_group groups[GROUPS] = {
        {.heading = "Sizes", .options = size_options, .values = &args},
        {.heading = "Method", .options = train_method_options, .values = &args},
        [METHODS + TRAIN_METHOD_COUNT] = {.heading = "What is kept", .options = kept, .values = &args},
        [METHODS + TRAIN_METHOD_COUNT + 1] = {.heading = "Memory", .options = train_memory_options, .values = &args},
    };
    train_state state = {.cli = cli, .args = &args};

    pick(kept);
    for (int i = 0; i < TRAIN_METHOD_COUNT; i++)
        groups[METHODS + i] = train_method_group(i, &args);
    int status = opt_parse(cli, groups, GROUPS, names, 1, &args.model_path, argc, argv);
    if (status != OPT_GO_ON)
        return status;
    if (opt_given(groups, GROUPS, "momentum") && args.train.optimizer != CLORA_OPTIMIZER_SGD)
        return cli_misuse(cli, TRAIN_NO_MOMENTUM);
    status = train_choose_methods(cli, &args, opt_given(groups, GROUPS, "method"), groups + METHODS);
    if (status == CLI_DONE)
        status = plan(&state);
    train_free_adapter(&state);
    clora_model_free(state.model);
    clora_tokenizer_free(state.tokenizer);
    cli_context_free(state.context, cli);
    return status;
}

const command command_plan = {
    .name = "plan",
    .summary = "say what a training run would take, and how it could take less",
    .usage = "MODEL [options]",
    .about = "Says what `clora train` with these options would take at its peak: on the device, and on a CPU, whose "
             "memory is the machine's, in all. With --memory it lists what fits, the fastest first. Nothing is loaded.",
    .example = "clora plan models/tiny --rank 16 --batch-size 8 --memory 300MiB",
    .run = run,
};
