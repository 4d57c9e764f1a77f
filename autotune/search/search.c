#include "search/search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "search/surrogate.h"
#include "tuning/table.h"

typedef struct state {
    const search *s;
    visit *visits;
    size_t count, capacity;
    visit best;
    uint64_t drawn;
    int axis[KERNEL_PARAMETERS]; /* in the order of the search */
    bool over;
    clora_status status;
} state;

static void add_value(search_space *space, int dim, int value) {
    for (int i = 0; i < space->count[dim]; i++)
        if (space->value[dim][i] == value)
            return;
    if (space->count[dim] < SEARCH_VALUES)
        space->value[dim][space->count[dim]++] = value;
}

static int by_value(const void *a, const void *b) {
    return *(const int *)a - *(const int *)b;
}

void search_space_of(search_space *out, const clora_context *context, const kernel_row *row, const kernel_key *key) {
    const kernel_at at = tuning_at(context, row, key);

    *out = (search_space){0};
    while (out->dims < KERNEL_PARAMETERS && row->parameters[out->dims].name) {
        const kernel_parameter *p = &row->parameters[out->dims];
        add_value(out, out->dims, kernel_default(&at, p));
        for (size_t i = 0; i < KERNEL_VALUES && p->values[i]; i++)
            if (kernel_tries(&at, p, p->values[i]))
                add_value(out, out->dims, p->values[i]);
        qsort(out->value[out->dims], (size_t)out->count[out->dims], sizeof(int), by_value);
        out->dims++;
    }
}

double search_space_size(const search_space *space) {
    double size = 1.0;

    for (int d = 0; d < space->dims; d++)
        size *= space->count[d];
    return size;
}

static int draw(state *t, int n) {
    return (int)(rng_bits(t->s->seed, 0, t->drawn++) % (uint32_t)n);
}

static void values_of(int *values, const search_space *space, const int *at) {
    memset(values, 0, KERNEL_PARAMETERS * sizeof(*values));
    for (int d = 0; d < space->dims; d++)
        values[d] = space->value[d][at[d]];
}

/* The time of a configuration, measured once; infinite when the search is over. */
static double try_at(state *t, const int *at) {
    const search *s = t->s;
    int values[KERNEL_PARAMETERS];

    for (size_t i = 0; i < t->count; i++)
        if (memcmp(t->visits[i].at, at, sizeof(t->visits[i].at)) == 0)
            return t->visits[i].time;
    t->over = t->over || (s->most && (int)t->count >= s->most) || (s->may_go_on && !s->may_go_on(s->user));
    if (t->over)
        return INFINITY;
    t->status = alloc_grow((void **)&t->visits, &t->capacity, t->count + 1, sizeof(*t->visits));
    if (t->status != CLORA_OK) {
        t->over = true;
        return INFINITY;
    }
    values_of(values, s->space, at);
    visit *v = &t->visits[t->count++];
    memcpy(v->at, at, sizeof(v->at));
    v->time = s->evaluate(s->user, values, t->best.time);
    if (v->time < t->best.time)
        t->best = *v;
    return v->time;
}

static int by_time(const void *a, const void *b) {
    const visit *x = a, *y = b;
    return x->time < y->time ? -1 : x->time > y->time;
}

/* A new order of the axes; those whose change is cheap come first. */
static void order_axes(state *t) {
    const int dims = t->s->space->dims;

    for (int d = 0; d < dims; d++)
        t->axis[d] = d;
    for (int d = dims - 1; d > 0; d--) {
        const int other = draw(t, d + 1), axis = t->axis[d];
        t->axis[d] = t->axis[other];
        t->axis[other] = axis;
    }
    for (int d = 1; d < dims; d++)
        for (int i = d; i > 0 && t->s->is_cheap[t->axis[i]] && !t->s->is_cheap[t->axis[i - 1]]; i--) {
            const int axis = t->axis[i];
            t->axis[i] = t->axis[i - 1];
            t->axis[i - 1] = axis;
        }
}

/* From a point along one axis after the other, to the best on each, until none moves. */
static void descend(state *t, const int *from) {
    const search_space *space = t->s->space;
    visit here = {.time = INFINITY};
    int still = 0;

    order_axes(t);
    memcpy(here.at, from, sizeof(here.at));
    here.time = try_at(t, here.at);
    for (int turn = 0; still < space->dims && !t->over; turn++) {
        const int d = t->axis[turn % space->dims];
        visit there = here;
        for (int i = 0; i < space->count[d]; i++) {
            int at[KERNEL_PARAMETERS];
            memcpy(at, here.at, sizeof(at));
            at[d] = i;
            const double time = try_at(t, at);
            if (time < there.time) {
                memcpy(there.at, at, sizeof(at));
                there.time = time;
            }
        }
        still = there.time < here.time ? 1 : still + 1; /* the axis just searched is done unless another moves */
        here = there;
    }
}

