#include "template/pool.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum { CHUNK = 1 << 16 };

struct pool_chunk {
    struct pool_chunk *before;
    size_t room;
    alignas(max_align_t) char data[];
};

static clora_status add_chunk(pool *p, size_t size) {
    const size_t room = size > CHUNK ? size : CHUNK;
    struct pool_chunk *chunk = malloc(sizeof(*chunk) + room);

    if (!chunk)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a template");
    chunk->before = p->chunk;
    chunk->room = room;
    p->chunk = chunk;
    p->used = 0;
    return CLORA_OK;
}

clora_status pool_take(void *out, pool *p, size_t count, size_t size) {
    const size_t align = alignof(max_align_t);
    clora_status status = CLORA_OK;
    size_t bytes = 0;

    if (!size_mul(count, size, &bytes) || !size_add(bytes, align - 1, &bytes) || bytes > p->limit - p->taken)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "the template takes more than %zu MiB", p->limit >> 20);
    bytes = bytes / align * align;
    p->taken += bytes;
    if (!p->chunk || bytes > p->chunk->room - p->used)
        TRY(add_chunk(p, bytes));
    char *data = p->chunk->data + p->used;
    memset(data, 0, bytes);
    memcpy(out, &data, sizeof(data));
    p->used += bytes;
done:
    return status;
}

clora_status pool_copy(const char **out, pool *p, const char *data, size_t size) {
    clora_status status = CLORA_OK;
    char *copy = NULL;

    TRY(pool_take(&copy, p, size + 1, 1));
    if (size > 0)
        memcpy(copy, data, size);
    *out = copy;
done:
    return status;
}

void pool_finish(pool *p) {
    while (p->chunk) {
        struct pool_chunk *before = p->chunk->before;
        free(p->chunk);
        p->chunk = before;
    }
    p->used = p->taken = 0;
}
