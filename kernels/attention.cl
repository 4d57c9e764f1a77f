// Causal grouped-query attention, forward and backward, without a matrix of size (T, T).
//
//   y = softmax(q k^T / sqrt(D)) v      q, y (B*T, H*D)   k, v (B*S, G*D)   lse (B*T, H)
//
// Row r = 0 .. T*H/G - 1 of a sequence and key/value head g is query t = r / (H/G) of head g*(H/G) + r % (H/G): the
// heads of a group stand side by side, so that they share every key that is read, also when T = 1.
//
// A work-group holds one side of the products still (LANES rows, or LANES keys in attention_dkv) as tiles of shape (D,
// LANES) in local memory; the other side streams past in its own layout, BK at a time. So every product is broadcasts
// of the stream times vectors of the tile, in register tiles of MR x NV vectors, and no sum runs across lanes:
//   dots        s (BK, LANES) = stream (BK, D) * tile (D, LANES)
//   accumulate  o (D, LANES) += stream^T (D, BK) * p (BK, LANES)
// On CPUs the lanes are NV vectors of VW floats of one work-item; on GPUs (VW = NV = 1) each of the WG items is a lane.
// An item touches its own lanes of local memory only: no barriers. Cost: 4 D flops a visible pair forward, 14 D
// backward (the probabilities are made again by each of the two kernels), and (D + BK) * LANES floats of local memory a
// tile.

#define FORWARD 0
#define QUERY_GRADIENT 1
#define KEY_GRADIENT 2
#ifndef PASS
#define PASS FORWARD // one kernel a program: some drivers add up the local memory of all its kernels
#endif
#ifndef D
#define D 64 // head size
#endif
#ifndef NV
#define NV 1 // vectors of lanes of a work-item
#endif
#ifndef MR
#define MR 4 // streamed rows, or rows of o, in registers at once
#endif
#ifndef BK
#define BK 16 // streamed rows between two corrections of the running maximum; a multiple of MR
#endif
#if BK % MR != 0
#error "BK must be a multiple of MR"
#endif
#if WG > 1 && (VW > 1 || NV > 1)
#error "either the lanes are work-items or one work-item has vectors"
#endif

#define LANES (VW * NV * WG)
#define ITEM ((int)get_local_id(0))
#define TILE(t, d, v) t[((d)*NV + (v)) * WG + ITEM] // a vector of a tile
#define LANE(v, i) (((v)*WG + ITEM) * VW + (i))     // the number of lane i of vector v among LANES
#define ELEMENT(t, d, v, i) ((__local float *)&TILE(t, d, v))[i]
#define FOR_VECTORS(v) UNROLL for (int v = 0; v < NV; v++)
#define FOR_LANES(v, i)                                                                                                \
    for (int v = 0; v < NV; v++)                                                                                       \
        for (int i = 0; i < VW; i++)

// s[r] = sum over d of rows[r][d] * x[d], r < MR; past the last row it is repeated
INLINE void dots_tile(__local V *s, __global const float *rows, const int stride, const int last, __local const V *x) {
    V sum[MR][NV];
    __global const float *row[MR];
    UNROLL for (int r = 0; r < MR; r++) {
        row[r] = rows + (size_t)min(r, last) * stride;
        FOR_VECTORS(v) sum[r][v] = (V)(0.0f);
    }
    for (int d = 0; d < D; d++) {
        V part[NV];
        FOR_VECTORS(v) part[v] = TILE(x, d, v);
        UNROLL for (int r = 0; r < MR; r++) {
            const V value = (V)(row[r][d]);
            FOR_VECTORS(v) sum[r][v] = fma(value, part[v], sum[r][v]);
        }
    }
    UNROLL for (int r = 0; r < MR; r++) FOR_VECTORS(v) TILE(s, r, v) = sum[r][v];
}

