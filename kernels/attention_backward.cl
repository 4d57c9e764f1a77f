// Causal grouped-query attention, backward, without a matrix of size (T, T); attention_lanes.cl has the equation.
//
//   delta = sum over a head of dy * y     p = exp(scale q k^T - lse)      ds = p * (dy v^T - delta)
//   dv = p^T dy                           dk = scale ds^T q               dq = scale ds k
//
// p is made again from lse. attention_backward, whose lanes are keys, makes dk and dv of some blocks of keys and,
// WITH_DQ, what these give to dq: 10 D flops a visible pair for all. Where that leaves too few groups, each block of
// keys is a group, and attention_dq, whose lanes are queries, makes p and ds once more: 14 D flops.

#define DELTA 0
#define QUERY_GRADIENT 1
#define KEY_GRADIENT 2
#ifndef PASS
#define PASS DELTA // one kernel a program: some drivers add up the local memory of all its kernels
#endif
#ifndef WITH_DQ
#define WITH_DQ 0 // explicit vectors only
#endif
#ifndef NC
#define NC NV // vectors of columns of dq in registers at once
#endif

// A query that saw no key has lse = -infinity, which must not meet the -infinity of a hidden score.
INLINE float finite_lse(const float lse) {
    return lse == -INFINITY ? 0.0f : lse;
}

#if PASS == DELTA

// One work-group makes one row; its items take heads in turn.
__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
attention_delta(TENSOR(float, delta), TENSOR(const float, dy), const int dy_stride, TENSOR(const float, y),
                const int y_stride, const int H) {
    AT(delta);
    AT(dy);
    AT(y);
    const size_t m = get_group_id(0);
    for (int h = get_local_id(0); h < H; h += WG) {
        __global const float *a = dy + m * dy_stride + h * D, *b = y + m * y_stride + h * D;
        V sum = (V)(0.0f);
        float rest = 0.0f;
        int d = 0;
        for (; d + VW <= D; d += VW)
            sum = fma(LOAD(a + d), LOAD(b + d), sum);
        for (; d < D; d++)
            rest = fma(a[d], b[d], rest);
        delta[m * H + h] = sum_lanes(sum) + rest;
    }
}

#endif

#if PASS == QUERY_GRADIENT

// dq = scale * sum over keys of ds * k
__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
attention_dq(TENSOR(float, dq), const int dq_stride, TENSOR(const float, delta), TENSOR(const float, dy),
             const int dy_stride, TENSOR(const float, q), const int q_stride, TENSOR(const float, k),
             const int k_stride, TENSOR(const float, v), const int v_stride, TENSOR(const float, lse),
             TENSOR(const int, past), TENSOR(const int, first), const int T, const int S, const int H, const int G,
             const float scale, const float cap, TENSOR(const int, last), const int prefix) {
    __local V qt[D * NV * WG], dyt[D * NV * WG], ot[D * NV * WG], st[BK * NV * WG], dst[BK * NV * WG];
    V one[NV], log_sum[NV], product[NV];
    size_t at[NV * VW];
    AT(dq);
    AT(delta);
    AT(dy);
    AT(q);
    AT(k);
    AT(v);
    AT(lse);
    AT(past);
    AT(first);
    AT(last);
    const int g = get_global_id(1), b = get_global_id(2);
    const int base = (get_num_groups(0) - 1 - get_group_id(0)) * LANES;
    queries r;

    find_queries(&r, first, last, past[b], prefix, T, S, b, g, H / G, base);
    __global const float *keys = k + (size_t)b * S * k_stride + g * D, *values = v + (size_t)b * S * v_stride + g * D;

    places(at, &r, q_stride);
    gather(qt, q, at, scale);
    places(at, &r, dy_stride);
    gather(dyt, dy, at, 1.0f);
    clear(ot);
    FOR_LANES(c, i) {
        const size_t place = r.m[c * VW + i] * H + r.head[c * VW + i];
        ((float *)&product[c])[i] = delta[place];
        ((float *)&log_sum[c])[i] = finite_lse(lse[place]);
    }
    FOR_VECTORS(c)
        one[c] = (V)(1.0f);
    for (int key = first_block(&r); key < r.to; key = next_block(&r, key)) {
        const int n = min(BK, r.to - key);
        dots(st, keys + (size_t)key * k_stride, k_stride, n, qt);
        cap_scores(st, n, cap);
        hide(st, &r, key, n);
        dots(dst, values + (size_t)key * v_stride, v_stride, n, dyt);
        for (int j = 0; j < n; j++)
            FOR_VECTORS(c) {
                const V p = exponential(TILE(st, j, c) - log_sum[c]);
                TILE(dst, j, c) = p * (TILE(dst, j, c) - product[c]) * cap_slope(TILE(st, j, c), cap);
            }
        accumulate(ot, one, dst, n, keys + (size_t)key * k_stride, k_stride);
    }
    places(at, &r, dq_stride);
    scatter(dq, at, ot, r.real, scale);
}

