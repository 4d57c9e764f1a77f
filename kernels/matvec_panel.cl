// y (M, N) = [residual or y] + x (M, K) * W0^T + bias + u (M, R) * B^T for few rows, in explicit vectors: for CPUs.
//
// As panel.cl says, all rows at a time. Few rows read W0 once and wait for memory: no blocks, 16-bit weights widened in
// registers, even and odd steps summed apart so that one row's chain of additions is not the limit.

#ifndef ROWS
#define ROWS 1 // at least M
#endif

#define VECTOR_STEPS(part, at)                                                                                         \
    UNROLL for (int i = 0; i < ROWS; i++) {                                                                            \
        const V value = (V)(x[row[i] + (at)]);                                                                         \
        UNROLL for (int j = 0; j < NV; j++) part[i][j] = fma(value, now[j], part[i][j]);                               \
    }

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void matvec_panel(FORWARD_ARGUMENTS) {
    FORWARD_BEGIN;
    const int q = get_global_id(0);
    FORWARD_PANEL;
    V c[ROWS][NV], odd[ROWS][NV];
    size_t row[ROWS];
    __global const float *from = accumulate ? y : residual;
    from = from ? from + col : from;
    __global const float *plus = bias ? bias + col : 0;
    ROWS_FROM(row, ROWS, 0, M, accumulate ? y_stride : residual_stride);
    START(c, ROWS, from, row, plus, lanes);
    UNROLL for (int i = 0; i < ROWS; i++) UNROLL for (int j = 0; j < NV; j++) odd[i][j] = (V)(0.0f);
    ROWS_FROM(row, ROWS, 0, M, x_stride);
    for (int k = 0; k < K; k += 2) {
        V now[NV];
#if STORAGE == 2
        JOIN(uint, VW) two[NV];
        UNROLL for (int j = 0; j < NV; j++) {
            two[j] = JOIN(vload, VW)(k / 2 * NV + j, (__global const uint *)panel);
            now[j] = JOIN(as_float, VW)(two[j] << 16);
        }
#elif STORAGE == 1
        UNROLL for (int j = 0; j < NV; j++) now[j] = widen(panel + (size_t)k * NR + j * VW);
#else
        UNROLL for (int j = 0; j < NV; j++) now[j] = LOAD(panel + (size_t)k * NR + j * VW);
#endif
        VECTOR_STEPS(c, k);
        if (k + 1 == K)
            break;
#if STORAGE == 2
        UNROLL for (int j = 0; j < NV; j++) now[j] = JOIN(as_float, VW)(two[j] & 0xffff0000u);
#elif STORAGE == 1
        UNROLL for (int j = 0; j < NV; j++) now[j] = widen(panel + (size_t)(k + 1) * NR + j * VW);
#else
        UNROLL for (int j = 0; j < NV; j++) now[j] = LOAD(panel + (size_t)(k + 1) * NR + j * VW);
#endif
#if ROWS <= 2
        VECTOR_STEPS(odd, k + 1);
#else
        VECTOR_STEPS(c, k + 1);
#endif
    }
    UNROLL for (int i = 0; i < ROWS; i++) UNROLL for (int j = 0; j < NV; j++) c[i][j] += odd[i][j];
    ROWS_FROM(row, ROWS, 0, M, u_stride);
    MULTIPLY(c, ROWS, u + u_col, row, factor, rank);
    ROWS_FROM(row, ROWS, 0, M, y_stride);
    FINISH(c, ROWS, y + col, row, M, lanes);
}
