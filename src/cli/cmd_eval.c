#include <math.h>
#include <stdio.h>

#include <clora/inspect.h>
#include <clora/train.h>

#include "cli/cli.h"
#include "cli/inputs/adapters.h"
#include "cli/inputs/ends.h"
#include "cli/options/device.h"
#include "cli/options/data_options.h"
#include "cli/ui/json_out.h"
#include "cli/options/model_options.h"
#include "cli/options/objective_options.h"
#include "cli/options/opt.h"
#include "cli/ui/progress.h"
#include "cli/ui/text.h"

enum { GROUPS = 3 };

typedef struct eval_args {
    const char *path;
    opt_list adapter;
    data_args data;
    model_args model;
    int objective;
    const char *reference;
    clora_preference_options preference; /* of one on preferences */
} eval_args;

static const opt model_part[] = {
    {.name = "adapter",
     .type = OPT_PATHS,
     .offset = offsetof(eval_args, adapter),
     .value = "DIR",
     .help = ADAPTERS_HELP},
    {.name = "dtype",
     .type = OPT_CHOICE,
     .offset = offsetof(eval_args, model.dtype),
     .value = "TYPE",
     .choices = model_dtypes,
     .help = MODEL_DTYPE_HELP},
    {.name = NULL},
};

static const opt objective_part[] = {
    {.name = "objective",
     .type = OPT_CHOICE,
     .offset = offsetof(eval_args, objective),
     .value = "NAME",
     .choices = objective_words,
     .help =
         "what is measured: next (the next token of targets), or classify where an adapter tells labels; on "
         "\"prompt\", \"chosen\" and \"rejected\" the loss and the rewards of dpo, ipo, hinge or orpo, on \"prompt\", "
         "\"completion\" and \"label\" those of kto"},
    {.name = "beta",
     .type = OPT_FLOAT,
     .offset = offsetof(eval_args, preference.beta),
     .value = "X",
     .low = 0,
     .high = 1e9,
     .flags = OPT_ABOVE,
     .help = "of preferences, as in training"},
    {.name = "reference",
     .type = OPT_PATH,
     .offset = offsetof(eval_args, reference),
     .value = "DIR",
     .help = "of preferences: the adapter that --adapter is compared with, that of train's --init-adapter (default: "
             "the model without one)"},
    {.name = NULL},
};

typedef struct eval_run {
    const cli_state *cli;
    clora_context *context;
    clora_tokenizer *tokenizer;
    clora_dataset *data;
    clora_model *model;
    clora_adapter *adapter, *reference;
    progress bar;
    clora_evaluate_result result;
    clora_rewards rewards; /* of preferences */
} eval_run;

static void release(eval_run *run) {
    clora_adapter_free(run->reference);
    clora_adapter_free(run->adapter);
    clora_model_free(run->model);
    clora_dataset_free(run->data);
    clora_tokenizer_free(run->tokenizer);
    cli_context_free(run->context, run->cli);
}

static int show_progress(void *user, int64_t done, int64_t total) {
    eval_run *run = user;

    (void)total;
    progress_update(&run->bar, done, "sequences");
    return 0;
}

/* The first of the adapters that tells labels, or NULL. A mistake in their files shows when they are loaded. */
static clora_inspected_adapter *find_labels(const opt_list *paths) {
    clora_inspected_adapter *adapter = NULL;

    for (int i = 0; i < paths->count && !(adapter && adapter->labels); i++) {
        clora_inspected_adapter_free(adapter);
        (void)clora_inspect_adapter(&adapter, paths->items[i]);
    }
    return adapter;
}

static bool is_of_preferences(const eval_args *args) {
    return objective_preference(args->objective) != CLORA_PREFERENCE_NONE;
}

/* What the adapters are for: texts with labels, where one tells these. */
static int load_data(eval_run *run, const eval_args *args, const clora_model_info *info, int max_length) {
    clora_inspected_adapter *adapter = find_labels(&args->adapter);
    data_args data = args->data;

    data.labels = adapter ? (const char *const *)adapter->labels : NULL;
    data.model = args->path;
    if (data.labels && args->objective == 0)
        data.kind = CLORA_DATA_LABELS;
    const int status = data_load(run->cli, &data, &args->data.data, run->tokenizer, info, max_length, &run->data);
    clora_inspected_adapter_free(adapter);
    return status;
}

