// What the kernels of products with a frozen weight in panels share: explicit vectors, for CPUs.
//
// One work-item (a group of its own) makes NR columns of the output for a share of the rows, some at a time: rows x NV
// vectors of accumulators stay in registers while it walks K in steps of one broadcast value a row and NV vectors of
// the panel. The low-rank term is R more such steps into the same accumulators.
//
// Rows past M repeat the last row and are not stored; lanes past a panel's end are summed (their weights are zero) and
// not stored. Nothing is read or written outside the matrices.

#ifndef NR
#define NR 16 // columns of a panel; a multiple of VW
#endif
#ifndef STORAGE
#define STORAGE 0 // of W0: 0 f32, 1 f16, 2 bf16 in pairs along K
#endif
#define NV (NR / VW)
#if NR % VW != 0 || VW < 4
#error "NR must be a multiple of VW, and VW 4, 8 or 16"
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

#define MULTIPLY_STEP(c, rows, a, row, step, part)                                                                     \
    UNROLL for (int i = 0; i < rows; i++) {                                                                            \
        const V value = (V)((a)[row[i] + (step)]);                                                                     \
        UNROLL for (int j = 0; j < NV; j++) c[i][j] = fma(value, part[j], c[i][j]);                                    \
    }

// c[i][j] += a[row[i] + step] * w[step * NR + lanes of j], for `steps` steps.
#define MULTIPLY(c, rows, a, row, w, steps)                                                                            \
    for (int step = 0; step < (steps); step++) {                                                                       \
        V part[NV];                                                                                                    \
        UNROLL for (int j = 0; j < NV; j++) part[j] = LOAD((w) + (size_t)step * NR + j * VW);                          \
        MULTIPLY_STEP(c, rows, a, row, step, part);                                                                    \
    }

// The same with the panel as it is stored. `step` is even at the start; bf16 has two steps in a load.
#if STORAGE == 0
#define MULTIPLY_STORED MULTIPLY
#elif STORAGE == 1
#define MULTIPLY_STORED(c, rows, a, row, w, steps)                                                                     \
    for (int step = 0; step < (steps); step++) {                                                                       \
        V part[NV];                                                                                                    \
        UNROLL for (int j = 0; j < NV; j++) part[j] = widen((w) + (size_t)step * NR + j * VW);                         \
        MULTIPLY_STEP(c, rows, a, row, step, part);                                                                    \
    }
#else
#define MULTIPLY_STORED(c, rows, a, row, w, steps)                                                                     \
    for (int step = 0; step < (steps); step += 2) {                                                                    \
        JOIN(uint, VW) two[NV];                                                                                        \
        V part[NV];                                                                                                    \
        UNROLL for (int j = 0; j < NV; j++) {                                                                          \
            two[j] = JOIN(vload, VW)(0, (__global const uint *)((w) + (size_t)step * NR) + j * VW);                    \
            part[j] = JOIN(as_float, VW)(two[j] << 16);                                                                \
        }                                                                                                              \
        MULTIPLY_STEP(c, rows, a, row, step, part);                                                                    \
        if (step + 1 == (steps))                                                                                       \
            break;                                                                                                     \
        UNROLL for (int j = 0; j < NV; j++) part[j] = JOIN(as_float, VW)(two[j] & 0xffff0000u);                        \
        MULTIPLY_STEP(c, rows, a, row, step + 1, part);                                                                \
    }
#endif

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
        const int panels, const int given, const int row_share, const int panel_share, const int block

#define FORWARD_BEGIN                                                                                                  \
    AT(y);                                                                                                             \
    AT(x);                                                                                                             \
    AT(w);                                                                                                             \
    AT_IF(RESIDUAL, residual);                                                                                         \
    AT_IF(BIAS, bias);                                                                                                 \
    AT_IF(COLUMNS, columns);                                                                                           \
    AT(u);                                                                                                             \
    AT(b);                                                                                                             \
    AT_IF(TABLE, table);                                                                                               \
    const int accumulate = given & ACCUMULATE

// Of one panel q of the part: where it begins in y and in the factor, how many lanes and ranks it has, its column in u.
#define FORWARD_PANEL                                                                                                  \
    const int p = first + q;                                                                                           \
    const int col = columns ? columns[2 * p] : p * NR;                                                                 \
    const int lanes = columns ? columns[2 * p + 1] : min(NR, N - p * NR);                                              \
    const int rank = table ? table[3 * p + 1] : R;                                                                     \
    const int u_col = table ? table[3 * p + 2] : 0;                                                                    \
    __global const float *factor = b + (table ? (size_t)table[3 * p] : (size_t)p * NR * R);                            \
    __global const stored *panel = w + (size_t)q * ((size_t)(K + KI - 1) / KI * KI) * NR

// Where the sums of a panel's block begin that starts at column k of W0: in the residual, or in the output when it
// accumulates or holds the blocks before; the bias joins the first block.
#define FORWARD_FROM                                                                                                   \
    __global const float *from = k > 0 || accumulate ? y : residual;                                                   \
    from = from ? from + col : from;                                                                                   \
    __global const float *plus = k > 0 || !bias ? 0 : bias + col;                                                      \
    const int from_stride = k > 0 || accumulate ? y_stride : residual_stride

// What both backward kernels take, and an item's rows and columns over K. `columns` as above; `first` is the panel of
// W0's first in this part, which has `panels` of `size` elements.
#define DX_ARGUMENTS                                                                                                   \
    TENSOR(float, dx), const int dx_stride, TENSOR(const float, dy), const int dy_stride, TENSOR(const stored, w),     \
        TENSOR(const int, columns), TENSOR(const float, du), const int du_stride, TENSOR(const float, a), const int M, \
        const int K, const int R, const int first, const int panels, const int accumulate, const int row_share,        \
        const int panel_share

#define DX_BEGIN                                                                                                       \
    AT(dx);                                                                                                            \
    AT(dy);                                                                                                            \
    AT(w);                                                                                                             \
    AT(columns);                                                                                                       \
    AT(du);                                                                                                            \
    AT(a);                                                                                                             \
    const int begin = get_global_id(1) * row_share, end = min(M, begin + row_share);                                   \
    const int k_begin = get_global_id(0) * panel_share * NR, k_end = min(K, k_begin + panel_share * NR);               \
    const size_t size = ((size_t)(K + KI - 1) / KI * KI) * NR
