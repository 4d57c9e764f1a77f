// dx (M, K) = [dx] + dy (M, N) * W0 + du (M, R) * A, in explicit vectors: for CPUs.
//
// As panel.cl says, with rows of W0 for steps: a block of panels is turned into local memory, where a step's NR
// elements of K lie side by side.

#ifndef MR
#define MR 6 // rows of a register tile; MR * NR / VW vectors are held
#endif
#ifndef NB
#define NB 384 // rows of W0 in a block; a multiple of NR
#endif
#ifndef PB
#define PB 8 // most panels over K of an item
#endif
#if NB % NR != 0
#error "NB must be a multiple of NR"
#endif

// Four lanes of four steps, which lie apart in the panel.
static inline void square_load(float4 s[4], __global const stored *panel, const int k, const int lane) {
    for (int i = 0; i < 4; i += STEPS)
        LANES(4, s + i, panel, k + i, lane);
}

// turned[lane * NR + step] = the panel's element, for NR lanes and `steps` steps from k on; further steps are zero.
INLINE void turn(__local float *turned, __global const stored *panel, const int k, const int steps) {
    if (steps < NR) {
        for (int step = 0; step < NR; step++)
            for (int lane = 0; lane < NR; lane++)
                turned[lane * NR + step] = step < steps ? element(panel, k + step, lane) : 0.0f;
        return;
    }
    for (int step = 0; step < NR; step += 4)
        UNROLL for (int lane = 0; lane < NR; lane += 4) {
            float4 s[4];
            square_load(s, panel, k + step, lane);
            __local float *to = turned + lane * NR + step;
            vstore4((float4)(s[0].s0, s[1].s0, s[2].s0, s[3].s0), 0, to);
            vstore4((float4)(s[0].s1, s[1].s1, s[2].s1, s[3].s1), 0, to + NR);
            vstore4((float4)(s[0].s2, s[1].s2, s[2].s2, s[3].s2), 0, to + 2 * NR);
            vstore4((float4)(s[0].s3, s[1].s3, s[2].s3, s[3].s3), 0, to + 3 * NR);
        }
}

// Each block of up to NB rows of W0 (whole panels) is turned once into local memory, where it is a few panels over K,
// and used for all rows of the item: their share should be large, or turning costs too much; the block of dy that goes
// with it (rows by NB) should stay in the second cache while the item's panels over K pass. Only real lanes are kept,
// so that the block's rows are consecutive columns of dy.
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void matmul_panel_dx(DX_ARGUMENTS) {
    DX_BEGIN;
    __local float turned[PB][(NB + NR) * NR];
    __global const float *none = 0;
    for (int p = 0; p < panels; p += NB / NR) {
        const int last = p + NB / NR >= panels;
        const int col = columns[2 * (first + p)];
        int steps = 0;
        for (int q = p; q < min(panels, p + NB / NR); q++) {
            for (int k = k_begin; k < k_end; k += NR)
                turn(turned[(k - k_begin) / NR] + steps * NR, w + q * panel_size(K), k, min(NR, K - k));
            steps += columns[2 * (first + q) + 1];
        }
        for (int k = k_begin; k < k_end; k += NR) {
            const int lanes = min(NR, K - k);
            __local const float *right = turned[(k - k_begin) / NR];
            __global const float *from = p > 0 || accumulate ? dx + k : 0;
            for (int m = begin; m < end; m += MR) {
                V c[MR][NV];
                size_t row[MR];
                ROWS_FROM(row, MR, m, end, dx_stride);
                START(c, MR, from, row, none, lanes);
                ROWS_FROM(row, MR, m, end, dy_stride);
                MULTIPLY(c, MR, dy + col, row, right, steps);
                if (last) {
                    ROWS_FROM(row, MR, m, end, du_stride);
                    MULTIPLY(c, MR, du, row, a + (size_t)k * R, R);
                }
                ROWS_FROM(row, MR, m, end, dx_stride);
                FINISH(c, MR, dx + k, row, end - m, lanes);
            }
        }
    }
}
