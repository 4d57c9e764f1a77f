// The low-rank terms of rows that have one each, of any ranks, in explicit vectors: for CPUs.
//
//   lowrank_each_down   u (M, R_m) = s_m * x (M, K) * A_m^T
//   lowrank_each_up     y (M, N) += u * B_m^T
//
// A row of `table` says where the factors of T neighbouring rows are (ops/lowrank_each.h). A row is added up as
// lowrank_panel_down and matmul_panel do, whatever other rows have. Bound by the factors' bytes: down reads RANKS rows
// of A panel by panel, up all of B from front to back.

#ifndef RANKS
#define RANKS 8 // of a work-item of down, held as vectors of sums
#endif

// A row of the table, and of each module in it.
enum {
    TERM_RANKS,
    TERM_A_BUFFER,
    TERM_B_BUFFER,
    TERM_A,
    TERM_B = TERM_A + 2,
    TERM_MODULES = TERM_B + 2,
    TERM_INTS = TERM_MODULES + 16
};
enum { MODULE_RANK, MODULE_ROW, MODULE_SCALE, MODULE_B, MODULE_INTS };

#define BUFFER(i) __global const float *b##i
#define FOUR_BUFFERS(a, b, c, d) BUFFER(a), BUFFER(b), BUFFER(c), BUFFER(d)
#define BUFFERS                                                                                                   \
    FOUR_BUFFERS(0, 1, 2, 3), FOUR_BUFFERS(4, 5, 6, 7), FOUR_BUFFERS(8, 9, 10, 11), FOUR_BUFFERS(12, 13, 14, 15), \
        FOUR_BUFFERS(16, 17, 18, 19), FOUR_BUFFERS(20, 21, 22, 23), FOUR_BUFFERS(24, 25, 26, 27),                 \
        FOUR_BUFFERS(28, 29, 30, 31)
#define ALL_BUFFERS                                                                                                   \
    {                                                                                                                 \
        b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, b11, b12, b13, b14, b15, b16, b17, b18, b19, b20, b21, b22, b23, \
            b24, b25, b26, b27, b28, b29, b30, b31                                                                    \
    }

static inline size_t place_of(__global const int *at) {
    return (size_t)(uint)at[0] | (size_t)(uint)at[1] << 32;
}

// Row m of u, ranks from `first` on, below R.
INLINE void each_down(__global float *u, const int u_stride, __global const float *x, const int x_stride,
                      __global const int *term, __global const float *buffer, const int m, const int K,
                      const int first) {
    const int R = term[TERM_RANKS], last = min(R, first + RANKS);
    lowrank_down(u, u_stride, x, x_stride, buffer + place_of(term + TERM_A), 0, K, R, m, m + 1, first, last, 1, RANKS);
    for (int i = 0; i < 4; i++) {
        __global const int *module = term + TERM_MODULES + i * MODULE_INTS;
        const int end = min(last, module[MODULE_ROW] + module[MODULE_RANK]);
        for (int r = max(first, module[MODULE_ROW]); r < end; r++)
            u[(size_t)m * u_stride + r] *= as_float(module[MODULE_SCALE]);
    }
}

// W0's panels from begin to end, of which modules after the first begin at begin1 to begin3.
INLINE void each_up(__global float *y, const int y_stride, __global const float *u, const int u_stride,
                    __global const int *term, __global const float *buffer, __global const int *columns, const int m,
                    const int begin, const int end, const int begin1, const int begin2, const int begin3) {
    __global const float *b = buffer + place_of(term + TERM_B), *no_bias = 0;
    for (int p = begin; p < end; p++) {
        const int i = (p >= begin1) + (p >= begin2) + (p >= begin3);
        __global const int *module = term + TERM_MODULES + i * MODULE_INTS;
        const int in_module = p - (i == 0 ? 0 : i == 1 ? begin1 : i == 2 ? begin2 : begin3);
        const int rank = module[MODULE_RANK], col = columns[2 * p], lanes = columns[2 * p + 1];
        __global const float *factor = b + module[MODULE_B] + (size_t)in_module * NR * rank;
        V c[1][NV];
        size_t row[1] = {(size_t)m * y_stride};
        if (rank == 0)
            continue;
        START(c, 1, y + col, row, no_bias, lanes);
        row[0] = (size_t)m * u_stride + module[MODULE_ROW];
        MULTIPLY(c, 1, u, row, factor, rank);
        row[0] = (size_t)m * y_stride;
        FINISH(c, 1, y + col, row, 1, lanes);
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
lowrank_each_down(TENSOR(float, u), const int u_stride, TENSOR(const float, x), const int x_stride,
                  TENSOR(const int, table), const int T, const int K, BUFFERS) {
    AT(u);
    AT(x);
    AT(table);
    __global const float *const buffers[] = ALL_BUFFERS;
    const int m = get_global_id(0), first = get_global_id(1) * RANKS;
    __global const int *term = table + (size_t)(m / T) * TERM_INTS;
    if (first < term[TERM_RANKS])
        each_down(u, u_stride, x, x_stride, term, buffers[term[TERM_A_BUFFER]], m, K, first);
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
lowrank_each_up(TENSOR(float, y), const int y_stride, TENSOR(const float, u), const int u_stride,
                TENSOR(const int, table), TENSOR(const int, columns), const int T, const int panels, const int share,
                const int begin1, const int begin2, const int begin3, BUFFERS) {
    AT(y);
    AT(u);
    AT(table);
    AT(columns);
    __global const float *const buffers[] = ALL_BUFFERS;
    const int m = get_global_id(0), begin = get_global_id(1) * share;
    __global const int *term = table + (size_t)(m / T) * TERM_INTS;
    if (term[TERM_RANKS] > 0)
        each_up(y, y_stride, u, u_stride, term, buffers[term[TERM_B_BUFFER]], columns, m, begin,
                min(panels, begin + share), begin1, begin2, begin3);
}
