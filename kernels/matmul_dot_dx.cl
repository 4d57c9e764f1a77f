// dx (M, K) = [dx] + bf16(dy) (M, N) * W0 + du (M, R) * A with W0 in bf16, in explicit vectors: for CPUs that multiply
// pairs of bf16.
//
// matmul_panel_dx with two rows of W0 at once: a block of panels is turned into local memory, where a step's NR pairs,
// of rows n and n + 1, lie side by side; a work-item rounds its rows' block of dy to pairs there too. A panel with an
// odd number of lanes has a step whose second row is zero.

#ifndef MR
#define MR 8 // rows of a register tile; MR * NR / VW vectors are held
#endif
#ifndef NB
#define NB 384 // rows of W0 in a block; a multiple of NR
#endif
#ifndef PB
#define PB 4 // most panels over K of an item
#endif
#ifndef MB
#define MB 360 // most rows of an item
#endif
#if NB % NR != 0 || NR % 8 != 0
#error "NB must be a multiple of NR, and NR of 8"
#endif

// Eight lanes of two steps of K, turned into four pairs of lanes for each step.
static inline void pairs_turn(uint4 even, uint4 odd, uint4 *low, uint4 *high) {
    *low = (even & 0xffffu) | odd << 16;
    *high = even >> 16 | (odd & 0xffff0000u);
}

// turned[lane / 2 * NR + step] = the elements of lanes `lane` (even) and lane + 1 in one uint, for NR lanes and `steps`
// steps of pairs (step / 2, lane) from W0's panel; further steps are zero.
INLINE void turn(__local uint *turned, __global const uint *from, const int steps) {

    if (steps < NR) {
        for (int step = 0; step < NR; step++)
            for (int lane = 0; lane < NR; lane += 2) {
                const int half_of = step % 2, at = step / 2 * NR + lane;
                turned[lane / 2 * NR + step] =
                    step < steps ? (from[at] >> 16 * half_of & 0xffffu) | from[at + 1] >> 16 * half_of << 16 : 0u;
            }
        return;
    }
    for (int step = 0; step < NR; step += 4)
        UNROLL for (int lane = 0; lane < NR; lane += 8) {
            const uint8 first = vload8(0, from + step / 2 * NR + lane),
                        second = vload8(0, from + (step / 2 + 1) * NR + lane);
            uint4 s0, s1, s2, s3;
            pairs_turn(first.even, first.odd, &s0, &s1);
            pairs_turn(second.even, second.odd, &s2, &s3);
            __local uint *to = turned + lane / 2 * NR + step;
            vstore4((uint4)(s0.s0, s1.s0, s2.s0, s3.s0), 0, to);
            vstore4((uint4)(s0.s1, s1.s1, s2.s1, s3.s1), 0, to + NR);
            vstore4((uint4)(s0.s2, s1.s2, s2.s2, s3.s2), 0, to + 2 * NR);
            vstore4((uint4)(s0.s3, s1.s3, s2.s3, s3.s3), 0, to + 3 * NR);
        }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void matmul_dot_dx(DX_ARGUMENTS) {
    DX_BEGIN;
    __local uint turned[PB][(NB + NR) / 2 * NR];
    __local uint pairs[(MB + TILE_ROWS) * NB / 2];
    DOT_BEGIN;
    __global const float *none = 0;
    for (int p = 0; p < panels; p += NB / NR) {
        const int last = p + NB / NR >= panels;
        int steps = 0;
        for (int q = p; q < min(panels, p + NB / NR); q++) {
            for (int k = k_begin; k < k_end; k += NR)
                turn(turned[(k - k_begin) / NR] + steps * NR, STEPS_AT(w + q * panel_size(K), k), min(NR, K - k));
            steps += (columns[2 * (first + q) + 1] + 1) / 2;
        }
        for (int m = begin; m < end; m++) { // a row at a time: rows lie far apart
            __local uint *left = pairs + (m - begin) * (NB / 2);
            int to = 0;
            for (int q = p; q < min(panels, p + NB / NR); q++) {
                const int col = columns[2 * (first + q)], lanes = columns[2 * (first + q) + 1];
                pack_pairs(left + to, dy + (size_t)m * dy_stride + col, lanes);
                to += (lanes + 1) / 2;
            }
            fill_up(left, steps, WHOLE_TILES(steps));
        }
        for (int k = k_begin; k < k_end; k += NR)
            fill_up(turned[(k - k_begin) / NR], steps * NR, WHOLE_TILES(steps) * NR);
        for (int k = k_begin; k < k_end; k += NR) {
            const int lanes = min(NR, K - k);
            __local const uint *right = turned[(k - k_begin) / NR];
            __global const float *from = p > 0 || accumulate ? dx + k : 0;
            for (int m = begin; m < end; m += MR) {
                V c[MR][NV];
                size_t row[MR];
                ROWS_FROM(row, MR, m, end, dx_stride);
                START(c, MR, from, row, none, lanes);
                DOT_ROWS(c, MR, m - begin, end - begin, pairs, NB / 2, right, WHOLE_TILES(steps));
                if (last) {
                    ROWS_FROM(row, MR, m, end, du_stride);
                    MULTIPLY(c, MR, du, row, a + (size_t)k * R, R);
                }
                ROWS_FROM(row, MR, m, end, dx_stride);
                FINISH(c, MR, dx + k, row, end - m, lanes);
            }
        }
    }
    DOT_END;
}
