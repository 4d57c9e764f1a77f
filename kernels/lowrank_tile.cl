// Products with one factor of a low-rank term, in tiles of local memory: for GPUs. The factor f has R rows over the C
// columns of x, in panels: element (r, c) at (c / NR * R + r) * NR + c % NR; lanes past C are zero and stay zero.
//
//   lowrank_tile_down   u (M, R) = scales (R) * x (M, C) * f^T
//   lowrank_tile_grad   f (R, C) += d (M, R)^T * x (M, C)
//
// down: a group makes TR rows by TR ranks, one an item, NR columns of both in local memory at a time. grad: a group
// makes GR ranks of one panel; NR lanes read neighbouring elements of x, SLICES items share the rows of a lane and
// their sums meet in local memory. Both in a fixed order.

#ifndef NR
#define NR 32 // columns of a panel
#endif
#ifndef TR
#define TR 16 // rows and ranks of a group of down
#endif
#ifndef GR
#define GR 8 // ranks of a group of grad
#endif
#ifndef SLICES
#define SLICES 8 // items of grad that share a lane
#endif
#define UNROLL _Pragma("unroll")

__kernel __attribute__((reqd_work_group_size(TR, TR, 1))) void
lowrank_tile_down(TENSOR(float, u), const int u_stride, TENSOR(const float, x), const int x_stride,
                  TENSOR(const float, f), TENSOR(const float, scales), const int M, const int C, const int R) {
    AT(u);
    AT(x);
    AT(f);
    AT(scales);
    __local float left[TR][NR + 1], right[TR][NR + 1];
    const int lx = get_local_id(0), ly = get_local_id(1);
    const int first = get_group_id(0) * TR, r = first + lx, begin = get_group_id(1) * TR, m = begin + ly;
    float sum = 0.0f;
    for (int c = 0; c < C; c += NR) {
        for (int e = ly * TR + lx; e < TR * NR; e += TR * TR) {
            const int row = e / NR, lane = e % NR;
            left[row][lane] = begin + row < M && c + lane < C ? x[(size_t)(begin + row) * x_stride + c + lane] : 0.0f;
            right[row][lane] = first + row < R ? f[(size_t)c * R + (size_t)(first + row) * NR + lane] : 0.0f;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int lane = 0; lane < NR; lane++)
            sum = fma(left[ly][lane], right[lx][lane], sum);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    if (m < M && r < R)
        u[(size_t)m * u_stride + r] = scales[r] * sum;
}

__kernel __attribute__((reqd_work_group_size(NR, SLICES, 1))) void
lowrank_tile_grad(TENSOR(float, f), TENSOR(const float, d), const int d_stride, TENSOR(const float, x),
                  const int x_stride, const int M, const int C, const int R) {
    AT(f);
    AT(d);
    AT(x);
    __local float part[SLICES][NR];
    const int lane = get_local_id(0), slice = get_local_id(1);
    const int p = get_group_id(0), first = get_group_id(1) * GR, c = p * NR + lane;
    float sum[GR];
    UNROLL for (int i = 0; i < GR; i++) sum[i] = 0.0f;
    for (int m = slice; m < M; m += SLICES) {
        const float value = c < C ? x[(size_t)m * x_stride + c] : 0.0f;
        UNROLL for (int i = 0; i < GR; i++) sum[i] =
            fma(d[(size_t)m * d_stride + min(first + i, R - 1)], value, sum[i]);
    }
    for (int i = 0; i < GR; i++) {
        barrier(CLK_LOCAL_MEM_FENCE);
        part[slice][lane] = sum[i];
        barrier(CLK_LOCAL_MEM_FENCE);
        if (slice == 0 && first + i < R) {
            float value = 0.0f;
            for (int s = 0; s < SLICES; s++)
                value += part[s][lane];
            f[((size_t)p * R + first + i) * NR + lane] += value;
        }
    }
}
