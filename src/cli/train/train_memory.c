#include "cli/train/train_memory.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "cli/options/opt.h"
#include "cli/ui/text.h"

static const char *const recomputes[] = {"none", "layer", "attention"}; /* of clora_recompute */
static const char *const optimizers[] = {"adamw", "adamw8bit", "sgd"};  /* of clora_optimizer */

const opt train_memory_options[] = {
    {.name = "memory",
     .type = OPT_BYTES,
     .offset = offsetof(train_args, memory),
     .value = "SIZE",
     .help = "take no more than this, such as 2GiB: the fastest that fits of smaller batches that add up to the same, "
             "--recompute and --optimizer adamw8bit"},
    {.name = NULL},
};

/* ---- the process, where the device's memory is this machine's ---- */

static size_t resident_now(void) {
    unsigned long all = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (!file)
        return 0;
    if (fscanf(file, "%lu %lu", &all, &resident) != 2)
        resident = 0;
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

void train_forget_texts(train_state *state) {
    if (state->args->sample_prompts)
        return;
    clora_tokenizer_free(state->tokenizer);
    state->tokenizer = NULL;
#ifdef __GLIBC__
    malloc_trim(0); /* else the heap keeps it */
#endif
}

/* What the process has now, and what it will have besides: compiled kernels, threads. The compiler's share is what
 * PoCL's takes on top of a run whose kernels it has not compiled before. */
static void measure_process(memory_choices *out, const train_state *state) {
    const size_t kernels = (size_t)12 << 20, compiler = (size_t)160 << 20;

    if (strcmp(clora_context_device(state->context)->type, "cpu") != 0)
        return;
    out->process = resident_now() + kernels;
    out->compiler = compiler;
}

/* ---- choices ---- */

/* Time in parts of a step that keeps all: what is computed again (docs/optimizers.md), and the weights, which are read
 * once a batch however few its rows. */
static double time_of(const clora_train_options *o, int length) {
    static const double again[] = {
        [CLORA_RECOMPUTE_NONE] = 1.0, [CLORA_RECOMPUTE_ATTENTION] = 1.1, [CLORA_RECOMPUTE_LAYER] = 1.35};
    const double rows = (double)o->batch_size * length;

    return again[o->recompute] * (1.0 + 24.0 / rows);
}

static clora_status add_choice(memory_choices *out, const train_state *state, const clora_train_options *train,
                               int length, bool validate) {
    memory_choice *choice = &out->list[out->count];
    const memory_choice *asked = &out->list[0];

    if (out->count == MEMORY_CHOICES)
        return CLORA_OK;
    *choice = (memory_choice){.train = *train, .master = state->args->full.master, .plan = CLORA_MEMORY_PLAN_INIT};
    const clora_status status = clora_train_plan(&choice->plan, state->model, state->adapter, train, length, validate);
    if (status != CLORA_OK)
        return status;
    choice->bytes = choice->plan.total + out->process;
    if (state->args->init_adapter && train_has_reference(state->args))
        choice->bytes += choice->plan.adapter; /* as it was */
    choice->time = time_of(train, length) / time_of(&asked->train, length);
    choice->differs = (train->optimizer != asked->train.optimizer) + 2 * (choice->master != asked->master);
    out->count++;
    return CLORA_OK;
}

/* The batch in halves, for as long as it has them; kto wants two. */
static clora_status add_batches(memory_choices *out, const train_state *state, clora_train_options train, int length,
                                bool validate) {
    const int least = train.preference == CLORA_PREFERENCE_KTO ? 2 : 1;
    clora_status status = add_choice(out, state, &train, length, validate);

    while (status == CLORA_OK && train.batch_size % (2 * least) == 0 && train.accumulate <= 65536 / 2) {
        train.batch_size /= 2;
        train.accumulate *= 2;
        status = add_choice(out, state, &train, length, validate);
    }
    return status;
}

/* From what is asked for on, everything that computes more again, with the optimizer and with moments of 8 bits. */
static clora_status add_all(memory_choices *out, const train_state *state, clora_train_options train, int length,
                            bool validate) {
    static const int levels[] = {CLORA_RECOMPUTE_NONE, CLORA_RECOMPUTE_ATTENTION, CLORA_RECOMPUTE_LAYER};
    const int asked = train.recompute;
    clora_status status = CLORA_OK;
    bool reached = false;

    for (int i = 0; i < 3 && status == CLORA_OK; i++) {
        reached |= levels[i] == asked;
        train.recompute = levels[i];
        if (reached)
            status = add_batches(out, state, train, length, validate);
    }
    train.recompute = asked;
    if (status != CLORA_OK || train.optimizer != CLORA_OPTIMIZER_ADAMW)
        return status;
    train.optimizer = CLORA_OPTIMIZER_ADAMW8BIT;
    return add_all(out, state, train, length, validate);
}

/* The same with weights of 16 bits that are updated in place. */
static clora_status add_without_master(memory_choices *out, const train_state *state, clora_train_options train,
                                       int length, bool validate) {
    train_args args = *state->args;
    train_state other = {.cli = state->cli, .args = &args, .context = state->context, .model = state->model};
    clora_status status = CLORA_OK;

    if (!args.methods[TRAIN_FULL] || args.full.master == CLORA_FULL_MASTER_NONE)
        return CLORA_OK;
    args.full.master = CLORA_FULL_MASTER_NONE;
    status =
        train_make_adapter(&other) == CLI_DONE ? add_all(out, &other, train, length, validate) : CLORA_ERROR_MEMORY;
    train_free_adapter(&other);
    return status;
}

static int by_cost(const void *a, const void *b) {
    const memory_choice *x = a, *y = b;

    if (x->differs != y->differs)
        return x->differs - y->differs;
    return (x->time > y->time) - (x->time < y->time);
}

/* Sorted, without those that take no less than a cheaper one. */
static void keep_useful(memory_choices *c) {
    int kept = 1;

    qsort(c->list + 1, (size_t)c->count - 1, sizeof(*c->list), by_cost);
    for (int i = 1; i < c->count; i++)
        if (c->list[i].bytes < c->list[kept - 1].bytes)
            c->list[kept++] = c->list[i];
    c->count = kept;
}

int train_list_choices(memory_choices *out, const train_state *state, int length, bool validate) {
    clora_train_options train = state->args->train;

    *out = (memory_choices){.count = 0};
    measure_process(out, state);
    train.batch_size = state->args->data.batch_size;
    out->list[0] = (memory_choice){.train = train, .master = state->args->full.master};
    if (add_all(out, state, train, length, validate) != CLORA_OK ||
        add_without_master(out, state, train, length, validate) != CLORA_OK)
        return cli_fail_library(state->cli);
    keep_useful(out);
    return CLI_DONE;
}

const memory_choice *train_first_fit(const memory_choices *choices, uint64_t budget) {
    for (int i = 0; i < choices->count; i++)
        if (choices->list[i].bytes + choices->compiler <= budget)
            return &choices->list[i];
    return NULL;
}

const char *train_choice_text(const memory_choice *choice, const memory_choice *asked) {
    static char text[160];
    const clora_train_options *o = &choice->train, *a = &asked->train;
    size_t used = 0;

    text[0] = '\0';
    if (o->batch_size != a->batch_size)
        used = (size_t)snprintf(text, sizeof(text), " --batch-size %d --accumulate %d", o->batch_size, o->accumulate);
    if (o->recompute != a->recompute)
        used += (size_t)snprintf(text + used, sizeof(text) - used, " --recompute %s", recomputes[o->recompute]);
    if (o->optimizer != a->optimizer)
        used += (size_t)snprintf(text + used, sizeof(text) - used, " --optimizer %s", optimizers[o->optimizer]);
    if (choice->master != asked->master)
        snprintf(text + used, sizeof(text) - used, " --master none");
    return text[0] ? text + 1 : text;
}

int train_nothing_fits(const cli_state *cli, const memory_choices *choices, uint64_t budget) {
    const memory_choice *least = &choices->list[choices->count - 1];
    const char *how = train_choice_text(least, &choices->list[0]);

    return cli_fail(cli, "--memory %s: nothing fits; the least is %s%s%s", text_bytes(budget),
                    text_bytes(least->bytes + choices->compiler), *how ? ", with " : "", how);
}

/* ---- --memory of train ---- */

static int longest_row(const train_state *state) {
    const int longest = clora_dataset_get_stats(state->data)->longest_row;
    const int other = state->val ? clora_dataset_get_stats(state->val)->longest_row : 0;

    return state->args->data.pack ? state->max_length : other > longest ? other : longest;
}

static int fit(train_state *outline) {
    static memory_choices choices;
    train_args *args = outline->args;
    int status = train_make_adapter(outline);

    if (status == CLI_DONE)
        status = train_list_choices(&choices, outline, longest_row(outline), args->val != NULL);
    if (status != CLI_DONE)
        return status;
    const memory_choice *first = train_first_fit(&choices, args->memory);
    if (!first)
        return train_nothing_fits(outline->cli, &choices, args->memory);
    if (first != &choices.list[0])
        cli_note(outline->cli, "%s, for %s; the run as asked for would take %s",
                 train_choice_text(first, &choices.list[0]), text_bytes(first->bytes + choices.compiler),
                 text_bytes(choices.list[0].bytes + choices.compiler));
    args->train = first->train;
    args->full.master = first->master;
    args->data.batch_size = first->train.batch_size;
    return CLI_DONE;
}

int train_fit_memory(train_state *state) {
    const clora_model_options options = model_args_options(&state->args->model);
    train_state outline = *state;

    if (!state->args->memory)
        return CLI_DONE;
    if (clora_model_outline(&outline.model, state->context, state->args->model_path, &options) != CLORA_OK)
        return cli_fail_library(state->cli);
    const int status = fit(&outline);
    train_free_adapter(&outline);
    clora_model_free(outline.model);
    return status;
}
