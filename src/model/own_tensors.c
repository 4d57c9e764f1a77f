#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "model/family.h"

/* Takes over the name; NULL: there was no memory for one. */
static clora_status add(clora_model *m, char *name, own_tensor t) {
    clora_status status = CLORA_OK;

    if (!name)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the list of tensors");
    TRY(alloc_grow((void **)&m->tensor, &m->tensor_capacity, (size_t)m->tensors + 1, sizeof(*m->tensor)));
    m->tensor[m->tensors] = t;
    m->tensor[m->tensors++].name = name;
    name = NULL;
done:
    free(name);
    return status;
}

/* bias: NULL where it has none */
static clora_status add_norm(clora_model *m, const char *path, const clora_tensor *gain, const clora_tensor *bias) {
    clora_status status = CLORA_OK;

    TRY(add(m, alloc_format("%s.weight", path),
            (own_tensor){.kind = OWN_NORM, .vector = tensor_slice(gain, 0, 1, tensor_cols(gain))}));
    if (bias)
        TRY(add(m, alloc_format("%s.bias", path),
                (own_tensor){.kind = OWN_NORM_BIAS, .vector = tensor_slice(bias, 0, 1, tensor_cols(bias))}));
done:
    return status;
}

static clora_status add_layer_norms(clora_model *m, int l) {
    const model_family *family = m->config.family;
    clora_status status = CLORA_OK;
    char path[96];

    for (int i = 0; i < family->norms; i++) {
        snprintf(path, sizeof(path), "%s.%d.%s", family->names->layers, l, family->norm[i].path);
        if (m->layer[l].norm[i])
            TRY(add_norm(m, path, m->layer[l].norm[i], m->layer[l].norm_bias[i]));
    }
done:
    return status;
}

static clora_status add_positions(clora_model *m) {
    const clora_tensor *t = m->positions;

    if (!t)
        return CLORA_OK;
    return add(m, alloc_string(m->config.family->names->positions),
               (own_tensor){.kind = OWN_POSITIONS,
                            .vector = tensor_slice(t, 0, 1, (int)clora_tensor_count(t)),
                            .rows = (int)tensor_rows(t)});
}

static clora_status add_projection(clora_model *m, int l, int k) {
    const family_projection *p = &m->config.family->projection[k];
    const model_names *names = m->config.family->names;
    const weight *w = m->layer[l].w[k];
    clora_status status = CLORA_OK;

    for (int i = 0; i < p->modules; i++) {
        const char *path = p->module[i].path;
        TRY(add(m, alloc_format("%s.%d.%s.weight", names->layers, l, path),
                (own_tensor){.kind = OWN_WEIGHT, .weight = w, .module = i, .turned = names->turned}));
        if (w->bias)
            TRY(add(m, alloc_format("%s.%d.%s.bias", names->layers, l, path),
                    (own_tensor){.kind = OWN_BIAS,
                                 .vector = tensor_slice(w->bias, (size_t)w->module[i].col, 1, w->module[i].N)}));
    }
done:
    return status;
}

clora_status model_list_tensors(clora_model *m) {
    const model_family *family = m->config.family;
    clora_status status = CLORA_OK;

    TRY(add(m, alloc_string(family->names->embedding), (own_tensor){.kind = OWN_WEIGHT, .weight = m->embedding}));
    TRY(add_positions(m));
    for (int l = 0; l < m->config.layers; l++) {
        TRY(add_layer_norms(m, l));
        for (int k = 0; k < family->projections; k++)
            TRY(add_projection(m, l, k));
    }
    TRY(add_norm(m, family->names->norm, m->norm, m->norm_bias));
    if (m->head != m->embedding)
        TRY(add(m, alloc_string(MODEL_HEAD), (own_tensor){.kind = OWN_WEIGHT, .weight = m->head}));
done:
    return status;
}

void model_free_tensors(clora_model *m) {
    for (int i = 0; i < m->tensors; i++)
        free((char *)(uintptr_t)m->tensor[i].name);
    free(m->tensor);
}
