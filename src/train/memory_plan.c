#include "base/options.h"
#include "device/scratch.h"
#include "train/trainer.h"

/* Whether a buffer is one of the model's own weights, which some methods train in place. */
static bool is_of_weight(const weight *w, cl_mem buffer) {
    bool found = w->bias && w->bias->buffer == buffer;

    for (int i = 0; i < w->parts; i++)
        found |= w->part[i].data->buffer == buffer;
    return found;
}

static bool is_of_model(const clora_model *m, cl_mem buffer) {
    bool found = is_of_weight(m->embedding, buffer) || m->norm->buffer == buffer;

    for (int p = 0; p < m->projections && !found; p++)
        found = is_of_weight(m->projection[p].weight, buffer);
    for (int l = 0; l < m->config.layers; l++)
        for (int i = 0; i < m->config.family->norms; i++)
            found |= m->layer[l].norm[i] && m->layer[l].norm[i]->buffer == buffer;
    return found;
}

/* Of a buffer that values of the list from i on lie in; 0 where those before i do. */
static size_t buffer_bytes(const parameters *p, int i) {
    size_t end = 0;

    for (int k = 0; k < p->buffers; k++) {
        const clora_tensor *value = p->value[k];
        const size_t here = (value->offset + clora_tensor_count(value)) * sizeof(float);
        if (value->buffer != p->value[i]->buffer)
            continue;
        if (k < i)
            return 0;
        end = here > end ? here : end;
    }
    return end;
}

/* What is attached to the model: the values that train, the tables of low-rank terms, and what does not train. */
static size_t attached_bytes(const clora_trainer *t) {
    size_t bytes = t->parameters.product.bytes;

    for (int i = 0; i < t->parameters.buffers; i++)
        if (!is_of_model(t->model, t->parameters.value[i]->buffer))
            bytes += buffer_bytes(&t->parameters, i);
    for (int p = 0; p < t->model->projections; p++) {
        const lowrank *term = adapter_term(t->adapter, p), *origin = adapter_origin(t->adapter, p);
        bytes += term ? lowrank_bytes(term) : 0;
        bytes += origin ? (origin->a_count + origin->b_count) * sizeof(float) + lowrank_bytes(origin) : 0;
    }
    if (t->adapter->saved)
        bytes += saved_modules_fixed_bytes(t->adapter->saved);
    if (adapter_embedding_term(t->adapter))
        bytes += embedding_term_fixed_bytes(adapter_embedding_term(t->adapter));
    return bytes;
}

static size_t gradient_bytes(const clora_trainer *t) {
    const size_t passing = t->passing ? clora_tensor_count(t->passing) * sizeof(float) : 0;

    return parameters_gradient_bytes(&t->parameters) + passing;
}

static clora_memory_plan plan_of(const clora_trainer *t) {
    clora_memory_plan plan = {.size = sizeof(plan),
                              .weights = t->model->info.device_bytes,
                              .adapter = attached_bytes(t),
                              .gradients = gradient_bytes(t),
                              .optimizer = optimizer_bytes(t->optimizer),
                              .activations = workspace_bytes(t->ws),
                              .scratch = scratch_bytes(t->model->context)};

    plan.total = plan.weights + plan.adapter + plan.gradients + plan.optimizer + plan.activations + plan.scratch;
    return plan;
}

const clora_memory_plan *clora_trainer_plan(clora_trainer *t) {
    static const clora_memory_plan none;

    if (!t)
        return &none;
    t->plan = plan_of(t);
    return &t->plan;
}

static clora_status plan_evaluation(clora_memory_plan *out, const clora_trainer *t, int length) {
    clora_status status = CLORA_OK;
    workspace *ws;

    TRY(evaluation_plan(&ws, t->model, t->adapter, t->options.batch_size, length));
    out->evaluation = workspace_bytes(ws);
    out->total += out->evaluation;
    workspace_free(ws);
done:
    return status;
}

clora_status clora_train_plan(clora_memory_plan *out, clora_model *model, clora_adapter *adapter,
                              const clora_train_options *options, int length, int validate) {
    clora_status status = CLORA_OK;
    clora_memory_plan plan;
    clora_trainer *t = NULL;

    NEED(out);
    NEED(model);
    NEED(adapter);
    TRY(RESULT_BEGIN(out));
    if (!model->context->outlined)
        return clora_fail(CLORA_ERROR_ARGUMENT, "a plan wants a model of clora_model_outline()");
    if (length < 1)
        return clora_fail(CLORA_ERROR_ARGUMENT, "rows of %d tokens: the least is 1", length);
    TRY(trainer_begin(&t, model, adapter, options));
    TRY(trainer_allocate(t, t->options.batch_size, length));
    plan = plan_of(t);
    if (validate)
        TRY(plan_evaluation(&plan, t, length));
    RESULT_GIVE(out, plan);
done:
    clora_trainer_free(t);
    return status;
}

/* Of an adapter on all linear layers. */
static clora_status plan_rank(clora_memory_plan *out, clora_model *model, const clora_model_plan_options *o) {
    clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
    clora_train_options train = CLORA_TRAIN_OPTIONS_INIT;
    clora_adapter *adapter = NULL;
    clora_status status = CLORA_OK;

    options.rank = o->rank;
    train.batch_size = o->batch_size;
    TRY(clora_adapter_create(&adapter, model, &options));
    TRY(clora_train_plan(out, model, adapter, &train, o->max_length, 0));
done:
    clora_adapter_free(adapter);
    return status;
}

clora_status clora_model_plan(clora_memory_plan *out, clora_model_info *info, clora_context *context,
                              const char *directory, const clora_model_plan_options *options) {
    clora_model_plan_options all = CLORA_MODEL_PLAN_OPTIONS_INIT;
    clora_model_options loading = CLORA_MODEL_OPTIONS_INIT;
    clora_model *model = NULL;
    clora_status status = CLORA_OK;

    NEED(out);
    NEED(context);
    NEED(directory);
    TRY(RESULT_BEGIN(out));
    if (info)
        TRY(RESULT_BEGIN(info));
    TRY(OPTIONS_TAKE(all, options));
    if (all.rank < 1 || all.batch_size < 1 || all.max_length < 1)
        return clora_fail(CLORA_ERROR_ARGUMENT, "rank %d, batch size %d, length %d: all start at 1", all.rank,
                          all.batch_size, all.max_length);
    loading.dtype = all.dtype;
    TRY(clora_model_outline(&model, context, directory, &loading));
    TRY(plan_rank(out, model, &all));
    RESULT_GIVE(info, *clora_model_get_info(model));
done:
    clora_model_free(model);
    return status;
}
