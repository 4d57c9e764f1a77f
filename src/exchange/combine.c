#include <clora/exchange.h>

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/options.h"
#include "exchange/combine_svd.h"
#include "exchange/combine_task.h"
#include "exchange/peft_terms.h"
#include "exchange/term_settings.h"
#include "methods/target.h"

typedef struct combination {
    const char *const *directory;
    const float *weight;
    const clora_combine_options *options;
    term_list *list; /* (count) what was read */
    size_t count;
    term_list out;
    svd_share share;
} combination;

/* Do the factors become one value by value? */
static bool is_by_value(const clora_combine_options *o) {
    return o->method != CLORA_COMBINE_SVD && o->method != CLORA_COMBINE_CAT;
}

static clora_status read_all(combination *c) {
    clora_status status = CLORA_OK;

    c->list = alloc_array(c->count, sizeof(*c->list));
    if (!c->list)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for %zu adapters", c->count);
    for (size_t i = 0; i < c->count; i++) {
        if (!isfinite(c->weight[i]))
            TRY(clora_fail(CLORA_ERROR_ARGUMENT, "the weight %g of %s is no finite number", (double)c->weight[i],
                           c->directory[i]));
        TRY(peft_terms_read(&c->list[i], c->directory[i]));
    }
done:
    return status;
}

/* The rank of all modules: with methods that need equal ones, an adapter's largest, which then all have. */
static clora_status choose_rank(int *rank, const combination *c) {
    int64_t sum = 0;
    int largest = 0;

    for (size_t i = 0; i < c->count; i++) {
        sum += term_list_rank(&c->list[i]);
        largest = term_list_rank(&c->list[i]) > largest ? term_list_rank(&c->list[i]) : largest;
    }
    const bool cat = c->options->method == CLORA_COMBINE_CAT;
    if (cat && sum > TARGET_MAX_RANK)
        return clora_fail(CLORA_ERROR_ARGUMENT, "the ranks add up to %lld; the most is %d: combine with svd",
                          (long long)sum, TARGET_MAX_RANK);
    *rank = cat ? (int)sum : c->options->method == CLORA_COMBINE_SVD && c->options->rank ? c->options->rank : largest;
    return CLORA_OK;
}

/* Terms of one base fit together, and those of one rank where the method combines value by value. */
static clora_status check_alike(const combination *c, const weighted_terms *terms, const size_t *from) {
    const lowrank_term *first = terms->term[0];

    for (int i = 1; i < terms->count; i++) {
        const lowrank_term *t = terms->term[i];
        const char *one = c->directory[from[0]], *other = c->directory[from[i]];
        if (t->N != first->N || t->K != first->K)
            return clora_fail(CLORA_ERROR_ARGUMENT,
                              "%s and %s are adapters of different bases: %s is (%d, %d) in one and (%d, %d) in the "
                              "other",
                              one, other, t->module, first->N, first->K, t->N, t->K);
        if (is_by_value(c->options) && t->R != first->R)
            return clora_fail(CLORA_ERROR_ARGUMENT,
                              "%s and %s have ranks %d and %d at %s, and the method needs equal ones: combine with svd "
                              "or cat",
                              one, other, first->R, t->R, t->module);
    }
    return CLORA_OK;
}

/* The exact sum, with the weights in A as PEFT has them. */
static void concatenate(lowrank_term *out, const weighted_terms *terms) {
    int row = 0;

    for (int i = 0; i < terms->count; i++) {
        const lowrank_term *t = terms->term[i];
        for (int r = 0; r < t->R; r++, row++) {
            for (int k = 0; k < t->K; k++)
                out->a[(size_t)row * (size_t)t->K + (size_t)k] =
                    (float)(terms->weight[i] * (double)t->a[(size_t)r * (size_t)t->K + (size_t)k]);
            for (int n = 0; n < t->N; n++)
                out->b[(size_t)n * (size_t)out->R + (size_t)row] = t->b[(size_t)n * (size_t)t->R + (size_t)r];
        }
    }
}

