#include "cli/options/opt.h"
#include "cli/ui/text.h"
#include "cli/train/train_method.h"

#define BOTTLENECK(field) offsetof(train_args, bottleneck.field)

/* In the order of the library's. */
static const char *const styles[] = {"pfeiffer", "houlsby", NULL};
static const char *const nonlinearities[] = {"auto", "relu", "swish", NULL};
static const char *const inits[] = {"bert", "mam", NULL};

static const opt options[] = {
    {.name = "bottleneck",
     .type = OPT_INT,
     .offset = BOTTLENECK(columns),
     .value = "N",
     .low = 1,
     .high = 65536,
     .help = "columns between the two products"},
    {.name = "bottleneck-style",
     .type = OPT_CHOICE,
     .offset = BOTTLENECK(style),
     .value = "STYLE",
     .choices = styles,
     .help = "pfeiffer: one a layer, after the MLP; houlsby: two, after attention and MLP"},
    {.name = "nonlinearity",
     .type = OPT_CHOICE,
     .offset = BOTTLENECK(nonlinearity),
     .value = "KIND",
     .choices = nonlinearities,
     .help = "between the products; auto is the style's: relu for pfeiffer, swish for houlsby"},
    {.name = "bottleneck-dropout",
     .type = OPT_FLOAT,
     .offset = BOTTLENECK(dropout),
     .value = "X",
     .low = 0,
     .high = 1,
     .flags = OPT_BELOW,
     .help = "dropout probability of what a bottleneck adds, in training"},
    {.name = "bottleneck-init",
     .type = OPT_CHOICE,
     .offset = BOTTLENECK(init),
     .value = "KIND",
     .choices = inits,
     .help = "initialisation: bert (both products normal, std 0.02) or mam (the second zero); biases begin at zero"},
    {.name = NULL},
};

static const char *const fresh[] = {"bottleneck", "bottleneck-style", "nonlinearity", "bottleneck-init", NULL};

static void set_size(train_args *args, int size) {
    args->bottleneck.columns = size;
}

static clora_status make(clora_adapter **out, const train_state *state) {
    return clora_bottleneck_create(out, state->model, &state->args->bottleneck);
}

static int check_continued(const train_state *state, clora_adapter *adapter) {
    const train_args *args = state->args;

    if (opt_given(&args->method_groups[TRAIN_BOTTLENECK], 1, "bottleneck-dropout") &&
        clora_adapter_set_dropout(adapter, args->bottleneck.dropout) != CLORA_OK)
        return cli_fail_library(state->cli);
    return CLI_DONE;
}

static void describe(FILE *out, const train_state *state, const clora_adapter *adapter) {
    const clora_bottleneck_info *b = clora_bottleneck_get_info(adapter);

    fprintf(out, "%s with %s,%s after %s (%s)", text_amount(b->columns, "column", "columns"),
            b->swish ? "swish" : "relu", state->args->init_adapter ? " continued," : "",
            !b->after_mlp         ? "attention"
            : !b->after_attention ? "the MLP"
                                  : "attention and MLP",
            text_amount(b->sublayers, "place", "places"));
    if (b->dropout > 0)
        fprintf(out, ", dropout %g", (double)b->dropout);
}

const train_method train_bottleneck = {
    .name = "adapter",
    .heading = "Method adapter",
    .label = "bottleneck",
    .options = options,
    .fresh = fresh,
    .set_size = set_size,
    .make = make,
    .check_continued = check_continued,
    .describe = describe,
};
