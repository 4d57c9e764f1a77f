#include "methods/adapter.h"

#include "base/alloc.h"
#include "base/options.h"
#include "methods/method.h"

static void destroy(shared *object) {
    clora_adapter *adapter = (clora_adapter *)object;
    shared *model = adapter->base.model;

    if (adapter->base.merged && adapter->base.merged->adapter == adapter)
        adapter->base.merged->adapter = NULL; /* it stays in the weights */
    adapter->method->destroy(adapter);
    shared_let_go(model); /* last: it owns the weights below the terms */
}

void adapter_init(clora_adapter *adapter, const base_model *base, const method *method) {
    static _Atomic uint64_t made;

    adapter->number = adapter->factors = atomic_fetch_add(&made, 1) + 1;
    adapter->scale = 1.0f;
    shared_init(&adapter->shared, destroy);
    shared_hold(base->model);
    adapter->base = *base;
    adapter->method = method;
}

void clora_adapter_free(clora_adapter *adapter) {
    if (adapter)
        shared_let_go(&adapter->shared);
}

void adapter_take_labels(clora_adapter *adapter) {
    adapter->info.labels = (const char *const *)adapter->classifier->name;
    adapter->info.parameters += (int64_t)adapter->classifier->labels * adapter->base.hidden;
}

static size_t tensor_bytes(const clora_tensor *t) {
    return t ? clora_tensor_count(t) * sizeof(float) : 0;
}

static size_t term_bytes(const lowrank *term) {
    return term ? (term->a_count + term->b_count) * sizeof(float) + lowrank_bytes(term) : 0;
}

size_t adapter_bytes(const clora_adapter *adapter) {
    size_t bytes = tensor_bytes(adapter->prefix) + tensor_bytes(adapter->prompt);

    for (int p = 0; p < adapter->base.projections; p++)
        bytes += adapter->term ? term_bytes(adapter->term[p]) : 0;
    for (int p = 0; p < adapter->base.projections; p++)
        bytes += term_bytes(adapter_origin(adapter, p));
    for (int i = 0; i < adapter->base.layers * SUBLAYERS; i++) {
        const bottleneck *b = adapter_sublayer(adapter, i);
        bytes += b ? bottleneck_count(b) * sizeof(float) + tensor_bytes(b->ones) : 0;
    }
    if (adapter->classifier)
        bytes += tensor_bytes(adapter->classifier->values) + lowrank_bytes(adapter->classifier->head);
    if (adapter->embedding)
        bytes += embedding_term_bytes(adapter->embedding);
    if (adapter->saved)
        bytes += saved_modules_bytes(adapter->saved);
    return bytes;
}

clora_status clora_adapter_set_dropout(clora_adapter *adapter, float dropout) {
    NEED(adapter);
    if (!adapter->method->set_dropout)
        return clora_fail(CLORA_ERROR_ARGUMENT, "the adapter is of method %s, which has no dropout",
                          adapter->method->name);
    return adapter->method->set_dropout(adapter, dropout);
}

bool adapter_drops(const clora_adapter *adapter) {
    bool drops = adapter->dropout > 0.0f;

    for (int i = 0; adapter->sublayer && i < adapter->base.layers * SUBLAYERS; i++)
        drops = drops || (adapter->sublayer[i] && adapter->sublayer[i]->dropout > 0.0f);
    return drops;
}

bool adapter_has_columns(const clora_adapter *adapter) {
    for (int p = 0; adapter->term && p < adapter->base.projections; p++)
        if (adapter->term[p] && adapter->term[p]->applied.buffer)
            return true;
    return false;
}

clora_tensor adapter_prefix_of(const clora_adapter *adapter, int l) {
    if (!adapter || !adapter->prefix)
        return (clora_tensor){0};
    const int width = tensor_cols(adapter->prefix) / adapter->base.layers;
    return tensor_view(adapter->prefix, 0, adapter->prefix->shape[0], l * width, width);
}

int *adapter_list_ranks(const clora_adapter *adapter, int projections) {
    int *ranks = alloc_array((size_t)projections, sizeof(*ranks));

    for (int p = 0; ranks && p < projections; p++)
        ranks[p] = adapter_rank(adapter, p);
    return ranks;
}

clora_status clora_adapter_save(clora_adapter *adapter, const char *directory,
                                const clora_adapter_save_options *options) {
    clora_adapter_save_options all = CLORA_ADAPTER_SAVE_OPTIONS_INIT;
    clora_status status = CLORA_OK;

    NEED(adapter);
    NEED(directory);
    TRY(OPTIONS_TAKE(all, options));
    if ((int)all.dtype < CLORA_DTYPE_F32 || all.dtype > CLORA_DTYPE_BF16)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "an adapter's tensors cannot have element type %d", (int)all.dtype));
    if (all.dtype != CLORA_DTYPE_F32 && adapter->method != &method_lora)
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "adapters of method %s are saved in f32", adapter->method->name));
    if (!all.base_name && !adapter->loaded)
        all.base_name = adapter->base.directory;
    status = adapter->method->save(adapter, directory, &all);
done:
    return status;
}

int clora_adapter_past(const clora_adapter *adapter) {
    return adapter_past(adapter);
}

const char *clora_adapter_method(const clora_adapter *adapter) {
    return adapter ? adapter->method->name : NULL;
}