INLINE void dots(__local V *s, __global const float *rows, const int stride, const int n, __local const V *x) {
    for (int r = 0; r < n; r += MR)
        dots_tile(&s[r * NV * WG], rows + (size_t)r * stride, stride, n - 1 - r, x);
}

// o[r] = o[r] * factor + sum over j < n of rows[j][r] * p[j], r < count
INLINE void accumulate_tile(__local V *o, const V *factor, __local const V *p, const int n, __global const float *rows,
                            const int stride, const int count) {
    V sum[MR][NV];
    UNROLL for (int r = 0; r < count; r++) FOR_VECTORS(v) sum[r][v] = TILE(o, r, v) * factor[v];
    for (int j = 0; j < n; j++) {
        V part[NV];
        FOR_VECTORS(v) part[v] = TILE(p, j, v);
        UNROLL for (int r = 0; r < count; r++) {
            const V value = (V)(rows[(size_t)j * stride + r]);
            FOR_VECTORS(v) sum[r][v] = fma(value, part[v], sum[r][v]);
        }
    }
    UNROLL for (int r = 0; r < count; r++) FOR_VECTORS(v) TILE(o, r, v) = sum[r][v];
}

INLINE void accumulate(__local V *o, const V *factor, __local const V *p, const int n, __global const float *rows,
                       const int stride) {
    int d = 0;
    for (; d + MR <= D; d += MR)
        accumulate_tile(&o[d * NV * WG], factor, p, n, rows + d, stride, MR);
#if D % MR != 0
    accumulate_tile(&o[d * NV * WG], factor, p, n, rows + d, stride, D % MR);
#endif
}

INLINE void clear(__local V *o) {
    for (int d = 0; d < D; d++)
        FOR_VECTORS(v) TILE(o, d, v) = (V)(0.0f);
}

// Rows of x into the lanes of a tile, times scale, and back. at[] holds each lane's first element.
INLINE void gather(__local V *tile, __global const float *x, const size_t *at, const float scale) {
    FOR_LANES(v, i) {
        __global const float *row = x + at[v * VW + i];
        for (int d = 0; d < D; d++)
            ELEMENT(tile, d, v, i) = row[d] * scale;
    }
}

INLINE void scatter(__global float *x, const size_t *at, __local V *tile, const bool *real) {
    FOR_LANES(v, i) {
        __global float *row = x + at[v * VW + i];
        for (int d = 0; d < D && real[v * VW + i]; d++)
            row[d] = ELEMENT(tile, d, v, i);
    }
}

#if PASS != KEY_GRADIENT

// The queries in the lanes of a group: where they stand and which keys they see. Lanes past the end repeat the last
// row.
typedef struct {
    size_t m[NV * VW]; // row of q
    int head[NV * VW];
    bool real[NV * VW];
    int lo[NV * VW], hi[NV * VW]; // first and last visible key
    int from, to;                 // keys that some lane sees: from <= key < to
    int clear_from, clear_to;     // keys that all lanes see
} queries;

INLINE void find_queries(queries *s, __global const int *first, const int past, const int T, const int b, const int g,
                         const int per_group, const int base) {
    const int rows = T * per_group;
    s->from = s->clear_to = INT_MAX;
    s->to = s->clear_from = 0;
    FOR_LANES(v, i) {
        const int l = v * VW + i, row = min(base + LANE(v, i), rows - 1), t = row / per_group;
        s->m[l] = (size_t)b * T + t;
        s->head[l] = g * per_group + row % per_group;
        s->real[l] = base + LANE(v, i) < rows;
        s->lo[l] = first[s->m[l]];
        s->hi[l] = past + t;
        s->from = min(s->from, s->lo[l]);
        s->to = max(s->to, s->hi[l] + 1);
        s->clear_from = max(s->clear_from, s->lo[l]);
        s->clear_to = min(s->clear_to, s->hi[l] + 1);
    }
#if WG > 1
    s->from = s->from / BK * BK; // so that the items of a group read the same keys at a time
#endif
}

