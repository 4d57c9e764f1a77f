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

static clora_status add_norm(clora_model *m, char *name, const clora_tensor *gain) {
    return add(m, name, (own_tensor){.kind = OWN_NORM, .vector = tensor_slice(gain, 0, 1, tensor_cols(gain))});
}

static clora_status add_projection(clora_model *m, int l, int k) {
    const family_projection *p = &m->config.family->projection[k];
    const weight *w = m->layer[l].w[k];
    clora_status status = CLORA_OK;

    for (int i = 0; i < p->modules; i++) {
        const char *path = p->module[i].path;
        TRY(add(m, alloc_format("model.layers.%d.%s.weight", l, path),
                (own_tensor){.kind = OWN_WEIGHT, .weight = w, .module = i}));
        if (w->bias)
            TRY(add(m, alloc_format("model.layers.%d.%s.bias", l, path),
                    (own_tensor){.kind = OWN_BIAS,
                                 .vector = tensor_slice(w->bias, (size_t)w->module[i].col, 1, w->module[i].N)}));
    }
done:
    return status;
}

clora_status model_list_tensors(clora_model *m) {
    const model_family *family = m->config.family;
    clora_status status = CLORA_OK;

    TRY(add(m, alloc_string(MODEL_EMBEDDING), (own_tensor){.kind = OWN_WEIGHT, .weight = m->embedding}));
    for (int l = 0; l < m->config.layers; l++) {
        for (int i = 0; i < family->norms; i++)
            if (m->layer[l].norm[i])
                TRY(add_norm(m, alloc_format("model.layers.%d.%s.weight", l, family->norm[i].path),
                             m->layer[l].norm[i]));
        for (int k = 0; k < family->projections; k++)
            TRY(add_projection(m, l, k));
    }
    TRY(add_norm(m, alloc_string("model.norm.weight"), m->norm));
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
