// A frozen weight with its low-rank term merged into it, for products of so many rows that it pays (docs/kernels.md):
//
//   merged panels (f32) = W0's panels + scale * B * A
//
// merged has W0's panels, f32 whatever the storage of W0: element (k, lane) of panel q at (q * K + k) * NR + lane. A
// group makes BLOCK columns k of one panel: an item NV vectors of lanes, RK columns at a time in registers while the
// ranks pass. Costs 2 * R operations and one read and write an element: for CPUs with NV * VW = NR and one item a
// group, for GPUs with VW = NV = 1 and an item a lane.

#ifndef NV
#define NV 2 // vectors of an item; NV * VW divides NR
#endif
#ifndef RK
#define RK 4 // columns k at a time; divides NR
#endif
#if RK < STEPS
#undef RK
#define RK STEPS // whole loads
#endif
#ifndef BLOCK
#define BLOCK 256 // columns k of a group; a multiple of NR
#endif
#define ITEMS (NR / (NV * VW))
#if NR % (NV * VW) != 0 || NR % RK != 0 || RK % STEPS != 0 || BLOCK % NR != 0
#error "NR must be a multiple of NV * VW and of RK, RK of STEPS, BLOCK of NR"
#endif

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
lowrank_merge(TENSOR(float, merged), TENSOR(const stored, w), TENSOR(const float, a), TENSOR(const float, b),
              TENSOR(const int, table), TENSOR(const float, scales), const int K, const int R, const int first) {
    AT(merged);
    AT(w);
    AT(a);
    AT(b);
    AT(table);
    AT(scales);
    const int begin = get_group_id(0) * BLOCK, end = min(K, begin + BLOCK), q = get_group_id(1);
    const int lane = get_local_id(0) * NV * VW;
    const int rank = table[3 * (first + q) + 1], row = table[3 * (first + q) + 2];
    const V scale = (V)(rank > 0 ? scales[row] : 0.0f); // of a module: one for all its ranks
    b += table[3 * (first + q)] + lane;
    w += q * panel_size(K);
    merged += (size_t)q * K * NR + lane;
    for (int k = begin; k < end; k += RK) {
        V c[RK][NV];
        UNROLL for (int i = 0; i < RK; i++) UNROLL for (int j = 0; j < NV; j++) c[i][j] = (V)(0.0f);
        // A's lanes past K are zero, so that the last columns need no care until they are stored.
        __global const float *left = a + ((size_t)(k / NR) * R + row) * NR + k % NR;
        for (int r = 0; r < rank; r++) {
            V part[NV];
            UNROLL for (int j = 0; j < NV; j++) part[j] = LOAD(b + (size_t)r * NR + j * VW);
            UNROLL for (int i = 0; i < RK; i++) {
                const V value = (V)(left[(size_t)r * NR + i]);
                UNROLL for (int j = 0; j < NV; j++) c[i][j] = fma(value, part[j], c[i][j]);
            }
        }
        UNROLL for (int i = 0; i < RK; i += STEPS) if (k + i < end) UNROLL for (int j = 0; j < NV; j++) {
            V wide[STEPS];
            LANES(VW, wide, w, k + i, lane + j * VW);
            UNROLL for (int e = 0; e < STEPS; e++) if (k + i + e < end)
                STORE(fma(scale, c[i + e][j], wide[e]), merged + (size_t)(k + i + e) * NR + j * VW);
        }
    }
}
