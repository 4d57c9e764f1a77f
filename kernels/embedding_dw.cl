// The gradient of an embedding: dw (N, K) accumulates, row ids[m] += scale * row m of dy (M, K), rows begin .. end
// of it here.
//
//   dw in panels of NR rows like those of an f32 weight (NR = 1: plain rows)
//
// An item takes `share` columns and adds the rows of dy one after the other: no two items meet, and the order of a sum
// is that of the rows. An id outside of 0 .. N has no row.

#ifndef NR
#define NR 16 // rows of a panel; 1: plain rows
#endif

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
embedding_dw(TENSOR(float, dw), TENSOR(const float, dy), const int dy_stride, TENSOR(const int, ids), const int M,
             const int K, const int begin, const int end, const int share, const float scale) {
    AT(dw);
    AT(dy);
    AT(ids);
    const int first = get_global_id(0) * share, last = min(K, first + share);
    for (int m = 0; m < M; m++, dy += dy_stride) {
        const int row = ids[m] - begin;
        if (ids[m] < begin || ids[m] >= end)
            continue;
        __global float *to = dw + (size_t)(row / NR) * K * NR + row % NR;
        for (int k = first; k < last; k++)
            to[(size_t)k * NR] += scale * dy[k];
    }
}
