// What the kernels of attention for many rows share; attention_row.cl is for few.
//
//   y = softmax(q k^T / sqrt(D)) v      q, y (B*T, H*D)   k, v (B*S, G*D)   lse (B*T, H)
//
// Row r = 0 .. T*H/G - 1 of a sequence and key/value head g is query t = r / (H/G) of head g*(H/G) + r % (H/G): the
// heads of a group stand side by side, so that they share every key that is read, also when T = 1.
//
// A work-group holds one side of the products still (LANES rows, or LANES keys) as tiles of shape (D, LANES) in local
// memory; the other side streams past in its own layout, BK at a time. So every product is broadcasts of the stream
// times vectors of the tile, in register tiles of MR x NV vectors, and no sum runs across lanes:
//   dots        s (BK, LANES) = stream (BK, D) * tile (D, LANES)
//   accumulate  o (D, LANES) += stream^T (D, BK) * p (BK, LANES)
// On CPUs the lanes are NV vectors of VW floats of one work-item; on GPUs (VW = NV = 1) each of the WG items is a lane.
// An item touches its own lanes of local memory only: no barriers.

#ifndef D
#define D 64 // head size
#endif
#ifndef NV
#define NV 1 // vectors of lanes of a work-item
#endif
#ifndef MR
#define MR 6 // streamed rows, or rows of o, in registers at once
#endif
#ifndef BK
#define BK 48 // streamed rows between two corrections of the running maximum; a multiple of MR
#endif
#ifndef FORKED
#define FORKED 0 // 1: keys are hidden from queries after their last
#endif
#ifndef CAPPED
#define CAPPED 0 // 1: scores become cap * tanh(score / cap)
#endif
#ifndef PARTIAL
#define PARTIAL 0 // 1: first has two columns; queries see the prefix from the second's key on
#endif
#if BK % MR != 0
#error "BK must be a multiple of MR"
#endif
#if WG > 1 && (VW > 1 || NV > 1)
#error "either the lanes are work-items or one work-item has vectors"
#endif

#define LANES (VW * NV * WG)
#define FIRST(m) first[(m) * (1 + PARTIAL)] // key after the prefix that row m sees
#if PARTIAL
#define PREFIX_FIRST(m) first[(m)*2 + 1]
#else
#define PREFIX_FIRST(m) 0
#endif
#define ITEM ((int)get_local_id(0))
#define TILE(t, d, v) t[((d)*NV + (v)) * WG + ITEM] // a vector of a tile
#define LANE(v, i) (((v)*WG + ITEM) * VW + (i))     // the number of lane i of vector v among LANES
#define ELEMENT(t, d, v, i) ((__local float *)&TILE(t, d, v))[i]
#define FOR_VECTORS(v) UNROLL for (int v = 0; v < NV; v++)
#define FOR_LANES(v, i)          \
    for (int v = 0; v < NV; v++) \
        for (int i = 0; i < VW; i++)

