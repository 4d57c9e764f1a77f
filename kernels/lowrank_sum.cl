// The sum of a frozen weight and its low-rank term, for products of so many rows that it pays (docs/kernels.md):
//
//   sum panels (f32) = W0's panels + scale * B * A
//
// sum has W0's panels, f32 whatever the storage of W0: element (k, lane) of panel q at (q * K + k) * NR + lane. A group
// makes BLOCK columns k of one panel: an item NV vectors of lanes, RK columns at a time in registers while the ranks
// pass. Costs 2 * R operations and one read and write an element: for CPUs with NV * VW = NR and one item a group, for
// GPUs with VW = NV = 1 and an item a lane.

#ifndef NR
#define NR 16 // columns of a panel
#endif
#ifndef NV
#define NV 2 // vectors of an item; NV * VW divides NR
#endif
#ifndef RK
#define RK 4 // columns k at a time; even, divides NR
#endif
#ifndef BLOCK
#define BLOCK 256 // columns k of a group; a multiple of NR
#endif
#ifndef STORAGE
#define STORAGE 0 // of W0: 0 f32, 1 f16, 2 bf16 in pairs along K
#endif
#define ITEMS (NR / (NV * VW))
#if NR % (NV * VW) != 0 || NR % RK != 0 || RK % 2 != 0 || BLOCK % NR != 0
#error "NR must be a multiple of NV * VW and of RK, RK even, BLOCK a multiple of NR"
#endif

// `wide` = VW lanes of step k of a panel, from lane `lane` on.
#if STORAGE == 0
typedef float stored;
#define KI 1
#define WIDEN(panel, k, lane) LOAD((panel) + (size_t)(k)*NR + (lane))
#elif STORAGE == 1
typedef ushort stored;
#define KI 1
#if VW == 1
#define WIDEN(panel, k, lane) vload_half((size_t)(k)*NR + (lane), (__global const half *)(panel))
#elif VW == 16 // eight at a time, as in panel.cl
#define HALVES(panel, k, lane) ((__global const half *)(panel) + (size_t)(k)*NR + (lane))
#define WIDEN(panel, k, lane)                                                                                          \
    ((V)(vload_half8(0, HALVES(panel, k, lane)), vload_half8(1, HALVES(panel, k, lane))))
#else
#define WIDEN(panel, k, lane) JOIN(vload_half, VW)(0, (__global const half *)(panel) + (size_t)(k)*NR + (lane))
#endif
#else
typedef ushort stored;
#define KI 2
#if VW == 1
#define PAIRS(panel, k, lane) ((__global const uint *)(panel))[(size_t)((k) / 2) * NR + (lane)]
#define WIDEN(panel, k, lane) as_float((k) % 2 ? PAIRS(panel, k, lane) & 0xffff0000u : PAIRS(panel, k, lane) << 16)
#else
#define PAIRS(panel, k, lane)                                                                                          \
    JOIN(vload, VW)(0, (__global const uint *)(panel) + (size_t)((k) / 2) * NR + (lane))
#define WIDEN(panel, k, lane) AS_V((k) % 2 ? PAIRS(panel, k, lane) & 0xffff0000u : PAIRS(panel, k, lane) << 16)
#endif
#endif

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
lowrank_sum(TENSOR(float, sum), TENSOR(const stored, w), TENSOR(const float, a), TENSOR(const float, b),
            TENSOR(const int, table), TENSOR(const float, scales), const int K, const int R, const int first) {
    AT(sum);
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
    w += (size_t)q * ((size_t)(K + KI - 1) / KI * KI) * NR;
    sum += (size_t)q * K * NR + lane;
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
        UNROLL for (int i = 0; i < RK; i++) if (k + i < end) UNROLL for (int j = 0; j < NV; j++)
            STORE(fma(scale, c[i][j], WIDEN(w, k + i, lane + j * VW)), sum + (size_t)(k + i) * NR + j * VW);
    }
}
