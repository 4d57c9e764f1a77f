// AdamW with decoupled weight decay (Loshchilov and Hutter 2019), in the order of operations of PyTorch.
//
//   g' = scale[0] * g;  p -= lr*wd*p;  m += (1-b1) * (g' - m);  v = b2*v + (1-b2) * g'^2
//   p -= step_size * m / (sqrt(v) / root + eps)      step_size = lr / (1 - b1^step)   root = sqrt(1 - b2^step)
//
// n elements; nothing changes when scale[0] is NaN. One work-item makes BLOCK elements. Bandwidth bound: 28 bytes an
// element.

#ifndef BLOCK
#define BLOCK 512 // elements of a work-item, a multiple of VW; on GPUs VW
#endif
#if BLOCK % VW != 0
#error "BLOCK must be a multiple of VW"
#endif

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
adamw(TENSOR(float, p), TENSOR(float, m), TENSOR(float, v), TENSOR(const float, g), TENSOR(const float, scale),
      const ulong n, const float keep, const float beta1, const float beta2, const float step_size, const float root,
      const float eps) {
    AT(p);
    AT(m);
    AT(v);
    AT(g);
    AT(scale);
    const float factor = scale[0], fresh1 = 1.0f - beta1, fresh2 = 1.0f - beta2;
    ulong i = get_global_id(0) * (ulong)BLOCK;
    const ulong end = min(i + BLOCK, n);
    if (isnan(factor))
        return;
    for (; i + VW <= end; i += VW) {
        const V gi = LOAD(g + i) * factor, mi = fma(gi - LOAD(m + i), (V)(fresh1), LOAD(m + i));
        const V vi = fma(gi * fresh2, gi, LOAD(v + i) * beta2);
        STORE(mi, m + i);
        STORE(vi, v + i);
        STORE(LOAD(p + i) * keep - step_size * (mi / (sqrt(vi) / root + eps)), p + i);
    }
    for (; i < end; i++) {
        const float gi = g[i] * factor, mi = fma(gi - m[i], fresh1, m[i]), vi = fma(gi * fresh2, gi, v[i] * beta2);
        m[i] = mi;
        v[i] = vi;
        p[i] = p[i] * keep - step_size * (mi / (sqrt(vi) / root + eps));
    }
}