/* The data before the weights: a mistake in it shows at once. */
static int load(eval_run *run, const eval_args *args, int *max_length) {
    clora_model_plan_options options = model_args_plan(&args->model);
    clora_memory_plan plan = CLORA_MEMORY_PLAN_INIT;
    clora_model_info info = CLORA_MODEL_INFO_INIT;

    options.batch_size = args->data.batch_size;
    progress_phase(run->cli->quiet, "loading %s", args->path);
    if (cli_context_create(&run->context, run->cli) != CLORA_OK ||
        clora_model_plan(&plan, &info, run->context, args->path, &options) != CLORA_OK ||
        clora_tokenizer_load(&run->tokenizer, args->path) != CLORA_OK)
        return cli_fail_library(run->cli);
    model_note_head(run->cli, args->path, info.own_head);
    if (args->data.eos == 0)
        ends_note_files(run->cli, args->path, run->tokenizer, &info);
    int status = data_max_length(run->cli, &args->data, &info, max_length);
    if (status == CLI_DONE)
        status = load_data(run, args, &info, *max_length);
    if (status != CLI_DONE)
        return status;
    if (model_args_load(&run->model, run->cli, run->context, args->path, &args->model) != CLORA_OK)
        return cli_fail_library(run->cli);
    if (args->reference && clora_adapter_load(&run->reference, run->model, args->reference) != CLORA_OK)
        return cli_fail_library(run->cli);
    return adapters_load(run->cli, &run->adapter, run->model, &args->adapter);
}

static clora_status evaluate_preferences(eval_run *run, const eval_args *args) {
    clora_preference_options options = args->preference;

    options.preference = objective_preference(args->objective);
    options.batch_size = args->data.batch_size;
    options.reference = run->reference;
    options.progress = show_progress;
    options.user = run;
    return clora_evaluate_preferences(&run->result, &run->rewards, run->model, run->adapter, run->data, &options);
}

static clora_status evaluate_targets(eval_run *run, const eval_args *args, int max_length) {
    clora_evaluate_options options = CLORA_EVALUATE_OPTIONS_INIT;

    options.batch_size = args->data.batch_size;
    options.pack = args->data.pack;
    options.max_length = args->data.pack ? max_length : 0;
    options.progress = show_progress;
    options.user = run;
    return clora_evaluate(&run->result, run->model, run->adapter, run->data, &options);
}

static int evaluate(eval_run *run, const eval_args *args, int max_length) {
    progress_begin(&run->bar, (int64_t)clora_dataset_get_stats(run->data)->sequences, 0, run->cli->quiet);
    progress_update(&run->bar, 0, "compiling kernels");
    const clora_status status =
        is_of_preferences(args) ? evaluate_preferences(run, args) : evaluate_targets(run, args, max_length);
    progress_end(&run->bar);
    return status == CLORA_OK ? CLI_DONE : cli_fail_library(run->cli);
}

static int report_labels(const eval_run *run) {
    const clora_evaluate_result *r = &run->result;

    if (run->cli->json)
        return json_print(run->cli, json_pack("{s:o, s:o, s:o, s:I, s:o}", "loss", json_number(r->loss), "accuracy",
                                              json_number(r->accuracy), "f1", json_number(r->f1), "sequences",
                                              (json_int_t)r->sequences, "seconds", json_number(r->seconds)));
    printf("loss        %s per text\n", text_number(r->loss));
    printf("accuracy    %s of the texts\n", text_percent(r->accuracy, 1));
    printf("F1          %s, the mean of the labels\n", text_percent(r->f1, 1));
    printf("data        %s, in %s\n", text_amount(r->sequences, "text", "texts"), text_duration(r->seconds));
    return CLI_DONE;
}

/* ORPO's rewards are no ratios; a pair's accuracy and KTO's divergence are not of all. */
static int report_preferences(const eval_run *run) {
    const clora_evaluate_result *r = &run->result;
    const clora_rewards *w = &run->rewards;

    if (run->cli->json)
        return json_print(
            run->cli, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:o}", "loss", json_number(r->loss),
                                "rewards/chosen", json_float(w->chosen), "rewards/rejected", json_float(w->rejected),
                                "rewards/margins", json_float(w->margin), "rewards/accuracies", json_float(w->accuracy),
                                "kl", json_float(w->kl), "tokens", (json_int_t)r->target_tokens, "sequences",
                                (json_int_t)r->sequences, "seconds", json_number(r->seconds)));
    printf("loss        %s\n", text_number(r->loss));
    printf("rewards     chosen %s, rejected %s, margin %s\n", text_number((double)w->chosen),
           text_number((double)w->rejected), text_number((double)w->margin));
    if (!isnan(w->accuracy))
        printf("accuracy    the chosen answer has the larger reward in %s of the pairs\n",
               text_percent((double)w->accuracy, 1));
    if (!isnan(w->kl))
        printf("divergence  %s nats of an answer to another prompt\n", text_number((double)w->kl));
    printf("data        %s, %s, in %s\n", text_amount(r->sequences, "answer", "answers"),
           text_amount(r->target_tokens, "token", "tokens"), text_duration(r->seconds));
    return CLI_DONE;
}

