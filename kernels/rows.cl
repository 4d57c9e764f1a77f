// Rows picked by their numbers, which all differ.
//
//   gather_rows:  y row i = x row rows[i]
//   scatter_rows: y row rows[i] = x row i; the others stay
//   rows (n)   gather_rows: y (n, W), x (M, W)   scatter_rows: y (M, W), x (n, W)
//
// One work-group copies one row; its WG items take words of 32 bits in turn, whatever these hold. Bandwidth bound.

static inline void copy_words(__global int *to, __global const int *from, const int W) {
    for (int c = get_local_id(0); c < W; c += WG)
        to[c] = from[c];
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void gather_rows(TENSOR(int, y), const int y_stride,
                                                                          TENSOR(const int, x), const int x_stride,
                                                                          TENSOR(const int, rows), const int W) {
    AT(y);
    AT(x);
    AT(rows);
    const size_t i = get_group_id(0);
    copy_words(y + i * y_stride, x + (size_t)rows[i] * x_stride, W);
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void scatter_rows(TENSOR(int, y), const int y_stride,
                                                                           TENSOR(const int, x), const int x_stride,
                                                                           TENSOR(const int, rows), const int W) {
    AT(y);
    AT(x);
    AT(rows);
    const size_t i = get_group_id(0);
    copy_words(y + (size_t)rows[i] * y_stride, x + i * x_stride, W);
}
