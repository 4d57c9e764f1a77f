#include "model/each_terms.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "ops/lowrank_each.h"

clora_status each_terms_create(each_terms **out, const clora_model *model, int most) {
    const size_t rows = (size_t)model->projections * (size_t)most;
    clora_status status = CLORA_OK;
    each_terms *t = calloc(1, sizeof(*t));

    *out = NULL;
    if (!t)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the adapters of texts");
    *t = (each_terms){.model = model, .most = most};
    t->host = alloc_array(rows, EACH_INTS * sizeof(*t->host));
    t->number = alloc_array((size_t)most, sizeof(*t->number));
    t->ranks = alloc_array((size_t)model->projections, sizeof(*t->ranks));
    if (!t->host || !t->number || !t->ranks)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the adapters of texts"));
    TRY(tensor_new(&t->table, model->context, CLORA_DTYPE_I32, (int)rows, EACH_INTS));
    *out = t;
    t = NULL;
done:
    each_terms_free(t);
    return status;
}

void each_terms_free(each_terms *t) {
    if (!t)
        return;
    clora_tensor_free(t->table);
    free(t->host);
    free(t->number);
    free(t->ranks);
    free(t);
}

/* Notes the adapters' numbers. True: they were there before. */
static bool note(each_terms *t, const clora_adapter *const *each, int n) {
    bool same = t->count == n && t->changes == t->model->merged.changes;

    for (int i = 0; i < n; i++) {
        const uint64_t number = each[i] ? each[i]->number : 0;
        same = same && t->number[i] == number;
        t->number[i] = number;
    }
    t->count = n;
    t->changes = t->model->merged.changes;
    return same;
}

static void describe(each_terms *t, const clora_adapter *const *each) {
    t->buffers.count = 0;
    t->whole = lowrank_each_can(t->model->context);
    for (int p = 0; p < t->model->projections; p++) {
        t->ranks[p] = 0;
        for (int i = 0; i < t->count; i++) {
            const lowrank *term = adapter_term(each[i], p);
            int32_t *row = t->host + ((size_t)p * (size_t)t->count + (size_t)i) * EACH_INTS;
            t->whole = t->whole && !adapter_origin(each[i], p) && lowrank_each_describe(row, &t->buffers, term);
            t->ranks[p] = term && term->R > t->ranks[p] ? term->R : t->ranks[p];
        }
    }
}

clora_status each_terms_set(each_terms *t, const clora_adapter *const *each, int n) {
    const size_t ints = (size_t)t->model->projections * (size_t)n * EACH_INTS;

    clora_status status = CLORA_OK;

    if (note(t, each, n))
        return CLORA_OK;
    TRY(clora_context_finish(t->model->context)); /* the device has read what the host sent before */
    describe(t, each);
    t->version++;
    if (t->whole)
        TRY(tensor_send(t->table, ints, t->host));
done:
    if (status != CLORA_OK)
        t->count = 0; /* not there the next time */
    return status;
}

clora_tensor each_terms_table(const each_terms *t, int p) {
    return tensor_view(t->table, p * t->count, t->count, 0, EACH_INTS);
}
