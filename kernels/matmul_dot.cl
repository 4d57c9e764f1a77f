// y (M, N) = [residual or y] + bf16(x) (M, K) * W0^T + bias + u (M, R) * B^T with W0 in bf16, in explicit vectors: for
// CPUs that multiply pairs of bf16.
//
// matmul_panel with two steps of K at once. A work-item rounds its rows' block of x to pairs in local memory, where it
// stays in the second cache while the item's panels pass. The low-rank term is in floats.

#ifndef MR
#define MR 8 // rows of a register tile; MR * NR / VW vectors are held
#endif
#ifndef KC
#define KC 640 // steps of a block; even
#endif
#ifndef MB
#define MB 360 // most rows of an item
#endif
#if KC % 2 != 0
#error "KC must be even"
#endif

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void matmul_dot(FORWARD_ARGUMENTS) {
    FORWARD_BEGIN;
    const int begin = get_global_id(1) * row_share, end = min(M, begin + row_share);
    const int q_begin = get_global_id(0) * panel_share, q_end = min(panels, q_begin + panel_share);
    __local uint pairs[(MB + TILE_ROWS) * WHOLE_TILES(KC / 2)];
    DOT_BEGIN;
    for (int k = 0; k < K; k += block) {
        const int steps = min(block, K - k), last = k + steps == K;
        for (int m = begin; m < end; m++) {
            __local uint *left = pairs + (m - begin) * WHOLE_TILES(KC / 2);
            pack_pairs(left, x + (size_t)m * x_stride + k, steps);
            fill_up(left, (steps + 1) / 2, WHOLE_TILES((steps + 1) / 2));
        }
        for (int q = q_begin; q < q_end; q++) {
            FORWARD_PANEL;
            __global const uint *right = STEPS_AT(panel, k); // pairs
            FORWARD_FROM;
            tile_rest(rest, right, (steps + 1) / 2);
            for (int m = begin; m < end; m += MR) {
                V c[MR][NV];
                size_t row[MR];
                ROWS_FROM(row, MR, m, end, from_stride);
                START(c, MR, from, row, plus, lanes);
                DOT_ROWS(c, MR, m - begin, end - begin, pairs, WHOLE_TILES(KC / 2), right, (steps + 1) / 2);
                if (last) {
                    ROWS_FROM(row, MR, m, end, u_stride);
                    MULTIPLY(c, MR, u + u_col, row, factor, rank);
                }
                ROWS_FROM(row, MR, m, end, y_stride);
                FINISH(c, MR, y + col, row, end - m, lanes);
            }
        }
    }
    DOT_END;
}
