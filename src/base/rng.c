#include "base/rng.h"

#include <math.h>

static const uint32_t MULTIPLIER_0 = 0xD2511F53u, MULTIPLIER_1 = 0xCD9E8D57u;
static const uint32_t WEYL_0 = 0x9E3779B9u, WEYL_1 = 0xBB67AE85u;

void rng_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];

    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)MULTIPLIER_0 * c0, p1 = (uint64_t)MULTIPLIER_1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += WEYL_0;
        k1 += WEYL_1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

uint32_t rng_bits(uint64_t seed, uint32_t stream, uint64_t index) {
    const uint64_t block = index / 4;
    const uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), stream, 0};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t out[4];

    rng_philox(out, counter, key);
    return out[index % 4];
}

float rng_uniform(uint64_t seed, uint32_t stream, uint64_t index) {
    return (float)(rng_bits(seed, stream, index) >> 8) * 0x1p-24f;
}

float rng_normal(uint64_t seed, uint32_t stream, uint64_t index) {
    const uint64_t pair = index & ~(uint64_t)1;
    /* the half keeps the logarithm's argument above zero */
    const double u = (rng_bits(seed, stream, pair) + 0.5) * 0x1p-32;
    const double angle = 6.283185307179586477 * (rng_bits(seed, stream, pair + 1) * 0x1p-32);
    const double radius = sqrt(-2.0 * log(u));

    return (float)(radius * (index & 1 ? sin(angle) : cos(angle)));
}

/* Uniform in 0..bound-1; draws again where the modulus would favour small values. */
static uint64_t below(uint64_t bound, uint64_t seed, uint32_t stream, uint64_t *index) {
    const uint64_t excess = (UINT64_MAX % bound + 1) % bound; /* 2^64 mod bound */
    uint64_t value;

    do {
        value = (uint64_t)rng_bits(seed, stream, *index) << 32 | rng_bits(seed, stream, *index + 1);
        *index += 2;
    } while (value > UINT64_MAX - excess);
    return value % bound;
}

void rng_permutation(size_t *out, size_t n, uint64_t seed, uint32_t stream) {
    uint64_t index = 0;

    for (size_t i = 0; i < n; i++)
        out[i] = i;
    for (size_t i = n; i > 1; i--) {
        const size_t j = (size_t)below(i, seed, stream, &index);
        const size_t swapped = out[i - 1];
        out[i - 1] = out[j];
        out[j] = swapped;
    }
}
