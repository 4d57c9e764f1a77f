#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/options.h"
#include "methods/method.h"
#include "model/model.h"
#include "ops/ops.h"

/* ---- what can be merged ---- */

static clora_status check_method(const clora_adapter *a) {
    if (a->method == &method_joined)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "joined adapters are not merged: merge the part on linear layers");
    if (!a->term || a->sublayer || a->prefix || a->prompt || a->changes_model)
        return clora_fail(CLORA_ERROR_UNSUPPORTED,
                          "an adapter of method %s cannot be merged: it is more than a sum with linear layers' weights",
                          a->method->name);
    if (a->saved)
        return clora_fail(
            CLORA_ERROR_UNSUPPORTED,
            "the adapter has whole copies of modules (modules_to_save), which are no sum with the model's: "
            "clora_merge() writes a model with them");
    if (a->embedding)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "the adapter changes the embedding, which is no linear layer: "
                                                   "clora_merge() writes a model with it");
    if (a->origin)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "the adapter takes away what it began as (pissa, olora) while it "
                                                   "trains: save it, and merge what was saved");
    if (adapter_has_columns(a))
        return clora_fail(
            CLORA_ERROR_UNSUPPORTED,
            "an adapter with DoRA or a bias of B is not merged into a running model: clora_merge() writes "
            "a model with it");
    if (a->classifier)
        return clora_fail(CLORA_ERROR_UNSUPPORTED,
                          "the adapter classifies: its head has no place in the model's weights");
    return CLORA_OK;
}

static clora_status check_adapter(const clora_model *m, const clora_adapter *a) {
    clora_status status = CLORA_OK;

    TRY(model_check_adapter(m, a));
    TRY(check_method(a));
    if (m->context->outlined)
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "an outline has no weights to merge into"));
    if (m->head == m->embedding && adapter_rank(a, m->projections - 1) > 0)
        TRY(clora_fail(
            CLORA_ERROR_UNSUPPORTED,
            "lm_head is the embedding, which the adapter does not change: clora_merge() writes a model with a "
            "head of its own"));
done:
    return status;
}

/* ---- the weights ---- */

/* A projection of W0 and the adapter's term, if it has one there. */
static clora_status make_projection(clora_model *m, const clora_adapter *adapter, int p) {
    const weight *w = m->projection[p].weight;
    const lowrank *lr = adapter && adapter->term ? adapter->term[p] : NULL;
    const clora_tensor outside = tensor_slice(m->merged.outside, (size_t)p, 1, 1);
    const kept_base *kept = &m->merged.kept;
    clora_status status = CLORA_OK;

    for (int i = 0; i < w->modules; i++) {
        const bool adapted = lr && lr->module[i].R > 0;
        if (!adapted || kept->where == CLORA_KEEP_BASE_FILE)
            TRY(kept_base_restore(kept, m, p, i));
        for (int part = 0; adapted && part < w->parts; part++)
            TRY(op_weight_merge(w, kept_base_part(kept, m, p, part), lr, i, part, &outside));
    }
done:
    return status;
}

static clora_status check_finite(const clora_model *m) {
    clora_status status = CLORA_OK;
    int32_t *outside = alloc_array((size_t)m->projections, sizeof(*outside));

    if (!outside)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to merge"));
    TRY(clora_tensor_read(m->merged.outside, outside)); /* waits for all */
    for (int p = 0; p < m->projections; p++)
        if (outside[p])
            TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: a merged value is not finite in %s", m->projection[p].names[0],
                           m->projection[p].weight->storage->name));
done:
    free(outside);
    return status;
}

/* All weights that are kept from W0; adapter NULL: W0 itself. */
static clora_status make_weights(clora_model *m, const clora_adapter *adapter) {
    clora_status status = CLORA_OK;

    TRY(clora_tensor_zero(m->merged.outside));
    for (int p = 0; p < m->projections; p++)
        if (m->merged.kept.kept[p])
            TRY(make_projection(m, adapter, p));
    TRY(check_finite(m));
done:
    return status;
}

