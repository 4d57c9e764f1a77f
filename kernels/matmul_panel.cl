// Products with a frozen weight packed as panels, in explicit vectors: for CPUs.
//
//   matmul_panel      y (M, N)  = [residual or y] + x (M, K) * W0^T + bias + u (M, R) * B^T
//   matvec_panel      the same for few rows
//   matmul_panel_dx   dx (M, K) = [dx] + dy (M, N) * W0 + du (M, R) * A
//
// One work-item (a group of its own) makes NR columns of the output for a share of the rows, MR at a time: MR x NV
// vectors of accumulators stay in registers while it walks K in steps of one broadcast value a row and NV vectors of
// the panel. The low-rank term is R more such steps into the same accumulators. K is cut in blocks of KC whose part of
// the panel (KC x NR floats) stays in the first cache while the rows pass; between blocks the sums wait in the output.
// 16-bit weights are widened once a block into local memory.
//
// Rows past M repeat the last row and are not stored; lanes past a panel's end are summed (their weights are zero) and
// not stored. Nothing is read or written outside the matrices.

#ifndef NR
#define NR 16 // columns of a panel; a multiple of VW
#endif
#ifndef MR
#define MR 6 // rows of a register tile; MR * NR / VW vectors are held
#endif
#ifndef KC
#define KC 256 // steps of a block; even
#endif
#ifndef STORAGE
#define STORAGE 0 // of W0: 0 f32, 1 f16, 2 bf16 in pairs along K
#endif
#define NV (NR / VW)
#if NR % VW != 0 || KC % 2 != 0 || VW < 4
#error "NR must be a multiple of VW, KC even and VW 4, 8 or 16"
#endif

#define UNROLL _Pragma("unroll")

#if STORAGE == 0
typedef float stored;
#define KI 1
#else
typedef ushort stored;
#define KI STORAGE
#endif

#if STORAGE == 1
// Eight at a time: drivers make one instruction of it where the CPU has one, and 16 at a time often a loop.
static inline V widen(__global const ushort *p) {
    __global const half *h = (__global const half *)p;
#if VW == 16
    return (V)(vload_half8(0, h), vload_half8(1, h));
#else
    return JOIN(vload_half, VW)(0, h);
#endif
}
#endif

// c[i][j] += a[row[i] + step] * w[step * NR + lanes of j], for `steps` steps.
#define MULTIPLY(c, rows, a, row, w, steps)                                                                            \
    for (int step = 0; step < (steps); step++) {                                                                       \
        V part[NV];                                                                                                    \
        UNROLL for (int j = 0; j < NV; j++) part[j] = LOAD((w) + (size_t)step * NR + j * VW);                          \
        UNROLL for (int i = 0; i < rows; i++) {                                                                        \
            const V value = (V)((a)[row[i] + step]);                                                                   \
            UNROLL for (int j = 0; j < NV; j++) c[i][j] = fma(value, part[j], c[i][j]);                                \
        }                                                                                                              \
    }

// Where the rows m, m + 1, ... begin in a matrix; rows past the end are the last one.
#define ROWS_FROM(row, rows, m, end, stride)                                                                           \
    UNROLL for (int i = 0; i < rows; i++) row[i] = (size_t)min((m) + i, (end)-1) * (stride)

// c = p[row[i] + lane] + bias[lane], lanes past the end zero. p and bias may be null.
#define START(c, rows, p, row, bias, lanes)                                                                            \
    if ((lanes) == NR) {                                                                                               \
        UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < NV; j++)                                      \
            c[i][j] = (p) ? LOAD((p) + row[i] + j * VW) : (V)(0.0f);                                                   \
        if (bias)                                                                                                      \
            UNROLL for (int j = 0; j < NV; j++) {                                                                      \
                const V value = LOAD((bias) + j * VW);                                                                 \
                UNROLL for (int i = 0; i < rows; i++) c[i][j] += value;                                                \
            }                                                                                                          \
    } else {                                                                                                           \
        float edge[rows * NR];                                                                                         \
        for (int i = 0; i < rows; i++)                                                                                 \
            for (int e = 0; e < NR; e++)                                                                               \
                edge[i * NR + e] =                                                                                     \
                    e < (lanes) ? ((p) ? (p)[row[i] + e] : 0.0f) + ((bias) ? (bias)[e] : 0.0f) : 0.0f;                 \
        UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < NV; j++)                                      \
            c[i][j] = LOAD(edge + i * NR + j * VW);                                                                    \
    }