#endif

#if PASS == KEY_GRADIENT

// The keys in the lanes of a group. Lanes past the end repeat the last row; no query sees them.
typedef struct {
    size_t row[NV * VW]; // of k
    bool real[NV * VW];
    int key[NV * VW];
    int lowest, highest;
    int last[NV * VW]; // query that sees it
    int prefix;        // keys before it are seen by all queries
    int to;            // no query from here on sees one of them
    int clear_to;      // queries before it may see them all
} key_lanes;

INLINE void find_keys(key_lanes *s, __global const int *last, const int prefix, const int T, const int S, const int b,
                      const int base) {
    s->prefix = prefix;
    s->lowest = INT_MAX;
    s->highest = s->to = 0;
    s->clear_to = T;
    FOR_LANES(v, i) {
        const int l = v * VW + i;
        s->key[l] = base + LANE(v, i);
        s->real[l] = s->key[l] < S;
        s->row[l] = (size_t)b * S + min(s->key[l], S - 1);
        s->lowest = min(s->lowest, s->key[l]);
        s->highest = max(s->highest, s->key[l]);
        const int own = min(s->key[l], S - 1) - prefix;
        s->last[l] = own < 0 ? T - 1 : last[b * (size_t)(S - prefix) + own];
        s->to = max(s->to, s->last[l] + 1);
        s->clear_to = min(s->clear_to, s->last[l] + 1);
    }
}

INLINE void key_places(size_t *at, const key_lanes *s, const int stride, const int g) {
    for (int l = 0; l < NV * VW; l++)
        at[l] = s->row[l] * stride + g * D;
}

// Scores s and dp = dy v^T of query t, which sees from <= key <= to at most and of the prefix from `near` on, and the
// lanes' keys become p and ds = p * (dp - delta), zero where t does not see.
INLINE void key_gradients(__local V *s, __local V *dp, const key_lanes *keys, const int t, const int near,
                          const int from, const int to, const float lse, const float delta, const float cap) {
    const bool inside = from <= keys->lowest && keys->highest <= to && t < keys->clear_to;
    const bool clear = inside || (near <= keys->lowest && keys->highest < keys->prefix);
    FOR_VECTORS(v) {
        V p = exponential(TILE(s, 0, v) - lse), ds = p * (TILE(dp, 0, v) - delta) * cap_slope(TILE(s, 0, v), cap);
        if (!clear) {
            const VI key = LOAD(keys->key + v * VW);
            const VI open = (VI)(t) <= LOAD(keys->last + v * VW);
            VI ahead = key < (VI)(keys->prefix);
#if PARTIAL
            ahead &= key >= (VI)(near);
#endif
            const VI seen = ((key >= (VI)(from)) & (key <= (VI)(to)) & open) | ahead;
            p = seen ? p : (V)(0.0f);
            ds = seen ? ds : (V)(0.0f);
        }
        TILE(s, 0, v) = p;
        TILE(dp, 0, v) = ds;
    }
}

#if WITH_DQ

// The rows of the lanes' keys, times scale, in their own layout.
INLINE void copy_keys(__local float *rows, __global const float *k, const size_t *at, const float scale) {
    for (int l = 0; l < LANES; l++) {
        for (int d = 0; d < WHOLE; d += VW)
            STORE(LOAD(k + at[l] + d) * scale, rows + l * D + d);
        for (int d = WHOLE; d < D; d++)
            rows[l * D + d] = k[at[l] + d] * scale;
    }
}

// dq[r] += sum over lanes l of ds[r][l] * keys[l], for r < count and `vectors` vectors of columns
INLINE void add_queries_tile(__global float *dq, const int stride, __local const float *ds, __local const float *keys,
                             const int count, const int vectors) {
    V sum[MR][NC];
    UNROLL for (int r = 0; r < count; r++) UNROLL for (int c = 0; c < vectors; c++) sum[r][c] =
        LOAD(dq + (size_t)r * stride + c * VW);
    for (int l = 0; l < LANES; l++) {
        V part[NC];
        UNROLL for (int c = 0; c < vectors; c++) part[c] = LOAD(keys + l * D + c * VW);
        UNROLL for (int r = 0; r < count; r++) {
            const V value = (V)(ds[r * LANES + l]);
            UNROLL for (int c = 0; c < vectors; c++) sum[r][c] = fma(value, part[c], sum[r][c]);
        }
    }
    UNROLL for (int r = 0; r < count; r++) UNROLL for (int c = 0; c < vectors; c++)
        STORE(sum[r][c], dq + (size_t)r * stride + c * VW);
}

