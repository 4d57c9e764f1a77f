// Sums in a fixed order, and the scale that clips gradients.
//
//   square_parts: parts (PARTS) = sums of squares of PARTS equal stretches of x (n)
//   square_total: sums[slot] = parts[0] + parts[1] + ...
//   clip_scale:   norm = factor * sqrt(sum of sums[0..n)),  scale = {factor * min(1, clip / (norm + 1e-6)), norm}
//
// The stretches depend on n alone, never on the device's number of cores. Bandwidth bound.

#ifndef PARTS
#define PARTS 256 // work-groups; part of the result's bits
#endif

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void square_parts(TENSOR(float, parts), TENSOR(const float, x),
                                                                           const ulong n) {
    __local float space[WG];
    AT(parts);
    AT(x);
    const ulong stretch = ((n + PARTS - 1) / PARTS + VW - 1) / VW * VW, part = get_group_id(0);
    const ulong start = min(part * stretch, n), end = min(start + stretch, n), whole = start + (end - start) / VW * VW;
    V sum0 = (V)(0.0f), sum1 = (V)(0.0f), sum2 = (V)(0.0f), sum3 = (V)(0.0f);
    float rest = 0.0f;
    ulong i = start + get_local_id(0) * VW;
    for (; i + 3 * WG * VW < whole; i += 4 * WG * VW) {
        const V a = LOAD(x + i), b = LOAD(x + i + WG * VW), c = LOAD(x + i + 2 * WG * VW),
                d = LOAD(x + i + 3 * WG * VW);
        sum0 = fma(a, a, sum0);
        sum1 = fma(b, b, sum1);
        sum2 = fma(c, c, sum2);
        sum3 = fma(d, d, sum3);
    }
    for (; i < whole; i += WG * VW)
        sum0 = fma(LOAD(x + i), LOAD(x + i), sum0);
    for (i = whole + get_local_id(0); i < end; i += WG)
        rest = fma(x[i], x[i], rest);
    const float sum = sum_group(sum_lanes((sum0 + sum1) + (sum2 + sum3)) + rest, space);
    if (get_local_id(0) == 0)
        parts[part] = sum;
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void square_total(TENSOR(float, sums), const int slot,
                                                                          TENSOR(const float, parts)) {
    AT(sums);
    AT(parts);
    float sum = 0.0f;
    for (int i = 0; i < PARTS; i++)
        sum += parts[i];
    sums[slot] = sum;
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
clip_scale(TENSOR(float, scale), TENSOR(const float, sums), const int n, const float factor, const float clip) {
    AT(scale);
    AT(sums);
    float sum = 0.0f;
    for (int i = 0; i < n; i++)
        sum += sums[i];
    const float norm = sqrt(sum) * factor, ratio = clip > 0.0f ? fmin(1.0f, clip / (norm + 1e-6f)) : 1.0f;
    scale[0] = isfinite(norm) ? factor * ratio : NAN;
    scale[1] = norm;
}
