// Norms of the rows of a frozen weight with its low-rank term, W0 + scale * B * A, which is nowhere in memory (DoRA):
//
//   scale (N) = magnitude / norm   inverse (N) = 1 / norm   begin: magnitude (N) = norm
//
// Both are 0 for a row of zeros; rows of modules without an adapter have scale 1 and inverse 0. W0's storage is in
// panels of NR rows, or in plain rows (NR = 1), the factors' panels are PANEL wide. A group makes one panel: an item NV
// vectors of its rows, RK columns at a time in registers while the ranks pass; SLICES items share the columns of a row,
// and their sums meet in local memory, in a fixed order. Costs 2 * R + 2 operations an element and one read of W0.

#ifndef PANEL
#define PANEL NR
#endif
#ifndef NV
#define NV 2 // vectors of an item; NV * VW divides PANEL
#endif
#ifndef RK
#define RK 4 // columns at a time; divides PANEL
#endif
#if RK < STEPS
#undef RK
#define RK STEPS // whole loads
#endif
#ifndef SLICES
#define SLICES 1
#endif
#define ITEMS (PANEL / (NV * VW))
#if PANEL % (NV * VW) != 0 || PANEL % RK != 0 || RK % STEPS != 0
#error "PANEL must be a multiple of NV * VW and of RK, RK of STEPS"
#endif

// STEPS columns of W0 from k on, of VW rows: of the lanes from `lane` on of the panel w, or of the plain rows n and on
// of w, of which there are `rows` here.
static inline void load_rows(V *wide, __global const stored *w, const int k, const int lane, const int n,
                             const int rows, const int K) {
#if NR == 1
    UNROLL for (int e = 0; e < STEPS; e++) {
        float value[VW];
        for (int i = 0; i < VW; i++)
            value[i] =
                n + i >= 0 && n + i < rows && k + e < K ? element(w + (size_t)(n + i) * panel_size(K), k + e, 0) : 0.0f;
        wide[e] = LOAD(value);
    }
#else
    LANES(VW, wide, w, k, lane);
#endif
}

__kernel __attribute__((reqd_work_group_size(ITEMS, SLICES, 1))) void
lowrank_norms(TENSOR(float, scale), TENSOR(float, inverse), TENSOR(float, magnitude), TENSOR(const stored, w),
              TENSOR(const float, a), TENSOR(const float, b), TENSOR(const int, table), TENSOR(const float, scales),
              TENSOR(const int, columns), const int K, const int R, const int first, const int begin_row,
              const int end_row, const int begin) {
    AT(scale);
    AT(inverse);
    AT(magnitude);
    AT(w);
    AT(a);
    AT(b);
    AT(table);
    AT(scales);
    AT(columns);
    __local float space[SLICES][PANEL];
    const int q = get_group_id(0), p = first + q, slice = get_local_id(1), lane = get_local_id(0) * NV * VW;
    const int rank = table[3 * p + 1], row = table[3 * p + 2], column = columns[2 * p], lanes = columns[2 * p + 1];
    const V factor = (V)(rank > 0 ? scales[row] : 0.0f); // of a module: one for all its ranks
    V squares[NV];
    UNROLL for (int j = 0; j < NV; j++) squares[j] = (V)(0.0f);
    b += table[3 * p] + lane;
#if NR > 1
    w += q * panel_size(K);
#endif
    for (int k = slice * RK; k < K; k += SLICES * RK) {
        V c[RK][NV];
        UNROLL for (int i = 0; i < RK; i++) UNROLL for (int j = 0; j < NV; j++) c[i][j] = (V)(0.0f);
        // A's lanes past K are zero, so that the last columns need no care until they are counted.
        __global const float *left = a + ((size_t)(k / PANEL) * R + row) * PANEL + k % PANEL;
        for (int r = 0; r < rank; r++) {
            V part[NV];
            UNROLL for (int j = 0; j < NV; j++) part[j] = LOAD(b + (size_t)r * PANEL + j * VW);
            UNROLL for (int i = 0; i < RK; i++) {
                const V value = (V)(left[(size_t)r * PANEL + i]);
                UNROLL for (int j = 0; j < NV; j++) c[i][j] = fma(value, part[j], c[i][j]);
            }
        }
        UNROLL for (int i = 0; i < RK; i += STEPS) if (k + i < K) UNROLL for (int j = 0; j < NV; j++) {
            const int at = lane + j * VW;
            V wide[STEPS];
            load_rows(wide, w, k + i, at, column + at - begin_row, min(column + lanes, end_row) - begin_row, K);
            UNROLL for (int e = 0; e < STEPS; e++) if (k + i + e < K) {
                const V sum = fma(factor, c[i + e][j], wide[e]);
                squares[j] = fma(sum, sum, squares[j]);
            }
        }
    }
    UNROLL for (int j = 0; j < NV; j++) STORE(squares[j], &space[slice][lane + j * VW]);
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = lane; slice == 0 && i < lane + NV * VW; i++) {
        const int n = column + i;
        float sum = 0.0f;
        for (int s = 0; s < SLICES; s++)
            sum += space[s][i];
        if (i >= lanes || n < begin_row || n >= end_row)
            continue;
        const float norm = sqrt(sum);
        if (begin)
            magnitude[n] = norm;
        scale[n] = rank == 0 ? 1.0f : norm == 0.0f ? 0.0f : magnitude[n] / norm;
        inverse[n] = rank == 0 || norm == 0.0f ? 0.0f : 1.0f / norm;
    }
}
