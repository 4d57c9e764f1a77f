// What stands between the two products of a bottleneck adapter (Houlsby et al. 2019): relu, or swish x * sigmoid(x).
//
//   activate:          a (M, R + 1) = [act(z + bias), 1]   z (M, R), bias (R)
//   activate_backward: dz (M, R) = da * act'(z + bias)     of da (M, R + 1) the first R columns; dz may be z
//
// The column of ones multiplies the last row of the way up, which is that one's bias, and gives both biases' gradients.
// One work-item makes BLOCK columns of a row, in vectors of VW. R is small: the launch is most of the time.

#ifndef BLOCK
#define BLOCK 512 // columns of a work-item, a multiple of VW; on GPUs VW
#endif
#if BLOCK % VW != 0
#error "BLOCK must be a multiple of VW"
#endif

// Comparisons are such that NaN stays.
static inline V activated(const V x, const int swish) {
    return swish ? x * sigmoid(x) : x < 0.0f ? (V)(0.0f) : x;
}

static inline V activated_slope(const V x, const int swish) {
    const V s = sigmoid(x);
    return swish ? s * fma(x, 1.0f - s, (V)(1.0f)) : x <= 0.0f ? (V)(0.0f) : (V)(1.0f);
}

// n columns, at most VW; lanes past them are zero.
static inline V some_columns(__global const float *p, const int n) {
    float lane[VW];
    if (n == VW)
        return LOAD(p);
    for (int i = 0; i < VW; i++)
        lane[i] = i < n ? p[i] : 0.0f;
    return LOAD(lane);
}

static inline void store_columns(__global float *p, const V v, const int n) {
    float lane[VW];
    STORE(v, lane);
    for (int i = 0; i < n; i++)
        p[i] = lane[i];
}

// Columns from `begin` to `end` of a row, and with the last of them the 1.
static inline void activate_row(__global float *a, __global const float *z, __global const float *bias, const int R,
                                const int swish, const int begin, const int end) {
    for (int i = begin; i < end; i += VW) {
        const int n = min(VW, end - i);
        store_columns(a + i, activated(some_columns(z + i, n) + some_columns(bias + i, n), swish), n);
    }
    if (end == R)
        a[R] = 1.0f;
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
activate(TENSOR(float, a), const int a_stride, TENSOR(const float, z), const int z_stride, TENSOR(const float, bias),
         const int R, const int swish) {
    AT(a);
    AT(z);
    AT(bias);
    const size_t m = get_global_id(1);
    const int begin = get_global_id(0) * BLOCK;
    if (begin < R)
        activate_row(a + m * a_stride, z + m * z_stride, bias, R, swish, begin, min(begin + BLOCK, R));
}

// No restrict: dz may be z. Every element is read before its own place is written.
__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
activate_backward(__global float *dz, const ulong dz_offset, const int dz_stride, TENSOR(const float, da),
                  const int da_stride, __global const float *z, const ulong z_offset, const int z_stride,
                  TENSOR(const float, bias), const int R, const int swish) {
    AT(dz);
    AT(da);
    AT(z);
    AT(bias);
    const size_t m = get_global_id(1);
    const int begin = get_global_id(0) * BLOCK, end = min(begin + BLOCK, R);
    dz += m * dz_stride;
    da += m * da_stride;
    z += m * z_stride;
    for (int i = begin; i < end; i += VW) {
        const int n = min(VW, end - i);
        const V x = some_columns(z + i, n) + some_columns(bias + i, n);
        store_columns(dz + i, some_columns(da + i, n) * activated_slope(x, swish), n);
    }
}
