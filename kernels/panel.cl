// What the kernels of products with a frozen weight in panels share: explicit vectors, for CPUs.
//
// One work-item (a group of its own) makes NR columns of the output for a share of the rows, some at a time: rows x NV
// vectors of accumulators stay in registers while it walks K in steps of one broadcast value a row and NV vectors of
// the panel. The low-rank term is R more such steps into the same accumulators.
//
// Rows past M repeat the last row and are not stored; lanes past a panel's end are summed (their weights are zero) and
// not stored. Nothing is read or written outside the matrices.

#define NV (NR / VW)
#if NR % VW != 0 || VW < 4
#error "NR must be a multiple of VW, and VW 4, 8 or 16"
#endif

// part[e][j] = NR lanes of step k + e as they are stored, for all that one load gives: k is a multiple of STEPS.
#define STORED_STEPS(part, panel, k)                                    \
    UNROLL for (int j = 0; j < NV; j++) {                               \
        V step_of[STEPS];                                               \
        LANES(VW, step_of, panel, k, j *VW);                            \
        UNROLL for (int e = 0; e < STEPS; e++) part[e][j] = step_of[e]; \
    }

#define MULTIPLY_STEP(c, rows, a, row, step, part)                                  \
    UNROLL for (int i = 0; i < rows; i++) {                                         \
        const V value = (V)((a)[row[i] + (step)]);                                  \
        UNROLL for (int j = 0; j < NV; j++) c[i][j] = fma(value, part[j], c[i][j]); \
    }

// c[i][j] += a[row[i] + step] * w[step * NR + lanes of j], for `steps` steps.
#define MULTIPLY(c, rows, a, row, w, steps)                                                   \
    for (int step = 0; step < (steps); step++) {                                              \
        V part[NV];                                                                           \
        UNROLL for (int j = 0; j < NV; j++) part[j] = LOAD((w) + (size_t)step * NR + j * VW); \
        MULTIPLY_STEP(c, rows, a, row, step, part);                                           \
    }

// The same with W0's panel as it is stored, from step k on, a multiple of STEPS.
#define MULTIPLY_STORED(c, rows, a, row, panel, k, steps)      \
    for (int step = 0; step < (steps); step += STEPS) {        \
        V part[STEPS][NV];                                     \
        STORED_STEPS(part, panel, (k) + step);                 \
        UNROLL for (int e = 0; e < STEPS; e++) {               \
            if (e > 0 && step + e >= (steps))                  \
                break;                                         \
            MULTIPLY_STEP(c, rows, a, row, step + e, part[e]); \
        }                                                      \
    }

// Where the rows m, m + 1, ... begin in a matrix; rows past the end are the last one.
#define ROWS_FROM(row, rows, m, end, stride) \
    UNROLL for (int i = 0; i < rows; i++) row[i] = (size_t)min((m) + i, (end)-1) * (stride)

// c = p[row[i] + lane] + bias[lane], lanes past the end zero. p and bias may be null.
#define START(c, rows, p, row, bias, lanes)                                                                           \
    if ((lanes) == NR) {                                                                                              \
        UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < NV; j++) c[i][j] =                           \
            (p) ? LOAD((p) + row[i] + j * VW) : (V)(0.0f);                                                            \
        if (bias)                                                                                                     \
            UNROLL for (int j = 0; j < NV; j++) {                                                                     \
                const V value = LOAD((bias) + j * VW);                                                                \
                UNROLL for (int i = 0; i < rows; i++) c[i][j] += value;                                               \
            }                                                                                                         \
    } else {                                                                                                          \
        float edge[rows * NR];                                                                                        \
        for (int i = 0; i < rows; i++)                                                                                \
            for (int e = 0; e < NR; e++)                                                                              \
                edge[i * NR + e] = e < (lanes) ? ((p) ? (p)[row[i] + e] : 0.0f) + ((bias) ? (bias)[e] : 0.0f) : 0.0f; \
        UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < NV; j++) c[i][j] =                           \
            LOAD(edge + i * NR + j * VW);                                                                             \
    }

