// The gated activation of an MLP (Shazeer 2020, "GLU Variants Improve Transformer": SwiGLU).
//
//   swiglu:          y (M, F) = silu(g) * u,  gu (M, 2F) = [g, u],  silu(g) = g * sigmoid(g)
//   swiglu_backward: dg = dy * u * sigmoid(g) * (1 + g * (1 - sigmoid(g))),  du = dy * silu(g);  dgu may be gu
//                    with_y: y once more on the way; y may be dy
//   GELU: gelu in the place of silu (GeGLU), as common.cl says
//
// One work-item makes BLOCK columns of a row, in vectors of VW. Bandwidth bound, with one exponential an element.

#ifndef BLOCK
#define BLOCK 512 // columns of a work-item, a multiple of VW; on GPUs VW
#endif
#if BLOCK % VW != 0
#error "BLOCK must be a multiple of VW"
#endif

static inline V gate_gradient(const V g, const V s) {
    return s * fma(g * GATE_SLOPE(g), 1.0f - s, (V)(1.0f));
}

// Columns from `start` on, a multiple of VW, to end.
static inline void gate_columns(__global float *y, __global const float *g, __global const float *u, const int start,
                                const int end) {
    int i = start;
    for (; i + VW <= end; i += VW) {
        const V x = LOAD(g + i);
        STORE(x * sigmoid(GATE_INNER(x)) * LOAD(u + i), y + i);
    }
#if VW > 1
    for (; i < end; i++)
        y[i] = g[i] / (1.0f + exp(-GATE_INNER(g[i]))) * u[i];
#endif
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
swiglu(TENSOR(float, y), const int y_stride, TENSOR(const float, gu), const int gu_stride, const int F) {
    AT(y);
    AT(gu);
    const size_t m = get_global_id(1);
    const int start = get_global_id(0) * BLOCK;
    __global const float *g = gu + m * gu_stride;
    gate_columns(y + m * y_stride, g, g + F, start, min(start + BLOCK, F));
}

// No restrict: dgu may be gu, and y may be dy. Every element is read before its own place is written.
__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
swiglu_backward(__global float *dgu, const ulong dgu_offset, const int dgu_stride, __global float *y,
                const ulong y_offset, const int y_stride, __global const float *dy, const ulong dy_offset,
                const int dy_stride, __global const float *gu, const ulong gu_offset, const int gu_stride, const int F,
                const int with_y) {
    AT(dgu);
    AT(y);
    AT(dy);
    AT(gu);
    const size_t m = get_global_id(1);
    const int start = get_global_id(0) * BLOCK, end = min(start + BLOCK, F);
    __global const float *g = gu + m * gu_stride, *u = g + F;
    int i = start;
    dgu += m * dgu_stride;
    y += m * y_stride;
    dy += m * dy_stride;
    for (; i + VW <= end; i += VW) {
        const V x = LOAD(g + i), up = LOAD(u + i), d = LOAD(dy + i), s = sigmoid(GATE_INNER(x));
        STORE(d * up * gate_gradient(x, s), dgu + i);
        STORE(d * x * s, dgu + F + i);
        if (with_y)
            STORE(x * s * up, y + i);
    }
#if VW > 1
    for (; i < end; i++) {
        const float x = g[i], up = u[i], d = dy[i], s = 1.0f / (1.0f + exp(-GATE_INNER(x)));
        dgu[i] = d * up * s * fma(x * GATE_SLOPE(x), 1.0f - s, 1.0f);
        dgu[F + i] = d * x * s;
        if (with_y)
            y[i] = x * s * up;
    }
#endif
}