/* One factor of the terms value by value. */
static clora_status combine_factor(float *values, const combination *c, const weighted_terms *terms, size_t module,
                                   bool is_b) {
    const lowrank_term *first = terms->term[0];
    combine_task task = {.count = terms->count,
                         .n = (size_t)first->R * (size_t)(is_b ? first->N : first->K),
                         .stream = (uint32_t)((2 * module + is_b) * c->count)};
    clora_status status = CLORA_OK;

    task.values = alloc_array((size_t)task.count, sizeof(*task.values));
    task.weight = alloc_array((size_t)task.count, sizeof(*task.weight));
    task.kept = alloc_array((size_t)task.count, task.n * sizeof(*task.kept));
    if (!task.values || !task.weight || !task.kept)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to combine %s", first->module));
    for (int i = 0; i < task.count; i++) {
        const double root = sqrt(fabs(terms->weight[i]));
        task.values[i] = is_b ? terms->term[i]->b : terms->term[i]->a;
        task.weight[i] = !is_b && terms->weight[i] < 0 ? -root : root; /* on one side only, else it would be lost */
    }
    TRY(combine_task_run(values, &task, c->options));
done:
    free(task.values);
    free(task.weight);
    free(task.kept);
    return status;
}

/* The rank that a module's terms need, of the one that it gets in the end. */
static int needed_rank(const combination *c, const weighted_terms *terms, int rank) {
    int64_t sum = 0;

    if (is_by_value(c->options))
        return terms->term[0]->R;
    for (int i = 0; i < terms->count; i++)
        sum += terms->term[i]->R;
    return sum < rank ? (int)sum : rank;
}

static clora_status combine_terms(combination *c, const weighted_terms *terms, int rank) {
    const lowrank_term *first = terms->term[0];
    const size_t module = c->out.count;
    clora_status status = CLORA_OK;
    lowrank_term *out;

    TRY(term_list_add(&out, &c->out, first->module, first->N, first->K, needed_rank(c, terms, rank)));
    if (is_by_value(c->options)) {
        TRY(combine_factor(out->a, c, terms, module, false));
        TRY(combine_factor(out->b, c, terms, module, true));
    } else if (c->options->method == CLORA_COMBINE_SVD) {
        TRY(combine_svd(out, terms, &c->share));
    } else {
        concatenate(out, terms);
    }
done:
    return status;
}

/* All terms at a module, and which adapters they are from. */
static void gather(weighted_terms *terms, size_t *from, const combination *c, const char *module) {
    terms->count = 0;
    for (size_t i = 0; i < c->count; i++) {
        const lowrank_term *t = term_list_find(&c->list[i], module);
        if (!t)
            continue;
        terms->term[terms->count] = t;
        terms->weight[terms->count] = (double)c->weight[i] * (double)t->scale;
        from[terms->count++] = i;
    }
}

static clora_status combine_all(combination *c) {
    weighted_terms terms = {.term = alloc_array(c->count, sizeof(*terms.term)),
                            .weight = alloc_array(c->count, sizeof(*terms.weight))};
    size_t *from = alloc_array(c->count, sizeof(*from));
    clora_status status = CLORA_OK;
    int rank = 0;

    if (!terms.term || !terms.weight || !from)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for %zu adapters", c->count));
    TRY(choose_rank(&rank, c));
    for (size_t i = 0; i < c->count; i++)
        for (size_t m = 0; m < c->list[i].count; m++) {
            gather(&terms, from, c, c->list[i].term[m].module);
            if (from[0] != i) /* done with the first that has it */
                continue;
            TRY(check_alike(c, &terms, from));
            TRY(combine_terms(c, &terms, rank));
        }
    TRY(term_list_widen(&c->out, rank));
    TRY(term_list_sort(&c->out, "combined"));
done:
    free(terms.term);
    free(terms.weight);
    free(from);
    return status;
}