// s[r] = sum over d of rows[r][d] * x[d], r < MR; past the last row it is repeated
INLINE void dots_tile(__local V *s, __global const float *rows, const int stride, const int last, __local const V *x) {
    V sum[MR][NV];
    __global const float *row[MR];
    UNROLL for (int r = 0; r < MR; r++) {
        row[r] = rows + (size_t)min(r, last) * stride;
        FOR_VECTORS(v)
            sum[r][v] = (V)(0.0f);
    }
    for (int d = 0; d < D; d++) {
        V part[NV];
        FOR_VECTORS(v)
            part[v] = TILE(x, d, v);
        UNROLL for (int r = 0; r < MR; r++) {
            const V value = (V)(row[r][d]);
            FOR_VECTORS(v)
                sum[r][v] = fma(value, part[v], sum[r][v]);
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
        FOR_VECTORS(v)
            part[v] = TILE(p, j, v);
        UNROLL for (int r = 0; r < count; r++) {
            const V value = (V)(rows[(size_t)j * stride + r]);
            FOR_VECTORS(v)
                sum[r][v] = fma(value, part[v], sum[r][v]);
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
        FOR_VECTORS(v)
            TILE(o, d, v) = (V)(0.0f);
}

enum { WHOLE = VW > 1 ? D / VW *VW : 0 }; // elements of a row that move as vectors

#if VW > 1
// Rows become columns: each pass moves the lowest bit of the column to the top of the row, and the row's to the
// column's.
INLINE void transpose(V *x) {
    UNROLL for (int pass = 1; pass < VW; pass *= 2) {
        V y[VW];
        UNROLL for (int i = 0; i < VW / 2; i++) {
            y[i] = (V)(x[2 * i].even, x[2 * i + 1].even);
            y[VW / 2 + i] = (V)(x[2 * i].odd, x[2 * i + 1].odd);
        }
        UNROLL for (int i = 0; i < VW; i++) x[i] = y[i];
    }
}
#endif

// Rows of x into the lanes of a tile, times scale, and back. at[] holds each lane's first element.
INLINE void gather(__local V *tile, __global const float *x, const size_t *at, const float scale) {
#if VW > 1
    for (int v = 0; v < NV; v++)
        for (int d = 0; d < WHOLE; d += VW) {
            V square[VW];
            UNROLL for (int i = 0; i < VW; i++) square[i] = LOAD(x + at[v * VW + i] + d);
            transpose(square);
            UNROLL for (int i = 0; i < VW; i++) TILE(tile, d + i, v) = square[i] * scale;
        }
#endif
    FOR_LANES(v, i)
        for (int d = WHOLE; d < D; d++)
            ELEMENT(tile, d, v, i) = x[at[v * VW + i] + d] * scale;
}

INLINE void scatter(__global float *x, const size_t *at, __local V *tile, const bool *real, const float scale) {
#if VW > 1
    for (int v = 0; v < NV; v++)
        for (int d = 0; d < WHOLE; d += VW) {
            V square[VW];
            UNROLL for (int i = 0; i < VW; i++) square[i] = TILE(tile, d + i, v) * scale;
            transpose(square);
            UNROLL for (int i = 0; i < VW; i++) if (real[v * VW + i]) STORE(square[i], x + at[v * VW + i] + d);
        }
#endif
    FOR_LANES(v, i)
        for (int d = WHOLE; d < D && real[v * VW + i]; d++)
            x[at[v * VW + i] + d] = ELEMENT(tile, d, v, i) * scale;
}

INLINE void cap_scores(__local V *s, const int n, const float cap) {
#if CAPPED
    for (int j = 0; j < n; j++)
        FOR_VECTORS(v)
            TILE(s, j, v) = tanh(TILE(s, j, v) / cap) * cap;
#endif
}

// What the gradient of a capped score is multiplied by to be that of the score; 0 for a hidden one, -infinity.
INLINE V cap_slope(const V s, const float cap) {
#if CAPPED
    const V t = s / cap;
    return 1.0f - fmin(t * t, (V)(1.0f));
#else
    return (V)(1.0f);
#endif
}

// The queries in the lanes of a group: where they stand and which keys they see. Lanes past the end repeat the last
// row.
typedef struct {
    size_t m[NV * VW]; // row of q
    int head[NV * VW];
    bool real[NV * VW];
    int prefix;                   // keys before it are seen by all
    int lo[NV * VW], hi[NV * VW]; // first and last visible key of those after it
    int from, to;                 // keys that some lane sees: from <= key < to
    int clear_from, clear_to;     // keys that all lanes see
#if PARTIAL
    int near[NV * VW];         // first visible key of the prefix
    int near_from, near_clear; // that some lane and that all lanes see
#endif
#if FORKED
    int past;
    __global const int *last; // query that sees each key after the prefix
#endif
} queries;

INLINE void find_queries(queries *s, __global const int *first, __global const int *last, const int past,
                         const int prefix, const int T, const int S, const int b, const int g, const int per_group,
                         const int base) {
    const int rows = T * per_group;
    s->prefix = prefix;
#if FORKED
    s->past = past;
    s->last = last + (size_t)b * (S - prefix);
#endif
    s->from = s->clear_to = INT_MAX;
    s->to = s->clear_from = 0;
    FOR_LANES(v, i) {
        const int l = v * VW + i, row = min(base + LANE(v, i), rows - 1), t = row / per_group;
        s->m[l] = (size_t)b * T + t;
        s->head[l] = g * per_group + row % per_group;
        s->real[l] = base + LANE(v, i) < rows;
        s->lo[l] = prefix + FIRST(s->m[l]);
        s->hi[l] = past + t;
        s->from = min(s->from, s->lo[l]);
        s->to = max(s->to, s->hi[l] + 1);
        s->clear_from = max(s->clear_from, s->lo[l]);
        s->clear_to = min(s->clear_to, s->hi[l] + 1);
#if PARTIAL
        s->near[l] = PREFIX_FIRST(s->m[l]);
        s->near_from = l == 0 ? s->near[l] : min(s->near_from, s->near[l]);
        s->near_clear = l == 0 ? s->near[l] : max(s->near_clear, s->near[l]);
#endif
    }
#if WG > 1
    s->from = s->from / BK * BK; // so that the items of a group read the same keys at a time
#endif
}

// Blocks of keys: those of the prefix, if there is one, then those from `from` on.
INLINE int first_block(const queries *s) {
#if PARTIAL
    return s->near_from < s->prefix ? s->near_from / BK * BK : s->from;
#else
    return s->prefix > 0 ? 0 : s->from;
#endif
}
INLINE int next_block(const queries *s, const int key) {
    return key + BK < s->prefix ? key + BK : max(key + BK, s->from);
}

// The first element of each lane's head in a matrix.
INLINE void places(size_t *at, const queries *s, const int stride) {
    for (int l = 0; l < NV * VW; l++)
        at[l] = s->m[l] * stride + s->head[l] * D;
}

#if FORKED
// Those of keys whose last query stands before a lane's.
INLINE void hide_closed(__local V *s, const queries *r, const int key, const int n) {
    for (int j = max(0, r->prefix - key); j < n; j++) {
        const int end = r->past + r->last[key + j - r->prefix];
        if (end + 1 < r->to)
            FOR_VECTORS(v)
                TILE(s, j, v) = LOAD(r->hi + v * VW) <= (VI)(end) ? TILE(s, j, v) : (V)(-INFINITY);
    }
}
#endif

// Scores that a lane must not see become -infinity; nothing to do in blocks that all lanes see whole.
INLINE void hide(__local V *s, const queries *r, const int key, const int n) {
#if FORKED
    hide_closed(s, r, key, n);
#endif
#if PARTIAL
    const int whole_from = r->near_clear; // of the prefix
#else
    const int whole_from = 0;
#endif
    if ((key >= r->clear_from && key + n <= r->clear_to) || (key >= whole_from && key + n <= r->prefix))
        return;
    FOR_VECTORS(v) {
        const VI lo = LOAD(r->lo + v * VW), hi = LOAD(r->hi + v * VW);
        for (int j = 0; j < n; j++) {
            const VI k = (VI)(key + j);
            VI ahead = k < (VI)(r->prefix);
#if PARTIAL
            ahead &= k >= LOAD(r->near + v * VW);
#endif
            TILE(s, j, v) = (((k >= lo) & (k <= hi)) | ahead) ? TILE(s, j, v) : (V)(-INFINITY);
        }
    }
}
