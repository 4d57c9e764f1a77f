// y (M, N) = [residual or y] + x (M, K) * W0^T + bias + u (M, R) * B^T for few rows, in explicit vectors: for CPUs.
// NORM: of rmsnorm(x). GATED: y (M, N/2) = silu(g) * u of the product's halves g and u, which are modules of W0.
//
// As panel.cl says, all rows at a time. Few rows read W0 once and wait for memory: no blocks, 16-bit weights widened in
// registers. A core asks for more at once when it reads several panels side by side, so a work-item makes STREAMS of
// them, and when it is told what comes next: the hardware foresees it only as far as a page.

#ifndef ROWS
#define ROWS 1 // at least M
#endif
#ifndef STREAMS
#define STREAMS 1 // panels side by side; ROWS * STREAMS * NR / VW vectors are held
#endif
#ifndef NORM
#define NORM 0
#endif
#ifndef GATED
#define GATED 0 // 1: streams in pairs, of each half one
#endif
#ifndef AHEAD
#define AHEAD 1 // cache lines that each stream is asked for in advance; 1: none
#endif
#define CHAINS (ROWS * STREAMS > 2 ? 1 : 2) // few sums alternate between two, so that adding is not the limit

// NR columns of a panel at step k: two steps of bf16, whose low and high halves are k and k + 1, come in one load.
#if STORAGE == 2
#define STEPS 2
#define LOAD_STEPS(panel, k)                                                                                           \
    UNROLL for (int j = 0; j < NV; j++) {                                                                              \
        const JOIN(uint, VW) two = JOIN(vload, VW)((k) / 2 * NV + j, (__global const uint *)(panel));                  \
        now[0][j] = JOIN(as_float, VW)(two << 16);                                                                     \
        now[1][j] = JOIN(as_float, VW)(two & 0xffff0000u);                                                             \
    }
#else
#define STEPS 1
#if STORAGE == 1
#define LOAD_STORED widen
#else
#define LOAD_STORED LOAD
#endif
#define LOAD_STEPS(panel, k)                                                                                           \
    UNROLL for (int j = 0; j < NV; j++) now[0][j] = LOAD_STORED((panel) + (size_t)(k)*NR + j * VW);
#endif

// x normalised but for the factor of its row, which the sums are multiplied by.
#if NORM
#define INPUT(i, k) (x[row[i] + (k)] * gain[k])
#else
#define INPUT(i, k) x[row[i] + (k)]
#endif

// sum += x[k] * W0[k] of every stream; `last` is the last of x's columns that may be read.
#define VECTOR_STEPS(sum, k, last)                                                                                     \
    UNROLL for (int s = 0; s < STREAMS; s++) {                                                                         \
        V now[STEPS][NV];                                                                                              \
        LOAD_STEPS(from[s], k);                                                                                        \
        UNROLL for (int e = 0; e < STEPS; e++) UNROLL for (int i = 0; i < ROWS; i++) {                                 \
            const V value = (V)(INPUT(i, min((k) + e, last)));                                                         \
            UNROLL for (int j = 0; j < NV; j++) sum[s][i][j] = fma(value, now[e][j], sum[s][i][j]);                    \
        }                                                                                                              \
    }

// Ask for what a stream reads AHEAD lines after step k, as far as two vector steps go; past the end it does no harm.
enum { LINE = 64 };
#if AHEAD > 1
#define ASK_AHEAD(panel, k)                                                                                            \
    UNROLL for (int at = 0; at < 2 * STEPS * NR * (int)sizeof(stored); at += LINE)                                     \
        __builtin_prefetch((const void *)((uintptr_t)((panel) + (size_t)(k)*NR) + AHEAD * LINE + at))
#else
#define ASK_AHEAD(panel, k)
#endif

// c = what stream s gives panel q, FORWARD_PANEL's.
#define RESULT(c, s)                                                                                                   \
    {                                                                                                                  \
        __global const float *start = accumulate ? y : residual;                                                       \
        start = start ? start + col : start;                                                                           \
        __global const float *plus = bias ? bias + col : 0;                                                            \
        size_t row[ROWS];                                                                                              \
        ROWS_FROM(row, ROWS, 0, M, accumulate ? y_stride : residual_stride);                                           \
        START(c, ROWS, start, row, plus, lanes);                                                                       \
        UNROLL for (int h = 0; h < CHAINS; h++) UNROLL for (int i = 0; i < ROWS; i++)                                  \
            UNROLL for (int j = 0; j < NV; j++) c[i][j] = fma(sum[h][s][i][j], factor_of[i], c[i][j]);                 \
        ROWS_FROM(row, ROWS, 0, M, u_stride);                                                                          \
        MULTIPLY(c, ROWS, u + u_col, row, factor, rank);                                                               \
    }

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
matvec_panel(FORWARD_ARGUMENTS, TENSOR(const float, gain), const float eps) {
    FORWARD_BEGIN;
    AT(gain);
    const int begin = get_global_id(0) * (STREAMS >> GATED);
    V sum[CHAINS][STREAMS][ROWS][NV];
    __global const stored *from[STREAMS];
    float factor_of[ROWS];
    size_t row[ROWS];
    UNROLL for (int s = 0; s < STREAMS; s++) { // past the last panel the last one again, which is not stored
        const int q = min(begin + (s >> GATED), panels - 1) + (GATED ? s % 2 * panels : 0);
        from[s] = w + (size_t)q * ((size_t)(K + KI - 1) / KI * KI) * NR;
        UNROLL for (int h = 0; h < CHAINS; h++) UNROLL for (int i = 0; i < ROWS; i++)
            UNROLL for (int j = 0; j < NV; j++) sum[h][s][i][j] = (V)(0.0f);
    }
    ROWS_FROM(row, ROWS, 0, M, x_stride);
    UNROLL for (int i = 0; i < ROWS; i++) factor_of[i] = NORM ? row_factor(x + row[i], K, eps) : 1.0f;
    int k = 0;
    for (; k + 2 * STEPS <= K; k += 2 * STEPS) {
        UNROLL for (int s = 0; s < STREAMS; s++) ASK_AHEAD(from[s], k);
        VECTOR_STEPS(sum[0], k, k + STEPS);
        VECTOR_STEPS(sum[CHAINS - 1], k + STEPS, k + 2 * STEPS);
    }
    for (; k < K; k += STEPS) // of bf16 the step past the end is zero
        VECTOR_STEPS(sum[0], k, K - 1);
    ROWS_FROM(row, ROWS, 0, M, y_stride);
#if GATED
    UNROLL for (int s = 0; s < STREAMS; s += 2) {
        const int pair = begin + s / 2;
        V c[2][ROWS][NV];
        int y_col = 0, y_lanes = 0;
        if (pair >= panels)
            break;
        UNROLL for (int half_of = 1; half_of >= 0; half_of--) {
            const int q = pair + half_of * panels;
            FORWARD_PANEL;
            RESULT(c[half_of], s + half_of);
            y_col = col;
            y_lanes = lanes;
        }
        UNROLL for (int i = 0; i < ROWS; i++) UNROLL for (int j = 0; j < NV; j++)
            c[0][i][j] *= sigmoid(c[0][i][j]) * c[1][i][j];
        FINISH(c[0], ROWS, y + y_col, row, M, y_lanes);
    }
#else
    UNROLL for (int s = 0; s < STREAMS; s++) {
        const int q = begin + s;
        V c[ROWS][NV];
        if (q >= panels)
            break;
        FORWARD_PANEL;
        RESULT(c, s);
        FINISH(c, ROWS, y + col, row, M, lanes);
    }
#endif
}
