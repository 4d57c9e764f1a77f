#include "model/kvcache.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/ints.h"
#include "model/layer_types.h"

/* Positions go so many at a time. A multiple of all blocks of keys that attention may take at once: on GPUs these begin
 * at multiples of their size, and the same keys in other blocks are added up to other bits. */
enum { GO_TOGETHER = 192 };

static int window_rows(const model_config *c, int capacity, int longest) {
    const int window = model_largest_window(c);
    const int64_t rows = (int64_t)window - 1 + GO_TOGETHER - 1 + longest;

    return window > 0 && rows < capacity ? (int)rows : capacity;
}

clora_status kv_plan(kv_cache *cache, arena *memory, const model_config *c, int B, int capacity, int longest) {
    clora_status status = CLORA_OK;

    *cache = (kv_cache){.config = c, .B = B, .capacity = capacity, .window_rows = window_rows(c, capacity, longest)};
    cache->gone = alloc_array((size_t)B, sizeof(*cache->gone));
    cache->kv = alloc_array((size_t)c->layers, sizeof(*cache->kv));
    if (!cache->gone || !cache->kv)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a session");
    for (int l = 0; l < c->layers; l++)
        TRY(arena_add(memory, &cache->kv[l], CLORA_DTYPE_F32, B * kv_rows(cache, l), 2 * c->kv_heads * c->head_dim));
    if (model_largest_window(c) > 0)
        TRY(arena_add(memory, &cache->window_past, CLORA_DTYPE_I32, B, 1));
done:
    return status;
}

void kv_finish(kv_cache *cache) {
    free(cache->gone);
    free(cache->kv);
}

static bool slides(const kv_cache *cache, int l) {
    return model_window(cache->config, l) > 0;
}

int kv_rows(const kv_cache *cache, int l) {
    return slides(cache, l) ? cache->window_rows : cache->capacity;
}

int kv_first(const kv_cache *cache, int l, int sequence) {
    return slides(cache, l) ? cache->gone[sequence] : 0;
}

clora_tensor kv_span(const kv_cache *cache, int l, int sequence, int begin, int count) {
    const clora_tensor *kv = &cache->kv[l];
    const int row = sequence * kv_rows(cache, l) + begin - kv_first(cache, l, sequence);

    return tensor_view(kv, row, count, 0, tensor_cols(kv));
}

/* The first position that a token after `length` others sees in layers with a window. */
static int first_seen(const kv_cache *cache, int length) {
    return most(0, length - model_largest_window(cache->config) + 1);
}

static int first_kept(const kv_cache *cache, int length) {
    return first_seen(cache, length) / GO_TOGETHER * GO_TOGETHER;
}

void kv_begin(kv_cache *cache, int sequence, int positions) {
    cache->gone[sequence] = positions > cache->window_rows ? first_kept(cache, positions) : 0;
}

/* Rows move so many at a time that none is written before it is read. */
static clora_status move_rows(const kv_cache *cache, int l, int sequence, int distance, int count) {
    const int first = kv_first(cache, l, sequence);
    clora_status status = CLORA_OK;

    for (int row = first; row < first + count; row += distance) {
        const int n = least(distance, first + count - row);
        clora_tensor to = kv_span(cache, l, sequence, row, n);
        const clora_tensor from = kv_span(cache, l, sequence, row + distance, n);
        TRY(clora_tensor_copy(&to, &from));
    }
done:
    return status;
}

clora_status kv_make_room(kv_cache *cache, int sequence, int length, int T) {
    const int gone = cache->gone[sequence], kept = first_kept(cache, length);
    clora_status status = CLORA_OK;

    if (length - gone + T <= cache->window_rows)
        return CLORA_OK;
    for (int l = 0; l < cache->config->layers; l++)
        if (slides(cache, l))
            TRY(move_rows(cache, l, sequence, kept - gone, length - kept));
    cache->gone[sequence] = kept;
done:
    return status;
}

bool kv_reaches(const kv_cache *cache, int sequence, int length) {
    return cache->gone[sequence] <= first_seen(cache, length);
}

clora_status kv_copy(kv_cache *cache, int to, int from, int length) {
    clora_status status = CLORA_OK;

    cache->gone[to] = cache->gone[from];
    for (int l = 0; l < cache->config->layers; l++) {
        const int first = kv_first(cache, l, from), count = length - first;
        clora_tensor copy = kv_span(cache, l, to, first, count);
        const clora_tensor original = kv_span(cache, l, from, first, count);
        if (count > 0)
            TRY(clora_tensor_copy(&copy, &original));
    }
done:
    return status;
}
