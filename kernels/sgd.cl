// Stochastic gradient descent with momentum, as PyTorch has it: without dampening, and with a weight decay that is part
// of the gradient.
//
//   g' = scale[0] * g + wd * p;  b = momentum * b + g';  p -= lr * b          without momentum b is not touched
//
// n elements; nothing changes when scale[0] is NaN. One work-item makes BLOCK elements. Bandwidth bound: 20 bytes an
// element.

#ifndef BLOCK
#define BLOCK 512 // elements of a work-item, a multiple of VW; on GPUs VW
#endif
#if BLOCK % VW != 0
#error "BLOCK must be a multiple of VW"
#endif

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
sgd(TENSOR(float, p), TENSOR(float, b), TENSOR(const float, g), TENSOR(const float, scale), const ulong n,
    const float lr, const float momentum, const float weight_decay) {
    AT(p);
    AT(b);
    AT(g);
    AT(scale);
    const float factor = scale[0];
    ulong i = get_global_id(0) * (ulong)BLOCK;
    const ulong end = min(i + BLOCK, n);
    if (isnan(factor))
        return;
    for (; i + VW <= end; i += VW) {
        V step = fma(LOAD(p + i), (V)(weight_decay), LOAD(g + i) * factor);
        if (momentum > 0.0f) {
            step = fma(LOAD(b + i), (V)(momentum), step);
            STORE(step, b + i);
        }
        STORE(fma(step, (V)(-lr), LOAD(p + i)), p + i);
    }
    for (; i < end; i++) {
        float step = fma(p[i], weight_decay, g[i] * factor);
        if (momentum > 0.0f) {
            step = fma(b[i], momentum, step);
            b[i] = step;
        }
        p[i] = fma(step, -lr, p[i]);
    }
}
