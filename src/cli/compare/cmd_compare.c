#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/compare/cmd_compare.h"
#include "cli/ui/folder.h"
#include "cli/ui/interrupt.h"
#include "cli/ui/text.h"

static const opt comparison_options[] = {
    {.name = "val",
     .type = OPT_PATH,
     .offset = offsetof(compare_args, train.val),
     .value = "FILE",
     .flags = OPT_REQUIRED,
     .help = "held-out pairs that the methods are judged by, or as 5% a part of --data, which --seed chooses"},
    {.name = "methods",
     .type = OPT_TEXT,
     .offset = offsetof(compare_args, methods),
     .value = "LIST",
     .standard = "lora",
     .help = "what is compared, with commas: a method (" TRAIN_METHODS ") or NAME:SIZE, such as lora:8 for rank 8; "
             "learning rates of its own follow @, such as full@3e-5/1e-4"},
    {.name = "ranks",
     .type = OPT_TEXT,
     .offset = offsetof(compare_args, ranks),
     .value = "LIST",
     .standard = "",
     .help = "LoRA of each of these ranks, such as 1,2,4,8,64"},
    {.name = "lr-grid",
     .type = OPT_TEXT,
     .offset = offsetof(compare_args, rates),
     .value = "LIST",
     .standard = "--lr alone",
     .help = "learning rates that each method without its own is trained with; the best counts"},
    {.name = "seeds",
     .type = OPT_INT,
     .offset = offsetof(compare_args, seeds),
     .value = "N",
     .low = 1,
     .high = 1000,
     .help = "trainings of each method and learning rate, from --seed on"},
    {.name = "eval-every",
     .type = OPT_INT,
     .offset = offsetof(compare_args, train.eval_every),
     .value = "N",
     .low = 1,
     .high = 2147483647,
     .standard = "a tenth of the steps",
     .help = "validate after every N steps"},
    {.name = "target-loss",
     .type = OPT_FLOAT,
     .offset = offsetof(compare_args, target_loss),
     .value = "X",
     .low = 0,
     .high = 1e9,
     .flags = OPT_ABOVE,
     .standard = "what the worst method ends with",
     .help = "validation loss whose time is told"},
    {.name = "new-tokens",
     .type = OPT_INT,
     .offset = offsetof(compare_args, new_tokens),
     .value = "N",
     .low = 1,
     .high = 65536,
     .help = "tokens that are written to measure a new token's time"},
    {.name = "out",
     .type = OPT_PATH,
     .offset = offsetof(compare_args, out),
     .value = "DIR",
     .standard = "",
     .help = "keep results and adapters here; the same command with the same DIR goes on where it was"},
    {.name = "csv",
     .type = OPT_PATH,
     .offset = offsetof(compare_args, csv),
     .value = "FILE",
     .standard = "",
     .help = "write the table as CSV too"},
    {.name = "svg",
     .type = OPT_PATH,
     .offset = offsetof(compare_args, svg),
     .value = "FILE",
     .standard = "",
     .help = "draw validation loss over training time, with gnuplot"},
    {.name = NULL},
};

/* A place for what is trained. */
static int open_folder(compare_state *state, char *temporary) {
    state->folder = state->args->out ? state->args->out : mkdtemp(temporary);
    if (!state->folder || (state->args->out && mkdir(state->args->out, 0777) != 0 && errno != EEXIST))
        return cli_fail(state->cli, "%s: cannot make the directory: %s",
                        state->args->out ? state->args->out : temporary, strerror(errno));
    return CLI_DONE;
}

/* Results that are there need no training; the rest says how long it will take. */
static int list(compare_state *state) {
    int status = compare_recall(state);

    for (int i = 0; i < state->results && status == CLI_DONE; i++)
        state->all_steps += state->result[i].done ? 0 : state->steps;
    return status;
}

static int train_all(compare_state *state) {
    int status = CLI_DONE;

    state->said = progress_clock();
    for (int i = 0; i < state->results && status == CLI_DONE && !interrupt_seen(); i++) {
        compare_result *r = &state->result[i];
        if (r->done)
            continue;
        progress_begin(&state->bar, state->all_steps, state->steps_done, state->cli->quiet);
        progress_update(&state->bar, state->steps_done, state->method[r->method].name);
        status = compare_train(state, r);
        progress_end(&state->bar);
        if (!r->done)
            continue;
        if (!state->cli->quiet)
            fprintf(stderr, "%-14s lr %-8g seed %d: validation loss %s after %s\n", state->method[r->method].name,
                    (double)r->lr, r->seed, text_number(compare_last_loss(r)),
                    text_amount(state->steps, "step", "steps"));
        status = compare_keep(state, r);
    }
    return status;
}