// p[row[i] + lane] = c for the first `used` rows.
#define FINISH(c, rows, p, row, used, lanes)                                                                           \
    if ((lanes) == NR) {                                                                                               \
        UNROLL for (int i = 0; i < rows; i++) if (i < (used)) UNROLL for (int j = 0; j < NV; j++)                      \
            STORE(c[i][j], (p) + row[i] + j * VW);                                                                     \
    } else {                                                                                                           \
        float edge[rows * NR];                                                                                         \
        UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < NV; j++)                                      \
            STORE(c[i][j], edge + i * NR + j * VW);                                                                    \
        for (int i = 0; i < min(used, rows); i++)                                                                      \
            for (int e = 0; e < (lanes); e++)                                                                          \
                (p)[row[i] + e] = edge[i * NR + e];                                                                    \
    }

// What both forward kernels take. `columns` (panels, 2) and `table` (panels, 3) as in ops/weight.h and ops/lowrank.h;
// null tables mean one module: panel p begins at column p * NR and at b[p * NR * R]. `first` is the panel of W0's first
// in this part, which has `panels`.
#define FORWARD_ARGUMENTS                                                                                              \
    TENSOR(float, y), const int y_stride, TENSOR(const float, x), const int x_stride, TENSOR(const stored, w),         \
        TENSOR(const float, residual), const int residual_stride, TENSOR(const float, bias),                           \
        TENSOR(const int, columns), TENSOR(const float, u), const int u_stride, TENSOR(const float, b),                \
        TENSOR(const int, table), const int M, const int N, const int K, const int R, const int first,                 \
        const int panels, const int accumulate, const int row_share, const int panel_share, const int block

#define FORWARD_BEGIN                                                                                                  \
    AT(y);                                                                                                             \
    AT(x);                                                                                                             \
    AT(w);                                                                                                             \
    AT(residual);                                                                                                      \
    AT(bias);                                                                                                          \
    AT(columns);                                                                                                       \
    AT(u);                                                                                                             \
    AT(b);                                                                                                             \
    AT(table)

// Of one panel q of the part: where it begins in y and in the factor, how many lanes and ranks it has, its column in u.
#define FORWARD_PANEL                                                                                                  \
    const int p = first + q;                                                                                           \
    const int col = columns ? columns[2 * p] : p * NR;                                                                 \
    const int lanes = columns ? columns[2 * p + 1] : min(NR, N - p * NR);                                              \
    const int rank = table ? table[3 * p + 1] : R;                                                                     \
    const int u_col = table ? table[3 * p + 2] : 0;                                                                    \
    __global const float *factor = b + (table ? (size_t)table[3 * p] : (size_t)p * NR * R);                            \
    __global const stored *panel = w + (size_t)q * ((size_t)(K + KI - 1) / KI * KI) * NR

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void matmul_panel(FORWARD_ARGUMENTS) {
    FORWARD_BEGIN;
    const int begin = get_global_id(1) * row_share, end = min(M, begin + row_share);
    const int q_begin = get_global_id(0) * panel_share, q_end = min(panels, q_begin + panel_share);
#if STORAGE != 0
    __local float wide[KC * NR];
#endif
    int k = 0;
    do { // at least once: without W0 there is still the rest
        const int steps = min(block, K - k);
        for (int q = q_begin; q < q_end; q++) {
            FORWARD_PANEL;
#if STORAGE == 1
            for (int e = 0; e < steps * NR; e += VW)
                STORE(widen(panel + (size_t)k * NR + e), wide + e);
#elif STORAGE == 2
            __global const uint *pairs = (__global const uint *)(panel + (size_t)k * NR);
            for (int pair = 0; pair < (steps + 1) / 2; pair++)
                UNROLL for (int j = 0; j < NV; j++) {
                    const JOIN(uint, VW) two = JOIN(vload, VW)(pair * NV + j, pairs);
                    STORE(JOIN(as_float, VW)(two << 16), wide + 2 * pair * NR + j * VW);
                    STORE(JOIN(as_float, VW)(two & 0xffff0000u), wide + (2 * pair + 1) * NR + j * VW);
                }
#else
            __global const float *wide = panel + (size_t)k * NR;
#endif
            __global const float *from = k > 0 || accumulate ? y : residual;
            from = from ? from + col : from;
            __global const float *plus = k > 0 || !bias ? 0 : bias + col;
            const int from_stride = k > 0 || accumulate ? y_stride : residual_stride;
            for (int m = begin; m < end; m += MR) {
                V c[MR][NV];
                size_t row[MR];
                ROWS_FROM(row, MR, m, end, from_stride);
                START(c, MR, from, row, plus, lanes);
                ROWS_FROM(row, MR, m, end, x_stride);
                MULTIPLY(c, MR, x + k, row, wide, steps);
                if (k + steps == K) {
                    ROWS_FROM(row, MR, m, end, u_stride);
                    MULTIPLY(c, MR, u + u_col, row, factor, rank);
                }
                ROWS_FROM(row, MR, m, end, y_stride);
                FINISH(c, MR, y + col, row, end - m, lanes);
            }
        }
        k += steps;
    } while (k < K);
}

