// Rotary position embedding (Su et al. 2021; halves as in the Hugging Face models).
//
//   per head, halves a and b of its first ROTATED columns:  (a, b) -> (a cos - b sin, b cos + a sin) at positions[m]
//
//   rope:       x (M, heads*D) in place; sign = -1 rotates back: the gradient
//   rope_store: of qkv (B*T, (H+2G)*D) q in place, k into the cache and v as it is after it:
//               the cache row (2G*D columns) of position past[b] + t (pages.cl). Others than there are are not
//               written.
//
// table (P, ROTATED) holds cos (ROTATED/2) then sin (ROTATED/2) of every position. One work-group makes one row; each
// of its WG items takes vectors of VW pairs in turn. Bandwidth bound.

#ifndef D
#define D 64 // head size
#endif
#ifndef ROTATED
#define ROTATED D // up to D, even
#endif

// of a head
enum { KEPT = D - ROTATED, PAIRS = ROTATED / 2, PAIR_VECTORS = PAIRS / VW, SINGLE_PAIRS = PAIRS - PAIR_VECTORS * VW };

// No restrict: `to` may be `from`. A pair is read before it is written.
static inline void rotate_heads(__global float *to, __global const float *from, __global const float *cosine,
                                const int heads, const float sign) {
    __global const float *sine = cosine + PAIRS;
    for (int i = get_local_id(0); i < heads * PAIR_VECTORS; i += WG) {
        const int at = i % max(PAIR_VECTORS, 1) * VW, head = i / max(PAIR_VECTORS, 1) * D + at;
        const V a = LOAD(from + head), b = LOAD(from + head + PAIRS), c = LOAD(cosine + at), s = LOAD(sine + at) * sign;
        STORE(fma(a, c, -b * s), to + head);
        STORE(fma(b, c, a * s), to + head + PAIRS);
    }
    for (int i = get_local_id(0); i < heads * SINGLE_PAIRS; i += WG) {
        const int at = PAIR_VECTORS * VW + i % max(SINGLE_PAIRS, 1), head = i / max(SINGLE_PAIRS, 1) * D + at;
        const float a = from[head], b = from[head + PAIRS], c = cosine[at], s = sine[at] * sign;
        to[head] = fma(a, c, -b * s);
        to[head + PAIRS] = fma(b, c, a * s);
    }
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
rope(TENSOR(float, x), const int x_stride, TENSOR(const int, positions), TENSOR(const float, table), const int heads,
     const float sign) {
    AT(x);
    AT(positions);
    AT(table);
    const size_t m = get_group_id(0);
    x += m * x_stride;
    rotate_heads(x, x, table + (size_t)positions[m] * ROTATED, heads, sign);
}

// Row t of sequence b for rope_store.
static inline void store_row(__global float *cache, const int cache_stride, __global float *qkv, const int qkv_stride,
                             __global const int *positions, __global const float *table, __global const int *past,
                             const int T, const int H, const int G, const cache_pages *pages, const int t,
                             const int b) {
    const int place = past[b] + t;
    const size_t m = (size_t)b * T + t;
    __global const float *turn = table + (size_t)positions[m] * ROTATED;
    qkv += m * qkv_stride;
    rotate_heads(qkv, qkv, turn, H, 1.0f);
    if (place < 0 || place >= page_room(pages))
        return;
    cache += page_row(pages, b, place) * cache_stride;
    rotate_heads(cache, qkv + H * D, turn, G, 1.0f);
    for (int i = get_local_id(0); i < G * KEPT; i += WG) {
        const int c = i / max(KEPT, 1) * D + ROTATED + i % max(KEPT, 1);
        cache[c] = qkv[H * D + c];
    }
    const int width = G * D, whole = width / VW * VW;
    __global const float *v = qkv + (H + G) * D;
    for (int c = get_local_id(0) * VW; c < whole; c += WG * VW)
        STORE(LOAD(v + c), cache + width + c);
    for (int c = whole + get_local_id(0); c < width; c += WG)
        cache[width + c] = v[c];
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
rope_store(TENSOR(float, cache), const int cache_stride, TENSOR(float, qkv), const int qkv_stride,
           TENSOR(const int, positions), TENSOR(const float, table), TENSOR(const int, past), const int T, const int S,
           const int H, const int G, TENSOR(const int, pages), const int page_count, const int page_bits) {
    AT(cache);
    AT(qkv);
    AT(positions);
    AT(table);
    AT(past);
    AT(pages);
    const cache_pages in_pages = {pages, page_count, page_bits, S};
    store_row(cache, cache_stride, qkv, qkv_stride, positions, table, past, T, H, G, &in_pages, get_group_id(0),
              get_global_id(1));
}
