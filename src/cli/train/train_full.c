#include <clora/full.h>

#include "cli/options/opt.h"
#include "cli/train/train_method.h"

/* The methods that train the model's own weights, in place: full, bias and norms. */

static const char *const masters[] = {"f32", "none", NULL};
static const char *const fresh[] = {NULL};

static const opt full_options[] = {
    {.name = "train-modules",
     .type = OPT_TEXT,
     .offset = offsetof(train_args, full.modules),
     .value = "REGEX",
     .help = "only tensors whose whole name matches, such as .*mlp.*"},
    {.name = "master",
     .type = OPT_CHOICE,
     .offset = offsetof(train_args, full.master),
     .value = "TYPE",
     .choices = masters,
     .help = "where weights of 16 bits are updated: in an f32 copy, or (none) in themselves"},
    {.name = NULL},
};
static const opt no_options[] = {{.name = NULL}};

static clora_status make(clora_adapter **out, const train_state *state, clora_full_part part) {
    clora_full_options options = state->args->full;

    options.size = sizeof(options);
    options.part = part;
    return clora_full_create(out, state->model, &options);
}

static clora_status make_full(clora_adapter **out, const train_state *state) {
    return make(out, state, CLORA_FULL_PART_ALL);
}
static clora_status make_bias(clora_adapter **out, const train_state *state) {
    return make(out, state, CLORA_FULL_PART_BIASES);
}
static clora_status make_norms(clora_adapter **out, const train_state *state) {
    return make(out, state, CLORA_FULL_PART_NORMS);
}

/* Never asked: what these methods save is a model, which is given as MODEL to be continued. */
static int check_continued(const train_state *state, clora_adapter *adapter) {
    (void)state;
    (void)adapter;
    return CLI_DONE;
}

static void describe_full(FILE *out, const train_state *state, const clora_adapter *adapter) {
    const clora_full_options *o = &state->args->full;

    (void)adapter;
    fprintf(out, "the model's own weights%s%s", o->modules ? " named " : "", o->modules ? o->modules : "");
    if (o->master == CLORA_FULL_MASTER_NONE)
        fprintf(out, ", without a copy in f32");
}
static void describe_bias(FILE *out, const train_state *state, const clora_adapter *adapter) {
    (void)state;
    (void)adapter;
    fprintf(out, "the model's own biases");
}
static void describe_norms(FILE *out, const train_state *state, const clora_adapter *adapter) {
    (void)state;
    (void)adapter;
    fprintf(out, "the gains of the model's normalisations");
}

#define OWN_WEIGHTS .label = "trains", .own = true, .fresh = fresh, .check_continued = check_continued

const train_method train_full = {.name = "full",
                                 .heading = "Method full",
                                 .options = full_options,
                                 .make = make_full,
                                 .describe = describe_full,
                                 OWN_WEIGHTS};
const train_method train_bias = {
    .name = "bias", .heading = NULL, .options = no_options, .make = make_bias, .describe = describe_bias, OWN_WEIGHTS};
const train_method train_norms = {.name = "norms",
                                  .heading = NULL,
                                  .options = no_options,
                                  .make = make_norms,
                                  .describe = describe_norms,
                                  OWN_WEIGHTS};
