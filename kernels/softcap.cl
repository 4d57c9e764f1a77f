// A soft cap of logits (Gemma 2, https://arxiv.org/abs/2408.00118):
//
//   softcap:          y (M, C) = cap * tanh(x / cap), which may be x
//   softcap_backward: dx (M, C) in place *= 1 - tanh(x / cap)^2
//
// One work-item makes BLOCK columns of a row, in vectors of VW. Bandwidth bound, with one exponential an element.

#ifndef BLOCK
#define BLOCK 512 // columns of a work-item, a multiple of VW; on GPUs VW
#endif
#if BLOCK % VW != 0
#error "BLOCK must be a multiple of VW"
#endif

// cap * tanh(x / cap), off by what floats of the size of cap are
static inline V capped(const V x, const float cap) {
    return fma(sigmoid(x * (2.0f / cap)), (V)(2.0f * cap), (V)(-cap));
}

static inline V capped_slope(const V x, const float cap) {
    const V s = sigmoid(x * (2.0f / cap));
    return 4.0f * s * (1.0f - s);
}

#if VW > 1
// Of one element, for the columns that fill no vector: with the bits of a lane.
#define ONE(f) ((f).s0)
#endif

// No restrict: y may be x.
__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
softcap(__global float *y, const ulong y_offset, const int y_stride, __global const float *x, const ulong x_offset,
        const int x_stride, const int C, const float cap) {
    AT(y);
    AT(x);
    const size_t m = get_global_id(1);
    const int start = get_global_id(0) * BLOCK, end = min(start + BLOCK, C);
    int i = start;
    y += m * y_stride;
    x += m * x_stride;
    for (; i + VW <= end; i += VW)
        STORE(capped(LOAD(x + i), cap), y + i);
#if VW > 1
    for (; i < end; i++)
        y[i] = ONE(capped((V)(x[i]), cap));
#endif
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
softcap_backward(TENSOR(float, dx), const int dx_stride, TENSOR(const float, x), const int x_stride, const int C,
                 const float cap) {
    AT(dx);
    AT(x);
    const size_t m = get_global_id(1);
    const int start = get_global_id(0) * BLOCK, end = min(start + BLOCK, C);
    int i = start;
    dx += m * dx_stride;
    x += m * x_stride;
    for (; i + VW <= end; i += VW)
        STORE(LOAD(dx + i) * capped_slope(LOAD(x + i), cap), dx + i);
#if VW > 1
    for (; i < end; i++)
        dx[i] *= ONE(capped_slope((V)(x[i]), cap));
#endif
}
