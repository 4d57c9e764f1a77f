#include "methods/lora_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

static clora_tensor *tensor_of(lowrank *term, peft_part part) {
    switch (part) {
    case PEFT_A: return &term->a;
    case PEFT_B: return &term->b;
    default: return part == PEFT_MAGNITUDE ? &term->magnitude : &term->bias;
    }
}

/* A module's rows to its place on the device, and back. */
static void pack(const lowrank *term, int m, peft_part part, float *to, const float *rows) {
    const weight_module *module = &term->base->module[m];

    if (part == PEFT_A)
        lowrank_pack_a(term, m, to, rows);
    else if (part == PEFT_B)
        lowrank_pack_b(term, m, to, rows);
    else
        memcpy(to + module->col, rows, (size_t)module->N * sizeof(*to));
}

static void unpack(const lowrank *term, int m, peft_part part, float *rows, const float *from) {
    const weight_module *module = &term->base->module[m];

    if (part == PEFT_A)
        lowrank_unpack_a(term, m, rows, from);
    else if (part == PEFT_B)
        lowrank_unpack_b(term, m, rows, from);
    else
        memcpy(rows, from + module->col, (size_t)module->N * sizeof(*rows));
}

static clora_status upload_part(lora_adapter *lora, int p, int first, peft_part part, peft_source source, void *user) {
    lowrank *term = lora->adapter.term[p];
    const clora_tensor *tensor = tensor_of(term, part);
    float *all = alloc_array(clora_tensor_count(tensor), sizeof(*all)), *values = NULL;
    clora_status status = CLORA_OK;

    if (!all)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the adapter of %s", lora->target[first].name));
    for (int m = 0; m < term->modules; m++) {
        const target_module *target = &lora->target[first + m];
        const size_t R = (size_t)term->module[m].R;
        if (R == 0)
            continue;
        free(values);
        values = alloc_array(part == PEFT_A ? (size_t)target->K : (size_t)target->N, R * sizeof(*values));
        if (!values)
            TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the adapter of %s", target->name));
        TRY(source(user, values, first + m, part));
        pack(term, m, part, all, values);
    }
    TRY(clora_tensor_write((clora_tensor *)(uintptr_t)tensor, all));
done:
    free(all);
    free(values);
    return status;
}

/* The scale of B's bias at each column. */
static clora_status upload_scales(lowrank *term) {
    float *scales = alloc_array((size_t)term->base->N, sizeof(*scales));
    clora_status status = CLORA_OK;

    if (!scales)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for an adapter");
    for (int m = 0; m < term->modules; m++)
        for (int n = 0; n < term->base->module[m].N; n++)
            scales[term->base->module[m].col + n] = term->module[m].R > 0 ? term->module[m].scale : 0.0f;
    status = clora_tensor_write(&term->slope, scales);
    free(scales);
    return status;
}

clora_status lora_upload(lora_adapter *lora, int p, int first, peft_source source, void *user) {
    clora_status status = CLORA_OK;

    if (lora->adapter.base.context->outlined)
        return CLORA_OK; /* nothing is kept there, and random numbers take their time */
    TRY(upload_part(lora, p, first, PEFT_A, source, user));
    TRY(upload_part(lora, p, first, PEFT_B, source, user));
    if (lora->vector != PEFT_NONE)
        TRY(upload_part(lora, p, first, lora->vector, source, user));
    if (lora->vector == PEFT_BIAS)
        TRY(upload_scales(lora->adapter.term[p]));
done:
    return status;
}

clora_status lora_download_term(float *out, const lora_adapter *lora, lowrank *const *terms, int module,
                                peft_part part) {
    clora_status status = CLORA_OK;
    float *all = NULL;
    int p = 0, m = module;

    while (m >= lora->adapter.base.projection[p].weight->modules)
        m -= lora->adapter.base.projection[p++].weight->modules;
    const clora_tensor *tensor = tensor_of(terms[p], part);
    all = alloc_array(clora_tensor_count(tensor), sizeof(*all));
    if (!all)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the adapter of %s", lora->target[module].name));
    TRY(clora_tensor_read(tensor, all));
    unpack(terms[p], m, part, out, all);
done:
    free(all);
    return status;
}

clora_status lora_download(void *user, float *out, int module, peft_part part) {
    const lora_adapter *lora = user;

    if (module == lora->embedding)
        return embedding_term_read(out, lora->adapter.embedding, part == PEFT_B);
    return lora_download_term(out, lora, lora->adapter.term, module, part);
}