// The first element of each lane's head in a matrix.
INLINE void places(size_t *at, const queries *s, const int stride) {
    for (int l = 0; l < NV * VW; l++)
        at[l] = s->m[l] * stride + s->head[l] * D;
}

// Scores that a lane must not see become -infinity; nothing to do in blocks that all lanes see whole.
INLINE void hide(__local V *s, const queries *r, const int key, const int n) {
    if (key >= r->clear_from && key + n <= r->clear_to)
        return;
    FOR_VECTORS(v) {
        const VI lo = LOAD(r->lo + v * VW), hi = LOAD(r->hi + v * VW);
        for (int j = 0; j < n; j++) {
            const VI k = (VI)(key + j);
            TILE(s, j, v) = ((k >= lo) & (k <= hi)) ? TILE(s, j, v) : (V)(-INFINITY);
        }
    }
}

#endif

#if PASS == FORWARD

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
attention(TENSOR(float, y), const int y_stride, TENSOR(float, lse), TENSOR(const float, q), const int q_stride,
          TENSOR(const float, k), const int k_stride, TENSOR(const float, v), const int v_stride,
          TENSOR(const int, past), TENSOR(const int, first), const int T, const int S, const int H, const int G,
          const float scale, const int with_lse) {
    __local V qt[D * NV * WG], ot[D * NV * WG], st[BK * NV * WG];
    V most[NV], sum[NV], shrink[NV];
    size_t at[NV * VW];
    AT(y);
    AT(lse);
    AT(q);
    AT(k);
    AT(v);
    AT(past);
    AT(first);
    const int g = get_global_id(1), b = get_global_id(2);
    const int base = (get_num_groups(0) - 1 - get_group_id(0)) * LANES; // the longest rows first
    queries r;

    find_queries(&r, first, past[b], T, b, g, H / G, base);
    __global const float *keys = k + (size_t)b * S * k_stride + g * D, *values = v + (size_t)b * S * v_stride + g * D;

    places(at, &r, q_stride);
    gather(qt, q, at, scale);
    clear(ot);
    FOR_VECTORS(n) {
        most[n] = (V)(-INFINITY);
        sum[n] = (V)(0.0f);
    }
    for (int key = r.from; key < r.to; key += BK) {
        const int n = min(BK, r.to - key);
        dots(st, keys + (size_t)key * k_stride, k_stride, n, qt);
        hide(st, &r, key, n);
        FOR_VECTORS(c) {
            V top = most[c], part = (V)(0.0f);
            for (int j = 0; j < n; j++)
                top = fmax(top, TILE(st, j, c));
            // Until a lane has seen its first key its maximum is -infinity, and the difference must not become NaN.
            const V safe = fmax(top, (V)(-FLT_MAX));
            for (int j = 0; j < n; j++) {
                const V p = exponential(TILE(st, j, c) - safe);
                TILE(st, j, c) = p;
                part += p;
            }
            shrink[c] = exponential(most[c] - safe);
            sum[c] = fma(sum[c], shrink[c], part);
            most[c] = top;
        }
        accumulate(ot, shrink, st, n, values + (size_t)key * v_stride, v_stride);
    }
    FOR_VECTORS(c) { // a lane that sees no key has sum 0: zeros then
        const V inverse = sum[c] == 0.0f ? (V)(0.0f) : 1.0f / sum[c];
        for (int d = 0; d < D; d++)
            TILE(ot, d, c) *= inverse;
        most[c] += log(sum[c]);
    }
    places(at, &r, y_stride);
    scatter(y, at, ot, r.real);
    FOR_LANES(c, i)
        if (with_lse && r.real[c * VW + i])
            lse[r.m[c * VW + i] * H + r.head[c * VW + i]] = ((const float *)&most[c])[i];
}

#endif

// A query that saw no key has lse = -infinity, which must not meet the -infinity of a hidden score.
INLINE float finite_lse(const float lse) { return lse == -INFINITY ? 0.0f : lse; }

