#include <stdlib.h>

#include "base/alloc.h"
#include "base/options.h"
#include "model/family.h"

static clora_status create_norm(clora_tensor **gain, clora_tensor **bias, const clora_model *m, int width) {
    clora_status status = CLORA_OK;

    if (width == 0)
        return CLORA_OK;
    TRY(tensor_new(gain, m->context, CLORA_DTYPE_F32, 1, width));
    if (m->config.family->layernorm)
        TRY(tensor_new(bias, m->context, CLORA_DTYPE_F32, 1, width));
done:
    return status;
}

/* The weights of a layer, of the right shapes and without values. */
static clora_status create_layer(clora_model *m, int l, storage_choice type) {
    clora_status status = CLORA_OK;

    for (int i = 0; i < m->config.family->norms; i++)
        TRY(create_norm(&m->layer[l].norm[i], &m->layer[l].norm_bias[i], m, model_norm_width(&m->config, i)));
    for (int k = 0; k < m->config.family->projections; k++) {
        int N[WEIGHT_MODULES], K;
        const int modules = model_projection_shape(&m->config, k, N, &K);
        weight **w = &m->layer[l].w[k];
        TRY(weight_create(w, m->context, storage_choose(type, K), K, modules, N));
        if (model_projection_bias(&m->config, k))
            TRY(tensor_new(&(*w)->bias, m->context, CLORA_DTYPE_F32, 1, (*w)->N));
    }
done:
    return status;
}

clora_status model_build(clora_model *m, storage_choice type) {
    clora_status status = CLORA_OK;

    model_info_fill(&m->info, &m->config);
    m->layer = alloc_array((size_t)m->config.layers, sizeof(*m->layer));
    if (!m->layer)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a model"));
    TRY(weight_create(&m->embedding, m->context, storage_choose(type, m->config.hidden), m->config.hidden, 1,
                      &m->config.vocab));
    model_round_scale(m, type.file);
    for (int l = 0; l < m->config.layers; l++)
        TRY(create_layer(m, l, type));
    TRY(create_norm(&m->norm, &m->norm_bias, m, m->config.hidden));
    if (m->config.family->names->positions)
        TRY(tensor_new(&m->positions, m->context, CLORA_DTYPE_F32, m->config.max_positions, m->config.hidden));
    m->head = m->embedding;
    if (!m->config.tied) {
        m->head = NULL;
        TRY(weight_create(&m->head, m->context, storage_choose(type, m->config.hidden), m->config.hidden, 1,
                          &m->config.vocab));
    }
    TRY(model_list_projections(m));
    TRY(model_list_tensors(m));
done:
    return status;
}

/* Scalars in the files. */
static int64_t count_parameters(const clora_model *m) {
    int64_t count = 0;

    for (int i = 0; i < m->tensors; i++) {
        const own_tensor *t = &m->tensor[i];
        count += t->weight ? (int64_t)t->weight->module[t->module].N * t->weight->K
                           : (int64_t)clora_tensor_count(&t->vector);
    }
    return count;
}

clora_status model_skeleton(clora_model **out, clora_context *context, const char *directory, int dtype) {
    clora_status status = CLORA_OK;
    storage_choice type;
    size_t before;
    clora_model *m = model_allocate(context);

    *out = NULL;
    if (!m)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a model");
    before = model_memory(context);
    TRY(model_describe(&m->config, &type, directory, dtype));
    TRY(model_build(m, type));
    m->info.parameters = count_parameters(m);
    m->directory = alloc_string(directory);
    if (!m->directory)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a model"));
    TRY(model_complete(m, before));
    *out = m;
    m = NULL;
done:
    clora_model_free(m);
    return status;
}

clora_status clora_model_outline(clora_model **out, clora_context *context, const char *directory,
                                 const clora_model_options *options) {
    clora_model_options all = CLORA_MODEL_OPTIONS_INIT;
    clora_status status = CLORA_OK;
    clora_context *outline = NULL;

    NEED(out);
    *out = NULL;
    NEED(context);
    NEED(directory);
    TRY(OPTIONS_TAKE(all, options));
    TRY(context_outline(&outline, context));
    TRY(model_skeleton(out, outline, directory, all.dtype));
done:
    clora_context_free(outline);
    return clora_keep_cause(status);
}
