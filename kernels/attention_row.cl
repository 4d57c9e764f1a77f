// Attention of few queries over many keys: decoding. See attention.cl for the equation and the shapes.
//
// One work-group makes one query row of HEADS heads that share their keys: it walks the visible keys BK at a time,
// scores them with vectors along D (each item its own keys), and adds their values (each item its own columns).
// attention.cl is faster when there are enough rows to fill its lanes; here every core has work as soon as there are B
// * H / HEADS rows. Bandwidth bound.

#ifndef D
#define D 64 // head size
#endif
#ifndef HEADS
#define HEADS 1 // of a group of heads, made one after the other from the same block of keys
#endif
#ifndef BK
#define BK 64 // keys between two corrections of the running maximum; a multiple of VW and WG
#endif
#ifndef NC
#define NC 4 // vectors of columns in registers at once
#endif
#ifndef CAPPED
#define CAPPED 0 // 1: scores become cap * tanh(score / cap)
#endif
#if BK % VW != 0 || BK % WG != 0
#error "BK must be a multiple of VW and of WG"
#endif

enum { WHOLE = D / VW * VW }; // columns in whole vectors

INLINE float dot_row(__global const float *k, __local const float *q) {
    V even = (V)(0.0f), odd = (V)(0.0f);
    float rest = 0.0f;
    int d = 0;
    for (; d + 2 * VW <= D; d += 2 * VW) {
        even = fma(LOAD(k + d), LOAD(q + d), even);
        odd = fma(LOAD(k + d + VW), LOAD(q + d + VW), odd);
    }
    for (; d < WHOLE; d += VW)
        even = fma(LOAD(k + d), LOAD(q + d), even);
    for (; d < D; d++)
        rest = fma(k[d], q[d], rest);
    return sum_lanes(even + odd) + rest;
}

INLINE float cap_score(const float s, const float cap) {
#if CAPPED
    return cap * tanh(s / cap);
#else
    return s;
#endif
}

// out[c] = out[c] * shrink + sum over j < n of p[j] * v[j][c], for `count` vectors of columns
INLINE void add_columns(__local float *out, const float shrink, __local const float *p, const int n,
                        __global const float *v, const int stride, const int count) {
    V sum[NC];
    UNROLL for (int c = 0; c < count; c++) sum[c] = LOAD(out + c * VW) * shrink;
    for (int j = 0; j < n; j++) {
        const V pj = (V)(p[j]);
        UNROLL for (int c = 0; c < count; c++) sum[c] = fma(pj, LOAD(v + (size_t)j * stride + c * VW), sum[c]);
    }
    UNROLL for (int c = 0; c < count; c++) STORE(sum[c], out + c * VW);
}

INLINE void add_block(__local float *out, const float shrink, __local const float *p, const int n,
                      __global const float *v, const int stride) {
    const int item = get_local_id(0);
    for (int d = item * NC * VW; d + NC * VW <= D; d += WG * NC * VW)
        add_columns(out + d, shrink, p, n, v + d, stride, NC);
    for (int d = D / (NC * VW) * (NC * VW) + item * VW; d < WHOLE; d += WG * VW)
        add_columns(out + d, shrink, p, n, v + d, stride, 1);
    for (int d = WHOLE + item; d < D; d += WG) {
        float sum = out[d] * shrink;
        for (int j = 0; j < n; j++)
            sum = fma(p[j], v[(size_t)j * stride + d], sum);
        out[d] = sum;
    }
}

// Scores become exp(score - maximum); the running maximum and sum follow. Returns what the output so far shrinks by.
INLINE float probabilities(__local float *p, const int n, float *most, float *sum, __local float *space) {
    const int item = get_local_id(0);
    float top = *most, part = 0.0f;
    for (int j = item; j < n; j += WG)
        top = fmax(top, p[j]);
    top = max_group(top, space);
    const float safe = fmax(top, -FLT_MAX), shrink = exp(*most - safe); // in the first block exp(-infinity) = 0
#if VW > 1
    for (int j = n; j % VW != 0; j++) // one item: its last vector reaches past n
        p[j] = -INFINITY;
#endif
    for (int j = item * VW; j < n; j += WG * VW) {
        const V e = exponential(LOAD(p + j) - safe);
        STORE(e, p + j);
        part += sum_lanes(e);
    }
    *sum = fma(*sum, shrink, sum_group(part, space));
    *most = top;
    return shrink;
}