static bool is_visited(const state *t, const int *at) {
    for (size_t i = 0; i < t->count; i++)
        if (memcmp(t->visits[i].at, at, sizeof(t->visits[i].at)) == 0)
            return true;
    return false;
}

/* The next configuration in the order of the lists; false after the last. */
static bool step(int *at, const search_space *space) {
    for (int d = 0; d < space->dims; d++) {
        if (++at[d] < space->count[d])
            return true;
        at[d] = 0;
    }
    return false;
}

/* A configuration anywhere, or the best with up to three parameters changed. */
static void draw_candidate(int *at, state *t, bool near) {
    const search_space *space = t->s->space;
    const int changes = near ? 1 + draw(t, 3) : space->dims;

    memcpy(at, t->best.at, sizeof(t->best.at));
    for (int i = 0; i < changes; i++) {
        const int d = near ? draw(t, space->dims) : i;
        at[d] = draw(t, space->count[d]);
    }
}

/* What the surrogate promises most of; false when all was visited. Half of many candidates are drawn near the best. */
static bool propose(int *out, state *t, const surrogate *m) {
    enum { CANDIDATES = 1024 };
    const bool all = search_space_size(t->s->space) <= CANDIDATES;
    int at[KERNEL_PARAMETERS] = {0};
    double most = -INFINITY;

    for (int i = 0; i < CANDIDATES; i++) {
        if (!all)
            draw_candidate(at, t, i % 2);
        if (!is_visited(t, at)) {
            const double gain = surrogate_gain(m, at);
            if (gain > most) {
                memcpy(out, at, sizeof(at));
                most = gain;
            }
        }
        if (all && !step(at, t->s->space))
            break;
    }
    return most > -INFINITY;
}

/* Where the surrogate points to, one after the other, until it was wrong too often in a row. */
static void follow_surrogate(state *t) {
    surrogate *m = malloc(sizeof(*m));
    int at[KERNEL_PARAMETERS];

    if (!m) {
        t->status = clora_fail(CLORA_ERROR_MEMORY, "no memory to search");
        return;
    }
    for (int vain = 0; vain < t->s->patience && !t->over;) {
        const double before = t->best.time;
        qsort(t->visits, t->count, sizeof(*t->visits), by_time); /* the fastest are what it must know */
        surrogate_fit(m, t->s->space->dims, t->visits, t->count < SURROGATE_POINTS ? (int)t->count : SURROGATE_POINTS);
        if (!propose(at, t, m))
            break;
        try_at(t, at);
        vain = t->best.time < before ? 0 : vain + 1;
    }
    free(m);
}

static bool place_of(int *at, const search_space *space, const int *values) {
    memset(at, 0, KERNEL_PARAMETERS * sizeof(*at));
    for (int d = 0; d < space->dims; d++) {
        while (at[d] < space->count[d] && space->value[d][at[d]] != values[d])
            at[d]++;
        if (at[d] == space->count[d])
            return false;
    }
    return true;
}

static void try_all(state *t) {
    int at[KERNEL_PARAMETERS] = {0};

    do
        try_at(t, at);
    while (step(at, t->s->space) && !t->over);
}

static void report(search_result *out, state *t) {
    if (t->count)
        qsort(t->visits, t->count, sizeof(*t->visits), by_time);
    for (size_t i = 0; i < t->count && i < SEARCH_BEST && isfinite(t->visits[i].time); i++) {
        values_of(out->best[i], t->s->space, t->visits[i].at);
        out->time[i] = t->visits[i].time;
        out->count++;
    }
    out->evaluations = (int)t->count;
}

clora_status search_run(search_result *out, const search *s) {
    state t = {.s = s, .best = {.time = INFINITY}};
    int at[KERNEL_PARAMETERS];

    *out = (search_result){0};
    for (int i = 0; i < s->seeds_count; i++)
        if (place_of(at, s->space, s->seeds[i]))
            try_at(&t, at);
    if (s->full) {
        try_all(&t);
    } else if (isfinite(t.best.time)) {
        memcpy(at, t.best.at, sizeof(at));
        descend(&t, at);
        follow_surrogate(&t);
    }
    report(out, &t);
    free(t.visits);
    return t.status;
}
