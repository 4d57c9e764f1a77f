// A weight that trains, between its own storage and f32 values in the layout of an f32 weight of its shape.
//
//   weight_values   values = W0
//   weight_round    W0 = values, rounded to nearest (rounding.cl)
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
#define ROUNDED rounded_f16
#elif STORAGE == 2
#define ROUNDED rounded_bf16
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
        w[at.panel + ((size_t)(at.k / UNIT) * NR + at.lane) * UNIT + at.k % UNIT] = ROUNDED(values[i]);
    }
#endif
}
