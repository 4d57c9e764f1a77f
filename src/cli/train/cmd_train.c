#include <math.h>

#include "cli/options/opt.h"
#include "cli/ui/profile_out.h"
#include "cli/train/cmd_train.h"
#include "cli/train/train_memory.h"

#define TRAIN(field) offsetof(train_args, train.field)

enum { MOST = 2147483647 };

static const char *const schedules[] = {"constant", "linear", "cosine", NULL};
static const char *const recomputes[] = {"none", "layer", "attention", NULL}; /* clora_recompute */
static const char *const optimizers[] = {"adamw", "adamw8bit", "sgd", NULL};

static const opt output_options[] = {
    {.name = "out",
     .type = OPT_PATH,
     .offset = offsetof(train_args, out),
     .value = "DIR",
     .flags = OPT_REQUIRED,
     .help = "directory for the adapter; must not exist, or be empty"},
    {.name = "log",
     .type = OPT_PATH,
     .offset = offsetof(train_args, log),
     .value = "FILE",
     .help = "add a JSON line for every step and every validation to this file"},
    {.name = "val",
     .type = OPT_PATH,
     .offset = offsetof(train_args, val),
     .value = "FILE",
     .help = "held-out data, whose loss is shown before and after training; or as 5% a part of --data, which --seed "
             "chooses and which is not trained on"},
    {.name = "eval-every",
     .type = OPT_INT,
     .offset = offsetof(train_args, eval_every),
     .value = "N",
     .low = 1,
     .high = MOST,
     .standard = "only before and after",
     .help = "validate after every N steps too"},
    {.name = "profile", .type = OPT_SET, .offset = offsetof(train_args, profile), .help = PROFILE_HELP},
    {.name = NULL},
};

const opt train_method_options[] = {
    {.name = "method",
     .type = OPT_TEXT,
     .offset = offsetof(train_args, method),
     .value = "NAME",
     .help = "what is trained: " TRAIN_METHODS "; several at once with commas"},
    {.name = "init-adapter",
     .type = OPT_PATH,
     .offset = offsetof(train_args, init_adapter),
     .value = "DIR",
     .help = "continue this adapter; its method and its settings stay, --dropout applies"},
    {.name = NULL},
};

const opt train_options[] = {
    {.name = "steps",
     .type = OPT_INT,
     .offset = TRAIN(steps),
     .value = "N",
     .low = 1,
     .high = MOST,
     .standard = "from --epochs",
     .help = "number of updates"},
    {.name = "epochs",
     .type = OPT_DOUBLE,
     .offset = TRAIN(epochs),
     .value = "X",
     .low = 0,
     .high = 1e6,
     .flags = OPT_ABOVE,
     .help = "passes over the data; may be a fraction"},
    {.name = "accumulate",
     .type = OPT_INT,
     .offset = TRAIN(accumulate),
     .value = "N",
     .low = 1,
     .high = 65536,
     .help = "batches in an update"},
    {.name = "lr",
     .type = OPT_FLOAT,
     .offset = TRAIN(lr),
     .value = "X",
     .low = 0,
     .high = 1e9,
     .flags = OPT_ABOVE,
     .standard = "0.0002, of preferences 1e-06",
     .help = "learning rate"},
    {.name = "schedule",
     .type = OPT_CHOICE,
     .offset = TRAIN(schedule),
     .value = "KIND",
     .choices = schedules,
     .help = "learning-rate schedule after warm-up: constant, linear or cosine (both to zero)"},
    {.name = "warmup",
     .type = OPT_INT,
     .offset = TRAIN(warmup),
     .value = "N",
     .low = 0,
     .high = MOST,
     .help = "updates during which the learning rate rises to --lr"},
    {.name = "optimizer",
     .type = OPT_CHOICE,
     .offset = TRAIN(optimizer),
     .value = "KIND",
     .choices = optimizers,
     .help = "adamw, adamw8bit (its moments take a quarter of the memory) or sgd"},
    {.name = "momentum",
     .type = OPT_FLOAT,
     .offset = TRAIN(momentum),
     .value = "X",
     .low = 0,
     .high = 1,
     .flags = OPT_BELOW,
     .help = "momentum of sgd"},
    {.name = "weight-decay",
     .type = OPT_FLOAT,
     .offset = TRAIN(weight_decay),
     .value = "X",
     .low = 0,
     .high = 1e9,
     .help = "weight decay: decoupled in adamw, a part of the gradient in sgd"},
    {.name = "clip",
     .type = OPT_FLOAT,
     .offset = TRAIN(clip),
     .value = "X",
     .low = 0,
     .high = 1e9,
     .help = "gradient-norm clipping; 0 is off"},
    {.name = "seed",
     .type = OPT_SEED,
     .offset = TRAIN(seed),
     .value = "N",
     .help = "random seed of initialisation, shuffling and dropout"},
    {.name = "recompute",
     .type = OPT_CHOICE,
     .offset = TRAIN(recompute),
     .value = "WHAT",
     .flags = OPT_ALONE,
     .choices = recomputes,
     .help = "what of the forward pass is computed again instead of kept, in less memory and more time: none, "
             "attention, or layer, which WHAT left out means"},
    {.name = "no-shuffle", .type = OPT_CLEAR, .offset = TRAIN(shuffle), .help = "keep the order of the file"},
    {.name = NULL},
};

