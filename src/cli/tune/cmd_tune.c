#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/options/device.h"
#include "cli/options/model_options.h"
#include "cli/options/opt.h"
#include "cli/ui/progress.h"
#include "cli/tune/cmd_tune.h"

static const char *const uses[] = {"train", "generate", "train,generate", NULL};

static const opt shape_part[] = {
    {.name = "rank",
     .type = OPT_TEXT,
     .offset = offsetof(tune_args, ranks),
     .value = "LIST",
     .help = "ranks of the adapters to come, such as 4,8,16; 0 is none. Of --method adapter their columns, of prefix "
             "and prompt their positions"},
    {.name = "method",
     .type = OPT_CHOICE,
     .offset = offsetof(tune_args, method),
     .value = "NAME",
     .choices = tune_methods,
     .help = "what is trained"},
    {.name = "batch-size",
     .type = OPT_INT,
     .offset = offsetof(tune_args, batch_size),
     .value = "N",
     .low = 1,
     .high = 65536,
     .help = "sequences in a training step"},
    {.name = "max-length",
     .type = OPT_INT,
     .offset = offsetof(tune_args, max_length),
     .value = "N",
     .low = 1,
     .high = 1048576,
     .help = "tokens of a sequence in training, and of a prompt"},
    {.name = "for",
     .type = OPT_TEXT,
     .offset = offsetof(tune_args, use),
     .value = "LIST",
     .choices = uses,
     .help = "train, generate, or both with a comma"},
    {.name = "dtype",
     .type = OPT_CHOICE,
     .offset = offsetof(tune_args, dtype),
     .value = "TYPE",
     .choices = model_dtypes,
     .help = MODEL_DTYPE_HELP},
    {.name = "shape",
     .type = OPT_TEXT,
     .offset = offsetof(tune_args, shape),
     .value = "N,K",
     .help = "instead of a model: one weight of N outputs and K inputs"},
    {.name = NULL},
};

static const opt effort_part[] = {
    {.name = "budget",
     .type = OPT_TEXT,
     .offset = offsetof(tune_args, budget),
     .value = "TIME",
     .help = "how long to measure at most: 90, 90s, 3m"},
    {.name = "full",
     .type = OPT_SET,
     .offset = offsetof(tune_args, full),
     .help = "measure every configuration, however long it takes"},
    {.name = "again",
     .type = OPT_SET,
     .offset = offsetof(tune_args, again),
     .help = "measure what has an entry as well"},
    {.name = "limit",
     .type = OPT_DOUBLE,
     .offset = offsetof(tune_args, limit),
     .value = "SECONDS",
     .low = 0,
     .high = 86400,
     .flags = OPT_ABOVE,
     .help = "how long one configuration may take to compile, and again to run"},
    {.name = "dry-run", .type = OPT_SET, .offset = offsetof(tune_args, dry_run), .help = "list what would be measured"},
    {.name = NULL},
};

static int run_measure(cli_state *cli, int argc, char **argv) {
    static const char *const names[] = {"MODEL", NULL};
    tune_args args = {
        .ranks = "8", .use = "train,generate", .budget = "3m", .batch_size = 4, .max_length = 64, .limit = 30.0};
    opt_group groups[] = {{.heading = "Shapes", .options = shape_part, .values = &args},
                          {.heading = "Effort", .options = effort_part, .values = &args}};
    clora_context *context = NULL;
    clora_tune_plan *plan = NULL;
    int status = opt_parse(cli, groups, 2, names, 0, &args.model, argc, argv);

    if (status != OPT_GO_ON)
        return status;
    progress_phase(cli->quiet, "looking for the shapes of %s", args.model ? args.model : "one weight");
    if (cli_context_create(&context, cli) != CLORA_OK)
        return cli_fail_library(cli);
    status =
        clora_tune_plan_create(&plan, context) == CLORA_OK ? tune_fill_plan(cli, plan, &args) : cli_fail_library(cli);
    progress_clear_all();
    if (status == CLI_DONE)
        status = args.dry_run ? tune_list(cli, plan) : tune_measure(cli, context, plan, &args);
    clora_tune_plan_free(plan);
    clora_context_free(context);
    return status;
}

static int run(cli_state *cli, int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "--worker") == 0)
        return tune_run_worker(cli, argc - 1, argv + 1);
    return run_measure(cli, argc, argv);
}

static const command *const parts[] = {&command_tune_show,
                                       &command_tune_verify,
                                       &command_tune_export,
                                       &command_tune_import,
                                       &command_tune_prune,
                                       &command_tune_report,
                                       NULL};

const command command_tune = {
    .name = "tune",
    .summary = "measure the kernels on this machine and keep the fastest settings",
    .usage = "[MODEL | show | verify | export | import | prune | report] [options]",
    .about =
        "Finds the parameters with which each kernel is fastest for the shapes of a model, and keeps them on disk, "
        "where every later command finds them. Run it once for a device and a model; run it again to go on where "
        "it ended.\n\nA configuration is checked against a reference before its time counts, and runs in a process "
        "of its own, so that one that crashes or hangs does no harm. Ctrl-C keeps what was found.",
    .example = "clora tune models/tiny --budget 30s",
    .run = run,
    .parts = parts,
};
