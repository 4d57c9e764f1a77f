#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/dtype.h"
#include "base/options.h"
#include "device/scratch.h"
#include "device/self_check.h"
#include "model/family.h"

static void list_modules(clora_model *m) {
    for (int s = 0; s < m->projections; s++) {
        const projection *p = &m->projection[s];
        for (int i = 0; i < p->weight->modules; i++)
            m->module[m->modules++] =
                (clora_module_info){p->names[i], p->weight->module[i].N, p->weight->K, p->is_head};
    }
}

clora_status model_list_projections(clora_model *m) {
    const model_family *family = m->config.family;

    m->projections = m->config.layers * family->projections + 1;
    m->projection = alloc_array((size_t)m->projections, sizeof(*m->projection));
    m->name = alloc_array((size_t)m->projections * WEIGHT_MODULES, sizeof(*m->name));
    m->module = alloc_array((size_t)m->projections * WEIGHT_MODULES, sizeof(*m->module));
    if (!m->projection || !m->name || !m->module)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the list of modules");
    for (int s = 0; s < m->projections - 1; s++) {
        const int l = s / family->projections, k = s % family->projections;
        m->projection[s].weight = m->layer[l].w[k];
        for (int i = 0; i < family->projection[k].modules; i++) {
            char *name = alloc_format("%s.%d.%s", family->names->layers, l, family->projection[k].module[i].path);
            if (!name)
                return clora_fail(CLORA_ERROR_MEMORY, "no memory for the list of modules");
            m->name[s * WEIGHT_MODULES + i] = name;
            m->projection[s].names[i] = name;
        }
    }
    m->projection[m->projections - 1] = (projection){.weight = m->head, .names = {"lm_head"}, .is_head = true};
    list_modules(m);
    return CLORA_OK;
}

/* "f32" when all matrices agree, else "mixed". */
static const char *storage_name(const clora_model *m) {
    for (int s = 0; s < m->projections; s++)
        if (m->projection[s].weight->storage != m->embedding->storage)
            return "mixed";
    return m->embedding->storage->name;
}

void model_info_fill(clora_model_info *info, const model_config *c) {
    *info = (clora_model_info){.size = sizeof(*info),
                               .model_type = c->family->model_type,
                               .layers = c->layers,
                               .hidden = c->hidden,
                               .ffn = c->ffn,
                               .heads = c->heads,
                               .kv_heads = c->kv_heads,
                               .head_dim = c->head_dim,
                               .vocab = c->vocab,
                               .max_positions = c->max_positions,
                               .tied = c->tied,
                               .own_head = c->own_head,
                               .eos_count = c->eos_count,
                               .eos_ignored = c->eos_ignored};
    memcpy(info->eos, c->eos, sizeof(info->eos));
}

static bool is_stored_as(const clora_model *m, clora_storage type) {
    for (int s = 0; s < m->projections; s++)
        if (m->projection[s].weight->storage->id == type)
            return true;
    return m->embedding->storage->id == type;
}

clora_status model_self_check(const clora_model *m, unsigned groups) {
    clora_status status = CLORA_OK;

    if (m->config.family->layernorm)
        groups |= (groups & SELF_CHECK_MODEL ? SELF_CHECK_LAYERNORM : 0u) |
                  (groups & SELF_CHECK_BACKWARD ? SELF_CHECK_LAYERNORM_BACKWARD : 0u);
    if (m->config.logit_cap > 0.0f && groups & SELF_CHECK_MODEL)
        groups |= SELF_CHECK_SOFTCAP;
    for (int i = 0; i < CLORA_STORAGE_END; i++)
        if (is_stored_as(m, (clora_storage)i))
            TRY(self_check(m->context, groups, (clora_storage)i, m->config.head_dim));
done:
    return status;
}

size_t model_memory(const clora_context *context) {
    size_t now;

    clora_context_memory(context, &now, NULL);
    return now - scratch_bytes(context);
}

clora_status model_complete(clora_model *m, size_t before) {
    const clora_status status = model_self_check(m, SELF_CHECK_PRODUCTS | SELF_CHECK_MODEL);

    m->info.device_bytes = model_memory(m->context) - before;
    m->info.dtype = storage_name(m);
    return status;
}

