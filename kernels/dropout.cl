// Dropout with a mask that is computed, not stored.
//
//   dropout:     y (M, C)  = x * mask / (1 - p)
//   dropout_add: y (M, C) += x * mask / (1 - p)
//   dropout_rest: y (M, C) = x - x * mask / (1 - p)
//
// The mask of element i = m*C + c is uniform(i) >= p, where uniform(i) is the upper 24 bits of word i % 4 of
// Philox-4x32-10 (Salmon et al. 2011) at counter (i / 4, stream) under the key seed: bit for bit the numbers of
// base/rng.
//
// One work-item makes BLOCK columns of a row. Bound by the 20 multiplications of each four elements.

#ifndef BLOCK
#define BLOCK 512 // columns of a work-item, a multiple of 4; on GPUs 4
#endif
#if BLOCK % 4 != 0
#error "BLOCK must be a multiple of 4"
#endif

#if VW == 1
typedef uint VU;
#define TO_V(u) convert_float(u)
#else
typedef JOIN(uint, VW) VU;
#define TO_V(u) JOIN(convert_float, VW)(u)
#endif

// 64-bit numbers in a vector of VU's size
#if VW == 16
#define PAIRS 8
#elif VW == 8
#define PAIRS 4
#else
#define PAIRS 2
#endif

// BLOCK elements that start anywhere in four, by whole vectors
enum { WORDS = (BLOCK + 3 + 4 * VW) / (4 * VW) * (4 * VW) };

static inline VU lane_numbers(void) {
    uint lane[VW];
    for (uint i = 0; i < VW; i++)
        lane[i] = i;
    return LOAD(lane);
}

// The upper and lower halves of m * x. Drivers take mul_hi apart into single numbers; products of even and odd lanes as
// 64-bit numbers stay vectors.
static inline void multiply(VU *high, VU *low, const uint m, const VU x) {
#if VW <= 2 || !defined(__ENDIAN_LITTLE__)
    *high = mul_hi((VU)(m), x);
    *low = m * x;
#else
    const JOIN(ulong, PAIRS) lower = 0xffffffffu, pair = JOIN(as_ulong, PAIRS)(x);
    const JOIN(ulong, PAIRS) even = (pair & lower) * m, odd = (pair >> 32) * m;
    *high = JOIN(as_uint, VW)(even >> 32 | (odd & ~lower));
    *low = JOIN(as_uint, VW)((even & lower) | odd << 32);
#endif
}

// The four words of VW blocks from `block` on, interleaved: the uniform numbers of elements 4*block .. 4*(block + VW) -
// 1 become factors, 0 or scale.
static inline void factors_of(float *factor, const ulong block, const uint stream, const ulong seed, const float p,
                              const float scale) {
    const VU lane = lane_numbers(), low = (VU)((uint)block) + lane;
    VU c0 = low, c1 = (VU)((uint)(block >> 32)) + (low < lane ? (VU)(1) : (VU)(0)), c2 = (VU)(stream), c3 = (VU)(0);
    uint k0 = (uint)seed, k1 = (uint)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        VU high0, low0, high1, low1;
        multiply(&high0, &low0, 0xD2511F53u, c0);
        multiply(&high1, &low1, 0xCD9E8D57u, c2);
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    const VU word[4] = {c0, c1, c2, c3};
    for (int w = 0; w < 4; w++) {
        float lanes[VW];
        STORE(TO_V(word[w] >> 8) * 0x1p-24f >= p ? (V)(scale) : (V)(0.0f), lanes);
        for (int i = 0; i < VW; i++)
            factor[4 * i + w] = lanes[i];
    }
}

#define DROPOUT(name, combine, combine_one)                                                                           \
    __kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void name(                                               \
        TENSOR(float, y), const int y_stride, TENSOR(const float, x), const int x_stride, const int C, const float p, \
        const float scale, const uint stream, const ulong seed) {                                                     \
        float factor[WORDS];                                                                                          \
        AT(y);                                                                                                        \
        AT(x);                                                                                                        \
        const size_t m = get_global_id(1);                                                                            \
        const int start = get_global_id(0) * BLOCK, n = min(BLOCK, C - start);                                        \
        if (n <= 0)                                                                                                   \
            return;                                                                                                   \
        const ulong element = m * C + start;                                                                          \
        const int skip = element % 4;                                                                                 \
        for (int i = 0; i < skip + n; i += 4 * VW)                                                                    \
            factors_of(factor + i, (element + i) / 4, stream, seed, p, scale);                                        \
        y += m * y_stride + start;                                                                                    \
        x += m * x_stride + start;                                                                                    \
        int c = 0;                                                                                                    \
        for (; c + VW <= n; c += VW)                                                                                  \
            STORE(combine, y + c);                                                                                    \
        for (; c < n; c++)                                                                                            \
            y[c] = combine_one;                                                                                       \
    }

DROPOUT(dropout, LOAD(x + c) * LOAD(factor + skip + c), x[c] * factor[skip + c])
DROPOUT(dropout_add, fma(LOAD(x + c), LOAD(factor + skip + c), LOAD(y + c)), fma(x[c], factor[skip + c], y[c]))
DROPOUT(dropout_rest, fma(-LOAD(x + c), LOAD(factor + skip + c), LOAD(x + c)), fma(-x[c], factor[skip + c], x[c]))