#if PASS == QUERY_GRADIENT

// delta = sum(dy * y) of each head, and dq = scale * sum over keys of ds * k
__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
attention_dq(TENSOR(float, dq), const int dq_stride, TENSOR(float, delta), TENSOR(const float, dy),
             const int dy_stride, TENSOR(const float, y), const int y_stride, TENSOR(const float, q),
             const int q_stride, TENSOR(const float, k), const int k_stride, TENSOR(const float, v),
             const int v_stride, TENSOR(const float, lse), TENSOR(const int, past), TENSOR(const int, first),
             const int T, const int S, const int H, const int G, const float scale) {
    __local V qt[D * NV * WG], dyt[D * NV * WG], ot[D * NV * WG], st[BK * NV * WG], dst[BK * NV * WG];
    V one[NV], log_sum[NV], product[NV];
    size_t at[NV * VW], at_y[NV * VW];
    AT(dq);
    AT(delta);
    AT(dy);
    AT(y);
    AT(q);
    AT(k);
    AT(v);
    AT(lse);
    AT(past);
    AT(first);
    const int g = get_global_id(1), b = get_global_id(2);
    const int base = (get_num_groups(0) - 1 - get_group_id(0)) * LANES;
    queries r;

    find_queries(&r, first, past[b], T, b, g, H / G, base);
    __global const float *keys = k + (size_t)b * S * k_stride + g * D, *values = v + (size_t)b * S * v_stride + g * D;

    places(at, &r, q_stride);
    gather(qt, q, at, scale);
    places(at, &r, dy_stride);
    gather(dyt, dy, at, 1.0f);
    clear(ot);
    places(at_y, &r, y_stride);
    FOR_LANES(c, i) {
        const int l = c * VW + i;
        const size_t place = r.m[l] * H + r.head[l];
        float total = 0.0f;
        for (int d = 0; d < D; d++)
            total = fma(dy[at[l] + d], y[at_y[l] + d], total);
        ((float *)&product[c])[i] = total;
        ((float *)&log_sum[c])[i] = finite_lse(lse[place]);
        if (r.real[l])
            delta[place] = total;
    }
    FOR_VECTORS(c) one[c] = (V)(1.0f);
    for (int key = r.from; key < r.to; key += BK) {
        const int n = min(BK, r.to - key);
        dots(st, keys + (size_t)key * k_stride, k_stride, n, qt);
        hide(st, &r, key, n);
        dots(dst, values + (size_t)key * v_stride, v_stride, n, dyt);
        for (int j = 0; j < n; j++)
            FOR_VECTORS(c) {
                const V p = exponential(TILE(st, j, c) - log_sum[c]);
                TILE(dst, j, c) = p * (TILE(dst, j, c) - product[c]);
            }
        accumulate(ot, one, dst, n, keys + (size_t)key * k_stride, k_stride);
    }
    for (int d = 0; d < D; d++)
        FOR_VECTORS(c) TILE(ot, d, c) *= scale;
    places(at, &r, dq_stride);
    scatter(dq, at, ot, r.real);
}

#endif

#if PASS == KEY_GRADIENT

// The keys in the lanes of a group.
typedef struct {
    size_t row[NV * VW]; // of k
    bool real[NV * VW];
    int key[NV * VW];
    int lowest, highest;
    int to; // no query from here on sees one of them
} key_lanes;

INLINE void find_keys(key_lanes *s, __global const int *last, const int S, const int b, const int base) {
    s->lowest = INT_MAX;
    s->highest = s->to = 0;
    FOR_LANES(v, i) {
        const int l = v * VW + i;
        s->key[l] = min(base + LANE(v, i), S - 1);
        s->real[l] = base + LANE(v, i) < S;
        s->row[l] = (size_t)b * S + s->key[l];
        s->lowest = min(s->lowest, s->key[l]);
        s->highest = max(s->highest, s->key[l]);
        s->to = max(s->to, last[s->row[l]] + 1);
    }
}

