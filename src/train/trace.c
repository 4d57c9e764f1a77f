#include <clora/bottleneck.h>
#include <clora/full.h>
#include <clora/generate.h>
#include <clora/lowrank.h>
#include <clora/prefix.h>
#include <clora/tune.h>

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/ints.h"
#include "base/options.h"
#include "methods/method.h"
#include "model/family.h"
#include "train/objective.h"
#include "train/optimizer.h"
#include "tuning/tune_plan.h"

/*
 * Which kernels a use of a model launches, and at which sizes: a trace of its calls, made as for a real run, on memory
 * without values, while the context only notes the launches.
 */
typedef struct trace {
    clora_tune_plan *plan;
    recorder notes;
    recorder *before;
} trace;

static void trace_begin(trace *t, clora_tune_plan *plan) {
    *t = (trace){.plan = plan, .notes = {.tracing = true}};
    t->before = recorder_attach(plan->context, &t->notes);
}

/* The plan takes over what was noted. */
static clora_status trace_end(trace *t, clora_status status) {
    size_t used = 0;

    clora_context_memory(t->plan->context, &used, NULL);
    t->plan->footprint = used > t->plan->footprint ? used : t->plan->footprint;
    recorder_attach(t->plan->context, t->before);
    if (status == CLORA_OK)
        status = tune_plan_add(t->plan, &t->notes);
    recorder_finish(&t->notes);
    return status;
}

/* ---- what trains: of one size, which is a rank, or takes a rank's place ---- */

static clora_status make_lora(clora_adapter **out, clora_model *model, int rank) {
    clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;

    options.rank = rank;
    return clora_adapter_create(out, model, &options);
}

static clora_status make_bottleneck(clora_adapter **out, clora_model *model, int columns) {
    clora_bottleneck_options options = CLORA_BOTTLENECK_OPTIONS_INIT;

    options.columns = columns;
    return clora_bottleneck_create(out, model, &options);
}

/* At random: how it begins is no part of a step. */
static clora_prefix_options positions_of(int tokens) {
    clora_prefix_options options = CLORA_PREFIX_OPTIONS_INIT;

    options.tokens = tokens;
    options.init = CLORA_PREFIX_INIT_RANDOM;
    return options;
}

static clora_status make_prefix(clora_adapter **out, clora_model *model, int tokens) {
    const clora_prefix_options options = positions_of(tokens);

    return clora_prefix_create(out, model, &options);
}

static clora_status make_prompt(clora_adapter **out, clora_model *model, int tokens) {
    const clora_prefix_options options = positions_of(tokens);

    return clora_prompt_create(out, model, &options);
}

static clora_status make_part(clora_adapter **out, clora_model *model, clora_full_part part) {
    clora_full_options options = CLORA_FULL_OPTIONS_INIT;

    options.part = part;
    return clora_full_create(out, model, &options);
}

static clora_status make_full(clora_adapter **out, clora_model *model, int size) {
    (void)size;
    return make_part(out, model, CLORA_FULL_PART_ALL);
}

static clora_status make_biases(clora_adapter **out, clora_model *model, int size) {
    (void)size;
    return make_part(out, model, CLORA_FULL_PART_BIASES);
}

static clora_status make_norms(clora_adapter **out, clora_model *model, int size) {
    (void)size;
    return make_part(out, model, CLORA_FULL_PART_NORMS);
}

static const struct {
    const char *name;
    clora_status (*make)(clora_adapter **out, clora_model *model, int size);
} makers[] = {
    {"lora", make_lora}, {"adapter", make_bottleneck}, {"prefix", make_prefix}, {"prompt", make_prompt},
    {"full", make_full}, {"bias", make_biases},        {"norms", make_norms},
};

static clora_status make_adapter(clora_adapter **out, clora_model *model, const clora_tune_use *use) {
    const char *name = use->method ? use->method : makers[0].name;

    if (use->rank == 0)
        return CLORA_OK;
    for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++)
        if (strcmp(makers[i].name, name) == 0)
            return makers[i].make(out, model, use->rank);
    return clora_fail(CLORA_ERROR_ARGUMENT, "there is no method \"%s\" to tune for", name);
}

/* ---- training ---- */

static clora_status make_workspace(workspace **out, const clora_model *model, const clora_adapter *adapter,
                                   const clora_tune_use *use) {
    clora_status status = CLORA_OK;
    int *ranks = adapter_list_ranks(adapter, model->projections);

    if (!ranks)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a trace");
    TRY(workspace_plan(out, model,
                       &(workspace_options){.B = use->batch_size,
                                            .T = use->max_length,
                                            .positions = use->max_length,
                                            .train = true,
                                            .lean = adapter->trains_weights,
                                            .loss = true,
                                            .ranks = ranks,
                                            .adapter = adapter}));
    TRY(workspace_commit(*out));
    workspace_set_shape(*out, use->batch_size, use->max_length + adapter_prompt_length(adapter));
    (*out)->has_prompt = adapter->prompt != NULL;
done:
    free(ranks);
    return status;
}

