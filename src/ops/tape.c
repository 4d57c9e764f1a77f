#include "ops/tape.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "device/withhold.h"
#include "ops/launch.h"
#include "ops/matmul.h"
#include "ops/tape_private.h"

/* Numbers among the constants, as they were asked for. */
typedef struct tape_run_of {
    size_t first, count;
} tape_run_of;

struct tape {
    clora_context *context;
    tape_key key;
    unsigned changes; /* of the tuned parameters */
    bool known;       /* the key's step was looked at, with these parameters */
    bool whole;       /* all of it could be recorded */
    tape_phase *phase;
    size_t phases, phases_capacity;
    tape_launch *launch;
    size_t launches, launches_capacity;
    int32_t *constant;
    size_t constants, constants_capacity;
    tape_run_of *run;
    size_t runs, runs_capacity;
    clora_tensor *data; /* i32: the counters, the constants, the phases */
};

static _Thread_local tape *recorded;

tape *tape_open(void) {
    return recorded;
}

clora_context *tape_context(const tape *t) {
    return t->context;
}

clora_status tape_create(tape **out, clora_context *context) {
    *out = calloc(1, sizeof(**out));
    if (!*out)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a tape");
    (*out)->context = context;
    return CLORA_OK;
}

void tape_free(tape *t) {
    if (!t)
        return;
    clora_tensor_free(t->data);
    free(t->phase);
    free(t->launch);
    free(t->constant);
    free(t->run);
    free(t);
}

void tape_forget(tape *t) {
    t->known = false;
}

/* ---- recording ---- */

static bool is_known(const tape *t, tape_key key) {
    return t->known && t->changes == tuning_changes(t->context) && t->key.B == key.B && t->key.T == key.T &&
           t->key.first == key.first;
}

bool tape_begin(tape *t, tape_key key) {
    const kernel_key rows = {.M = key.B * key.T};

    if (t->context->recorder || !kernel_runs_tapes(t->context) || key.T > GEMV_MOST_ROWS / key.B || is_known(t, key))
        return false;
    t->whole = tuning_choose(t->context, "path_tape", &rows) == TAPE_TOGETHER;
    t->changes = tuning_changes(t->context);
    t->key = key;
    t->known = true;
    if (!t->whole)
        return false;
    t->phases = t->launches = t->constants = t->runs = 0;
    recorded = t;
    withhold(true);
    return true;
}

const tape_phase *tape_last(const tape *t, const tape_launch *l) {
    return l->count ? &t->phase[l->first + l->count - 1] : NULL;
}

static void start_launch(tape *t, tape_launch *l) {
    *l = (tape_launch){.first = t->phases, .slots = 1};
}

/* Room for a launch and a phase more. */
static bool grow(tape *t) {
    return alloc_grow((void **)&t->launch, &t->launches_capacity, t->launches + 1, sizeof(*t->launch)) == CLORA_OK &&
           alloc_grow((void **)&t->phase, &t->phases_capacity, t->phases + 1, sizeof(*t->phase)) == CLORA_OK;
}

/* A try: what it changes in the launch counts only if the phase finds room. */
static bool append_to(tape *t, tape_launch *l, tape_fill fill, const void *call) {
    tape_launch tried = *l;
    tape_phase phase = {.early = l->tickets, .late = l->tickets, .first = l->tickets};

    fill(t, &tried, &phase, call);
    if (tried.full)
        return false;
    if (phase.kind >= TAPE_EMBEDDING)
        tried.program.phases |= TAPE_BIT(phase.kind);
    phase.end += l->tickets;
    tried.tickets = phase.end;
    tried.count++;
    *l = tried;
    t->phase[t->phases++] = phase;
    return true;
}

void tape_append(tape *t, tape_fill fill, const void *call) {
    if (!t->whole || !grow(t)) {
        t->whole = false;
        return;
    }
    if (t->launches && append_to(t, &t->launch[t->launches - 1], fill, call))
        return;
    start_launch(t, &t->launch[t->launches]);
    t->whole = append_to(t, &t->launch[t->launches], fill, call);
    t->launches += t->whole;
}

static tape_place place(int slot, size_t index) {
    return (tape_place)slot << TAPE_INDEX_BITS | index;
}

tape_place tape_place_of(tape_launch *l, const clora_tensor *t) {
    int i = 1;

    if (!t)
        return 0;
    while (i < l->slots && l->slot[i] != t->buffer)
        i++;
    if (i == TAPE_SLOTS) {
        l->full = true;
        return 0;
    }
    l->slot[i] = t->buffer;
    l->slots = i < l->slots ? l->slots : i + 1;
    return place(i + 1, t->offset);
}

static tape_place place_of_constant(size_t first) {
    return place(1, TAPE_COUNTERS + first);
}

tape_place tape_constant(tape *t, tape_launch *l, const int32_t *values, size_t count) {
    for (size_t i = 0; i < t->runs; i++)
        if (t->run[i].count == count && memcmp(t->constant + t->run[i].first, values, count * sizeof(*values)) == 0)
            return place_of_constant(t->run[i].first);
    if (alloc_grow((void **)&t->constant, &t->constants_capacity, t->constants + count, sizeof(*values)) != CLORA_OK ||
        alloc_grow((void **)&t->run, &t->runs_capacity, t->runs + 1, sizeof(*t->run)) != CLORA_OK) {
        l->full = true;
        return 0;
    }
    memcpy(t->constant + t->constants, values, count * sizeof(*values));
    t->run[t->runs++] = (tape_run_of){t->constants, count};
    t->constants += count;
    return place_of_constant(t->constants - count);
}

