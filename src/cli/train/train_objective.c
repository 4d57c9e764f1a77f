#include "cli/options/objective_options.h"
#include "cli/train/cmd_train.h"

static const float PREFERENCE_LR = 1e-6f; /* TRL's, where none is given */

const opt train_objective_options[] = {
    {.name = "objective",
     .type = OPT_CHOICE,
     .offset = offsetof(train_args, objective),
     .value = "NAME",
     .choices = objective_words,
     .help =
         "what is minimised: next (the next token of targets); on \"text\" and \"label\" classify (which label a text "
         "has, by a head on its last token); on \"prompt\", \"chosen\" and \"rejected\" dpo, ipo, "
         "hinge or orpo, on \"prompt\", \"completion\" and \"label\" kto, with a --max-length of 1024"},
    {.name = "beta",
     .type = OPT_FLOAT,
     .offset = offsetof(train_args, train.beta),
     .value = "X",
     .low = 0,
     .high = 1e9,
     .flags = OPT_ABOVE,
     .help = "of preferences: how close to the reference, the model without the adapter or --init-adapter, it stays; "
             "of orpo, the weight of the odds ratio"},
    {.name = "label-smoothing",
     .type = OPT_FLOAT,
     .offset = offsetof(train_args, train.label_smoothing),
     .value = "X",
     .low = 0,
     .high = 1,
     .help = "share of each target that goes to all tokens alike: the loss is of these, validation's is not; of dpo, "
             "share of pairs that are taken to be the wrong way round"},
    {.name = NULL},
};

int train_choose_objective(const cli_state *cli, train_args *args, const opt_group *groups, int count) {
    /* of the data, and of no use where a batch has prompts with their answers, or texts with their labels */
    static const char *const of_pairs[] = {"columns", "learn-context", "pack", NULL};
    static const char *const of_targets[] = {"columns", "learn-context", "eos", NULL};
    const bool labels = objective_data(args->objective) == CLORA_DATA_LABELS;
    const char *const *idle = labels ? of_targets : of_pairs;

    args->train.preference = objective_preference(args->objective);
    args->data.kind = objective_data(args->objective);
    if (args->train.preference == CLORA_PREFERENCE_NONE && opt_given(groups, count, "beta"))
        return cli_misuse(cli, "--beta is of an objective on preferences");
    for (int i = 0; args->objective != 0 && idle[i]; i++)
        if (opt_given(groups, count, idle[i]))
            return cli_misuse(cli, "--%s is for --objective next", idle[i]);
    if (labels && !args->init_adapter && !args->methods[TRAIN_LORA] && !args->methods[TRAIN_PREFIX] &&
        !args->methods[TRAIN_PROMPT])
        return cli_misuse(cli, "--objective classify has its head beside --method lora, prefix or prompt");
    if (args->train.preference == CLORA_PREFERENCE_NONE)
        return CLI_DONE;
    if (args->train.label_smoothing > 0.0f && args->train.preference != CLORA_PREFERENCE_DPO)
        return cli_misuse(cli, "--objective %s has no --label-smoothing", objective_words[args->objective]);
    if (!opt_given(groups, count, "lr"))
        args->train.lr = PREFERENCE_LR;
    return CLI_DONE;
}

bool train_has_reference(const train_args *args) {
    return args->train.preference != CLORA_PREFERENCE_NONE && args->train.preference != CLORA_PREFERENCE_ORPO;
}

void train_report_objective(FILE *out, const train_state *state) {
    const train_args *args = state->args;

    if (args->train.preference == CLORA_PREFERENCE_NONE)
        return;
    fprintf(out, "objective   %s, beta %g", objective_words[args->objective], (double)args->train.beta);
    if (args->train.label_smoothing > 0.0f)
        fprintf(out, ", label smoothing %g", (double)args->train.label_smoothing);
    if (train_has_reference(args))
        fprintf(out, ", reference %s", state->reference ? args->init_adapter : "the model without the adapter");
    fprintf(out, "\n");
}