static int time_all(compare_state *state) {
    int status = CLI_DONE;

    for (int m = 0; m < state->methods && status == CLI_DONE && !interrupt_seen(); m++) {
        progress_phase(state->cli->quiet, "%s: the time of a new token", state->method[m].name);
        const compare_row row = compare_row_of(state, m);
        if (row.result)
            status = compare_time(state, row.result, &state->speed[m]);
    }
    progress_clear_all();
    return status;
}

static bool any_done(const compare_state *state) {
    for (int i = 0; i < state->results; i++)
        if (state->result[i].done)
            return true;
    return false;
}

static int compare(compare_state *state) {
    int status = list(state);

    interrupt_watch("\nclora compare: interrupted; what is done is kept (once more: end at once)\n");
    if (status == CLI_DONE)
        status = train_all(state);
    if (status == CLI_DONE)
        status = time_all(state);
    if (status == CLI_DONE && any_done(state))
        status = compare_report(state);
    if (status == CLI_DONE && interrupt_seen()) {
        cli_fail(state->cli, "interrupted; %s%s",
                 any_done(state) ? "the table has what is done" : "no training was done",
                 state->args->out ? ", the same command goes on" : "");
        status = interrupt_status();
    }
    return status;
}

enum { DATA, COMPARISON, METHODS, TRAINING = METHODS + TRAIN_METHOD_COUNT, MODEL, GROUPS };

static int check(const cli_state *cli, const train_args *args, const opt_group *groups) {
    if (args->train.steps == 0)
        return cli_misuse(cli, "--steps N is needed: all methods do as many");
    if (opt_given(groups, GROUPS, "momentum") && args->train.optimizer != CLORA_OPTIMIZER_SGD)
        return cli_misuse(cli, TRAIN_NO_MOMENTUM);
    return CLI_DONE;
}

static int run(cli_state *cli, int argc, char **argv) {
    static const char *const names[] = {"MODEL", NULL};
    compare_args args = {.seeds = 1, .new_tokens = 32, .train = TRAIN_ARGS_INIT};
    opt_group groups[GROUPS] = {
        [DATA] = {.heading = "Data", .options = data_options, .values = &args.train.data},
        [COMPARISON] = {.heading = "Comparison", .options = comparison_options, .values = &args},
        [TRAINING] = {.heading = "Training", .options = train_options, .values = &args.train},
        [MODEL] = {.heading = "Model", .options = train_model_options, .values = &args.train},
    };
    compare_state state = {.cli = cli, .args = &args, .groups = groups, .group_count = GROUPS, .own_group = COMPARISON};
    char temporary[] = "/tmp/clora-compare-XXXXXX";

    for (int i = 0; i < TRAIN_METHOD_COUNT; i++)
        groups[METHODS + i] = train_method_group(i, &args.train);
    int status = opt_parse(cli, groups, GROUPS, names, 1, &args.train.model_path, argc, argv);
    if (status != OPT_GO_ON)
        return status;
    args.train.method_groups = groups + METHODS;
    state.steps = args.train.train.steps;
    status = check(cli, &args.train, groups);
    if (status == CLI_DONE)
        status = compare_list(&state);
    if (status == CLI_DONE)
        status = open_folder(&state, temporary);
    if (status == CLI_DONE)
        status = compare(&state);
    if (state.folder && !args.out)
        folder_remove(state.folder);
    free(state.result);
    return status;
}

const command command_compare = {
    .name = "compare",
    .summary = "train a model by several methods and compare them",
    .usage = "MODEL --data FILE --val FILE --steps N [options]",
    .about = "Trains each method from the same start on the same batches and prints what each costs and gives: "
             "parameters that train, bytes on disk, memory and what it is made of, tokens per second, validation loss, "
             "the time to a given loss, and the time of a new token without it, with it and merged.\n\n"
             "Ctrl-C prints what is done.",
    .example = "clora compare MODEL --data train.jsonl --val held-out.jsonl --ranks 1,8,64 --steps 200",
    .run = run,
};
