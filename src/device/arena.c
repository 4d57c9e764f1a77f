#include "device/arena.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/dtype.h"
#include "device/buffer.h"

void arena_init(arena *a, clora_context *context) {
    *a = (arena){.context = context};
}

void arena_finish(arena *a) {
    for (int i = 0; i < a->chunks; i++)
        if (a->chunk)
            buffer_release(a->context, a->chunk[i], a->chunk_bytes[i]);
    free(a->chunk);
    free(a->chunk_bytes);
    free(a->request);
    *a = (arena){0};
}

clora_status arena_add(arena *a, clora_tensor *view, clora_dtype dtype, int rows, int cols) {
    const size_t align = a->context->address_align, largest = a->context->info.max_allocation;
    const int last = a->chunks - 1;
    size_t elements, bytes;
    clora_status status = CLORA_OK;

    if (rows < 1 || cols < 1 || !size_mul((size_t)rows, (size_t)cols, &elements) ||
        !size_mul(elements, dtype_size(dtype), &bytes) || !size_add(bytes, align, &bytes))
        return clora_fail(CLORA_ERROR_SHAPE, "an activation of %d x %d elements", rows, cols);
    bytes = bytes / align * align;
    if (bytes > largest)
        return clora_fail(
            CLORA_ERROR_MEMORY,
            "an activation of %d x %d elements takes %zu MB; the device allows buffers of %zu MB: take a smaller "
            "batch or length",
            rows, cols, bytes >> 20, largest >> 20);
    TRY(alloc_grow((void **)&a->request, &a->capacity, a->count + 1, sizeof(*a->request)));
    if (a->chunks == 0 || a->chunk_bytes[last] + bytes > largest) {
        size_t *grown = realloc(a->chunk_bytes, (size_t)(a->chunks + 1) * sizeof(*grown));
        if (!grown)
            return clora_fail(CLORA_ERROR_MEMORY, "no memory for an arena");
        a->chunk_bytes = grown;
        a->chunk_bytes[a->chunks++] = 0;
    }
    size_t *used = &a->chunk_bytes[a->chunks - 1];
    a->request[a->count++] = (arena_request){view, *used, bytes, a->chunks - 1};
    *used += bytes;
    a->total += bytes;
    *view = (clora_tensor){.context = a->context, .dtype = dtype, .ndim = 2, .shape = {rows, cols}, .stride = cols};
done:
    return status;
}

clora_status arena_commit(arena *a) {
    clora_status status = CLORA_OK;

    a->chunk = alloc_array((size_t)a->chunks, sizeof(*a->chunk));
    if (!a->chunk)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for an arena");
    for (int i = 0; i < a->chunks; i++)
        TRY(buffer_create(&a->chunk[i], a->context, a->chunk_bytes[i]));
    for (size_t i = 0; i < a->count; i++) {
        clora_tensor *v = a->request[i].view;
        v->buffer = a->chunk[a->request[i].chunk];
        v->offset = a->request[i].offset / dtype_size(v->dtype);
    }
done:
    return status;
}