clora_status clora_model_load(clora_model **out, clora_context *context, const char *directory,
                              const clora_model_options *options) {
    clora_model_options all = CLORA_MODEL_OPTIONS_INIT;
    clora_status status = CLORA_OK;
    model_files *files = NULL;
    model_tables tables;
    clora_model *m = NULL;
    size_t before;

    NEED(out);
    *out = NULL;
    NEED(context);
    NEED(directory);
    TRY(OPTIONS_TAKE(all, options));
    m = model_allocate(context);
    if (!m)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a model"));
    before = model_memory(context);
    TRY(config_load(&m->config, directory));
    TRY(model_files_check(&files, &tables, &m->config, directory));
    model_info_fill(&m->info, &m->config);
    TRY(model_load_weights(m, files, &tables, directory, &all));
    TRY(model_list_projections(m));
    TRY(model_complete(m, before));
    *out = m;
    m = NULL;
done:
    model_files_close(files);
    clora_model_free(m);
    return clora_keep_cause(status);
}

static void destroy(shared *object) {
    clora_model *m = (clora_model *)object;

    merged_finish(m);
    for (int l = 0; m->layer && l < m->config.layers; l++) {
        for (int i = 0; i < LAYER_NORMS; i++) {
            clora_tensor_free(m->layer[l].norm[i]);
            clora_tensor_free(m->layer[l].norm_bias[i]);
        }
        for (int k = 0; k < LAYER_PROJECTIONS; k++)
            weight_free(m->layer[l].w[k]);
    }
    if (m->head != m->embedding)
        weight_free(m->head);
    weight_free(m->embedding);
    clora_tensor_free(m->norm);
    clora_tensor_free(m->norm_bias);
    clora_tensor_free(m->positions);
    for (int i = 0; m->name && i < m->projections * WEIGHT_MODULES; i++)
        free(m->name[i]);
    free(m->name);
    free(m->module);
    free(m->directory);
    free(m->projection);
    model_free_tensors(m);
    free(m->layer);
    shared_let_go(&m->context->shared);
    free(m);
}

clora_model *model_allocate(clora_context *context) {
    clora_model *m = calloc(1, sizeof(*m));

    if (!m)
        return NULL;
    shared_init(&m->shared, destroy);
    shared_hold(&context->shared);
    m->context = context;
    return m;
}

void clora_model_free(clora_model *model) {
    if (model)
        shared_let_go(&model->shared);
}

const clora_model_info *clora_model_get_info(const clora_model *model) {
    static const clora_model_info none;

    return model ? &model->info : &none;
}

clora_context *clora_model_context(const clora_model *model) {
    return model ? model->context : NULL;
}

int clora_model_module_count(const clora_model *model) {
    return model ? model->modules : 0;
}

const clora_module_info *clora_model_module(const clora_model *model, int i) {
    static const clora_module_info none;

    return i >= 0 && i < clora_model_module_count(model) ? &model->module[i] : &none;
}

clora_status clora_model_read_module(float *out, const clora_model *model, int i) {
    clora_status status = CLORA_OK;
    void *stored = NULL;
    int p = 0;

    NEED(out);
    NEED(model);
    for (; i >= 0 && p < model->projections && i >= model->projection[p].weight->modules; p++)
        i -= model->projection[p].weight->modules;
    if (i < 0 || p == model->projections)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "the model has %d linear layers", clora_model_module_count(model)));
    const weight *w = model->projection[p].weight;
    const size_t N = (size_t)w->module[i].N, row = weight_row_elements(w) * dtype_size(w->storage->element);
    stored = alloc_array(N, row);
    if (!stored)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", model->projection[p].names[i]));
    TRY(weight_unpack(w, i, stored));
    storage_unpack(w->storage, out, stored, N * (size_t)w->K);
done:
    free(stored);
    return status;
}

base_model model_as_base(clora_model *m) {
    const model_config *c = &m->config;

    return (base_model){.model = &m->shared,
                        .context = m->context,
                        .model_type = c->family->model_type,
                        .names = c->family->names,
                        .layers = c->layers,
                        .hidden = c->hidden,
                        .heads = c->heads,
                        .kv_heads = c->kv_heads,
                        .head_dim = c->head_dim,
                        .vocab = c->vocab,
                        .max_positions = c->max_positions,
                        .embedding_scale = c->embedding_scale,
                        .projections = m->projections,
                        .projection = m->projection,
                        .tensors = m->tensors,
                        .tensor = m->tensor,
                        .directory = m->directory,
                        .merged = &m->merged.base,
                        .own_head = c->own_head};
}

clora_status model_check_adapter(const clora_model *model, const clora_adapter *adapter) {
    return adapter->base.model == &model->shared
               ? CLORA_OK
               : clora_fail(CLORA_ERROR_ARGUMENT, "the adapter was made for another model");
}
