// y (M, N) = [residual or y] + x (M, K) * W0^T + bias + u (M, R) * B^T, in explicit vectors: for CPUs.
//
// As panel.cl says, MR rows at a time. K is cut in blocks of KC whose part of the panel (KC x NR floats) stays in the
// first cache while the rows pass; between blocks the sums wait in the output. See matvec_panel for few rows.

#ifndef MR
#define MR 6 // rows of a register tile; MR * NR / VW vectors are held
#endif
#ifndef KC
#define KC 640 // steps of a block; even
#endif
#ifndef WIDEN
#define WIDEN 1 // what is not f32: 1 in registers, by every tile; 2 once a block, into local memory
#endif
#if KC % 2 != 0 || KC % STEPS != 0
#error "KC must be a multiple of 2 and of the steps that one load gives"
#endif

#if WIDEN == 2 && STORAGE != 0
#define MULTIPLY_BLOCK(c, row, k, steps) MULTIPLY(c, MR, x + (k), row, wide, steps)

INLINE void widen_block(__local float *wide, __global const stored *panel, const int k, const int steps) {
    for (int step = 0; step < steps; step += STEPS) {
        V part[STEPS][NV];
        STORED_STEPS(part, panel, k + step);
        UNROLL for (int e = 0; e < STEPS; e++) UNROLL for (int j = 0; j < NV; j++)
            STORE(part[e][j], wide + (step + e) * NR + j * VW);
    }
}
#else
#define MULTIPLY_BLOCK(c, row, k, steps) MULTIPLY_STORED(c, MR, x + (k), row, panel, k, steps)
#endif

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void matmul_panel(FORWARD_ARGUMENTS) {
    FORWARD_BEGIN;
    const int begin = get_global_id(1) * row_share, end = min(M, begin + row_share);
    const int q_begin = get_global_id(0) * panel_share, q_end = min(panels, q_begin + panel_share);
#if WIDEN == 2 && STORAGE != 0
    __local float wide[KC * NR];
#endif
    int k = 0;
    do { // at least once: without W0 there is still the rest
        const int steps = min(block, K - k);
        for (int q = q_begin; q < q_end; q++) {
            FORWARD_PANEL;
#if WIDEN == 2 && STORAGE != 0
            widen_block(wide, panel, k, steps);
#endif
            FORWARD_FROM;
            for (int m = begin; m < end; m += MR) {
                V c[MR][NV];
                size_t row[MR];
                ROWS_FROM(row, MR, m, end, from_stride);
                START(c, MR, from, row, plus, lanes);
                ROWS_FROM(row, MR, m, end, x_stride);
                MULTIPLY_BLOCK(c, row, k, steps);
                if (k + steps == K) {
                    ROWS_FROM(row, MR, m, end, u_stride);
                    MULTIPLY(c, MR, u + u_col, row, factor, rank);
                }
                ROWS_FROM(row, MR, m, end, y_stride);
                FINISH(c, MR, y + col, row, end - m, lanes);
            }
        }
        k += steps;
    } while (k < K);
}