#ifndef ROWS
#define ROWS 1 // of matvec_panel: at least M
#endif

// Few rows read W0 once and wait for memory: no blocks, 16-bit weights widened in registers, even and odd steps summed
// apart so that one row's chain of additions is not the limit.
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

#ifndef NB
#define NB 256 // rows of W0 in a block of matmul_panel_dx; a multiple of NR
#endif
#ifndef PB
#define PB 4 // most panels over K of an item of matmul_panel_dx
#endif
#if NB % NR != 0
#error "NB must be a multiple of NR"
#endif

#if STORAGE == 1
#define ELEMENT(w, lane, step) vload_half((size_t)(step) * NR + (lane), (__global const half *)(w))
#elif STORAGE == 2
#define ELEMENT(w, lane, step) as_float((uint)(w)[((size_t)((step) / 2) * NR + (lane)) * 2 + (step) % 2] << 16)
#else
#define ELEMENT(w, lane, step) ((w)[(size_t)(step)*NR + (lane)])
#endif

// Four lanes of four steps, which lie apart in the panel.
static inline void square_load(float4 s[4], __global const stored *w) {
#if STORAGE == 2
    for (int i = 0; i < 2; i++) {
        const uint4 two = vload4(0, (__global const uint *)(w + i * 2 * NR));
        s[2 * i] = as_float4(two << 16);
        s[2 * i + 1] = as_float4(two & 0xffff0000u);
    }
#elif STORAGE == 1
    for (int i = 0; i < 4; i++)
        s[i] = vload_half4(0, (__global const half *)(w + i * NR));
#else
    for (int i = 0; i < 4; i++)
        s[i] = vload4(0, w + i * NR);
#endif
}

// turned[lane * NR + step] = the panel's element, for NR lanes and `steps` steps; further steps are zero.
static inline void turn(__local float *turned, __global const stored *w, const int steps) {
    if (steps < NR) {
        for (int step = 0; step < NR; step++)
            for (int lane = 0; lane < NR; lane++)
                turned[lane * NR + step] = step < steps ? ELEMENT(w, lane, step) : 0.0f;
        return;
    }
    for (int step = 0; step < NR; step += 4)
        UNROLL for (int lane = 0; lane < NR; lane += 4) {
            float4 s[4];
            square_load(s, w + step * NR + lane * KI);
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
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
matmul_panel_dx(TENSOR(float, dx), const int dx_stride, TENSOR(const float, dy), const int dy_stride,
                TENSOR(const stored, w), TENSOR(const int, columns), TENSOR(const float, du), const int du_stride,
                TENSOR(const float, a), const int M, const int K, const int R, const int first, const int panels,
                const int accumulate, const int row_share, const int panel_share) {
    AT(dx);
    AT(dy);
    AT(w);
    AT(columns);
    AT(du);
    AT(a);
    const int begin = get_global_id(1) * row_share, end = min(M, begin + row_share);
    const int k_begin = get_global_id(0) * panel_share * NR, k_end = min(K, k_begin + panel_share * NR);
    const size_t size = ((size_t)(K + KI - 1) / KI * KI) * NR;
    __local float turned[PB][(NB + NR) * NR];
    __global const float *none = 0;
    for (int p = 0; p < panels; p += NB / NR) {
        const int last = p + NB / NR >= panels;
        const int col = columns[2 * (first + p)];
        int steps = 0;
        for (int q = p; q < min(panels, p + NB / NR); q++) {
            for (int k = k_begin; k < k_end; k += NR)
                turn(turned[(k - k_begin) / NR] + steps * NR, w + q * size + (size_t)k * NR, min(NR, K - k));
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
