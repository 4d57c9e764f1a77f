// Elementwise copies that change type or add.
//
//   widen: y f32 = x (f16, bf16 or f32), n elements
//   add:   y (M, C) += x (M, C)
//
// One work-item makes one element (widen) or one row's column (add). Bandwidth bound.

#ifndef WG
#define WG 64 // work-items in a group
#endif
#ifndef X_TYPE
#define X_TYPE 0 // storage of x: 0 f32, 1 f16, 2 bf16
#endif

#if X_TYPE == 0
typedef float stored;
#else
typedef ushort stored;
#endif

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void widen(TENSOR(float, y), TENSOR(const stored, x), const ulong n) {
    AT(y);
    AT(x);
    const size_t i = get_global_id(0);
    if (i >= n)
        return;
#if X_TYPE == 0
    y[i] = x[i];
#elif X_TYPE == 1
    y[i] = vload_half(i, (__global const half *)x);
#else
    y[i] = as_float((uint)x[i] << 16);
#endif
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void add(TENSOR(float, y), const int y_stride, TENSOR(const float, x),
                                                                  const int x_stride, const int C) {
    AT(y);
    AT(x);
    const int c = get_global_id(0);
    const size_t m = get_global_id(1);
    if (c < C)
        y[m * y_stride + c] += x[m * x_stride + c];
}
