#include "cli/bench/cmd_bench.h"

#include <stdlib.h>

#include "cli/ui/progress.h"

static const int ranks[BENCH_RANKS] = {4, 8, 16, 64};

/* ---- what the adapted weights take ---- */

/* Scalars of W0 that the adapter changes. */
static double adapted_scalars(clora_adapter *adapter) {
    const int modules = clora_adapter_get_info(adapter)->modules;
    double sum = 0;

    for (int i = 0; i < modules; i++) {
        const clora_adapter_module_info *m = clora_adapter_module(adapter, i);
        sum += (double)m->in * m->out;
    }
    return sum;
}

static double bytes_of_scalar(const clora_model_info *model) {
    return (double)model->device_bytes / (double)model->parameters; /* but for norms */
}

/* A tensor of so many bytes, or a little less. */
static clora_status make_tensor(clora_tensor **out, clora_context *context, size_t bytes) {
    enum { ROW = 256 };
    const int shape[2] = {(int)(bytes / sizeof(float) / ROW) + 1, ROW};

    return clora_tensor_create(out, context, CLORA_DTYPE_F32, 2, shape);
}

/* ---- in turns ---- */

typedef struct contest {
    const bench_state *state;
    clora_adapter *adapter[2];
    clora_tensor *from, *to, *factors;
    float *host;
} contest;

static clora_status time_switch(double *seconds, const contest *c, int round) {
    const double begin = progress_clock();
    const clora_status status = clora_adapter_switch(c->state->model, c->adapter[round & 1]);

    *seconds = progress_clock() - begin;
    return status;
}

static clora_status time_copy(double *seconds, const contest *c) {
    const double begin = progress_clock();
    clora_status status = clora_tensor_copy(c->to, c->from);

    if (status == CLORA_OK)
        status = clora_context_finish(c->state->context);
    *seconds = progress_clock() - begin;
    return status;
}

static clora_status time_upload(double *seconds, const contest *c) {
    const double begin = progress_clock();
    const clora_status status = clora_tensor_write(c->factors, c->host);

    *seconds = progress_clock() - begin;
    return status;
}

/* The first round of each compiles and touches memory, and does not count. */
static clora_status run_rounds(bench_switch_time *out, const contest *c) {
    clora_status status = CLORA_OK;

    for (int round = -1; round < c->state->args->rounds && status == CLORA_OK; round++) {
        const int at = round < 0 ? 0 : round;
        status = time_switch(&out->merged.seconds[at], c, round);
        if (status == CLORA_OK)
            status = time_copy(&out->copied.seconds[at], c);
        if (status == CLORA_OK)
            status = time_upload(&out->uploaded.seconds[at], c);
        out->merged.count = out->copied.count = out->uploaded.count = round + 1;
    }
    bench_sort(&out->merged);
    bench_sort(&out->copied);
    bench_sort(&out->uploaded);
    return status;
}

static clora_status prepare(contest *c, bench_switch_time *out, size_t *bytes) {
    clora_adapter_merge_options merge = CLORA_ADAPTER_MERGE_OPTIONS_INIT;
    clora_adapter_options options = c->state->args->adapter;
    clora_status status = CLORA_OK;

    options.rank = out->rank;
    for (int i = 0; i < 2 && status == CLORA_OK; i++) {
        options.seed = (uint64_t)i + 1;
        status = clora_adapter_create(&c->adapter[i], c->state->model, &options);
    }
    if (status != CLORA_OK)
        return status;
    const size_t factors = (size_t)clora_adapter_get_info(c->adapter[0])->parameters * sizeof(float);
    const double scalars = adapted_scalars(c->adapter[0]);
    *bytes = (size_t)(scalars * bytes_of_scalar(clora_model_get_info(c->state->model)));
    out->flops = 2.0 * out->rank * scalars;
    c->host = calloc(factors + 4096, 1);
    if (!c->host || make_tensor(&c->from, c->state->context, *bytes) != CLORA_OK ||
        make_tensor(&c->to, c->state->context, *bytes) != CLORA_OK ||
        make_tensor(&c->factors, c->state->context, factors) != CLORA_OK)
        return CLORA_ERROR_MEMORY;
    merge.keep_base = CLORA_KEEP_BASE_DEVICE;
    status = clora_tensor_zero(c->from);
    return status == CLORA_OK ? clora_adapter_merge(c->state->model, c->adapter[0], &merge) : status;
}

static void release(contest *c) {
    if (clora_adapter_is_merged(c->state->model, NULL))
        (void)clora_adapter_unmerge(c->state->model);
    for (int i = 0; i < 2; i++)
        clora_adapter_free(c->adapter[i]);
    clora_tensor_free(c->from);
    clora_tensor_free(c->to);
    clora_tensor_free(c->factors);
    free(c->host);
}

int bench_switch(bench_state *state) {
    bench_switches *s = &state->switches;

    for (int i = 0; i < BENCH_RANKS; i++) {
        contest c = {.state = state};
        s->rank[i].rank = ranks[i];
        progress_phase(state->cli->quiet, "switch: rank %d", ranks[i]);
        clora_status status = prepare(&c, &s->rank[i], &s->bytes);
        if (status == CLORA_OK)
            status = run_rounds(&s->rank[i], &c);
        const int failed = status == CLORA_OK ? CLI_DONE : cli_fail_library(state->cli);
        release(&c);
        if (failed != CLI_DONE)
            return failed;
        s->count = i + 1;
    }
    return bench_drift_measure(&s->drift, state);
}
