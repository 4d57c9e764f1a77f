#include "io/model_tables.h"

#include <string.h>

/* A head of another type than the embedding's is told by its values. */
static bool same_values(const safetensors_tensor *a, const safetensors_tensor *b) {
    enum { SOME = 256 };
    const size_t n = safetensors_elements(a);
    float x[SOME], y[SOME];

    if (!a->supported || !b->supported || a->ndim != b->ndim ||
        memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof(a->shape[0])) != 0)
        return false;
    if (a->dtype == b->dtype)
        return n == 0 || memcmp(a->data, b->data, a->size) == 0;
    for (size_t i = 0; i < n; i += SOME) {
        const size_t count = n - i < SOME ? n - i : SOME;
        dtype_to_f32(x, (const char *)a->data + i * dtype_size(a->dtype), a->dtype, count);
        dtype_to_f32(y, (const char *)b->data + i * dtype_size(b->dtype), b->dtype, count);
        if (memcmp(x, y, count * sizeof(float)) != 0)
            return false;
    }
    return true;
}

model_tables model_tables_find(const safetensors_set *set, bool tied) {
    const safetensors_tensor *embedding = safetensors_set_find(set, MODEL_EMBEDDING);
    const safetensors_tensor *head = safetensors_set_find(set, MODEL_HEAD);

    if (!tied)
        return (model_tables){embedding, head, NULL};
    if (!embedding)
        return (model_tables){head, head, NULL};
    if (!head || same_values(head, embedding))
        return (model_tables){embedding, embedding, head};
    return (model_tables){embedding, head, NULL};
}