void tape_need(tape_launch *l, int *have, int value) {
    if (*have == 0)
        *have = value;
    l->full = l->full || *have != value;
}

int tape_variant(tape_launch *l, int *have, int *count, int variant) {
    enum { FLAGS = 1 };

    for (int i = 0; i < *count; i++)
        if (have[i] == variant)
            return i;
    if (*count < TAPE_VARIANTS) {
        have[*count] = variant;
        return (*count)++;
    }
    for (int i = 0; i < *count; i++)
        if ((have[i] & FLAGS) == (variant & FLAGS))
            return i;
    l->full = true;
    return 0;
}

/* ---- writing to the device ---- */

/* The phases have 64-bit numbers. */
static size_t phases_at(const tape *t) {
    return (TAPE_COUNTERS + t->constants + 1) / 2 * 2;
}

static clora_status create_data(tape *t, size_t elements) {
    clora_status status = CLORA_OK;

    if (t->data && clora_tensor_count(t->data) >= elements)
        return CLORA_OK;
    clora_tensor_free(t->data);
    t->data = NULL;
    TRY(tensor_new(&t->data, t->context, CLORA_DTYPE_I32, 1, (int)elements));
    TRY(clora_tensor_zero(t->data));
done:
    if (status != CLORA_OK) { /* with other counters than zeros groups would wait for ever */
        clora_tensor_free(t->data);
        t->data = NULL;
    }
    return status;
}

static clora_status write_data(tape *t) {
    const size_t phases = t->phases * sizeof(*t->phase) / sizeof(int32_t);
    clora_status status = CLORA_OK;

    if (phases_at(t) + phases > INT32_MAX)
        return clora_fail(CLORA_ERROR_MEMORY, "a tape of %zu phases", t->phases);
    TRY(create_data(t, phases_at(t) + phases));
    if (t->constants)
        TRY(tensor_write_part(t->data, TAPE_COUNTERS, t->constants, t->constant));
    TRY(tensor_write_part(t->data, phases_at(t), phases, t->phase));
    for (size_t i = 0; i < t->launches; i++)
        t->launch[i].slot[0] = t->data->buffer;
done:
    return status;
}

void tape_end(tape *t, clora_status made) {
    const bool other = withhold(false);

    recorded = NULL;
    t->whole = t->whole && made == CLORA_OK && !other && t->phases > 0 && write_data(t) == CLORA_OK;
}

bool tape_holds(const tape *t, tape_key key) {
    return t->whole && !t->context->recorder && is_known(t, key);
}

/* ---- running ---- */

static void define_variants(launch *l, const char *const *names, const int *variant, int count) {
    for (int i = 0; i < count; i++)
        launch_define(l, names[i], variant[i]);
}

/* What nothing asked for has any value: the program must compile. */
static void define(launch *l, const tape_program *p) {
    static const char *const products[TAPE_VARIANTS] = {"PRODUCT_0", "PRODUCT_1", "PRODUCT_2", "PRODUCT_3",
                                                        "PRODUCT_4"};
    static const char *const downs[TAPE_VARIANTS] = {"DOWN_0", "DOWN_1", "DOWN_2", "DOWN_3", "DOWN_4"};

    launch_define(l, "NR", kernel_panel_width(l->context));
    launch_define(l, "STORAGE", p->storage ? p->storage - 1 : 0);
    launch_define(l, "ROWS", p->rows ? p->rows : 1);
    launch_define(l, "DM", p->rows ? p->rows : 1);
    if (p->gain == 2)
        launch_define(l, "PLUS_ONE", 1);
    if (p->gate == 2)
        launch_define(l, "GELU", 1);
    if (p->head_dim)
        launch_define(l, "D", p->head_dim);
    if (p->rotated && p->rotated < p->head_dim)
        launch_define(l, "ROTATED", p->rotated);
    if (p->heads) {
        launch_define(l, "HEADS", p->heads);
        launch_define(l, "BK", p->keys);
        launch_define(l, "NC", p->columns);
        if (p->capped == 2)
            launch_define(l, "CAPPED", true);
    }
    if (p->ahead)
        launch_define(l, "AHEAD", p->ahead);
    if (p->each_ranks)
        launch_define(l, "RANKS", p->each_ranks);
    launch_define(l, "PHASES", p->phases);
    define_variants(l, products, p->product, p->products);
    define_variants(l, downs, p->down, p->downs);
}

static clora_status run_launch(const tape *t, const tape_launch *of) {
    const size_t from = phases_at(t) + of->first * sizeof(*t->phase) / sizeof(int32_t);
    const size_t groups = t->context->info.compute_units > 0 ? t->context->info.compute_units : 1;
    launch l;

    launch_begin(&l, t->context, "tape", (kernel_key){.M = t->key.B * t->key.T});
    define(&l, &of->program);
    launch_int(&l, (int)from);
    launch_int(&l, (int)of->count);
    for (int i = 0; i < TAPE_SLOTS; i++)
        launch_buffer(&l, of->slot[i]);
    return launch_run(&l, groups, 1, 1, 1, 1, 1);
}

clora_status tape_run(tape *t) {
    clora_status status = CLORA_OK;

    for (size_t i = 0; i < t->launches; i++)
        TRY(run_launch(t, &t->launch[i]));
done:
    return status;
}
