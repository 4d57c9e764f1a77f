#ifndef CLORA_DEVICE_ARENA_H
#define CLORA_DEVICE_ARENA_H

#include "device/tensor.h"

/*
 * Memory planned before it is taken: add every tensor, learn the total, then commit once. The tensors are views into a
 * few buffers (one, unless the device's largest allocation is passed). Nothing grows after the commit.
 *
 * Tensors that are never needed at the same time may lie in the same place: what is added after a return to a mark
 * begins there again.
 */
typedef struct arena_mark {
    int chunk;
    size_t used; /* bytes of it */
} arena_mark;

typedef struct arena_request {
    clora_tensor *view; /* filled in by commit */
    size_t offset, bytes;
    int chunk;
} arena_request;

typedef struct arena {
    clora_context *context;
    arena_request *request;
    size_t count, capacity;
    cl_mem *chunk;
    size_t *chunk_bytes;
    int chunks;
    arena_mark next; /* where the next tensor goes, if it fits */
    size_t total;
} arena;

void arena_init(arena *a, clora_context *context);
void arena_finish(arena *a);

/* Plan (rows, cols) elements; view becomes a dense matrix with commit. */
clora_status arena_add(arena *a, clora_tensor *view, clora_dtype dtype, int rows, int cols);

/* The one of two marks that comes after the other. */
arena_mark arena_later(arena_mark a, arena_mark b);

/* Return to where arena.next was. */
void arena_return(arena *a, arena_mark mark);

clora_status arena_commit(arena *a);

#endif
