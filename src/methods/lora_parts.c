#include "methods/lora_parts.h"

#include <stdlib.h>

#include "base/alloc.h"

/* One factor of one projection, from the host's rows to the device's panels. first: the projection's first target. */
static clora_status upload(lora_adapter *lora, int p, int first, bool is_b, peft_source source, void *user) {
    lowrank *term = lora->adapter.term[p];
    const char *name = lora->adapter.base.projection[p].names[0];
    const size_t count = is_b ? term->b_count : term->a_count;
    float *panels = NULL, *values = NULL;
    clora_status status = CLORA_OK;

    panels = alloc_array(count, sizeof(*panels));
    if (!panels)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the factors of %s", name));
    for (int m = 0; m < term->modules; m++) {
        const target_module *target = &lora->target[first + m];
        if (term->module[m].R == 0)
            continue;
        free(values);
        values = alloc_array((size_t)(is_b ? target->N : target->K), (size_t)term->module[m].R * sizeof(*values));
        if (!values)
            TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the factors of %s", target->name));
        TRY(source(user, values, first + m, is_b));
        if (is_b)
            lowrank_pack_b(term, m, panels, values);
        else
            lowrank_pack_a(term, m, panels, values);
    }
    TRY(clora_tensor_write(is_b ? &term->b : &term->a, panels));
done:
    free(panels);
    free(values);
    return status;
}

clora_status lora_upload(lora_adapter *lora, int p, int first, peft_source source, void *user) {
    clora_status status = CLORA_OK;

    if (lora->adapter.base.context->outlined)
        return CLORA_OK; /* nothing is kept there, and random numbers take their time */
    TRY(upload(lora, p, first, false, source, user));
    TRY(upload(lora, p, first, true, source, user));
done:
    return status;
}

clora_status lora_download_term(float *out, const lora_adapter *lora, lowrank *const *terms, int module, bool is_b) {
    clora_status status = CLORA_OK;
    float *panels = NULL;
    int p = 0, m = module;

    while (m >= lora->adapter.base.projection[p].weight->modules)
        m -= lora->adapter.base.projection[p++].weight->modules;
    const lowrank *term = terms[p];
    const clora_tensor view = is_b ? term->b : term->a;
    panels = alloc_array((size_t)tensor_cols(&view), sizeof(*panels));
    if (!panels)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the factors of %s", lora->target[module].name));
    TRY(clora_tensor_read(&view, panels));
    if (is_b)
        lowrank_unpack_b(term, m, out, panels);
    else
        lowrank_unpack_a(term, m, out, panels);
done:
    free(panels);
    return status;
}

clora_status lora_download(void *user, float *out, int module, bool is_b) {
    const lora_adapter *lora = user;

    if (module == lora->embedding)
        return embedding_term_read(out, lora->adapter.embedding, is_b);
    return lora_download_term(out, lora, lora->adapter.term, module, is_b);
}