static bool is_unset(const json_t *value) {
    return !value || json_is_off(value);
}

/* Do all adapters name their modules in the same way? Then the first's settings do for the combined one. */
static bool same_targets(const combination *c) {
    static const char *const keys[] = {"target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"};

    for (size_t i = 1; i < c->count; i++)
        for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
            const json_t *a = json_object_get(c->list[0].settings, keys[k]),
                         *b = json_object_get(c->list[i].settings, keys[k]);
            if (!(is_unset(a) && is_unset(b)) && !json_equal(a, b))
                return false;
        }
    return true;
}

/* Who names modules alike and has other ones has another base. */
static clora_status check_modules(const combination *c) {
    for (size_t i = 1; i < c->count; i++)
        if (c->list[i].count != c->list[0].count)
            return clora_fail(CLORA_ERROR_ARGUMENT,
                              "%s and %s are adapters of different bases: with the same targets they have %zu and %zu "
                              "modules",
                              c->directory[0], c->directory[i], c->list[0].count, c->list[i].count);
    return CLORA_OK;
}

static clora_status check_options(const clora_combine_options *o) {
    if ((int)o->method < CLORA_COMBINE_SVD || o->method > CLORA_COMBINE_DARE_TIES)
        return clora_fail(CLORA_ERROR_ARGUMENT, "there is no way to combine with number %d", (int)o->method);
    if (o->rank < 0 || o->rank > TARGET_MAX_RANK)
        return clora_fail(CLORA_ERROR_ARGUMENT, "rank %d: an adapter's rank is from 1 to %d", o->rank, TARGET_MAX_RANK);
    if (o->rank > 0 && o->method != CLORA_COMBINE_SVD)
        return clora_fail(CLORA_ERROR_ARGUMENT, "a rank can be chosen with svd only; other methods' follows from the "
                                                "adapters'");
    if (!(o->density > 0 && o->density <= 1))
        return clora_fail(CLORA_ERROR_ARGUMENT, "density %g: it must be above 0 to 1", o->density);
    if ((int)o->majority < CLORA_MAJORITY_TOTAL || o->majority > CLORA_MAJORITY_FREQUENCY)
        return clora_fail(CLORA_ERROR_ARGUMENT, "there is no majority with number %d", (int)o->majority);
    if (o->dtype < CLORA_DTYPE_F32 || o->dtype > CLORA_DTYPE_BF16)
        return clora_fail(CLORA_ERROR_ARGUMENT, "factors cannot have element type %d", o->dtype);
    return CLORA_OK;
}

clora_status clora_adapter_combine(const char *const *directories, const float *weights, size_t count, const char *out,
                                   const clora_combine_options *options, clora_combine_result *report) {
    clora_combine_options all = CLORA_COMBINE_OPTIONS_INIT;
    clora_status status = CLORA_OK;

    NEED(directories);
    NEED(weights);
    NEED(out);
    if (report)
        TRY(RESULT_BEGIN(report));
    TRY(OPTIONS_TAKE(all, options));
    combination c = {.directory = directories, .weight = weights, .options = &all, .count = count};
    if (count < 1)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "no adapters to combine"));
    TRY(check_options(&all));
    TRY(read_all(&c));
    const bool alike = same_targets(&c);
    if (alike)
        TRY(check_modules(&c));
    TRY(combine_all(&c));
    c.out.settings = json_incref(c.list[0].settings);
    TRY(term_settings(&c.out, 0, alike));
    TRY(peft_terms_write(&c.out, out, (clora_dtype)all.dtype));
    const clora_combine_result made = {.modules = (int)c.out.count,
                                       .rank = term_list_rank(&c.out),
                                       .lost = c.share.whole > 0 ? sqrt(c.share.lost / c.share.whole) : 0};
    RESULT_GIVE(report, made);
done:
    for (size_t i = 0; c.list && i < count; i++)
        term_list_finish(&c.list[i]);
    free(c.list);
    term_list_finish(&c.out);
    return status;
}
