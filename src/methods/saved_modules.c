#include "methods/saved_modules.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/dtype.h"
#include "files/model_tables.h"

static bool is_head(const char *name) {
    return strcmp(name, MODEL_HEAD) == 0;
}

static const weight *head_of(const base_model *base) {
    return base->projection[base->projections - 1].weight;
}

base_tensor *saved_modules_list(int *count, const base_model *base) {
    base_tensor *list = alloc_array((size_t)base->tensors + 1, sizeof(*list));
    bool head = false;

    *count = 0;
    for (int i = 0; list && i < base->tensors; i++) {
        const own_tensor *t = &base->tensor[i];
        head |= is_head(t->name);
        list[(*count)++] = t->weight
                               ? (base_tensor){t->name, t->weight->module[t->module].N, t->weight->K}
                               : (base_tensor){t->name, t->rows, tensor_cols(&t->vector) / (t->rows ? t->rows : 1)};
    }
    if (list && !head)
        list[(*count)++] = (base_tensor){MODEL_HEAD, base->vocab, base->hidden};
    return list;
}

/* ---- on the device ---- */

static clora_status create_table(saved_modules *s, saved_module *m, clora_context *context) {
    const base_tensor *t = &m->tensor;
    clora_status status = CLORA_OK;

    TRY(weight_create(&m->weight, context, CLORA_STORAGE_F32, t->K, 1, &t->N));
    m->parts = alloc_array((size_t)m->weight->parts, sizeof(*m->parts));
    if (!m->parts)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a copy of %s", t->name));
    for (int i = 0; i < m->weight->parts; i++)
        m->parts[i] = weight_span_view(m->weight, weight_module_span(m->weight, 0, i));
    if (is_head(t->name))
        s->head = m->weight;
    else
        s->embedding = m->weight;
done:
    return status;
}

/* Side by side in one buffer. */
static clora_status create_gains(saved_modules *s, const base_model *base) {
    clora_status status = CLORA_OK;
    int all = 0, at = 0;

    for (int i = 0; i < s->count; i++)
        all += s->module[i].tensor.N == 0 ? s->module[i].tensor.K : 0;
    if (all == 0)
        return CLORA_OK;
    TRY(tensor_new(&s->gains, base->context, CLORA_DTYPE_F32, 1, all));
    for (int i = 0; i < s->count; i++) {
        const base_tensor *t = &s->module[i].tensor;
        if (t->N > 0)
            continue;
        s->module[i].gain = tensor_slice(s->gains, (size_t)at, 1, t->K);
        at += t->K;
    }
done:
    return status;
}

static clora_status create_chosen(saved_modules *s, const base_model *base, const base_tensor *list, const bool *chosen,
                                  int count) {
    clora_status status = CLORA_OK;

    for (int i = 0; i < count; i++) {
        saved_module *m = &s->module[s->count];
        if (!chosen[i])
            continue;
        m->tensor = list[i];
        s->count++;
        s->parameters += (int64_t)(list[i].N > 0 ? list[i].N : 1) * list[i].K;
        if (list[i].N > 0)
            TRY(create_table(s, m, base->context));
        else
            m->of = base->tensor[i].vector;
    }
    TRY(create_gains(s, base));
done:
    return status;
}

clora_status saved_modules_create(saved_modules **out, const base_model *base, const json_t *config, bool strict) {
    int count, any = 0;
    base_tensor *list = saved_modules_list(&count, base);
    bool *chosen = alloc_array((size_t)count + 1, sizeof(*chosen));
    saved_modules *s = calloc(1, sizeof(*s));
    clora_status status = CLORA_OK;

    *out = NULL;
    if (!list || !chosen || !s)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for saved modules"));
    TRY(peft_saved_choose(chosen, config, list, count, strict));
    for (int i = 0; i < count; i++)
        any += chosen[i];
    if (any == 0)
        goto done;
    s->module = alloc_array((size_t)any, sizeof(*s->module));
    if (!s->module)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for saved modules"));
    TRY(create_chosen(s, base, list, chosen, count));
    *out = s;
    s = NULL;
done:
    free(list);
    free(chosen);
    saved_modules_free(s);
    return status;
}

void saved_modules_free(saved_modules *s) {
    if (!s)
        return;
    for (int i = 0; i < s->count; i++) {
        weight_free(s->module[i].weight);
        free(s->module[i].parts);
    }
    clora_tensor_free(s->gains);
    free(s->module);
    free(s);
}

/* ---- values ---- */

clora_status saved_modules_write(saved_modules *s, int i, const float *values) {
    saved_module *m = &s->module[i];

    return m->weight ? weight_pack(m->weight, 0, values, CLORA_DTYPE_F32, false) : clora_tensor_write(&m->gain, values);
}

