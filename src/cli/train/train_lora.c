#include <stdlib.h>
#include <string.h>

#include "cli/options/opt.h"
#include "cli/ui/text.h"
#include "cli/train/train_method.h"

#define ADAPTER(field) offsetof(train_args, adapter.field)

static const char *const fresh[] = {"init",
                                    "rank-pattern",
                                    "alpha-pattern",
                                    "modules-to-save",
                                    "exclude-modules",
                                    "layers-to-transform",
                                    "layers-pattern",
                                    NULL};
static const char *const targets[] = {"all-linear", "q_proj",  "k_proj",    "v_proj", "o_proj",
                                      "gate_proj",  "up_proj", "down_proj", NULL};
static const char *const copied[] = {"embed_tokens", "lm_head", "norm", NULL};
static const char *const dtypes[] = {"f32", "f16", "bf16", NULL};
static const char *const inits[] = {"gaussian", "kaiming", "peft-gaussian", "pissa", "olora", "random", NULL};

static const opt options[] = {
    {.name = "rank",
     .type = OPT_INT,
     .offset = ADAPTER(rank),
     .value = "N",
     .low = 1,
     .high = 65536,
     .help = "rank of the two factors"},
    {.name = "alpha",
     .type = OPT_FLOAT,
     .offset = ADAPTER(alpha),
     .value = "X",
     .low = 0,
     .high = 1e9,
     .flags = OPT_ABOVE,
     .help = "the term's scale is alpha / rank"},
    {.name = "rslora",
     .type = OPT_SET,
     .offset = ADAPTER(rslora),
     .help = "rank-stabilised: the scale is alpha / sqrt(rank)"},
    {.name = "dora",
     .type = OPT_SET,
     .offset = ADAPTER(dora),
     .help = "weight-decomposed: the norms of the adapted weights' rows train besides (DoRA)"},
    {.name = "lora-bias",
     .type = OPT_SET,
     .offset = ADAPTER(lora_bias),
     .help = "the second factor has a bias, which trains too; not with --dora"},
    {.name = "dropout",
     .type = OPT_FLOAT,
     .offset = ADAPTER(dropout),
     .value = "X",
     .low = 0,
     .high = 1,
     .flags = OPT_BELOW,
     .help = "dropout probability of the adapter's input in training"},
    {.name = "target-modules",
     .type = OPT_TEXT,
     .offset = ADAPTER(target_modules),
     .value = "LIST",
     .choices = targets,
     .help = "layers to adapt: all-linear, ends of names such as q_proj,v_proj,lm_head,embed_tokens, or a regular "
             "expression"},
    {.name = "exclude-modules",
     .type = OPT_TEXT,
     .offset = ADAPTER(exclude_modules),
     .value = "LIST",
     .help = "of these, layers that stay as they are: names or an expression likewise"},
    {.name = "layers-to-transform",
     .type = OPT_TEXT,
     .offset = ADAPTER(layers_to_transform),
     .value = "LIST",
     .help = "adapt these layers of the model only, by number from 0, such as 0,2,5-7"},
    {.name = "layers-pattern",
     .type = OPT_TEXT,
     .offset = ADAPTER(layers_pattern),
     .value = "LIST",
     .help = "names after which a layer's number stands, where it is not the third part of a name"},
    {.name = "rank-pattern",
     .type = OPT_TEXT,
     .offset = ADAPTER(rank_pattern),
     .value = "LIST",
     .help = "other ranks for some layers, such as down_proj=16,q_proj=4"},
    {.name = "alpha-pattern",
     .type = OPT_TEXT,
     .offset = ADAPTER(alpha_pattern),
     .value = "LIST",
     .help = "the same for alpha"},
    {.name = "modules-to-save",
     .type = OPT_TEXT,
     .offset = ADAPTER(modules_to_save),
     .value = "LIST",
     .choices = copied,
     .help = "modules that train whole, as copies of the model's own, of embed_tokens, lm_head and norm"},
    {.name = "init",
     .type = OPT_CHOICE,
     .offset = ADAPTER(init),
     .value = "KIND",
     .choices = inits,
     .help =
         "initialisation of A: gaussian (std 1/sqrt(inputs)), kaiming (PEFT's default) or peft-gaussian "
         "(std 1/rank); B begins at zero. pissa and olora: A and B begin as a part of W0, by singular values or QR; "
         "the file is plain LoRA of twice the rank. With --method full, random: MODEL's weights are made anew"},
    {.name = "adapter-dtype",
     .type = OPT_CHOICE,
     .offset = offsetof(train_args, adapter_dtype),
     .value = "TYPE",
     .choices = dtypes,
     .help = "type of the file's tensors, rounded to nearest"},
    {.name = "lora-plus-ratio",
     .type = OPT_FLOAT,
     .offset = offsetof(train_args, train.lora_plus_ratio),
     .value = "X",
     .low = 0,
     .high = 1e9,
     .flags = OPT_ABOVE,
     .help = "LoRA+: the second factor's learning rate is X times --lr"},
    {.name = NULL},
};

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

