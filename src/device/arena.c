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

/* The place after those so far: in a new buffer where the present one would become too large. */
static clora_status find_place(arena *a, size_t bytes, size_t largest) {
    clora_status status = CLORA_OK;
    size_t *grown;

    if (a->chunks > 0 && a->next.used + bytes > largest)
        a->next = (arena_mark){.chunk = a->next.chunk + 1};
    if (a->next.chunk < a->chunks)
        return CLORA_OK;
    grown = realloc(a->chunk_bytes, (size_t)(a->chunks + 1) * sizeof(*grown));
    if (!grown)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for an arena"));
    a->chunk_bytes = grown;
    a->chunk_bytes[a->chunks++] = 0;
done:
    return status;
}

static void take_place(arena *a, size_t bytes) {
    size_t *end = &a->chunk_bytes[a->next.chunk];

    a->next.used += bytes;
    if (a->next.used > *end) {
        a->total += a->next.used - *end;
        *end = a->next.used;
    }
}

clora_status arena_add(arena *a, clora_tensor *view, clora_dtype dtype, int rows, int cols) {
    const size_t align = a->context->address_align, largest = a->context->info.max_allocation;
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
    TRY(find_place(a, bytes, largest));
    a->request[a->count++] = (arena_request){view, a->next.used, bytes, a->next.chunk};
    take_place(a, bytes);
    *view = (clora_tensor){.context = a->context, .dtype = dtype, .ndim = 2, .shape = {rows, cols}, .stride = cols};
done:
    return status;
}

arena_mark arena_later(arena_mark a, arena_mark b) {
    return a.chunk > b.chunk || (a.chunk == b.chunk && a.used > b.used) ? a : b;
}

void arena_return(arena *a, arena_mark mark) {
    a->next = mark;
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