clora_status saved_modules_read(float *values, const saved_modules *s, int i) {
    const saved_module *m = &s->module[i];

    return m->weight ? weight_unpack(m->weight, 0, values) : clora_tensor_read(&m->gain, values);
}

static const weight *table_of(const base_model *base, const char *name) {
    return is_head(name) ? head_of(base) : base->tensor[0].weight;
}

clora_status saved_modules_compare(bool *same, const base_model *base, const char *name, const float *values) {
    const weight *w = table_of(base, name);
    const size_t bytes = (size_t)w->N * storage_row_elements(w->storage, w->K) * dtype_size(w->storage->element);
    void *stored = alloc_array(bytes, 1), *given = alloc_array(bytes, 1);
    clora_status status = CLORA_OK;

    *same = false;
    if (!stored || !given)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to look at %s", name));
    TRY(weight_unpack(w, 0, stored));
    storage_pack(w->storage, given, values, CLORA_DTYPE_F32, (size_t)w->N * (size_t)w->K);
    *same = memcmp(stored, given, bytes) == 0;
done:
    free(stored);
    free(given);
    return status;
}

static size_t elements_of(const base_tensor *t) {
    return (size_t)(t->N > 0 ? t->N : 1) * (size_t)t->K;
}

/* A table of the model as floats. */
static clora_status read_table(float *values, const weight *w, const base_tensor *t) {
    const size_t n = elements_of(t);
    void *stored = alloc_array((size_t)t->N * storage_row_elements(w->storage, t->K), dtype_size(w->storage->element));
    clora_status status = CLORA_OK;

    if (!stored)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a copy of %s", t->name));
    TRY(weight_unpack(w, 0, stored));
    storage_unpack(w->storage, values, stored, n);
done:
    free(stored);
    return status;
}

clora_status saved_modules_begin(saved_modules *s, const base_model *base) {
    clora_status status = CLORA_OK;
    float *values = NULL;

    if (base->context->outlined)
        return CLORA_OK;
    for (int i = 0; i < s->count; i++) {
        const saved_module *m = &s->module[i];
        free(values);
        values = alloc_array(elements_of(&m->tensor), sizeof(*values));
        if (!values)
            TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a copy of %s", m->tensor.name));
        if (m->weight)
            TRY(read_table(values, table_of(base, m->tensor.name), &m->tensor));
        else
            TRY(clora_tensor_read(&m->of, values));
        TRY(saved_modules_write(s, i, values));
    }
done:
    free(values);
    return status;
}

/* ---- what trains ---- */

static clora_status table_parameters(parameters *out, const saved_module *m, parameter_group group) {
    clora_status status = CLORA_OK;

    for (int i = 0; i < m->weight->parts; i++) {
        TRY(parameters_add_buffer(out, &m->parts[i]));
        TRY(parameters_add(out, i == 0 ? alloc_string(m->tensor.name) : alloc_format("%s.%d", m->tensor.name, i),
                           &m->parts[i], group));
    }
done:
    return status;
}

clora_status saved_modules_parameters(parameters *out, const saved_modules *s, parameter_group tables,
                                      parameter_group gains) {
    clora_status status = CLORA_OK;

    for (int i = 0; i < s->count; i++)
        if (s->module[i].weight)
            TRY(table_parameters(out, &s->module[i], tables));
    if (s->gains)
        TRY(parameters_add_buffer(out, s->gains));
    for (int i = 0; i < s->count; i++)
        if (!s->module[i].weight)
            TRY(parameters_add(out, alloc_string(s->module[i].tensor.name), &s->module[i].gain, gains));
done:
    return status;
}

size_t saved_modules_fixed_bytes(const saved_modules *s) {
    size_t bytes = 0;

    for (int i = 0; i < s->count; i++)
        bytes += s->module[i].weight ? weight_table_bytes(s->module[i].weight) : 0;
    return bytes;
}

size_t saved_modules_bytes(const saved_modules *s) {
    size_t values = s->gains ? clora_tensor_count(s->gains) : 0;

    for (int i = 0; i < s->count; i++)
        for (int part = 0; s->module[i].weight && part < s->module[i].weight->parts; part++)
            values += clora_tensor_count(&s->module[i].parts[part]);
    return values * sizeof(float) + saved_modules_fixed_bytes(s);
}

const clora_tensor *saved_modules_gain(const saved_modules *s, const clora_tensor *of) {
    for (int i = 0; s && s->gains && i < s->count; i++)
        if (s->module[i].of.buffer == of->buffer && s->module[i].of.offset == of->offset)
            return &s->module[i].gain;
    return NULL;
}