typedef struct list {
    char *text; /* whose commas have become ends */
    char **parts;
    size_t count;
} list;

/* The different parts between commas, sorted; false without memory. */
static bool list_split(list *out, const char *text) {
    size_t most = 1;

    for (const char *c = text; *c; c++)
        most += *c == ',';
    *out = (list){.text = strdup(text), .parts = malloc(most * sizeof(*out->parts))};
    if (!out->text || !out->parts)
        return false;
    size_t found = 0;
    for (char *next, *part = strtok_r(out->text, ",", &next); part; part = strtok_r(NULL, ",", &next))
        out->parts[found++] = part;
    qsort(out->parts, found, sizeof(*out->parts), by_text);
    for (size_t i = 0; i < found; i++)
        if (i == 0 || strcmp(out->parts[i], out->parts[i - 1]) != 0)
            out->parts[out->count++] = out->parts[i];
    return true;
}

static void list_finish(list *l) {
    free(l->text);
    free(l->parts);
}

static bool same_lists(const char *a, const char *b) {
    list x, y;
    const bool have_x = list_split(&x, a), have_y = list_split(&y, b);
    bool same = have_x && have_y && x.count == y.count;

    for (size_t i = 0; same && i < x.count; i++)
        same = strcmp(x.parts[i], y.parts[i]) == 0;
    list_finish(&x);
    list_finish(&y);
    return same;
}

static bool same_targets(const train_state *state, const clora_adapter_info *info) {
    const char *asked = state->args->adapter.target_modules;
    int linear = 0;

    if (strcmp(asked, "all-linear") != 0)
        return same_lists(asked, info->target_modules);
    for (int i = 0; i < clora_model_module_count(state->model); i++)
        linear += !clora_model_module(state->model, i)->is_head;
    return info->modules == linear;
}

static bool given(const train_state *state, const char *name) {
    return opt_given(&state->args->method_groups[TRAIN_LORA], 1, name);
}

/* The adapter that is continued decides; an option that says otherwise is a mistake and not to be passed over. */
static int check_continued(const train_state *state, clora_adapter *adapter) {
    const train_args *args = state->args;
    const clora_adapter_info *info = clora_adapter_get_info(adapter);

    if (given(state, "rank") && args->adapter.rank != info->rank)
        return cli_misuse(state->cli, "--rank %d, but the adapter %s has rank %d: leave --rank out", args->adapter.rank,
                          args->init_adapter, info->rank);
    if (given(state, "alpha") && args->adapter.alpha != info->alpha)
        return cli_misuse(state->cli, "--alpha %g, but the adapter %s has alpha %g: leave --alpha out",
                          (double)args->adapter.alpha, args->init_adapter, (double)info->alpha);
    if (given(state, "rslora") && !info->rslora)
        return cli_misuse(state->cli, "--rslora, but the adapter %s is not rank-stabilised: leave --rslora out",
                          args->init_adapter);
    if (given(state, "dora") && !info->dora)
        return cli_misuse(state->cli, "--dora, but the adapter %s has no magnitudes: leave --dora out",
                          args->init_adapter);
    if (given(state, "lora-bias") && !info->lora_bias)
        return cli_misuse(state->cli, "--lora-bias, but the adapter %s has no bias: leave --lora-bias out",
                          args->init_adapter);
    if (given(state, "target-modules") && !same_targets(state, info))
        return cli_misuse(state->cli, "--target-modules %s, but the adapter %s is on %s: leave --target-modules out",
                          args->adapter.target_modules, args->init_adapter, info->target_modules);
    if (given(state, "dropout") && clora_adapter_set_dropout(adapter, args->adapter.dropout) != CLORA_OK)
        return cli_fail_library(state->cli);
    return CLI_DONE;
}

static void set_size(train_args *args, int size) {
    args->adapter.rank = size;
}

static clora_status make(clora_adapter **out, const train_state *state) {
    clora_adapter_options options = state->args->adapter;

    options.labels = train_labels_of(state, TRAIN_LORA);
    return clora_adapter_create(out, state->model, &options);
}

static void describe(FILE *out, const train_state *state, const clora_adapter *adapter) {
    const clora_adapter_info *a = clora_adapter_get_info(adapter);

    fprintf(out, "rank %d, alpha %g%s%s%s on %s (%s)", a->rank, (double)a->alpha, a->rslora ? " (rank-stabilised)" : "",
            a->dora        ? ", DoRA"
            : a->lora_bias ? ", bias"
                           : "",
            state->args->init_adapter ? ", continued," : "", text_amount(a->modules, "module", "modules"),
            a->target_modules);
    if (*text_copies(a->modules_to_save))
        fprintf(out, ", copies of %s", text_copies(a->modules_to_save));
    if (a->dropout > 0)
        fprintf(out, ", dropout %g", (double)a->dropout);
    train_describe_labels(out, adapter);
}

const train_method train_lora = {
    .name = "lora",
    .heading = "Method lora",
    .label = "adapter",
    .options = options,
    .fresh = fresh,
    .set_size = set_size,
    .make = make,
    .check_continued = check_continued,
    .describe = describe,
};