static int report(const eval_run *run, const eval_args *args) {
    const clora_evaluate_result *r = &run->result;

    if (is_of_preferences(args))
        return report_preferences(run);
    if (clora_dataset_labels(run->data, NULL))
        return report_labels(run);

    if (run->cli->json)
        return json_print(run->cli,
                          json_pack("{s:o, s:o, s:o, s:I, s:I, s:o}", "loss", json_number(r->loss), "perplexity",
                                    json_number(r->perplexity), "accuracy", json_number(r->accuracy), "tokens",
                                    (json_int_t)r->target_tokens, "sequences", (json_int_t)r->sequences, "seconds",
                                    json_number(r->seconds)));
    printf("loss        %s per target token\n", text_number(r->loss));
    printf("perplexity  %s\n", text_number(r->perplexity));
    printf("accuracy    %s of the target tokens\n", text_percent(r->accuracy, 1));
    printf("data        %s, %s, in %s\n", text_amount(r->sequences, "sequence", "sequences"),
           text_amount(r->target_tokens, "target token", "target tokens"), text_duration(r->seconds));
    return CLI_DONE;
}

static int check(const cli_state *cli, eval_args *args, const opt_group *groups) {
    static const char *const idle[] = {"columns", "learn-context", "pack"}, *const idle_else[] = {"beta", "reference"};

    args->data.kind = objective_data(args->objective);
    for (int i = 0; is_of_preferences(args) && i < 3; i++)
        if (opt_given(groups, GROUPS, idle[i]))
            return cli_misuse(cli, "--%s is for --objective next", idle[i]);
    for (int i = 0; !is_of_preferences(args) && i < 2; i++)
        if (opt_given(groups, GROUPS, idle_else[i]))
            return cli_misuse(cli, "--%s is of an objective on preferences", idle_else[i]);
    return CLI_DONE;
}

static int run(cli_state *cli, int argc, char **argv) {
    static const char *const names[] = {"MODEL", "ADAPTER", NULL};
    const char *paths[2];
    eval_args args = {.data = DATA_ARGS_INIT(8), .preference = CLORA_PREFERENCE_OPTIONS_INIT};
    opt_group groups[GROUPS] = {{.heading = "Data", .options = data_options, .values = &args.data},
                                {.heading = "Model", .options = model_part, .values = &args},
                                {.heading = "Objective", .options = objective_part, .values = &args}};
    eval_run work = {.cli = cli, .result = CLORA_EVALUATE_RESULT_INIT, .rewards = CLORA_REWARDS_INIT};
    int max_length = 0;
    int status = opt_parse(cli, groups, GROUPS, names, 1, paths, argc, argv);

    if (status != OPT_GO_ON)
        return status;
    args.path = paths[0];
    status = adapters_add(cli, &args.adapter, paths[1]);
    if (status == CLI_DONE)
        status = check(cli, &args, groups);
    if (status == CLI_DONE)
        status = load(&work, &args, &max_length);
    if (status == CLI_DONE)
        status = evaluate(&work, &args, max_length);
    if (status == CLI_DONE)
        status = report(&work, &args);
    release(&work);
    return status;
}

const command command_eval = {
    .name = "eval",
    .summary = "measure a model's loss, perplexity and accuracy on pairs",
    .usage = "MODEL [ADAPTER] --data FILE [options]",
    .about =
        "Measures how well a model, with or without an adapter, predicts the targets: mean negative log likelihood "
        "(natural logarithm) and perplexity per target token, and accuracy: how often "
        "the likeliest token was right. Of preferences: their loss, and what rewards the answers get.",
    .example = "clora eval models/tiny --adapter my-adapter --data data/validation.jsonl",
    .run = run,
};
