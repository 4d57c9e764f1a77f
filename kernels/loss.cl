// Cross-entropy of rows of logits, and its gradient in place of them.
//
//   nll[m] = log(sum of exp(x - most)) + most - x[target],  hit[m] = x[target] is the largest (the first of equals)
//   logits[m] = exp(x - most) / sum - [target]               when GRADIENT; zeros when there is no target (< 0)
//   both times weights[m]                                    when WEIGHTED
//
// SMOOTHED: the target counts 1 - s, and each column s / vocab (op_cross_entropy in ops.h).
//
// One work-group makes one row of vocab columns: largest, exponentials and their sum, scaling. The row stays in cache
// between the three passes, so memory sees it once. Any logit that is not finite makes nll NaN.

#ifndef GRADIENT
#define GRADIENT 1 // 0: leave the logits as they are
#endif
#ifndef WEIGHTED
#define WEIGHTED 0 // 1: each row has a weight
#endif
#ifndef SMOOTHED
#define SMOOTHED 0 // 1: each column has a share in the target
#endif

// Told by its bits: some compilers take x * 0, which is NaN for these as well, for 0 whatever x is.
#define IS_NOT_FINITE(bits) (((bits)&0x7f800000) == 0x7f800000)

// Columns from <= c < to, by vectors, then one by one.
#define FOR_VECTORS(c, from, to) for (int c = (from) + get_local_id(0) * VW; c + VW <= (to); c += WG * VW)
#define FOR_REST(c, from, to) for (int c = (to) - ((to) - (from)) % VW + get_local_id(0); c < (to); c += WG)

// The largest of an item's share of columns; *odd becomes NaN unless all are finite.
static inline float largest(__global const float *x, const int from, const int to, float *odd) {
    V most = (V)(-INFINITY), beside = (V)(0.0f);
    float rest = -INFINITY;
    FOR_VECTORS(c, from, to) {
        const V v = LOAD(x + c);
        most = fmax(most, v);
        beside = IS_NOT_FINITE(AS_VI(v)) ? (V)(NAN) : beside;
    }
    FOR_REST(c, from, to) {
        rest = fmax(rest, x[c]);
        *odd = IS_NOT_FINITE(as_int(x[c])) ? NAN : *odd;
    }
    *odd += sum_lanes(beside);
    return fmax(rest, max_lanes(most));
}

// Sum of exp(x - most) over an item's share of the row; with GRADIENT the exponentials stay in x. SMOOTHED: *below
// becomes the sum of most - x.
static inline float exponentials(__global float *x, const int vocab, const float most, float *below) {
    V sum = (V)(0.0f), depth = (V)(0.0f);
    float rest = 0.0f, deep = 0.0f;
    FOR_VECTORS(c, 0, vocab) {
        const V v = LOAD(x + c) - most;
        const V e = exponential(v);
        sum += e;
#if SMOOTHED
        depth -= v;
#endif
#if GRADIENT
        STORE(e, x + c);
#endif
    }
    FOR_REST(c, 0, vocab) {
        const float v = x[c] - most;
        const float e = exp(v);
        rest += e;
#if SMOOTHED
        deep -= v;
#endif
#if GRADIENT
        x[c] = e;
#endif
    }
    *below = sum_lanes(depth) + deep;
    return sum_lanes(sum) + rest;
}

static inline void scale_row(__global float *x, const int vocab, const float factor, const float less) {
    FOR_VECTORS(c, 0, vocab)
        STORE(LOAD(x + c) * factor - less, x + c);
    FOR_REST(c, 0, vocab)
        x[c] = x[c] * factor - less;
}

static inline void zero_row(__global float *x, const int vocab) {
    FOR_VECTORS(c, 0, vocab)
        STORE((V)(0.0f), x + c);
    FOR_REST(c, 0, vocab)
        x[c] = 0.0f;
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void cross_entropy(TENSOR(float, nll), TENSOR(float, hit),
                                                                            TENSOR(float, logits), const int stride,
                                                                            TENSOR(const int, targets),
#if WEIGHTED
                                                                            TENSOR(const float, weights),
#endif
#if SMOOTHED
                                                                            const float smoothing,
#endif
                                                                            const int vocab) {
    __local float space[WG];
    AT(nll);
    AT(hit);
    AT(logits);
    AT(targets);
#if WEIGHTED
    AT(weights);
    const float weight = weights[get_group_id(0)];
#else
    const float weight = 1.0f;
#endif
#if !SMOOTHED
    const float smoothing = 0.0f;
#endif
    const size_t m = get_group_id(0);
    const int target = targets[m], item = get_local_id(0);
    const int columns = target < 0 ? 0 : vocab; // without a target the passes are empty: every item meets every barrier
    const int split = min(max(target, 0), columns);
    __global float *x = logits + m * stride;
    float odd = 0.0f, wanted = 0.0f, below;

    if (target >= 0)
        wanted = target < vocab ? x[target] : NAN; // an id outside the vocabulary shows as a NaN loss
    const float before = largest(x, 0, split, &odd), after = largest(x, min(split + 1, columns), columns, &odd);
    const float most = max_group(fmax(wanted, fmax(before, after)), space);
    const float beaten = max_group(before >= wanted || after > wanted ? 1.0f : 0.0f, space);
    odd = sum_group(odd, space) + (IS_NOT_FINITE(as_int(wanted)) ? NAN : 0.0f);
#if WG > 1
    barrier(CLK_GLOBAL_MEM_FENCE); // all have read what the others now overwrite
#endif
    const float sum = sum_group(exponentials(x, columns, most, &below), space);
#if SMOOTHED
    const float mean = sum_group(below, space) / vocab; // of most - x
    const float gap = (1.0f - smoothing) * (most - wanted) + smoothing * mean;
#else
    const float gap = most - wanted;
#endif
    if (item == 0) {
        nll[m] = target < 0 ? 0.0f : weight * (log(sum) + gap + odd);
        hit[m] = target >= 0 && wanted == most && beaten == 0.0f ? 1.0f : 0.0f;
    }
#if GRADIENT
    if (target < 0)
        zero_row(x, vocab);
    else
        scale_row(x, vocab, weight * (1.0f / sum + odd), SMOOTHED ? weight * smoothing / vocab : 0.0f);
#if WG > 1
    barrier(CLK_GLOBAL_MEM_FENCE);
#endif
    if (item == 0 && target >= 0 && target < vocab)
        x[target] -= weight * (1.0f - smoothing);
#endif
}
