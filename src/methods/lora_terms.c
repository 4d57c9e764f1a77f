#include "methods/lora_terms.h"

#include "device/self_check.h"

/* One term for each projection that has an adapted module. */
static clora_status create_terms(lora_adapter *lora) {
    const target_choice *choice = lora->choice;
    const target_module *target = lora->target;
    const base_model *base = &lora->adapter.base;
    clora_status status = CLORA_OK;

    for (int p = 0; p < base->projections; p++) {
        const weight *w = base->projection[p].weight;
        float scale[WEIGHT_MODULES] = {0};
        int R[WEIGHT_MODULES] = {0}, any = 0;
        for (int m = 0; m < w->modules; m++, choice++, target++) {
            R[m] = choice->R;
            scale[m] = choice->scale;
            any |= R[m] > 0;
            lora->adapter.info.modules += R[m] > 0;
            lora->adapter.info.parameters += (int64_t)R[m] * ((int64_t)target->N + target->K);
            lora->adapter.info.parameters += lora->vector != PEFT_NONE && R[m] > 0 ? target->N : 0;
        }
        if (any)
            TRY(lowrank_create(&lora->adapter.term[p], w, R, scale));
    }
done:
    return status;
}

static clora_status add_chunk(lora_adapter *lora, size_t elements) {
    const clora_status status =
        tensor_new(&lora->chunk[lora->chunks], lora->adapter.base.context, CLORA_DTYPE_F32, 1, (int)elements);

    lora->chunks += status == CLORA_OK;
    return status;
}

/* Elements that train of a projection's term. */
static size_t term_elements(const lora_adapter *lora, int p) {
    const lowrank *term = lora->adapter.term[p];

    return !term ? 0 : term->a_count + term->b_count + (lora->vector == PEFT_NONE ? 0 : (size_t)term->base->N);
}

/* The views of a term's parts in a chunk, from element `at` on. */
static void place_term(lowrank *term, const lora_adapter *lora, const clora_tensor *chunk, size_t at) {
    clora_tensor *vector = lora->vector == PEFT_MAGNITUDE ? &term->magnitude : &term->bias;

    term->a = tensor_slice(chunk, at, 1, (int)term->a_count);
    term->b = tensor_slice(chunk, at + term->a_count, 1, (int)term->b_count);
    if (lora->vector != PEFT_NONE)
        *vector = tensor_slice(chunk, at + term->a_count + term->b_count, 1, term->base->N);
}

/* A chunk for the terms from projection p on, each of which gets its place; it ends where the device's largest
 * allocation would be passed. Returns the projection after the last in *next. */
static clora_status fill_chunk(int *next, lora_adapter *lora, int p) {
    const base_model *base = &lora->adapter.base;
    const size_t largest = base->context->info.max_allocation / sizeof(float);
    const size_t limit = largest < INT32_MAX ? largest : INT32_MAX;
    clora_status status = CLORA_OK;
    size_t used = 0;
    int end;

    for (end = p; end < base->projections; end++) {
        const size_t n = term_elements(lora, end);
        if (n > limit)
            TRY(clora_fail(CLORA_ERROR_UNSUPPORTED,
                           "the adapter of %s takes %zu bytes, more than one buffer may have on this device; lower the "
                           "rank",
                           base->projection[end].names[0], n * sizeof(float)));
        if (used + n > limit)
            break;
        used += n;
    }
    if (used > 0)
        TRY(add_chunk(lora, used));
    used = 0;
    for (int i = p; i < end; used += term_elements(lora, i++))
        if (lora->adapter.term[i])
            place_term(lora->adapter.term[i], lora, lora->chunk[lora->chunks - 1], used);
    *next = end;
done:
    return status;
}

/* What each term has for the columns of its product, besides what trains. */
static clora_status add_columns(lora_adapter *lora) {
    const base_model *base = &lora->adapter.base;
    clora_status status = CLORA_OK;
    size_t n = 0;

    if (lora->vector == PEFT_NONE)
        return CLORA_OK;
    TRY(self_check(base->context, SELF_CHECK_COLUMNS, base->projection[0].weight->storage->id, 0));
    for (int p = 0; p < base->projections; p++)
        n += lora->adapter.term[p] ? 2 * (size_t)base->projection[p].weight->N : 0;
    if (n > INT32_MAX)
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "an adapter with vectors of %zu elements is too large", n));
    TRY(tensor_new(&lora->derived, base->context, CLORA_DTYPE_F32, 1, (int)n));
    n = 0;
    for (int p = 0; p < base->projections; p++) {
        lowrank *term = lora->adapter.term[p];
        if (!term)
            continue;
        term->applied = tensor_slice(lora->derived, n, 1, term->base->N);
        term->slope = tensor_slice(lora->derived, n + (size_t)term->base->N, 1, term->base->N);
        n += 2 * (size_t)term->base->N;
    }
done:
    return status;
}

clora_status lora_create_terms(lora_adapter *lora) {
    clora_status status = CLORA_OK;

    TRY(create_terms(lora));
    for (int p = 0; p < lora->adapter.base.projections;)
        TRY(fill_chunk(&p, lora, p));
    TRY(add_columns(lora));
done:
    return status;
}
