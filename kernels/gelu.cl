// GELU in its tanh form (Hendrycks and Gimpel 2016; "gelu_new", "gelu_pytorch_tanh"):
//
//   gelu(x) = x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))) = x * sigmoid(2 sqrt(2/pi) * (x + 0.044715 x^3))
//
//   gelu:          y (M, F) = gelu(x)
//   gelu_backward: dx (M, F) = dy * gelu'(x), which may be x; with_y: y once more on the way; y may be dy
//
// One work-item makes BLOCK columns of a row, in vectors of VW. Bandwidth bound, with one exponential an element.

#ifndef BLOCK
#define BLOCK 512 // columns of a work-item, a multiple of VW; on GPUs VW
#endif
#if BLOCK % VW != 0
#error "BLOCK must be a multiple of VW"
#endif

// gelu(x) / x
static inline V gelu_gate(const V x) {
    return sigmoid(x * fma(x * x, (V)(GELU_CUBIC), (V)(GELU_LINEAR)));
}

// gelu'(x), with s = gelu_gate(x)
static inline V gelu_slope(const V x, const V s) {
    return fma(x * s * (1.0f - s), fma(x * x, (V)(3.0f * GELU_CUBIC), (V)(GELU_LINEAR)), s);
}

#if VW > 1
// Of one element, for the columns that fill no vector: with the bits of a lane, wherever a row is cut into parts.
#define ONE(f) ((f).s0)
#endif

// y = gelu(x), columns begin to end of a row.
static inline void gelu_row(__global float *y, __global const float *x, const int begin, const int end) {
    int i = begin;
    for (; i + VW <= end; i += VW) {
        const V v = LOAD(x + i);
        STORE(v * gelu_gate(v), y + i);
    }
#if VW > 1
    for (; i < end; i++)
        y[i] = x[i] * ONE(gelu_gate((V)(x[i])));
#endif
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
gelu(TENSOR(float, y), const int y_stride, TENSOR(const float, x), const int x_stride, const int F) {
    AT(y);
    AT(x);
    const size_t m = get_global_id(1);
    const int start = get_global_id(0) * BLOCK;
    gelu_row(y + m * y_stride, x + m * x_stride, start, min(start + BLOCK, F));
}

// No restrict: dx may be x, and y may be dy. Every element is read before its own place is written.
__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
gelu_backward(__global float *dx, const ulong dx_offset, const int dx_stride, __global float *y, const ulong y_offset,
              const int y_stride, __global const float *dy, const ulong dy_offset, const int dy_stride,
              __global const float *x, const ulong x_offset, const int x_stride, const int F, const int with_y) {
    AT(dx);
    AT(y);
    AT(dy);
    AT(x);
    const size_t m = get_global_id(1);
    const int start = get_global_id(0) * BLOCK, end = min(start + BLOCK, F);
    int i = start;
    dx += m * dx_stride;
    y += m * y_stride;
    dy += m * dy_stride;
    x += m * x_stride;
    for (; i + VW <= end; i += VW) {
        const V v = LOAD(x + i), d = LOAD(dy + i), s = gelu_gate(v);
        STORE(d * gelu_slope(v, s), dx + i);
        if (with_y)
            STORE(v * s, y + i);
    }
#if VW > 1
    for (; i < end; i++) {
        const float v = x[i], d = dy[i], s = ONE(gelu_gate((V)(v)));
        dx[i] = d * ONE(gelu_slope((V)(v), (V)(s)));
        if (with_y)
            y[i] = v * s;
    }
#endif
}
