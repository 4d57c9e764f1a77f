// What the products with pairs of bf16 share: steps of two elements along the sum at once, with float sums.
//
// A pair is a uint: the element of the lower index in the low half. DOT says how it is multiplied: in the processor's
// tiles (3), by its instruction for vectors (2), or in floats (1), which computes the same but for the last bit, and is
// there for tests and to compare.

#ifndef DOT
#define DOT 1
#endif
typedef JOIN(uint, VW) VU;
#define LOAD_PAIRS(p) JOIN(vload, VW)(0, p)
#define STORE_PAIRS(v, p) JOIN(vstore, VW)(v, 0, p)

// To the nearest bf16, ties to even, in the high half; NaN stays NaN.
static inline uint rounded(const float x) {
    const uint u = as_uint(x);
    return isnan(x) ? u | 0x400000u : u + 0x7fffu + (u >> 16 & 1u);
}

static inline uint pair_of(const float low, const float high) {
    return rounded(low) >> 16 | (rounded(high) & 0xffff0000u);
}

#if DOT >= 2
// AVX512_BF16; subnormal numbers count as zero.
#define DOT_STEP(c, a, b) __asm__("vdpbf16ps %2, %1, %0" : "+v"(c) : "v"(a), "v"(b))

static inline VU pairs_of(const V low, const V high) {
    VU pairs;
    __asm__("vcvtne2ps2bf16 %1, %2, %0" : "=v"(pairs) : "v"(low), "v"(high));
    return pairs;
}
#else
#define FLOATS(v) JOIN(as_float, VW)(v)
#define DOT_STEP(c, a, b) \
    c = fma(FLOATS((a) << 16), FLOATS((b) << 16), fma(FLOATS((a)&0xffff0000u), FLOATS((b)&0xffff0000u), c))

// Of the 2 VW values of two vectors.
static inline VU pairs_of(const V low, const V high) {
    float value[2 * VW];
    uint pair[VW];

    STORE(low, value);
    STORE(high, value + VW);
    for (int i = 0; i < VW; i++)
        pair[i] = pair_of(value[2 * i], value[2 * i + 1]);
    return LOAD_PAIRS(pair);
}
#endif

// pairs[i] = x[2 i], x[2 i + 1] of `count` values; the partner of an odd last one is zero.
INLINE void pack_pairs(__local uint *pairs, __global const float *x, const int count) {
    int e = 0;

    for (; e + 2 * VW <= count; e += 2 * VW)
        STORE_PAIRS(pairs_of(LOAD(x + e), LOAD(x + e + VW)), pairs + e / 2);
    for (; e < count; e += 2)
        pairs[e / 2] = pair_of(x[e], e + 1 < count ? x[e + 1] : 0.0f);
}

// c[i][j] += a[row[i] + step] * w[step * NR + lanes of j], for `steps` pairs.
#define DOT_STEPS(c, rows, a, row, w, steps)                                                        \
    for (int step = 0; step < (steps); step++) {                                                    \
        VU part[NV];                                                                                \
        UNROLL for (int j = 0; j < NV; j++) part[j] = LOAD_PAIRS((w) + (size_t)step * NR + j * VW); \
        UNROLL for (int i = 0; i < rows; i++) {                                                     \
            const VU value = (VU)((a)[row[i] + step]);                                              \
            UNROLL for (int j = 0; j < NV; j++) DOT_STEP(c[i][j], value, part[j]);                  \
        }                                                                                           \
    }