// What attention reads and writes: the letters of attention.cl.
typedef struct {
    __global float *y, *lse; // lse may be null
    __global const float *q, *k, *v;
    __global const int *past, *first;
    int y_stride, q_stride, k_stride, v_stride;
    int T, H, G;
    float scale, cap;
    cache_pages pages;
} attention;

// p[j] = the score of key + j, j < n. An item has every WG-th j, also where these are of several stretches: what it
// writes it reads first.
INLINE void score_keys(__local float *p, const attention *in, const int b, const int key, const int n, const int column,
                       __local const float *q) {
    for (int j = 0, count; j < n; j += count) {
        __global const float *k = in->k + page_row(&in->pages, b, key + j) * in->k_stride + column;
        count = page_stretch(&in->pages, key + j, n - j);
        for (int i = ((int)get_local_id(0) + WG - j % WG) % WG; i < count; i += WG)
            p[j + i] = cap_score(dot_row(k + (size_t)i * in->k_stride, q), in->cap);
    }
}

// out = out * shrink + the values of key + j times p[j], j < n
INLINE void add_values(__local float *out, const float shrink, __local const float *p, const attention *in, const int b,
                       const int key, const int n, const int column) {
    for (int j = 0, count; j < n; j += count) {
        __global const float *v = in->v + page_row(&in->pages, b, key + j) * in->v_stride + column;
        count = page_stretch(&in->pages, key + j, n - j);
        add_block(out, j == 0 ? shrink : 1.0f, p + j, count, v, in->v_stride);
    }
}

// Rows t of HEADS heads from h0 on in sequence b. query and out hold HEADS * D floats, p BK, space WG.
INLINE void attend(const attention *in, const int h0, const int t, const int b, __local float *query,
                   __local float *out, __local float *p, __local float *space) {
    float most[HEADS], sum[HEADS];
    const int item = get_local_id(0), column = h0 / (in->H / in->G) * D;
    const size_t m = (size_t)b * in->T + t;
    const int from = in->first[m], to = in->past[b] + t + 1;

    for (int i = item; i < HEADS * D; i += WG) {
        query[i] = in->q[m * in->q_stride + h0 * D + i] * in->scale;
        out[i] = 0.0f;
    }
    for (int h = 0; h < HEADS; h++) {
        most[h] = -INFINITY;
        sum[h] = 0.0f;
    }
    for (int key = from; key < to; key += BK) {
        const int n = min(BK, to - key);
        for (int h = 0; h < HEADS; h++) {
            GROUP_BARRIER; // the queries are there, and all are done with the last block's p
            score_keys(p, in, b, key, n, column, query + h * D);
            const float shrink = probabilities(p, n, &most[h], &sum[h], space);
            GROUP_BARRIER; // every p is there
            add_values(out + h * D, shrink, p, in, b, key, n, column);
        }
    }
    GROUP_BARRIER;
    for (int h = 0; h < HEADS; h++) {
        const float inverse = sum[h] == 0.0f ? 0.0f : 1.0f / sum[h]; // a query that sees no key gives zeros
        for (int d = item; d < D; d += WG)
            in->y[m * in->y_stride + (h0 + h) * D + d] = out[h * D + d] * inverse;
        if (in->lse && item == 0)
            in->lse[m * in->H + h0 + h] = most[h] + log(sum[h]);
    }
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
attention_row(TENSOR(float, y), const int y_stride, TENSOR(float, lse), TENSOR(const float, q), const int q_stride,
              TENSOR(const float, k), const int k_stride, TENSOR(const float, v), const int v_stride,
              TENSOR(const int, past), TENSOR(const int, first), const int T, const int S, const int H, const int G,
              const float scale, const float cap, TENSOR(const int, pages), const int page_count, const int page_bits,
              const int with_lse) {
    __local float query[HEADS * D], out[HEADS * D], p[BK], space[WG];
    AT(y);
    AT(lse);
    AT(q);
    AT(k);
    AT(v);
    AT(past);
    AT(first);
    AT(pages);
    const attention in = {.y = y,
                          .lse = with_lse ? lse : 0,
                          .q = q,
                          .k = k,
                          .v = v,
                          .past = past,
                          .first = first,
                          .y_stride = y_stride,
                          .q_stride = q_stride,
                          .k_stride = k_stride,
                          .v_stride = v_stride,
                          .T = T,
                          .H = H,
                          .G = G,
                          .scale = scale,
                          .cap = cap,
                          .pages = {pages, page_count, page_bits, S}};
    attend(&in, get_group_id(0) * HEADS, get_global_id(1), get_global_id(2), query, out, p, space);
}
