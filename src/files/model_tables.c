#include "files/model_tables.h"

#include <string.h>

#include "base/dtype.h"

bool model_is_embedding(const char *name) {
    return strcmp(name, MODEL_EMBEDDING) == 0 || strcmp(name, MODEL_WTE) == 0 ||
           strcmp(name, MODEL_TEXT_EMBEDDING) == 0;
}

bool model_is_other(const model_names *names, const char *name) {
    for (size_t i = 0; i < sizeof(names->others) / sizeof(names->others[0]) && names->others[i]; i++)
        if (strncmp(name, names->others[i], strlen(names->others[i])) == 0)
            return true;
    return false;
}

/* A head of another type than the embedding's is told by its values. */
static clora_status same_values(bool *same, const model_files *set, const stored_tensor *a, const stored_tensor *b) {
    enum { SOME = 4096 };
    const size_t n = stored_elements(a);
    clora_status status = CLORA_OK;
    unsigned char bytes[SOME * sizeof(float)];
    float x[SOME], y[SOME];

    *same = a->supported && b->supported && a->ndim == b->ndim &&
            memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof(a->shape[0])) == 0;
    for (size_t i = 0; *same && i < n; i += SOME) {
        const size_t count = n - i < SOME ? n - i : SOME;
        TRY(model_files_read(bytes, set, a, i * dtype_size(a->dtype), count * dtype_size(a->dtype)));
        dtype_to_f32(x, bytes, a->dtype, count);
        TRY(model_files_read(bytes, set, b, i * dtype_size(b->dtype), count * dtype_size(b->dtype)));
        dtype_to_f32(y, bytes, b->dtype, count);
        *same = memcmp(x, y, count * sizeof(float)) == 0;
    }
done:
    return status;
}

clora_status model_tables_find(model_tables *out, const model_files *set, const model_names *names, bool tied) {
    const stored_tensor *embedding = model_files_find(set, names->embedding);
    const stored_tensor *head = model_files_find(set, MODEL_HEAD);
    clora_status status = CLORA_OK;
    bool same = false;

    *out = (model_tables){embedding, head, NULL};
    if (tied && !embedding)
        out->embedding = head;
    if (tied && !head)
        out->head = embedding;
    if (tied && embedding && head)
        TRY(same_values(&same, set, head, embedding));
    if (same)
        *out = (model_tables){embedding, embedding, head};
done:
    return status;
}
