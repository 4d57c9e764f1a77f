// Layer normalisation of rows (Ba, Kiros and Hinton 2016), after norm.cl.
//
//   layernorm:          mean, rstd = 1 / sqrt(mean((x - mean)^2) + eps),  n = (x - mean) * rstd,  y = n * g + b
//   layernorm_apply:    y = n * g + b with the moments of the forward pass
//   layernorm_backward: dx += rstd * (g * dy - mean(g * dy) - n * mean(g * dy * n))
//
//   x, y (M, C)   g, b (C)   moments (M, 2): mean, rstd
//
// One work-group makes one row, as in norm.cl. x is read four times, all but the first from cache.

// Mean and rstd of a row, in every item of its group.
INLINE void row_moments(float *mean, float *rstd, __global const float *x, const int C, const float eps,
                        __local float *space) {
    V sums = (V)(0.0f), squares = (V)(0.0f);
    float rest = 0.0f, rest_squares = 0.0f;
    FOR_VECTORS(c)
        sums += LOAD(x + c);
    FOR_REST(c)
        rest += x[c];
    const float m = sum_group(sum_lanes(sums) + rest, space) / C;
    FOR_VECTORS(c) {
        const V v = LOAD(x + c) - m;
        squares = fma(v, v, squares);
    }
    FOR_REST(c)
        rest_squares = fma(x[c] - m, x[c] - m, rest_squares);
    *mean = m;
    *rstd = 1.0f / sqrt(sum_group(sum_lanes(squares) + rest_squares, space) / C + eps);
}

// y = (x - mean) * r * g + b of one row, by the items of a group.
static inline void centre_row(__global float *y, __global const float *x, const float mean, const float r,
                              __global const float *g, __global const float *b, const int C) {
    FOR_VECTORS(c)
        STORE(fma((LOAD(x + c) - mean) * r, LOAD(g + c), LOAD(b + c)), y + c);
    FOR_REST(c)
        y[c] = fma((x[c] - mean) * r, g[c], b[c]);
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
layernorm(TENSOR(float, y), const int y_stride, TENSOR(float, moments), TENSOR(const float, x), const int x_stride,
          TENSOR(const float, g), TENSOR(const float, b), const int C, const float eps, const int with_moments) {
    __local float space[WG];
    AT(y);
    AT(moments);
    AT(x);
    AT(g);
    AT(b);
    const size_t m = get_group_id(0);
    float mean, r;
    x += m * x_stride;
    row_moments(&mean, &r, x, C, eps, space);
    centre_row(y + m * y_stride, x, mean, r, g, b, C);
    if (with_moments && get_local_id(0) == 0) {
        moments[2 * m] = mean;
        moments[2 * m + 1] = r;
    }
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
layernorm_apply(TENSOR(float, y), const int y_stride, TENSOR(const float, x), const int x_stride,
                TENSOR(const float, moments), TENSOR(const float, g), TENSOR(const float, b), const int C) {
    AT(y);
    AT(x);
    AT(moments);
    AT(g);
    AT(b);
    const size_t m = get_group_id(0);
    centre_row(y + m * y_stride, x + m * x_stride, moments[2 * m], moments[2 * m + 1], g, b, C);
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
layernorm_backward(TENSOR(float, dx), const int dx_stride, TENSOR(const float, dy), const int dy_stride,
                   TENSOR(const float, x), const int x_stride, TENSOR(const float, moments), TENSOR(const float, g),
                   const int C) {
    __local float space[WG];
    AT(dx);
    AT(dy);
    AT(x);
    AT(moments);
    AT(g);
    const size_t m = get_group_id(0);
    const float mean = moments[2 * m], r = moments[2 * m + 1];
    dx += m * dx_stride;
    dy += m * dy_stride;
    x += m * x_stride;
    V sums = (V)(0.0f), products = (V)(0.0f);
    float rest = 0.0f, rest_products = 0.0f;
    FOR_VECTORS(c) {
        const V d = LOAD(dy + c) * LOAD(g + c);
        sums += d;
        products = fma(d, LOAD(x + c) - mean, products);
    }
    FOR_REST(c) {
        const float d = dy[c] * g[c];
        rest += d;
        rest_products = fma(d, x[c] - mean, rest_products);
    }
    const float average = sum_group(sum_lanes(sums) + rest, space) / C;
    const float slope = sum_group(sum_lanes(products) + rest_products, space) * r * r / C;
    FOR_VECTORS(c)
        STORE(LOAD(dx + c) + (LOAD(dy + c) * LOAD(g + c) - average - (LOAD(x + c) - mean) * slope) * r, dx + c);
    FOR_REST(c)
        dx[c] += (dy[c] * g[c] - average - (x[c] - mean) * slope) * r;
}