INLINE void add_queries_columns(__global float *dq, const int stride, __local const float *ds,
                                __local const float *keys, const int n, const int vectors) {
    int r = 0;
    for (; r + MR <= n; r += MR)
        add_queries_tile(dq + (size_t)r * stride, stride, ds + r * LANES, keys, MR, vectors);
    for (; r < n; r++)
        add_queries_tile(dq + (size_t)r * stride, stride, ds + r * LANES, keys, 1, vectors);
}

INLINE void add_queries(__global float *dq, const int stride, __local const float *ds, __local const float *keys,
                        const int n) {
    int d = 0;
    for (; d + NC * VW <= D; d += NC * VW)
        add_queries_columns(dq + d, stride, ds, keys + d, n, NC);
    for (; d < WHOLE; d += VW)
        add_queries_columns(dq + d, stride, ds, keys + d, n, 1);
    for (; d < D; d++)
        for (int r = 0; r < n; r++)
            for (int l = 0; l < LANES; l++)
                dq[(size_t)r * stride + d] = fma(ds[r * LANES + l], keys[l * D + d], dq[(size_t)r * stride + d]);
}

#endif

// Group p of P makes dk and dv of blocks p, p + P, ... of LANES keys: the queries of the group's heads stream past.
// What these keys give to dq goes to dq itself for p = 0, and to matrix p - 1 of parts (P - 1, B*T, H*D).
__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
attention_backward(TENSOR(float, dq), const int dq_stride, TENSOR(float, parts), TENSOR(float, dk), const int dk_stride,
                   TENSOR(float, dv), const int dv_stride, TENSOR(const float, delta), TENSOR(const float, dy),
                   const int dy_stride, TENSOR(const float, q), const int q_stride, TENSOR(const float, k),
                   const int k_stride, TENSOR(const float, v), const int v_stride, TENSOR(const float, lse),
                   TENSOR(const int, past), TENSOR(const int, first), TENSOR(const int, last), const int T, const int S,
                   const int H, const int G, const float scale, const float cap, const int prefix) {
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

    FOR_VECTORS(c)
        one[c] = (V)(1.0f);
#if WITH_DQ
    __local V rows[D * NV];
    AT(dq);
    AT(parts);
    const int part = get_group_id(0), stride = part == 0 ? dq_stride : H * D;
    __global float *own =
        (part == 0 ? dq : parts + (size_t)(part - 1) * get_num_groups(2) * T * H * D) + (size_t)b * T * stride;
    for (int t = 0; t < T; t++)
        for (int c = g * per_group * D; c < (g + 1) * per_group * D; c++)
            own[(size_t)t * stride + c] = 0.0f;
#endif
    for (int base = get_group_id(0) * LANES; base < S; base += get_num_groups(0) * LANES) {
        find_keys(&keys, last, prefix, T, S, b, base);
        const int start = max(0, keys.lowest - before), end = min(keys.to, T);

        key_places(at, &keys, v_stride, g);
        gather(vt, v, at, 1.0f);
        key_places(at, &keys, k_stride, g);
        gather(kt, k, at, scale);
#if WITH_DQ
        copy_keys((__local float *)rows, k, at, scale);
#endif
        clear(dkt);
        clear(dvt);
        for (int h = g * per_group; h < (g + 1) * per_group; h++)
            for (int t = start; t < end; t += BK) {
                const int n = min(BK, end - t);
                const size_t m = (size_t)b * T + t;
                __global const float *query = q + m * q_stride + h * D, *gradient = dy + m * dy_stride + h * D;
                dots(st, query, q_stride, n, kt);
                cap_scores(st, n, cap);
                dots(dst, gradient, dy_stride, n, vt);
                for (int j = 0; j < n; j++)
                    key_gradients(&st[j * NV * WG], &dst[j * NV * WG], &keys, t + j, PREFIX_FIRST(m + j),
                                  prefix + FIRST(m + j), before + t + j, finite_lse(lse[(m + j) * H + h]),
                                  delta[(m + j) * H + h], cap);
                accumulate(dvt, one, st, n, gradient, dy_stride);
                accumulate(dkt, one, dst, n, query, q_stride);
#if WITH_DQ
                add_queries(own + (size_t)t * stride + h * D, stride, (__local float *)dst, (__local float *)rows, n);
#endif
            }
        key_places(at, &keys, dk_stride, g);
        scatter(dk, at, dkt, keys.real, scale);
        key_places(at, &keys, dv_stride, g);
        scatter(dv, at, dvt, keys.real, 1.0f);
    }
}

#endif
