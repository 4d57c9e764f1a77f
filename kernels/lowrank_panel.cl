// Products with one factor of a low-rank term, in explicit vectors: for CPUs. The factor f has R rows over the C
// columns of x, in panels: element (r, c) at (c / NR * R + r) * NR + c % NR; lanes past C are zero and stay zero.
//
//   lowrank_panel_down   u (M, R) = scales (R) * x (M, C) * f^T
//   lowrank_panel_grad   f (R, C) += d (M, R)^T * x (M, C)
//
// down: a work-item makes MB rows by RB ranks, DM x DR dot products at a time in vectors along C, summed over their
// lanes at the end. grad: a work-item makes all R rows of PB panels; blocks of rows of x stay in the first cache while
// the ranks pass, GR x NV vectors of sums at a time. Both in a fixed order.

#ifndef NR
#define NR 16 // columns of a panel; a multiple of VW
#endif
#ifndef DM
#define DM 3 // rows of a register tile of down
#endif
#ifndef DR
#define DR 4 // ranks of a register tile of down; DM * DR vectors are held
#endif
#define MOST_DR 16
#ifndef GR
#define GR 6 // ranks of a register tile of grad; GR * NR / VW vectors are held
#endif
#ifndef AHEAD
#define AHEAD 1 // more: grad asks the second cache for the next block of rows; past the end it does no harm
#endif
#define NV (NR / VW)
#if NR % VW != 0 || VW < 4
#error "NR must be a multiple of VW, VW 4, 8 or 16"
#endif
#define UNROLL _Pragma("unroll")

// Lanes past `lanes` are zero.
static inline V load_some(__global const float *p, const int lanes) {
    float lane[VW];
    for (int i = 0; i < VW; i++)
        lane[i] = i < lanes ? p[i] : 0.0f;
    return LOAD(lane);
}

// u's rows from begin to end, `rows` at a time (up to DM), and ranks from first to last, `tile` at a time: constants of
// the caller. scales may be null.
INLINE void lowrank_down(__global float *u, const int u_stride, __global const float *x, const int x_stride,
                         __global const float *f, __global const float *scales, const int C, const int R,
                         const int begin, const int end, const int first, const int last, const int rows,
                         const int tile) {
    const int whole = C / NR * NR;
    for (int m = begin; m < end; m += rows) {
        size_t row[DM];
        UNROLL for (int i = 0; i < rows; i++) row[i] = (size_t)min(m + i, end - 1) * x_stride;
        for (int r = first; r < last; r += tile) {
            V sum[DM][MOST_DR];
            size_t rank[MOST_DR];
            UNROLL for (int j = 0; j < tile; j++) rank[j] = (size_t)min(r + j, last - 1) * NR;
            UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < tile; j++) sum[i][j] = (V)(0.0f);
            for (int c = 0; c < whole; c += NR)
                UNROLL for (int e = 0; e < NR; e += VW) {
                    V part[DM];
                    UNROLL for (int i = 0; i < rows; i++) part[i] = LOAD(x + row[i] + c + e);
                    UNROLL for (int j = 0; j < tile; j++) {
                        const V factor = LOAD(f + (size_t)c * R + rank[j] + e);
                        UNROLL for (int i = 0; i < rows; i++) sum[i][j] = fma(part[i], factor, sum[i][j]);
                    }
                }
            for (int e = 0; whole + e < C; e += VW)
                for (int i = 0; i < rows; i++) {
                    const V part = load_some(x + row[i] + whole + e, C - whole - e);
                    for (int j = 0; j < tile; j++)
                        sum[i][j] = fma(part, LOAD(f + (size_t)whole * R + rank[j] + e), sum[i][j]);
                }
            UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < tile; j++) if (m + i < end && r + j < last)
                u[(size_t)(m + i) * u_stride + r + j] = (scales ? scales[r + j] : 1.0f) * sum_lanes(sum[i][j]);
        }
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
lowrank_panel_down(TENSOR(float, u), const int u_stride, TENSOR(const float, x), const int x_stride,
                   TENSOR(const float, f), TENSOR(const float, scales), const int M, const int C, const int R,
                   const int MB, const int RB) {
    AT(u);
    AT(x);
    AT(f);
    AT(scales);
    const int begin = get_global_id(0) * MB, first = get_global_id(1) * RB;
    lowrank_down(u, u_stride, x, x_stride, f, scales, C, R, begin, min(M, begin + MB), first, min(R, first + RB), DM,
                 DR);
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
lowrank_panel_grad(TENSOR(float, f), TENSOR(const float, d), const int d_stride, TENSOR(const float, x),
                   const int x_stride, const int M, const int C, const int R, const int PB, const int MB) {
    AT(f);
    AT(d);
    AT(x);
    const int first = get_global_id(0) * PB, last = min((C + NR - 1) / NR, first + PB);
    for (int m = 0; m < M; m += MB)
        for (int p = first; p < last; p++) {
            const int lanes = min(NR, C - p * NR);
            const int end = min(M, m + MB);
            for (int r = 0; r < R; r += GR) {
                V c[GR][NV];
                int rank[GR];
                __global float *out = f + ((size_t)p * R + r) * NR;
                UNROLL for (int i = 0; i < GR; i++) rank[i] = min(i, R - 1 - r);
                UNROLL for (int i = 0; i < GR; i++) UNROLL for (int j = 0; j < NV; j++) c[i][j] =
                    LOAD(out + rank[i] * NR + j * VW);
                __global const float *from = x + (size_t)m * x_stride + p * NR;
                __global const float *by = d + (size_t)m * d_stride + r;
                for (int step = m; step < end; step++, from += x_stride, by += d_stride) {
#if AHEAD > 1
                    if (r == 0)
                        UNROLL for (int j = 0; j < NV; j++)
                            __builtin_prefetch((const void *)(uintptr_t)(from + (size_t)MB * x_stride + j * VW), 0, 2);
#endif
                    V part[NV];
                    UNROLL for (int j = 0; j < NV; j++) part[j] =
                        lanes == NR ? LOAD(from + j * VW) : load_some(from + j * VW, lanes - j * VW);
                    UNROLL for (int i = 0; i < GR; i++) {
                        const V value = (V)(by[rank[i]]);
                        UNROLL for (int j = 0; j < NV; j++) c[i][j] = fma(value, part[j], c[i][j]);
                    }
                }
                UNROLL for (int i = 0; i < GR; i++) if (r + i < R) UNROLL for (int j = 0; j < NV; j++)
                    STORE(c[i][j], out + i * NR + j * VW);
            }
        }
}
