// A weight that trains, between its own storage and f32 values in the layout of an f32 weight of its shape.
//
//   weight_values   values = W0
//   weight_round    W0 = values, rounded to nearest, ties to even: by their bits, so that every device rounds alike
//
// n values of panels of NR rows (NR = 1: plain rows; then K is all of them). An item makes BLOCK values. Bandwidth
// bound.

#ifndef BLOCK
#define BLOCK 512 // values of an item; on GPUs 1
#endif

// Where value i lies in W0.
typedef struct place {
    size_t panel;
    int k, lane;
} place;

static inline place place_of(const ulong i, const int K) {
    const ulong row = i / NR;
    return (place){row / K * panel_size(K), row % K, i % NR};
}

#if STORAGE == 1
static inline ushort rounded(const float value) {
    const uint bits = as_uint(value), sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu;
    if (size > 0x7f800000u)
        return 0x7e00; // NaN
    if (size >= 0x477ff000u)
        return sign | 0x7c00u; // from 65520 on: infinity
    if (size < 0x38800000u)    // subnormal: adding 0.5 leaves multiples of 2^-24
        return sign | (as_uint(as_float(size) + 0.5f) - 0x3f000000u);
    return sign | ((size - 0x38000000u + 0xfffu + (size >> 13 & 1u)) >> 13);
}
#elif STORAGE == 2
static inline ushort rounded(const float value) {
    const uint bits = as_uint(value);
    return isnan(value) ? 0x7fc0 : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}
#endif

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
weight_values(TENSOR(float, values), TENSOR(const stored, w), const ulong n, const int K) {
    AT(values);
    AT(w);
    const ulong start = get_global_id(0) * (ulong)BLOCK, end = min(start + BLOCK, n);
    for (ulong i = start; i < end; i++) {
        const place at = place_of(i, K);
        values[i] = element(w + at.panel, at.k, at.lane);
    }
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
weight_round(TENSOR(stored, w), TENSOR(const float, values), const ulong n, const int K) {
    AT(w);
    AT(values);
    const ulong start = get_global_id(0) * (ulong)BLOCK, end = min(start + BLOCK, n);
#if STORAGE == 1 || STORAGE == 2
    for (ulong i = start; i < end; i++) {
        const place at = place_of(i, K);
        w[at.panel + ((size_t)(at.k / UNIT) * NR + at.lane) * UNIT + at.k % UNIT] = rounded(values[i]);
    }
#endif
}
