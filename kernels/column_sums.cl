// Gradients of what all rows share: sums over the rows of a matrix (M, C), column by column.
//
//   matmul_dbias   dbias (C) += sum of dy
//   rmsnorm_dg     dg (C) += sum of dy * x * rstd, over `parts` of a row besides: dy, x (M, parts*C), rstd (M, parts)
//   layernorm_dg   dg (C) += sum of dy * (x - mean) * rstd
//   column_dots    d (C) += factors * sum of dy * [x]
//
// A group takes LANES vectors of columns; SLICES items share the rows of a vector, and their sums meet in local memory,
// in a fixed order. Bandwidth bound.

#define LANES (WG < 32 ? WG : 32)
#define SLICES (WG / LANES)

// Lanes past `lanes` are zero.
static inline V load_some(__global const float *p, const int lanes) {
    float lane[VW];
    if (lanes >= VW)
        return LOAD(p);
    for (int i = 0; i < VW; i++)
        lane[i] = i < lanes ? p[i] : 0.0f;
    return LOAD(lane);
}

// out[c] += the sums of all slices.
INLINE void add_slices(__global float *out, const V sum, const int lanes, __local V *space) {
    const int item = get_local_id(0);
    float lane[VW];
    V all = (V)(0.0f);
    GROUP_BARRIER;
    space[item] = sum;
    GROUP_BARRIER;
    if (item >= LANES || lanes <= 0)
        return;
    for (int s = 0; s < SLICES; s++)
        all += space[s * LANES + item];
    STORE(all, lane);
    for (int i = 0; i < min(lanes, VW); i++)
        out[i] += lane[i];
}

// Of an item: its first column, how many there are from it on, and the rows that it takes.
#define COLUMNS_BEGIN                                            \
    __local V space[WG];                                         \
    const int item = get_local_id(0), slice = item / LANES;      \
    const int c = (get_group_id(0) * LANES + item % LANES) * VW; \
    const int lanes = C - c;                                     \
    V sum = (V)(0.0f)
#define FOR_ROWS(m) for (int m = slice; m < M && lanes > 0; m += SLICES)

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
matmul_dbias(TENSOR(float, dbias), TENSOR(const float, dy), const int dy_stride, const int M, const int C) {
    AT(dbias);
    AT(dy);
    COLUMNS_BEGIN;
    FOR_ROWS(m)
    sum += load_some(dy + (size_t)m * dy_stride + c, lanes);
    add_slices(dbias + c, sum, lanes, space);
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
rmsnorm_dg(TENSOR(float, dg), TENSOR(const float, dy), const int dy_stride, TENSOR(const float, x), const int x_stride,
           TENSOR(const float, rstd), const int M, const int C, const int parts) {
    AT(dg);
    AT(dy);
    AT(x);
    AT(rstd);
    COLUMNS_BEGIN;
    FOR_ROWS(m) {
        for (int i = 0; i < parts; i++)
            sum = fma(load_some(dy + (size_t)m * dy_stride + i * C + c, lanes),
                      load_some(x + (size_t)m * x_stride + i * C + c, lanes) * rstd[(size_t)m * parts + i], sum);
    }
    add_slices(dg + c, sum, lanes, space);
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
layernorm_dg(TENSOR(float, dg), TENSOR(const float, dy), const int dy_stride, TENSOR(const float, x),
             const int x_stride, TENSOR(const float, moments), const int M, const int C) {
    AT(dg);
    AT(dy);
    AT(x);
    AT(moments);
    COLUMNS_BEGIN;
    FOR_ROWS(m)
    sum = fma(load_some(dy + (size_t)m * dy_stride + c, lanes),
              (load_some(x + (size_t)m * x_stride + c, lanes) - moments[2 * m]) * moments[2 * m + 1], sum);
    add_slices(dg + c, sum, lanes, space);
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
column_dots(TENSOR(float, d), TENSOR(const float, dy), const int dy_stride, TENSOR(const float, x), const int x_stride,
            TENSOR(const float, factors), const int M, const int C, const int has_x) {
    AT(d);
    AT(dy);
    AT(x);
    AT(factors);
    COLUMNS_BEGIN;
    FOR_ROWS(m) {
        const V one = load_some(dy + (size_t)m * dy_stride + c, lanes);
        sum = has_x ? fma(one, load_some(x + (size_t)m * x_stride + c, lanes), sum) : sum + one;
    }
    if (lanes > 0)
        sum *= load_some(factors + c, lanes);
    add_slices(d + c, sum, lanes, space);
}