INLINE void key_places(size_t *at, const key_lanes *s, const int stride, const int g) {
    for (int l = 0; l < NV * VW; l++)
        at[l] = s->row[l] * stride + g * D;
}

// Scores s and dp = dy v^T of query t and the lanes' keys become p and ds = p * (dp - delta), zero where t does not
// see.
INLINE void key_gradients(__local V *s, __local V *dp, const key_lanes *keys, const int from, const int to,
                          const float lse, const float delta) {
    const bool clear = from <= keys->lowest && keys->highest <= to;
    FOR_VECTORS(v) {
        V p = exponential(TILE(s, 0, v) - lse), ds = p * (TILE(dp, 0, v) - delta);
        if (!clear) {
            const VI key = LOAD(keys->key + v * VW), seen = (key >= (VI)(from)) & (key <= (VI)(to));
            p = seen ? p : (V)(0.0f);
            ds = seen ? ds : (V)(0.0f);
        }
        TILE(s, 0, v) = p;
        TILE(dp, 0, v) = ds;
    }
}

// dv = sum over queries of p * dy,  dk = scale * sum over queries of ds * q: the queries of the group's heads stream
// past.
__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
attention_dkv(TENSOR(float, dk), const int dk_stride, TENSOR(float, dv), const int dv_stride,
              TENSOR(const float, delta), TENSOR(const float, dy), const int dy_stride, TENSOR(const float, q),
              const int q_stride, TENSOR(const float, k), const int k_stride, TENSOR(const float, v),
              const int v_stride, TENSOR(const float, lse), TENSOR(const int, past), TENSOR(const int, first),
              TENSOR(const int, last), const int T, const int S, const int H, const int G, const float scale) {
    __local V kt[D * NV * WG], vt[D * NV * WG], dkt[D * NV * WG], dvt[D * NV * WG];
    __local V st[BK * NV * WG], dst[BK * NV * WG];
    V one[NV];
    size_t at[NV * VW];
    AT(dk);
    AT(dv);
    AT(delta);
    AT(dy);
    AT(q);
    AT(k);
    AT(v);
    AT(lse);
    AT(past);
    AT(first);
    AT(last);
    const int g = get_global_id(1), b = get_global_id(2), per_group = H / G, before = past[b];
    key_lanes keys;

    find_keys(&keys, last, S, b, get_group_id(0) * LANES);
    const int start = max(0, keys.lowest - before), end = min(keys.to, T);

    key_places(at, &keys, k_stride, g);
    gather(kt, k, at, scale);
    key_places(at, &keys, v_stride, g);
    gather(vt, v, at, 1.0f);
    clear(dkt);
    clear(dvt);
    FOR_VECTORS(c) one[c] = (V)(1.0f);
    for (int h = g * per_group; h < (g + 1) * per_group; h++)
        for (int t = start; t < end; t += BK) {
            const int n = min(BK, end - t);
            const size_t m = (size_t)b * T + t;
            __global const float *query = q + m * q_stride + h * D, *gradient = dy + m * dy_stride + h * D;
            dots(st, query, q_stride, n, kt);
            dots(dst, gradient, dy_stride, n, vt);
            for (int j = 0; j < n; j++)
                key_gradients(&st[j * NV * WG], &dst[j * NV * WG], &keys, first[m + j], before + t + j,
                              finite_lse(lse[(m + j) * H + h]), delta[(m + j) * H + h]);
            accumulate(dvt, one, st, n, gradient, dy_stride);
            accumulate(dkt, one, dst, n, query, q_stride);
        }
    for (int d = 0; d < D; d++)
        FOR_VECTORS(c) TILE(dkt, d, c) *= scale;
    key_places(at, &keys, dk_stride, g);
    scatter(dk, at, dkt, keys.real);
    key_places(at, &keys, dv_stride, g);
    scatter(dv, at, dvt, keys.real);
}

#endif
