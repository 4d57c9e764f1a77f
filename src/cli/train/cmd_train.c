#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/options/opt.h"
#include "cli/ui/profile_out.h"
#include "cli/train/cmd_train.h"
#include "cli/train/train_memory.h"
#include "cli/train/train_resume.h"

#define TRAIN(field) offsetof(train_args, train.field)

enum { MOST = 2147483647 };

static const char *const schedules[] = {"constant", "linear", "cosine", NULL};
static const char *const recomputes[] = {"none", "layer", "attention", NULL}; /* clora_recompute */
static const char *const methods[] = {"lora", "adapter", "full", "bias", "norms", "prefix", "prompt", NULL};
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
     .standard = TRAIN_LOG " in --out",
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
    {.name = "best",
     .type = OPT_SET,
     .offset = offsetof(train_args, best),
     .help = "keep what had the lowest validation loss after a step, in " TRAIN_BEST " in --out"},
    {.name = "patience",
     .type = OPT_INT,
     .offset = offsetof(train_args, patience),
     .value = "N",
     .low = 1,
     .high = MOST,
     .standard = "to the end",
     .help = "stop after N validations in a row without a lower loss"},
    {.name = "sample-every",
     .type = OPT_INT,
     .offset = offsetof(train_args, sample_every),
     .value = "N",
     .low = 1,
     .high = MOST,
     .standard = "only before and after",
     .help = "write texts for --sample-prompts after every N steps too"},
    {.name = "sample-prompts",
     .type = OPT_PATH,
     .offset = offsetof(train_args, sample_prompts),
     .value = "FILE",
     .help =
         "prompts, one a line or rows of JSON, that are continued greedily before, between and after steps, for the "
         "log and to be read"},
    {.name = "sample-tokens",
     .type = OPT_INT,
     .offset = offsetof(train_args, sample_tokens),
     .value = "N",
     .low = 1,
     .high = MOST,
     .help = "new tokens of such a text, at most"},
    {.name = "tensorboard",
     .type = OPT_PATH,
     .offset = offsetof(train_args, tensorboard),
     .value = "DIR",
     .help = "write the numbers of the log into a file for TensorBoard there, too"},
    {.name = "save-every",
     .type = OPT_INT,
     .offset = offsetof(train_args, save_every),
     .value = "N",
     .low = 1,
     .high = MOST,
     .standard = "after about ten minutes",
     .help = "write a checkpoint into DIR after every N steps"},
    {.name = "keep",
     .type = OPT_INT,
     .offset = offsetof(train_args, keep),
     .value = "N",
     .low = 1,
     .high = MOST,
     .standard = "1, and none at the end",
     .help = "checkpoints to keep, also when the run is over"},
    {.name = "resume",
     .type = OPT_PATH,
     .offset = offsetof(train_args, resume),
     .value = "DIR",
     .help = "go on with the run whose --out was DIR, after its newest checkpoint, with the same bits; its options "
             "hold, and MODEL is its own"},
    {.name = "replan",
     .type = OPT_SET,
     .offset = offsetof(train_args, replan),
     .help = "with --resume: also on another device, driver or version, or with other tuned parameters, where the bits "
             "differ"},
    {.name = "profile", .type = OPT_SET, .offset = offsetof(train_args, profile), .help = PROFILE_HELP},
    {.name = NULL},
};

const opt train_method_options[] = {
    {.name = "method",
     .type = OPT_TEXT,
     .offset = offsetof(train_args, method),
     .value = "NAME",
     .choices = methods,
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
     .help = "optimizer steps"},
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
     .help = "gradient accumulation: batches in an optimizer step"},
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
     .help = "optimizer steps in which the learning rate rises to --lr"},
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
     .help = "max gradient norm: a larger gradient is scaled down to it; 0 is off"},
    {.name = "skip-nonfinite",
     .type = OPT_INT,
     .offset = TRAIN(skip_nonfinite),
     .value = "N",
     .low = 0,
     .high = MOST,
     .help = "steps whose loss or gradient is not finite that change nothing and do not end the run"},
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
     .help = "gradient checkpointing, which takes less memory and more time: recompute attention, or layer, which WHAT "
             "left out means, instead of keeping their activations; or none"},
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
    if (args->best && !args->val)
        return cli_misuse(cli, "--best needs --val FILE");
    if (args->patience && !args->eval_every)
        return cli_misuse(cli, "--patience needs --val FILE and --eval-every N");
    if (!args->sample_prompts && (args->sample_every || opt_given(groups, GROUPS, "sample-tokens")))
        return cli_misuse(cli, "--sample-every and --sample-tokens need --sample-prompts FILE");
    if (args->sample_prompts && args->data.kind == CLORA_DATA_LABELS)
        return cli_misuse(cli,
                          "--sample-prompts has no use with --objective classify: it tells labels and writes no texts");
    if (args->replan && !args->resume)
        return cli_misuse(cli, "--replan is for --resume DIR");
    if (opt_given(groups, GROUPS, "momentum") && args->train.optimizer != CLORA_OPTIMIZER_SGD)
        return cli_misuse(cli, TRAIN_NO_MOMENTUM);
    return CLI_DONE;
}

