// Rows of a frozen weight gathered from its own layout: y[m] = scale * W0[ids[m]].
//
//   y (M, K)   ids (M)   W0 (N, K) in panels of NR rows (NR = 1: plain rows), rows begin .. end of it in this part
//
// One work-item makes one element; elements of a row lie apart, which costs nothing beside the products. A row
// whose id is outside 0 .. N is NaN, so that a mistake shows.

// y = scale * column k of row n of W0, where this part has the row.
static inline void gather(__global float *y, __global const stored *w, const int n, const int k, const int N,
                          const int K, const int begin, const int end, const float scale) {
    if (n < 0 || n >= N) {
        *y = NAN;
    } else if (n >= begin && n < end) {
        const int row = n - begin;
        *y = scale * element(w + row / NR * panel_size(K), k, row % NR);
    }
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
embedding(TENSOR(float, y), const int y_stride, TENSOR(const int, ids), TENSOR(const stored, w), const int N,
          const int K, const int begin, const int end, const float scale) {
    AT(y);
    AT(ids);
    AT(w);
    const int k = get_global_id(0), m = get_global_id(1);
    if (k < K)
        gather(y + (size_t)m * y_stride + k, w, ids[m], k, N, K, begin, end, scale);
}