const opt train_model_options[] = {
    {.name = "dtype",
     .type = OPT_CHOICE,
     .offset = offsetof(train_args, model.dtype),
     .value = "TYPE",
     .choices = model_dtypes,
     .help = MODEL_DTYPE_HELP},
    {.name = NULL},
};

/* The first of the groups that methods have, one each, and all groups. */
enum { METHODS = 4, GROUPS = METHODS + TRAIN_METHOD_COUNT + 3 };

static int check(const cli_state *cli, const train_args *args, const opt_group *groups) {
    if (opt_given(groups, GROUPS, "steps") && opt_given(groups, GROUPS, "epochs"))
        return cli_misuse(cli, "--steps and --epochs say the same: give one");
    if (args->eval_every && !args->val)
        return cli_misuse(cli, "--eval-every needs --val FILE");
    if (opt_given(groups, GROUPS, "momentum") && args->train.optimizer != CLORA_OPTIMIZER_SGD)
        return cli_misuse(cli, TRAIN_NO_MOMENTUM);
    return CLI_DONE;
}

static int run(cli_state *cli, int argc, char **argv) {
    static const char *const names[] = {"MODEL", NULL};
    train_args args = TRAIN_ARGS_INIT;
    opt_group groups[GROUPS] = {
        {.heading = "Data", .options = data_options, .values = &args.data},
        {.heading = "Output and validation", .options = output_options, .values = &args},
        {.heading = "Objective", .options = train_objective_options, .values = &args},
        {.heading = "Method", .options = train_method_options, .values = &args},
        [METHODS + TRAIN_METHOD_COUNT] = {.heading = "Training", .options = train_options, .values = &args},
        [METHODS + TRAIN_METHOD_COUNT + 1] = {.heading = "Model", .options = train_model_options, .values = &args},
        [GROUPS - 1] = {.heading = "Memory", .options = train_memory_options, .values = &args},
    };
    train_state state = {.cli = cli, .args = &args};

    for (int i = 0; i < TRAIN_METHOD_COUNT; i++)
        groups[METHODS + i] = train_method_group(i, &args);
    int status = opt_parse(cli, groups, GROUPS, names, 1, &args.model_path, argc, argv);

    if (status != OPT_GO_ON)
        return status;
    status = check(cli, &args, groups);
    if (status == CLI_DONE)
        status = train_choose_methods(cli, &args, opt_given(groups, GROUPS, "method"), groups + METHODS);
    if (status == CLI_DONE)
        status = train_choose_objective(cli, &args, groups, GROUPS);
    if (status != CLI_DONE)
        return status;
    args.adapter.seed = args.bottleneck.seed = args.train.seed;
    status = train_load(&state);
    if (status == CLI_DONE)
        status = train_run(&state);
    train_release(&state);
    return status;
}

const command command_train = {
    .name = "train",
    .summary = "fine-tune a model on pairs of context and target",
    .usage = "MODEL --data FILE --out DIR [options]",
    .about =
        "Trains what --method names, by default a low-rank adapter, on pairs of context and target and saves it. The "
        "files of MODEL are only read. The plan is shown before the first step. Ctrl-C ends the run and saves what was "
        "learnt.",
    .example = "clora train models/tiny --data data/train.jsonl --val data/validation.jsonl --out my-adapter",
    .run = run,
};
