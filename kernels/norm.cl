// Root mean square normalisation of rows.
//
//   rmsnorm:          rstd = 1 / sqrt(mean(x^2) + eps),  y = x * rstd * g        x, y (M, C)   g (C)   rstd (M)
//   rmsnorm_apply:    y = x * rstd * g
//   rmsnorm_backward: dx += rstd * g * dy - x * rstd^3 / C * sum(dy * g * x)
//
// PLUS_ONE: g + 1 in the place of g.
//
// With APART a row is of equal parts of C columns, each normalised apart: x, y (M, parts*C), rstd (M, parts). With
// REPLACE dx, which may be dy, is overwritten.
//
// One work-group makes one row, or a part of one: its WG items take vectors of VW columns in turn and add up their sums
// in local memory in a fixed order. Bandwidth bound: x is read twice, the second time from cache.

#ifndef APART
#define APART 0
#endif
#ifndef REPLACE
#define REPLACE 0
#endif
#if APART
#define PART get_group_id(1)
#define PARTS get_num_groups(1)
#else
#define PART 0
#define PARTS 1
#endif
#define AT_PART(x) x += m * x##_stride + PART * C

#if REPLACE
#define ONTO(dx, d) (d)
#else
#define ONTO(dx, d) ((dx) + (d))
#endif

#ifndef PLUS_ONE
#define PLUS_ONE 0
#endif
#define GAIN(g) (PLUS_ONE ? (g) + 1.0f : (g))

#define FOR_VECTORS(c) for (int c = get_local_id(0) * VW; c + VW <= C; c += WG * VW)
#define FOR_REST(c) for (int c = C / VW * VW + get_local_id(0); c < C; c += WG)

// y = x * r * g of one row, by the items of a group.
static inline void normalise_row(__global float *y, __global const float *x, const float r, __global const float *g,
                                 const int C) {
    FOR_VECTORS(c)
        STORE(LOAD(x + c) * r * GAIN(LOAD(g + c)), y + c);
    FOR_REST(c)
        y[c] = x[c] * r * GAIN(g[c]);
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
rmsnorm(TENSOR(float, y), const int y_stride, TENSOR(float, rstd), TENSOR(const float, x), const int x_stride,
        TENSOR(const float, g), const int C, const float eps, const int with_rstd) {
    __local float space[WG];
    AT(y);
    AT(rstd);
    AT(x);
    AT(g);
    const size_t m = get_group_id(0);
    AT_PART(x);
    AT_PART(y);
    V squares = (V)(0.0f);
    float rest = 0.0f;
    FOR_VECTORS(c) {
        const V v = LOAD(x + c);
        squares = fma(v, v, squares);
    }
    FOR_REST(c)
        rest = fma(x[c], x[c], rest);
    const float mean = sum_group(sum_lanes(squares) + rest, space) / C, r = 1.0f / sqrt(mean + eps);
    normalise_row(y, x, r, g, C);
    if (with_rstd && get_local_id(0) == 0)
        rstd[m * PARTS + PART] = r;
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
rmsnorm_apply(TENSOR(float, y), const int y_stride, TENSOR(const float, x), const int x_stride,
              TENSOR(const float, rstd), TENSOR(const float, g), const int C) {
    AT(y);
    AT(x);
    AT(rstd);
    AT(g);
    const size_t m = get_group_id(0);
    const float r = rstd[m * PARTS + PART];
    AT_PART(x);
    AT_PART(y);
    normalise_row(y, x, r, g, C);
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
rmsnorm_backward(TENSOR(float, dx), const int dx_stride, TENSOR(const float, dy), const int dy_stride,
                 TENSOR(const float, x), const int x_stride, TENSOR(const float, rstd), TENSOR(const float, g),
                 const int C) {
    __local float space[WG];
    AT(dx);
    AT(dy);
    AT(x);
    AT(rstd);
    AT(g);
    const size_t m = get_group_id(0);
    const float r = rstd[m * PARTS + PART];
    AT_PART(dx);
    AT_PART(dy);
    AT_PART(x);
    V products = (V)(0.0f);
    float rest = 0.0f;
    FOR_VECTORS(c)
        products = fma(LOAD(dy + c) * GAIN(LOAD(g + c)), LOAD(x + c), products);
    FOR_REST(c)
        rest = fma(dy[c] * GAIN(g[c]), x[c], rest);
    const float f = sum_group(sum_lanes(products) + rest, space) * r * r * r / C;
    FOR_VECTORS(c)
        STORE(ONTO(LOAD(dx + c), LOAD(dy + c) * GAIN(LOAD(g + c)) * r - LOAD(x + c) * f), dx + c);
    FOR_REST(c)
        dx[c] = ONTO(dx[c], dy[c] * GAIN(g[c]) * r - x[c] * f);
}