// p[row[i] + lane] = c for the first `used` rows.
#define FINISH(c, rows, p, row, used, lanes)                                                      \
    if ((lanes) == NR) {                                                                          \
        UNROLL for (int i = 0; i < rows; i++) if (i < (used)) UNROLL for (int j = 0; j < NV; j++) \
            STORE(c[i][j], (p) + row[i] + j * VW);                                                \
    } else {                                                                                      \
        float edge[rows * NR];                                                                    \
        UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < NV; j++)                 \
            STORE(c[i][j], edge + i * NR + j * VW);                                               \
        for (int i = 0; i < min(used, rows); i++)                                                 \
            for (int e = 0; e < (lanes); e++)                                                     \
                (p)[row[i] + e] = edge[i * NR + e];                                               \
    }

// What both forward kernels take. `columns` (panels, 2) and `table` (panels, 3) as in ops/weight.h and ops/lowrank.h;
// null tables mean one module: panel p begins at column p * NR and at b[p * NR * R]. `first` is the panel of W0's first
// in this part, which has `panels`.
#define FORWARD_ARGUMENTS                                                                                      \
    TENSOR(float, y), const int y_stride, TENSOR(const float, x), const int x_stride, TENSOR(const stored, w), \
        TENSOR(const float, residual), const int residual_stride, TENSOR(const float, bias),                   \
        TENSOR(const int, columns), TENSOR(const float, u), const int u_stride, TENSOR(const float, b),        \
        TENSOR(const int, table), const int M, const int N, const int K, const int R, const int first,         \
        const int panels, const int given, const int row_share, const int panel_share, const int block

#define FORWARD_BEGIN          \
    AT(y);                     \
    AT(x);                     \
    AT(w);                     \
    AT_IF(RESIDUAL, residual); \
    AT_IF(BIAS, bias);         \
    AT_IF(COLUMNS, columns);   \
    AT(u);                     \
    AT(b);                     \
    AT_IF(TABLE, table);       \
    const int accumulate = given & ACCUMULATE

// Of one panel q of the part: where it begins in y and in the factor, how many lanes and ranks it has, its column in u.
#define FORWARD_PANEL                                                                       \
    const int p = first + q;                                                                \
    const int col = columns ? columns[2 * p] : p * NR;                                      \
    const int lanes = columns ? columns[2 * p + 1] : min(NR, N - p * NR);                   \
    const int rank = table ? table[3 * p + 1] : R;                                          \
    const int u_col = table ? table[3 * p + 2] : 0;                                         \
    __global const float *factor = b + (table ? (size_t)table[3 * p] : (size_t)p * NR * R); \
    __global const stored *panel = w + q * panel_size(K)

// Where the sums of a panel's block begin that starts at column k of W0: in the residual, or in the output when it
// accumulates or holds the blocks before; the bias joins the first block.
#define FORWARD_FROM                                                 \
    __global const float *from = k > 0 || accumulate ? y : residual; \
    from = from ? from + col : from;                                 \
    __global const float *plus = k > 0 || !bias ? 0 : bias + col;    \
    const int from_stride = k > 0 || accumulate ? y_stride : residual_stride

// What both backward kernels take, and an item's rows and columns over K. `columns` as above; `first` is the panel of
// W0's first in this part, which has `panels`.
#define DX_ARGUMENTS                                                                                                   \
    TENSOR(float, dx), const int dx_stride, TENSOR(const float, dy), const int dy_stride, TENSOR(const stored, w),     \
        TENSOR(const int, columns), TENSOR(const float, du), const int du_stride, TENSOR(const float, a), const int M, \
        const int K, const int R, const int first, const int panels, const int accumulate, const int row_share,        \
        const int panel_share

#define DX_BEGIN                                                                     \
    AT(dx);                                                                          \
    AT(dy);                                                                          \
    AT(w);                                                                           \
    AT(columns);                                                                     \
    AT(du);                                                                          \
    AT(a);                                                                           \
    const int begin = get_global_id(1) * row_share, end = min(M, begin + row_share); \
    const int k_begin = get_global_id(0) * panel_share * NR, k_end = min(K, k_begin + panel_share * NR)
