// Elementwise copies that change type or add.
//
//   widen: y f32 = x (f16, bf16 or f32), n elements
//   add:   y (M, C) += x (M, C)
//
// One work-item makes BLOCK elements (of a row). Bandwidth bound.

#ifndef BLOCK
#define BLOCK 512 // elements of a work-item, a multiple of VW; on GPUs VW
#endif
#if BLOCK % VW != 0
#error "BLOCK must be a multiple of VW"
#endif
#ifndef X_TYPE
#define X_TYPE 0 // storage of x: 0 f32, 1 f16, 2 bf16
#endif

#if X_TYPE == 0
typedef float stored;
#else
typedef ushort stored;
#endif

static inline float widened(__global const stored *x, const ulong i) {
#if X_TYPE == 0
    return x[i];
#elif X_TYPE == 1
    return vload_half(i, (__global const half *)x);
#else
    return as_float((uint)x[i] << 16);
#endif
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void widen(TENSOR(float, y), TENSOR(const stored, x),
                                                                    const ulong n) {
    AT(y);
    AT(x);
    const ulong start = get_global_id(0) * (ulong)BLOCK, end = min(start + BLOCK, n);
    for (ulong i = start; i < end; i++)
        y[i] = widened(x, i);
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void add(TENSOR(float, y), const int y_stride,
                                                                  TENSOR(const float, x), const int x_stride,
                                                                  const int C) {
    AT(y);
    AT(x);
    const size_t m = get_global_id(1);
    const int start = get_global_id(0) * BLOCK, end = min(start + BLOCK, C);
    int c = start;
    y += m * y_stride;
    x += m * x_stride;
    for (; c + VW <= end; c += VW)
        STORE(LOAD(y + c) + LOAD(x + c), y + c);
    for (; c < end; c++)
        y[c] += x[c];
}
