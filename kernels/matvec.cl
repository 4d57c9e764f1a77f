// GEMV of few rows, y (M, N) = [residual] + x (M, K) * W0^T + bias + u (M, R) * B^T, in explicit vectors: for CPUs.
// gated: y (M, N/2) = silu(g) * u, or with GELU gelu(g) * u, of the product's halves g and u, which are modules of W0.
//
// As panel.cl says, all rows at a time. Few rows read W0 once and wait for memory: no blocks, weights widened in
// registers. A core asks for more at once when it reads several panels side by side, so a work-item makes some streams
// of them, and when it is told what comes next: the hardware foresees it only as far as a page.

#ifndef ROWS
#define ROWS 1 // at least M
#endif
#ifndef AHEAD
#define AHEAD 1 // cache lines that each stream is asked for in advance; 1: none
#endif
#define HELD_SUMS (NR >= 32 ? 12 : 6) // rows * streams, each NV vectors in registers: matmul_gemv_sums of matmul.h
#define HELD_STREAMS (ROWS < HELD_SUMS ? HELD_SUMS / ROWS : 1)
#define ALL_STREAMS (HELD_STREAMS > 2 ? HELD_STREAMS : 2) // of a gated weight one may be summed after the other

enum { LINE = 64 }; // bytes of a cache line

// One product. `columns` (panels, 2) and `table` (panels, 3) as in ops/weight.h and ops/lowrank.h; null tables mean one
// module. `first` is the panel of W0's first in this part, which has `panels`: of a gated weight pairs of panels.
typedef struct {
    __global float *y;
    __global const float *x, *residual, *bias, *u, *b;
    __global const stored *w;
    __global const int *columns, *table;
    int y_stride, x_stride, residual_stride, u_stride;
    int M, N, K, R, first, panels;
} product;

// sum += x[k] * W0[k] of every stream, x's column COLUMN(k).
#define VECTOR_STEPS(sum, k, COLUMN)                                                                    \
    UNROLL for (int s = first; s < last; s++) {                                                         \
        V now[STEPS][NV];                                                                               \
        STORED_STEPS(now, from[s], k);                                                                  \
        UNROLL for (int e = 0; e < STEPS; e++) {                                                        \
            const int at = COLUMN((k) + e);                                                             \
            UNROLL for (int i = 0; i < ROWS; i++) {                                                     \
                const V value = (V)(x[i][at]);                                                          \
                UNROLL for (int j = 0; j < NV; j++) sum[s][i][j] = fma(value, now[e][j], sum[s][i][j]); \
            }                                                                                           \
        }                                                                                               \
    }

#define ANY_COLUMN(k) (k)
#define LAST_COLUMN(k) min(k, K - 1)

// Ask for what a stream reads AHEAD lines after step k, as far as two vector steps go; past the end it does no harm.
#if AHEAD > 1
#define ASK_AHEAD(panel, k)                                                             \
    UNROLL for (int at = 0; at < 2 * NR * (int)sizeof(*STEPS_AT(panel, k)); at += LINE) \
        __builtin_prefetch((const void *)((uintptr_t)STEPS_AT(panel, k) + AHEAD * LINE + at))
#else
#define ASK_AHEAD(panel, k)
#endif

// The sums of `streams` streams: panels from `begin` on, or with `gated` half as many pairs, of each half one.
typedef struct {
    V sum[ALL_STREAMS][ROWS][NV];
} stream_sums;

// What of a product FORWARD_PANEL asks for.
#define PRODUCT_PANEL                                              \
    const int K = in->K, N = in->N, R = in->R, first = in->first;  \
    __global const stored *w = in->w;                              \
    __global const float *b = in->b;                               \
    __global const int *columns = in->columns, *table = in->table; \
    FORWARD_PANEL

// Panel q's residual and bias, to which W0's steps are added one after the other, as matmul_panel does.
INLINE void start_stream(V c[ROWS][NV], const product *in, const int q) {
    PRODUCT_PANEL;
    __global const float *start = in->residual ? in->residual + col : 0, *plus = in->bias ? in->bias + col : 0;
    size_t at[ROWS];
    ROWS_FROM(at, ROWS, 0, in->M, in->residual_stride);
    START(c, ROWS, start, at, plus, lanes);
}

// The sums of streams first to last - 1, which stay in registers: all constants but `panel` and `x`.
INLINE void sum_streams(stream_sums *out, const product *in, const int *panel, __global const float *const *x,
                        const int first, const int last) {
    const int K = in->K;
    __global const stored *from[ALL_STREAMS];
    int k = 0;
    UNROLL for (int s = first; s < last; s++) {
        from[s] = in->w + panel[s] * panel_size(K);
        start_stream(out->sum[s], in, panel[s]);
    }
    for (; k + 2 * STEPS <= K; k += 2 * STEPS) {
        UNROLL for (int s = first; s < last; s++) ASK_AHEAD(from[s], k);
        VECTOR_STEPS(out->sum, k, ANY_COLUMN);
        VECTOR_STEPS(out->sum, k + STEPS, ANY_COLUMN);
    }
    for (; k < K; k += STEPS) // steps past the end are zero
        VECTOR_STEPS(out->sum, k, LAST_COLUMN);
}

// First the sums of W0, then y. begin, streams and gated are the same in both, all but begin constants.
INLINE void matvec_sum(stream_sums *out, const product *in, const int begin, const int streams, const int gated) {
    __global const float *x[ROWS];
    int panel[ALL_STREAMS];
    UNROLL for (int s = 0; s < streams; s++) // past the last panel the last one again, which is not stored
        panel[s] = min(begin + (s >> gated), in->panels - 1) + (gated ? s % 2 * in->panels : 0);
    UNROLL for (int i = 0; i < ROWS; i++) x[i] = in->x + (size_t)min(i, in->M - 1) * in->x_stride;
    if (streams <= HELD_STREAMS)
        sum_streams(out, in, panel, x, 0, streams);
    else { // a pair
        sum_streams(out, in, panel, x, 0, 1);
        sum_streams(out, in, panel, x, 1, 2);
    }
}

INLINE void matvec_finish(const stream_sums *sums, const product *in, const int begin, const int streams,
                          const int gated) {
    const int panels = in->panels;
    size_t row[ROWS], at[ROWS];
    ROWS_FROM(row, ROWS, 0, in->M, in->y_stride);
    ROWS_FROM(at, ROWS, 0, in->M, in->u_stride);
    UNROLL for (int s = 0; s < streams; s += 1 + gated) {
        const int pair = begin + (s >> gated);
        V c[2][ROWS][NV];
        int y_col = 0, y_lanes = 0;
        if (pair >= panels)
            break;
        UNROLL for (int half_of = gated; half_of >= 0; half_of--) {
            const int q = pair + half_of * panels;
            PRODUCT_PANEL;
            UNROLL for (int i = 0; i < ROWS; i++) UNROLL for (int j = 0; j < NV; j++) c[half_of][i][j] =
                sums->sum[s + half_of][i][j];
            MULTIPLY(c[half_of], ROWS, in->u + u_col, at, factor, rank);
            y_col = col;
            y_lanes = lanes;
        }
        if (gated)
            UNROLL for (int i = 0; i < ROWS; i++) UNROLL for (int j = 0; j < NV; j++) c[0][i][j] =
                c[0][i][j] * sigmoid(GATE_INNER(c[0][i][j])) * c[1][i][j];
        FINISH(c[0], ROWS, in->y + y_col, row, in->M, y_lanes);
    }
}
