#include "model/merged.h"

#include "model/model.h"

clora_status merged_check_whole(const merged_state *m) {
    return m->broken
               ? clora_fail(CLORA_ERROR_ARGUMENT,
                            "the model's weights are in between: a merge failed half way and could not be undone; "
                            "try clora_adapter_unmerge(), or load the model again")
               : CLORA_OK;
}

clora_status merged_check_none(const merged_state *m) {
    if (m->base.any)
        return clora_fail(CLORA_ERROR_ARGUMENT,
                          "an adapter is merged into the model's weights, and this wants its own: "
                          "clora_adapter_unmerge() first");
    return merged_check_whole(m);
}

/* Are there terms of it that are not in the weights? */
static bool adds_terms(const clora_adapter *adapter) {
    for (int p = 0; adapter && p < adapter->base.projections; p++)
        if (adapter_term(adapter, p))
            return true;
    return false;
}

clora_status merged_check_selection(const merged_state *m, const selection *s, int n) {
    clora_status status = CLORA_OK;

    TRY(merged_check_whole(m));
    if (!m->base.any)
        return CLORA_OK;
    if (s->trains)
        TRY(merged_check_none(m));
    for (int i = 0; i < (s->each ? n : 1); i++)
        if (adds_terms(s->each ? s->each[i] : s->adapter))
            TRY(clora_fail(CLORA_ERROR_ARGUMENT,
                           "another adapter is merged into the model's weights: clora_adapter_switch() to this one, or "
                           "clora_adapter_unmerge() first"));
done:
    return status;
}

void merged_finish(clora_model *model) {
    merged_state *m = &model->merged;

    kept_base_finish(&m->kept, model);
    clora_tensor_free(m->outside);
    m->outside = NULL;
}
