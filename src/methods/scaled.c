#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "methods/method.h"

/* The low-rank terms of another adapter with other scales: the factors are the other's own. */
typedef struct scaled {
    clora_adapter adapter;
    clora_adapter *original; /* held */
} scaled;

static scaled *of(const clora_adapter *adapter) {
    return (scaled *)(uintptr_t)adapter;
}

static clora_status scale_term(lowrank **out, const lowrank *original, float scale) {
    float scales[WEIGHT_MODULES] = {0};
    int R[WEIGHT_MODULES] = {0};
    clora_status status = CLORA_OK;

    for (int m = 0; m < original->modules; m++) {
        R[m] = original->module[m].R;
        scales[m] = scale * original->module[m].scale;
    }
    TRY(lowrank_create(out, original->base, R, scales));
    (*out)->a = original->a;
    (*out)->b = original->b;
done:
    return status;
}

static clora_status check(const clora_adapter *adapter, float scale) {
    if (!isfinite(scale))
        return clora_fail(CLORA_ERROR_ARGUMENT, "an adapter's scale is %g; a finite number is needed", (double)scale);
    if (!adapter->term || adapter->origin || adapter->sublayer || adapter->classifier || adapter->saved ||
        adapter->embedding || adapter->prefix || adapter->prompt || adapter->changes_model)
        return clora_fail(CLORA_ERROR_ARGUMENT, "an adapter of method %s has no scale: low-rank terms alone have one",
                          adapter->method->name);
    if (adapter_has_columns(adapter))
        return clora_fail(CLORA_ERROR_UNSUPPORTED,
                          "an adapter with DoRA or a bias of B has no other scale than its own: use it at 1");
    return CLORA_OK;
}

clora_status clora_adapter_scale(clora_adapter **out, clora_adapter *adapter, float scale) {
    clora_status status = CLORA_OK;
    scaled *s = NULL;

    NEED(out);
    *out = NULL;
    NEED(adapter);
    TRY(check(adapter, scale));
    s = calloc(1, sizeof(*s));
    if (!s)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for an adapter"));
    adapter_init(&s->adapter, &adapter->base, &method_scaled);
    shared_hold(&adapter->shared);
    s->original = adapter;
    s->adapter.factors = adapter->number;
    s->adapter.scale = scale;
    s->adapter.info.parameters = adapter->info.parameters;
    s->adapter.dropout = adapter->dropout;
    s->adapter.saved = adapter->saved;
    s->adapter.term = alloc_array((size_t)adapter->base.projections + 1, sizeof(lowrank *));
    if (!s->adapter.term)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for an adapter"));
    for (int p = 0; p < adapter->base.projections; p++)
        if (adapter->term[p])
            TRY(scale_term(&s->adapter.term[p], adapter->term[p], scale));
    *out = &s->adapter;
    s = NULL;
done:
    if (s)
        clora_adapter_free(&s->adapter);
    return clora_keep_cause(status);
}

static clora_status list_parameters(parameters *out, const clora_adapter *adapter, const clora_train_options *options) {
    return of(adapter)->original->method->list_parameters(out, of(adapter)->original, options);
}

static clora_status save(const clora_adapter *adapter, const char *directory,
                         const clora_adapter_save_options *options) {
    (void)adapter;
    (void)options;
    return clora_fail(CLORA_ERROR_UNSUPPORTED,
                      "%s: an adapter at another scale has no files; save the one it was made of", directory);
}

static void destroy(clora_adapter *adapter) {
    for (int p = 0; adapter->term && p < adapter->base.projections; p++)
        lowrank_free(adapter->term[p]);
    free(adapter->term);
    clora_adapter_free(of(adapter)->original);
    free(of(adapter));
}

const method method_scaled = {
    .name = "scaled",
    .save = save,
    .list_parameters = list_parameters,
    .destroy = destroy,
};