/* The log is beside the adapter, where no other place was named. */
static int choose_log(train_state *state) {
    train_args *args = state->args;

    if (args->log)
        return CLI_DONE;
    if (asprintf(&state->own_log, "%s/" TRAIN_LOG, args->out) < 0) {
        state->own_log = NULL;
        return cli_fail(state->cli, "no memory for the name of the log");
    }
    args->log = state->own_log;
    return CLI_DONE;
}

/* The groups, in the order of the help. */
static void make_groups(opt_group groups[GROUPS], train_args *args) {
    groups[0] = (opt_group){.heading = "Data", .options = data_options, .values = &args->data};
    groups[1] = (opt_group){.heading = "Output and validation", .options = output_options, .values = args};
    groups[2] = (opt_group){.heading = "Objective", .options = train_objective_options, .values = args};
    groups[3] = (opt_group){.heading = "Method", .options = train_method_options, .values = args};
    for (int i = 0; i < TRAIN_METHOD_COUNT; i++)
        groups[METHODS + i] = train_method_group(i, args);
    groups[METHODS + TRAIN_METHOD_COUNT] = (opt_group){.heading = "Training", .options = train_options, .values = args};
    groups[METHODS + TRAIN_METHOD_COUNT + 1] =
        (opt_group){.heading = "Model", .options = train_model_options, .values = args};
    groups[GROUPS - 1] = (opt_group){.heading = "Memory", .options = train_memory_options, .values = args};
}

static const char *const positionals[] = {"MODEL", NULL};

/* The options that the run was begun with, alone: those of the whole command line that would change it are refused. */
static int compare_with_own(cli_state *cli, const train_resume *resume, const opt_group *whole) {
    train_args own = TRAIN_ARGS_INIT;
    cli_state quiet = *cli; /* its general options were read already */
    opt_group groups[GROUPS];
    char **words = calloc((size_t)resume->own + 1, sizeof(*words));
    int status = words ? OPT_GO_ON : cli_fail(cli, "no memory for a command line");

    make_groups(groups, &own);
    if (words) {
        memcpy(words, resume->argv, (size_t)resume->own * sizeof(*words));
        status = opt_parse(&quiet, groups, GROUPS, positionals, 1, &own.model_path, resume->own, words);
    }
    if (status == OPT_GO_ON)
        status = train_resume_compare(cli, groups, whole, GROUPS);
    free(words);
    return status;
}

/* The command line, whole. */
static int read_words(cli_state *cli, train_args *args, opt_group *groups, const train_resume *resume) {
    char **words = calloc((size_t)resume->argc + 1, sizeof(*words)); /* reading moves them */
    int status = words ? OPT_GO_ON : cli_fail(cli, "no memory for a command line");

    if (words) {
        memcpy(words, resume->argv, (size_t)resume->argc * sizeof(*words));
        status = opt_parse(cli, groups, GROUPS, positionals, 1, &args->model_path, resume->argc, words);
    }
    free(words);
    if (status != OPT_GO_ON)
        return status;
    status = resume->path ? compare_with_own(cli, resume, groups) : CLI_DONE;
    if (resume->path)
        args->out = args->resume;
    return status == CLI_DONE ? OPT_GO_ON : status;
}

static int train(cli_state *cli, const train_resume *resume) {
    train_args args = TRAIN_ARGS_INIT;
    train_state state = {.cli = cli, .args = &args, .resume = resume};
    opt_group groups[GROUPS];

    make_groups(groups, &args);
    int status = read_words(cli, &args, groups, resume);
    if (status != OPT_GO_ON)
        return status;
    args.keep_given = opt_given(groups, GROUPS, "keep");
    status = train_choose_methods(cli, &args, opt_given(groups, GROUPS, "method"), groups + METHODS);
    if (status == CLI_DONE)
        status = train_choose_objective(cli, &args, groups, GROUPS);
    if (status == CLI_DONE)
        status = check(cli, &args, groups);
    if (status == CLI_DONE)
        status = choose_log(&state);
    if (status != CLI_DONE)
        return status;
    args.adapter.seed = args.bottleneck.seed = args.train.seed;
    status = train_load(&state);
    if (status == CLI_DONE)
        status = train_run(&state);
    train_release(&state);
    return status;
}

static int run(cli_state *cli, int argc, char **argv) {
    train_resume resume;
    int finished;
    int status = train_resume_find(cli, &resume, &finished, argc, argv);

    if (status == CLI_DONE && !finished)
        status = train(cli, &resume);
    train_resume_finish(&resume);
    return status;
}

const command command_train = {
    .name = "train",
    .summary = "fine-tune a model on pairs of prompt and completion",
    .usage = "MODEL --data FILE --out DIR [options]\n       clora train --resume DIR [options]",
    .about =
        "Trains what --method names, by default a LoRA adapter, on pairs of prompt and completion or on conversations, "
        "and saves it. The files of MODEL are only read. The plan is shown before the first step. Ctrl-C ends the run "
        "and saves what it has trained; --resume goes on from there.",
    .example = "clora train models/tiny --data data/train.jsonl --val data/validation.jsonl --out my-adapter",
    .run = run,
};