static clora_status train_once(clora_model *model, clora_adapter *adapter, const clora_tune_use *use) {
    static const clora_train_options options = CLORA_TRAIN_OPTIONS_INIT;
    clora_status status = CLORA_OK;
    workspace *ws = NULL;
    parameters parameters = {0};
    optimizer *o = NULL;
    float norm;

    TRY(make_workspace(&ws, model, adapter, use));
    TRY(adapter->method->list_parameters(&parameters, adapter, &options));
    TRY(optimizer_create(&o, &optimizer_adamw, &parameters));
    const selection select = {.adapter = adapter, .trains = &parameters};
    TRY(model_forward(ws, &select, NULL));
    TRY(objective_run(objective_likelihood, ws, &select, NULL, true));
    TRY(model_backward(ws, &select));
    TRY(optimizer_norm(o, &norm, 1.0f, options.clip));
    TRY(optimizer_update(o, &options, options.lr, 1));
    TRY(method_derive(adapter));
done:
    optimizer_free(o);
    parameters_finish(&parameters);
    workspace_free(ws);
    return status;
}

/* ---- generation: a prompt, then one token; as many tokens follow as a prompt has ---- */

static clora_status generate_once(clora_model *model, clora_adapter *adapter, const clora_tune_use *use) {
    const int T = use->max_length, past = adapter_past(adapter);
    const int capacity = least(2 * T + past, model->config.max_positions), prompt = least(T, capacity - past) - 1;
    clora_status status = CLORA_OK;
    clora_session *session = NULL;
    float *logits = alloc_array((size_t)model->config.vocab, sizeof(*logits));
    int32_t *ids = alloc_array((size_t)T, sizeof(*ids));

    if (!logits || !ids)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a trace"));
    TRY(clora_session_create(&session, model, 1, capacity));
    TRY(clora_session_set_adapter(session, adapter));
    if (prompt > 0)
        TRY(clora_session_forward(session, logits, ids, prompt, 0));
    TRY(clora_session_forward(session, logits, ids, 1, 0));
done:
    clora_session_free(session);
    free(ids);
    free(logits);
    return status;
}

static clora_status check(const clora_tune_use *use, int most) {
    if (use->rank < 0 || use->batch_size < 1 || use->max_length < 1 || use->max_length > most)
        return clora_fail(CLORA_ERROR_ARGUMENT,
                          "rank %d, batch size %d, length %d: rank from 0, the others from 1, length at most %d",
                          use->rank, use->batch_size, use->max_length, most);
    return CLORA_OK;
}

clora_status clora_tune_plan_model(clora_tune_plan *plan, const char *directory, const clora_tune_use *use) {
    clora_tune_use all = CLORA_TUNE_USE_INIT;
    clora_status status = CLORA_OK;
    clora_model *model = NULL;
    clora_adapter *adapter = NULL;
    trace t;

    NEED(plan);
    NEED(directory);
    const clora_status known = OPTIONS_TAKE(all, use);
    if (known != CLORA_OK)
        return known;
    trace_begin(&t, plan);
    TRY(model_skeleton(&model, plan->context, directory, all.dtype));
    TRY(check(&all, model->config.max_positions));
    TRY(make_adapter(&adapter, model, &all));
    if (all.train && adapter)
        TRY(train_once(model, adapter, &all));
    if (all.generate)
        TRY(generate_once(model, adapter && adapter->changes_model ? NULL : adapter, &all));
done:
    status = trace_end(&t, status);
    clora_adapter_free(adapter);
    clora_model_free(model);
    return status;
}

/* ---- one weight ---- */

/* y, and with `backward` dx and the gradients, for M rows. */
static clora_status product_once(clora_weight *w, clora_lowrank *l, clora_context *context, int N, int K, int R, int M,
                                 bool backward) {
    clora_tensor *x = NULL, *dx = NULL, *y = NULL, *u = NULL;
    clora_status status = CLORA_OK;

    TRY(tensor_new(&x, context, CLORA_DTYPE_F32, M, K));
    TRY(tensor_new(&dx, context, CLORA_DTYPE_F32, M, K));
    TRY(tensor_new(&y, context, CLORA_DTYPE_F32, M, N));
    if (R > 0)
        TRY(tensor_new(&u, context, CLORA_DTYPE_F32, M, R));
    TRY(clora_lowrank_forward(y, u, x, w, l));
    if (backward && l)
        TRY(clora_lowrank_backward(dx, l, y, x, u, w));
done:
    clora_tensor_free(u);
    clora_tensor_free(y);
    clora_tensor_free(dx);
    clora_tensor_free(x);
    return status;
}

clora_status clora_tune_plan_shape(clora_tune_plan *plan, int N, int K, const clora_tune_use *use) {
    clora_tune_use all = CLORA_TUNE_USE_INIT;
    clora_status status = CLORA_OK;
    clora_weight *w = NULL;
    clora_lowrank *l = NULL;
    trace t;

    NEED(plan);
    clora_context *context = plan->context;
    TRY(OPTIONS_TAKE(all, use));
    TRY(check(&all, 1 << 20));
    trace_begin(&t, plan);
    status = clora_weight_create(&w, context, all.dtype < 0 ? CLORA_STORAGE_F32 : (clora_storage)all.dtype, N, K);
    if (status == CLORA_OK && all.rank > 0)
        status = clora_lowrank_create(&l, w, all.rank, 1.0f, 0);
    if (status == CLORA_OK && all.train)
        status = product_once(w, l, context, N, K, all.rank, all.batch_size * all.max_length, true);
    if (status == CLORA_OK && all.generate)
        status = product_once(w, l, context, N, K, all.rank, all.max_length, false);
    if (status == CLORA_OK && all.generate)
        status = product_once(w, l, context, N, K, all.rank, 1, false);
    status = trace_end(&t, status);
    plan->footprint = SIZE_MAX; /* one weight of many: cold */
done:
    clora_lowrank_free(l);
    clora_weight_free(w);
    return status;
}
