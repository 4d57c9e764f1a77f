// Elementwise: copies that change type, sums, factors.
//
//   widen:      y f32 = n elements of W0 in plain rows (NR = 1)
//   add:        y (M, C) += x (M, C)
//   scale:      x (M, C) *= factor
//   scale_rows: x (M, C) *= factors (M)
//   scale_columns: y (M, C) = [residual (M, C)] + [bias (C)] + factors (C) * x (M, C)
//
// One work-item makes BLOCK elements (of a row). Bandwidth bound.

#ifndef BLOCK
#define BLOCK 512 // elements of a work-item, a multiple of VW; on GPUs VW
#endif
#if BLOCK % VW != 0
#error "BLOCK must be a multiple of VW"
#endif
__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void widen(TENSOR(float, y), TENSOR(const stored, w),
                                                                    const ulong n) {
    AT(y);
    AT(w);
    const ulong start = get_global_id(0) * (ulong)BLOCK, end = min(start + BLOCK, n);
    for (ulong i = start; i < end; i++)
        y[i] = element(w, i, 0);
}

static inline void add_row(__global float *y, __global const float *x, const int begin, const int end) {
    int c = begin;
    for (; c + VW <= end; c += VW)
        STORE(LOAD(y + c) + LOAD(x + c), y + c);
    for (; c < end; c++)
        y[c] += x[c];
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
add(TENSOR(float, y), const int y_stride, TENSOR(const float, x), const int x_stride, const int C) {
    AT(y);
    AT(x);
    const size_t m = get_global_id(1);
    const int start = get_global_id(0) * BLOCK;
    add_row(y + m * y_stride, x + m * x_stride, start, min(start + BLOCK, C));
}

static inline void scale_row(__global float *x, const float factor, const int begin, const int end) {
    int c = begin;
    for (; c + VW <= end; c += VW)
        STORE(LOAD(x + c) * factor, x + c);
    for (; c < end; c++)
        x[c] *= factor;
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void scale(TENSOR(float, x), const int x_stride, const int C,
                                                                    const float factor) {
    AT(x);
    const int start = get_global_id(0) * BLOCK;
    scale_row(x + get_global_id(1) * x_stride, factor, start, min(start + BLOCK, C));
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void scale_rows(TENSOR(float, x), const int x_stride,
                                                                         TENSOR(const float, factors), const int C) {
    AT(x);
    AT(factors);
    const size_t m = get_global_id(1);
    const int start = get_global_id(0) * BLOCK;
    scale_row(x + m * x_stride, factors[m], start, min(start + BLOCK, C));
}

// What is not there is null.
static inline void scale_columns_of_row(__global float *y, __global const float *x, __global const float *residual,
                                        __global const float *bias, __global const float *factors, const int begin,
                                        const int end) {
    int c = begin;
    for (; c + VW <= end; c += VW) {
        const V first = (residual ? LOAD(residual + c) : (V)(0.0f)) + (bias ? LOAD(bias + c) : (V)(0.0f));
        STORE(fma(LOAD(factors + c), LOAD(x + c), first), y + c);
    }
    for (; c < end; c++)
        y[c] = fma(factors[c], x[c], (residual ? residual[c] : 0.0f) + (bias ? bias[c] : 0.0f));
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
scale_columns(TENSOR(float, y), const int y_stride, TENSOR(const float, x), const int x_stride,
              TENSOR(const float, residual), const int residual_stride, TENSOR(const float, bias),
              TENSOR(const float, factors), const int C, const int given) {
    AT(y);
    AT(x);
    AT_IF(RESIDUAL, residual);
    AT_IF(BIAS, bias);
    AT(factors);
    const size_t m = get_global_id(1);
    const int start = get_global_id(0) * BLOCK;
    scale_columns_of_row(y + m * y_stride, x + m * x_stride, residual ? residual + m * residual_stride : 0, bias,
                         factors, start, min(start + BLOCK, C));
}
