#include "cli/bench/cmd_bench.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ui/progress.h"

enum { CYCLES = 1000, MOST = 1 << 16 /* weights that are followed */ };

/* ---- subtracting and adding, as Hu et al. 2021, section 4.2, have it ---- */

/* To 8 or 11 bits of significand, to nearest, ties to even: what bf16 and f16 keep of a weight, but for tiny ones. */
static float round_to(float x, int bits) {
    const uint32_t drop = (uint32_t)(24 - bits);
    uint32_t u;

    memcpy(&u, &x, sizeof(u));
    u += (1u << (drop - 1)) - 1u + (u >> drop & 1u);
    u &= ~((1u << drop) - 1u);
    memcpy(&x, &u, sizeof(x));
    return x;
}

/* The largest |W - W0| after so often W + a, W - a, W + b and W - b, each rounded. Each cycle has other
 * adapters, as a server has: the values of a and b in another order. */
static double drift(const float *w0, const float *a, const float *b, size_t n, int bits) {
    double most = 0.0;

    for (size_t i = 0; i < n; i++) {
        const float start = round_to(w0[i], bits);
        float w = start;
        for (size_t c = 0; c < CYCLES; c++) {
            const float da = a[(i + 97 * c) % n], db = b[(i + 89 * c) % n];
            w = round_to(round_to(w + da, bits) - da, bits);
            w = round_to(round_to(w + db, bits) - db, bits);
        }
        most = fmax(most, fabs((double)w - (double)start));
    }
    return most;
}

/* ---- the same adapters in the model ---- */

/* One layer, two adapters of it after a step of training on random tokens, and its weights. */
typedef struct subject {
    const bench_state *state;
    int index, K; /* the layer among the model's; its inputs */
    size_t n;     /* its weights */
    clora_adapter *adapter[2];
    float *delta[2]; /* s B A */
    float *w0, *w;
} subject;

static clora_status learn(clora_adapter *adapter, const bench_state *state, uint64_t seed) {
    enum { LENGTH = 8 };
    clora_train_options options = CLORA_TRAIN_OPTIONS_INIT;
    int32_t *ids = bench_random_ids(state, LENGTH);
    clora_dataset *data = NULL;
    clora_status status;

    options.steps = 1;
    options.batch_size = 1;
    options.lr = 0.01f;
    options.seed = seed;
    if (!ids)
        return CLORA_ERROR_MEMORY;
    status = clora_dataset_from_ids(&data, ids, NULL, (const int[]){LENGTH}, 1);
    if (status == CLORA_OK)
        status = clora_train(state->model, adapter, data, &options, NULL, NULL);
    clora_dataset_free(data);
    free(ids);
    return status;
}

/* delta (N, K) = s B A */
static clora_status read_delta(float *delta, clora_adapter *adapter) {
    const clora_adapter_module_info *m = clora_adapter_module(adapter, 0);
    const size_t R = (size_t)m->rank, K = (size_t)m->in, N = (size_t)m->out;
    float *a = calloc(R * K, sizeof(*a)), *b = calloc(N * R, sizeof(*b));
    const clora_status status = a && b ? clora_adapter_read_module(a, b, adapter, 0) : CLORA_ERROR_MEMORY;

    for (size_t n = 0; status == CLORA_OK && n < N; n++)
        for (size_t k = 0; k < K; k++) {
            double sum = 0.0;
            for (size_t r = 0; r < R; r++)
                sum += (double)b[n * R + r] * (double)a[r * K + k];
            delta[n * K + k] = (float)((double)m->scale * sum);
        }
    free(a);
    free(b);
    return status;
}

/* The first layer that the bench's adapter is on. */
static clora_status choose(subject *s, bench_drift *out) {
    const char *name = clora_adapter_module(s->state->adapter, 0)->name;

    snprintf(out->module, sizeof(out->module), "%s", name);
    while (strcmp(clora_model_module(s->state->model, s->index)->name, name) != 0)
        s->index++;
    const clora_module_info *m = clora_model_module(s->state->model, s->index);
    s->n = (size_t)m->out * (size_t)m->in;
    s->w0 = calloc(s->n, sizeof(float));
    s->w = calloc(s->n, sizeof(float));
    return s->w0 && s->w ? CLORA_OK : CLORA_ERROR_MEMORY;
}

static clora_status make_adapters(subject *s, const char *module) {
    clora_adapter_options options = s->state->args->adapter;
    clora_status status = CLORA_OK;

    options.target_modules = module;
    for (int i = 0; i < 2 && status == CLORA_OK; i++) {
        options.seed = (uint64_t)i + 1;
        s->delta[i] = calloc(s->n, sizeof(float));
        status = s->delta[i] ? clora_adapter_create(&s->adapter[i], s->state->model, &options) : CLORA_ERROR_MEMORY;
        if (status == CLORA_OK)
            status = learn(s->adapter[i], s->state, options.seed);
        if (status == CLORA_OK)
            status = read_delta(s->delta[i], s->adapter[i]);
    }
    return status;
}

static clora_status switch_often(const subject *s) {
    clora_model *model = s->state->model;
    clora_status status = clora_adapter_merge(model, s->adapter[0], NULL);

    for (int i = 0; i < 2 * CYCLES && status == CLORA_OK; i++)
        status = clora_adapter_switch(model, s->adapter[(i + 1) & 1]);
    return status == CLORA_OK ? clora_adapter_unmerge(model) : status;
}

static clora_status measure(subject *s, bench_drift *out) {
    clora_status status = choose(s, out);

    out->cycles = CYCLES;
    if (status == CLORA_OK)
        status = clora_model_read_module(s->w0, s->state->model, s->index);
    if (status == CLORA_OK)
        status = make_adapters(s, out->module);
    if (status == CLORA_OK)
        status = switch_often(s);
    if (status == CLORA_OK)
        status = clora_model_read_module(s->w, s->state->model, s->index);
    if (status != CLORA_OK)
        return status;
    for (size_t i = 0; i < s->n; i++) {
        out->largest = fmax(out->largest, fabs((double)s->w0[i]));
        out->switched = fmax(out->switched, fabs((double)s->w[i] - (double)s->w0[i]));
    }
    const size_t some = s->n < MOST ? s->n : MOST;
    out->bf16 = drift(s->w0, s->delta[0], s->delta[1], some, 8);
    out->f16 = drift(s->w0, s->delta[0], s->delta[1], some, 11);
    return CLORA_OK;
}

int bench_drift_measure(bench_drift *out, const bench_state *state) {
    subject s = {.state = state};

    progress_phase(state->cli->quiet, "drift: %d cycles", CYCLES);
    const clora_status status = measure(&s, out);
    const int result = status == CLORA_OK ? CLI_DONE : cli_fail_library(state->cli);

    for (int i = 0; i < 2; i++) {
        clora_adapter_free(s.adapter[i]);
        free(s.delta[i]);
    }
    free(s.w0);
    free(s.w);
    return result;
}
