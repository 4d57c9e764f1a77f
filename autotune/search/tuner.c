#include "search/tuner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/options.h"
#include "tuning/store.h"
#include "tuning/tuning.h"

/* ---- order: what takes most of a step first ---- */

typedef struct ranked {
    const tune_task *task;
    double cost; /* seconds of a step, guessed */
} ranked;

/* A guess that needs no device: a product is bound by its operations or by its weight's bytes. */
static double guess_cost(const tune_task *task) {
    const double flops = 5e10, bytes = 1e10, launch = 1e-5;
    const kernel_key *k = &task->key;
    const double M = k->M ? k->M : 1, N = k->N ? k->N : 1, K = k->K ? k->K : 1;
    const double R = k->N ? 0.0 : k->R; /* without N it is a low-rank product: R stands for N */
    const double moved = 4.0 * (k->N && k->K ? N * K + M * (N + K) : M * N * K);

    return task->launches * (launch + fmax(2.0 * M * (R > 0.0 ? R : N) * K / flops, moved / bytes));
}

static int by_cost(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (!x->task->row->source != !y->task->row->source)
        return x->task->row->source ? -1 : 1; /* choices last: between kernels that are tuned */
    return x->cost > y->cost ? -1 : x->cost < y->cost ? 1 : x->task < y->task ? -1 : x->task > y->task;
}

static bool has_entry(const tuner *t, const tune_task *task) {
    tuning_entry found;

    return tuning_resolve(&found, t->context, task->row->name, &task->key) == CLORA_OK &&
           found.source == CLORA_TUNE_SOURCE_EXACT;
}

/* The tasks to do, in order. Returns how many. */
static int rank_tasks(tuner *t, ranked *list) {
    int count = 0;

    for (size_t i = 0; i < t->plan->count; i++) {
        const tune_task *task = &t->plan->task[i];
        if (t->options.again || !has_entry(t, task))
            list[count++] = (ranked){task, guess_cost(task)};
        else
            t->result->found_before++;
    }
    qsort(list, (size_t)count, sizeof(*list), by_cost);
    return count;
}

/* A task's seconds: half by its share of what is left, half evenly, and no more than it could ever bring back. */
static double slice_of(const tuner *t, const ranked *list, int count, int i) {
    const double left = t->deadline - clock_seconds(), least = 0.25, worth = 100.0;
    double sum = 0.0;

    if (t->options.full)
        return INFINITY;
    for (int j = i; j < count; j++)
        sum += list[j].cost;
    const double share = left * (0.5 * list[i].cost / sum + 0.5 / (count - i)),
                 most = 2.0 * least + worth * list[i].cost;
    return share < most ? share : most;
}

static void do_tasks(tuner *t) {
    ranked *list = alloc_array(t->plan->count, sizeof(*list));

    if (!list) {
        t->status = clora_fail(CLORA_ERROR_MEMORY, "no memory to tune");
        return;
    }
    const int count = rank_tasks(t, list);
    t->result->done = t->result->found_before;
    for (int i = 0; i < count && !t->result->stop && t->status == CLORA_OK; i++) {
        t->number = t->result->found_before + i + 1;
        if (clock_seconds() >= t->deadline)
            t->result->stop = CLORA_STOP_BUDGET;
        else
            tuner_do_task(t, list[i].task, slice_of(t, list, count, i));
    }
    free(list);
}

/* Bytes to go through before a weight comes around again: twice the last cache, unless all there is fits in less. */
static double cold_bytes(const clora_tune_plan *plan) {
    cl_ulong cache = 0;

    clGetDeviceInfo(plan->context->device, CL_DEVICE_GLOBAL_MEM_CACHE_SIZE, sizeof(cache), &cache, NULL);
    const double enough = 2.0 * (cache ? (double)cache : 32e6);
    return (double)plan->footprint < enough ? (double)plan->footprint : enough;
}

clora_status tuner_check_options(const clora_tune_options *o) {
    if (!(o->budget >= 0.0) || !(o->limit > 0.0))
        return clora_fail(CLORA_ERROR_ARGUMENT, "a budget of %g seconds, a limit of %g: at least 0, and above 0",
                          o->budget, o->limit);
    return CLORA_OK;
}

clora_status clora_tune_run(clora_tune_result *out, clora_tune_plan *plan, const clora_tune_options *options) {
    clora_status status = CLORA_OK;

    NEED(out);
    NEED(plan);
    clora_tune_result result = {.size = sizeof(result), .tasks = (int)plan->count};
    tuner t = {.context = plan->context, .plan = plan, .options = CLORA_TUNE_OPTIONS_INIT, .result = &result};
    TRY(RESULT_BEGIN(out));
    TRY(OPTIONS_TAKE(t.options, options));
    TRY(tuner_check_options(&t.options));
    t.start = clock_seconds();
    t.best = INFINITY;
    t.deadline = t.options.full ? INFINITY : t.start + t.options.budget;
    t.cold = cold_bytes(plan);
    TRY(tuning_store_prepare(t.context));
    TRY(journal_open(&t.journal, t.context));
    TRY(t.options.worker ? gauge_create_remote(&t.gauge, t.options.worker, t.options.limit)
                         : gauge_create_local(&t.gauge, t.context));
    do_tasks(&t);
    status = t.status;
    result.seconds = clock_seconds() - t.start;
    if (status == CLORA_OK && result.stop == CLORA_STOP_CANCELLED)
        status = clora_fail(CLORA_CANCELLED, "tuning was stopped; what was found is kept");
done:
    if (t.gauge.free)
        t.gauge.free(t.gauge.self);
    journal_close(t.journal);
    RESULT_GIVE(out, result);
    return status;
}