static void mark(const clora_adapter *adapter, bool merged) {
    for (int p = 0; adapter && p < adapter->base.projections; p++)
        if (adapter->term[p])
            adapter->term[p]->merged = merged;
}

static void set_merged(merged_state *m, const clora_adapter *adapter) {
    mark(m->base.adapter, false);
    mark(adapter, true);
    m->base = (base_merged){adapter != NULL, adapter};
    m->broken = false;
}

/* From what is merged to another adapter, or to none. Where that fails, back again. */
static clora_status change(clora_model *m, const clora_adapter *adapter) {
    const clora_adapter *before = m->merged.base.adapter;
    char why[1024];

    m->merged.changes++;
    const clora_status status = make_weights(m, adapter);
    if (status == CLORA_OK) {
        set_merged(&m->merged, adapter);
        return CLORA_OK;
    }
    snprintf(why, sizeof(why), "%s", clora_last_error());
    if (make_weights(m, before) == CLORA_OK)
        set_merged(&m->merged, before);
    else
        m->merged.broken = true;
    return clora_fail(status, "%s%s", why,
                      m->merged.broken ? "; what the weights were before could not be restored" : "");
}

/* ---- in the running model ---- */

static clora_status begin(clora_model *m, const clora_adapter *adapter, clora_keep_base where) {
    clora_status status = CLORA_OK;

    TRY(kept_base_begin(&m->merged.kept, m, where, adapter));
    TRY(tensor_new(&m->merged.outside, m->context, CLORA_DTYPE_I32, 1, m->projections));
    TRY(kept_base_add(&m->merged.kept, m, adapter));
    TRY(change(m, adapter));
done:
    if (!m->merged.base.any && !m->merged.broken)
        merged_finish(m);
    return status;
}

static clora_status replace(clora_model *m, const clora_adapter *adapter) {
    clora_status status = CLORA_OK;

    TRY(kept_base_verify(&m->merged.kept, m));
    if (adapter)
        TRY(kept_base_add(&m->merged.kept, m, adapter));
    TRY(change(m, adapter));
done:
    if (!m->merged.base.any && !m->merged.broken)
        merged_finish(m);
    return status;
}

clora_status clora_adapter_merge(clora_model *model, clora_adapter *adapter,
                                 const clora_adapter_merge_options *options) {
    clora_adapter_merge_options all = CLORA_ADAPTER_MERGE_OPTIONS_INIT;
    clora_status status = CLORA_OK;

    NEED(model);
    NEED(adapter);
    TRY(OPTIONS_TAKE(all, options));
    TRY(merged_check_whole(&model->merged));
    TRY(check_adapter(model, adapter));
    if (model->merged.base.any && model->merged.base.adapter != adapter)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "another adapter is merged into the model's weights already: "
                                             "clora_adapter_switch() takes it out, clora_adapter_unmerge() too"));
    TRY(model->merged.base.any ? replace(model, adapter) : begin(model, adapter, all.keep_base));
done:
    return status;
}

clora_status clora_adapter_switch(clora_model *model, clora_adapter *adapter) {
    clora_status status = CLORA_OK;

    NEED(model);
    NEED(adapter);
    TRY(merged_check_whole(&model->merged));
    TRY(check_adapter(model, adapter));
    if (!model->merged.base.any)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT,
                       "no adapter is merged into the model's weights: clora_adapter_merge() first"));
    TRY(replace(model, adapter));
done:
    return status;
}

clora_status clora_adapter_unmerge(clora_model *model) {
    clora_status status = CLORA_OK;

    NEED(model);
    if (!model->merged.base.any && !model->merged.broken)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "no adapter is merged into the model's weights"));
    TRY(replace(model, NULL));
done:
    return status;
}

int clora_adapter_is_merged(const clora_model *model, const clora_adapter *adapter) {
    return model && model->merged.base.any && (!adapter || model->merged.base.adapter == adapter);
}
