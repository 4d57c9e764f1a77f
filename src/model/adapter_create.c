#include <clora/bottleneck.h>
#include <clora/full.h>

#include "base/options.h"
#include "device/self_check.h"
#include "methods/bottleneck_adapter.h"
#include "methods/full.h"
#include "methods/lora_adapter.h"
#include "model/model.h"

/* What an adapter needs besides terms, whose copies are f32 whatever the model is. Norms are those of the model's own
 * weights. */
static clora_status check_rest(const clora_model *model, const clora_adapter *adapter) {
    clora_status status = CLORA_OK;

    if (adapter_has_columns(adapter))
        TRY(merged_check_none(&model->merged));
    if (adapter->saved)
        TRY(self_check(model->context, SELF_CHECK_PRODUCTS | SELF_CHECK_MODEL | SELF_CHECK_WEIGHTS, CLORA_STORAGE_F32,
                       model->config.head_dim));
    if (adapter_past(adapter) > 0)
        TRY(model_self_check(model, SELF_CHECK_PAST));
done:
    return status;
}

/* What was made, unless the device cannot compute it. */
static clora_status check_made(clora_adapter **out, const clora_model *model) {
    const clora_status status = check_rest(model, *out);

    if (status != CLORA_OK) {
        clora_adapter_free(*out);
        *out = NULL;
    }
    return status;
}

clora_status clora_adapter_create(clora_adapter **out, clora_model *model, const clora_adapter_options *options) {
    clora_adapter_options all = CLORA_ADAPTER_OPTIONS_INIT;
    clora_status status = CLORA_OK;

    NEED(out);
    *out = NULL;
    NEED(model);
    TRY(OPTIONS_TAKE(all, options));
    const base_model base = model_as_base(model);
    TRY(model_self_check(model, SELF_CHECK_TERM));
    TRY(lora_adapter_create(out, &base, &all));
    TRY(check_made(out, model));
done:
    return clora_keep_cause(status);
}

clora_status clora_bottleneck_create(clora_adapter **out, clora_model *model, const clora_bottleneck_options *options) {
    clora_bottleneck_options all = CLORA_BOTTLENECK_OPTIONS_INIT;
    clora_status status = CLORA_OK;

    NEED(out);
    *out = NULL;
    NEED(model);
    TRY(OPTIONS_TAKE(all, options));
    const base_model base = model_as_base(model);
    TRY(model_self_check(model, SELF_CHECK_TERM));
    TRY(bottleneck_adapter_create(out, &base, &all));
done:
    return clora_keep_cause(status);
}

clora_status clora_full_create(clora_adapter **out, clora_model *model, const clora_full_options *options) {
    clora_full_options all = CLORA_FULL_OPTIONS_INIT;
    clora_status status = CLORA_OK;

    NEED(out);
    *out = NULL;
    NEED(model);
    TRY(OPTIONS_TAKE(all, options));
    const base_model base = model_as_base(model);
    TRY(merged_check_none(&model->merged));
    TRY(model_self_check(model, SELF_CHECK_WEIGHTS));
    TRY(full_create(out, &base, &all));
    model->own_values = true;
done:
    return clora_keep_cause(status);
}

clora_status clora_adapter_load(clora_adapter **out, clora_model *model, const char *directory) {
    clora_status status = CLORA_OK;

    NEED(out);
    *out = NULL;
    NEED(model);
    NEED(directory);
    const base_model base = model_as_base(model);
    TRY(model_self_check(model, SELF_CHECK_TERM));
    TRY(method_load(out, &base, directory));
    (*out)->loaded = true;
    TRY(check_made(out, model));
done:
    return clora_keep_cause(status);
}
