// dw (N, K) += dy (M, N)^T * x (M, K), in panels like those of an f32 weight, in explicit vectors: for CPUs.
//
//   dw: element (k, lane) of panel q at (q * K + k) * NR + lane; lanes past a panel's end stay zero
//
// An item makes KB columns of x by a few panels. Of a block of MB rows it lays the columns of x aside, MR side by side
// for each row, and then a panel's columns of dy, so that the sums, MR columns by NR lanes in registers, walk down the
// rows through consecutive memory in the caches. Between blocks the sums wait in dw.

#ifndef MR
#define MR 6 // columns of x in registers; MR * NR / VW vectors are held
#endif
#ifndef MB
#define MB 256 // rows of a block
#endif
#ifndef KB
#define KB 192 // columns of x of an item
#endif

// left[(tile * MB + step) * MR + i] = column tile * MR + i of row `step` of x, zero past `columns` of them.
INLINE void lay_columns(__local float *left, __global const float *x, const int stride, const int steps,
                        const int columns) {
    for (int k = 0; k < columns; k += MR) {
        __local float *to = left + k * MB;
        for (int step = 0; step < steps; step++, to += MR) {
            __global const float *from = x + (size_t)step * stride + k;
            if (columns - k >= MR)
                UNROLL for (int i = 0; i < MR; i++) to[i] = from[i];
            else
                for (int i = 0; i < MR; i++)
                    to[i] = k + i < columns ? from[i] : 0.0f;
        }
    }
}

// right[step * NR + lane] = column `lane` of row `step` of dy, zero past `lanes` of them.
INLINE void lay_lanes(__local float *right, __global const float *dy, const int stride, const int steps,
                      const int lanes) {
    for (int step = 0; step < steps; step++, dy += stride, right += NR)
        if (lanes == NR)
            UNROLL for (int j = 0; j < NV; j++) STORE(LOAD(dy + j * VW), right + j * VW);
        else
            for (int e = 0; e < NR; e++)
                right[e] = e < lanes ? dy[e] : 0.0f;
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
matmul_panel_dw(TENSOR(float, dw), TENSOR(const float, dy), const int dy_stride, TENSOR(const float, x),
                const int x_stride, TENSOR(const int, columns), const int M, const int K, const int first,
                const int panels, const int panel_share) {
    AT(dw);
    AT(dy);
    AT(x);
    AT(columns);
    __local float left[(KB + MR) * MB], right[MB * NR];
    const int k_begin = get_global_id(0) * KB, k_end = min(K, k_begin + KB);
    const int q_begin = get_global_id(1) * panel_share, q_end = min(panels, q_begin + panel_share);
    size_t nth[MR];
    UNROLL for (int i = 0; i < MR; i++) nth[i] = i;

    for (int m = 0; m < M; m += MB) {
        const int steps = min(MB, M - m);
        lay_columns(left, x + (size_t)m * x_stride + k_begin, x_stride, steps, k_end - k_begin);
        for (int q = q_begin; q < q_end; q++) {
            __global float *out = dw + (size_t)q * K * NR;
            lay_lanes(right, dy + (size_t)m * dy_stride + columns[2 * (first + q)], dy_stride, steps,
                      columns[2 * (first + q) + 1]);
            for (int k = k_begin; k < k_end; k += MR) {
                __local const float *by = left + (k - k_begin) * MB;
                V c[MR][NV];
                size_t row[MR];
                ROWS_FROM(row, MR, k, k_end, NR);
                UNROLL for (int i = 0; i < MR; i++) UNROLL for (int j = 0; j < NV; j++) c[i][j] =
                    LOAD(out + row[i] + j * VW);
                for (int step = 0; step < steps; step++, by += MR) {
                    V part[NV];
                    UNROLL for (int j = 0; j < NV; j++) part[j] = LOAD(right + step * NR + j * VW);
                    MULTIPLY_STEP(c, MR, by, nth, 0, part);
                }
                UNROLL for (int i = 0; i < MR; i++) if (k + i < k_end) UNROLL for (int j = 0; j < NV; j++)
                    STORE(c[i][j], out + row[i] + j * VW);
            }
        }
    }
}
