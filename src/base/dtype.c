#include "base/dtype.h"

#include <assert.h>
#include <string.h>

/* Everything here is selects instead of branches, so that the loops below become vector code. */

static inline float float_from_bits(uint32_t bits) {
    float f;

    memcpy(&f, &bits, sizeof(f));
    return f;
}

static inline uint32_t bits_from_float(float f) {
    uint32_t bits;

    memcpy(&bits, &f, sizeof(bits));
    return bits;
}

/* condition ? a : b without a branch: with floating-point arms the compiler would keep one, and with it the scalar
 * loop. */
static inline uint32_t choose(bool condition, uint32_t a, uint32_t b) {
    const uint32_t mask = 0u - (uint32_t)condition;

    return (a & mask) | (b & ~mask);
}

static inline float widen_f16(uint16_t h) {
    const uint32_t magnitude = h & 0x7fffu, sign = (uint32_t)(h & 0x8000u) << 16;
    const uint32_t rebias = magnitude >= 0x7c00u ? 224u << 23 : 112u << 23; /* infinity and NaN keep a full exponent */
    const uint32_t normal = (magnitude << 13) + rebias;
    const uint32_t subnormal = bits_from_float((float)(int32_t)magnitude * 0x1p-24f);

    return float_from_bits(sign | choose(magnitude < 0x0400u, subnormal, normal));
}

static inline uint16_t narrow_f16(float f) {
    const uint32_t bits = bits_from_float(f), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    const uint32_t rounded = (magnitude - (112u << 23) + 0x0fffu + (magnitude >> 13 & 1u)) >> 13;
    const uint32_t normal = choose(magnitude >= 0x47800000u, 0x7c00u, rounded);
    /* below 2^-14 the sum's last place is the smallest f16, so the addition itself rounds to nearest even */
    const uint32_t subnormal = bits_from_float(float_from_bits(magnitude) + 0.5f) - 0x3f000000u;
    const uint32_t finite = choose(magnitude < 0x38800000u, subnormal, normal);

    return (uint16_t)(sign | choose(magnitude > 0x7f800000u, 0x7e00u | (magnitude >> 13 & 0x1ffu), finite));
}

static inline uint16_t narrow_bf16(float f) {
    const uint32_t bits = bits_from_float(f);
    const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;

    return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? bits >> 16 | 0x40u : rounded);
}

size_t dtype_size(clora_dtype dtype) {
    switch (dtype) {
    case CLORA_DTYPE_F32: return 4;
    case CLORA_DTYPE_F16: return 2;
    case CLORA_DTYPE_BF16: return 2;
    case CLORA_DTYPE_I32: return 4;
    }
    return 0;
}

const char *dtype_name(clora_dtype dtype) {
    switch (dtype) {
    case CLORA_DTYPE_F32: return "f32";
    case CLORA_DTYPE_F16: return "f16";
    case CLORA_DTYPE_BF16: return "bf16";
    case CLORA_DTYPE_I32: return "i32";
    }
    return "unknown";
}

float dtype_f16_to_f32(uint16_t h) {
    return widen_f16(h);
}

uint16_t dtype_f32_to_f16(float f) {
    return narrow_f16(f);
}

float dtype_bf16_to_f32(uint16_t h) {
    return float_from_bits((uint32_t)h << 16);
}

uint16_t dtype_f32_to_bf16(float f) {
    return narrow_bf16(f);
}

/* A value inside a file may lie at an odd address. */
static inline uint16_t load_u16(const unsigned char *bytes) {
    uint16_t value;

    memcpy(&value, bytes, sizeof(value));
    return value;
}

static inline uint32_t load_u32(const unsigned char *bytes) {
    uint32_t value;

    memcpy(&value, bytes, sizeof(value));
    return value;
}

static inline void store_u16(unsigned char *bytes, uint16_t value) {
    memcpy(bytes, &value, sizeof(value));
}

void dtype_to_f32(float *out, const void *in, clora_dtype dtype, size_t n) {
    const unsigned char *restrict from = in;
    float *restrict to = out;

    if (n == 0)
        return;
    switch (dtype) {
    case CLORA_DTYPE_F32: memmove(out, in, n * sizeof(float)); return;
    case CLORA_DTYPE_F16:
        for (size_t i = 0; i < n; i++)
            to[i] = widen_f16(load_u16(from + 2 * i));
        return;
    case CLORA_DTYPE_BF16:
        for (size_t i = 0; i < n; i++)
            to[i] = float_from_bits((uint32_t)load_u16(from + 2 * i) << 16);
        return;
    case CLORA_DTYPE_I32: break;
    }
    assert(!"a dtype that holds no real numbers");
}

void dtype_from_f32(void *out, clora_dtype dtype, const float *in, size_t n) {
    const float *restrict from = in;
    unsigned char *restrict to = out;

    if (n == 0)
        return;
    switch (dtype) {
    case CLORA_DTYPE_F32: memmove(out, in, n * sizeof(float)); return;
    case CLORA_DTYPE_F16:
        for (size_t i = 0; i < n; i++)
            store_u16(to + 2 * i, narrow_f16(from[i]));
        return;
    case CLORA_DTYPE_BF16:
        for (size_t i = 0; i < n; i++)
            store_u16(to + 2 * i, narrow_bf16(from[i]));
        return;
    case CLORA_DTYPE_I32: break;
    }
    assert(!"a dtype that holds no real numbers");
}

/* An infinity or a NaN has all exponent bits set. */
bool dtype_all_finite(const void *values, clora_dtype dtype, size_t n) {
    const unsigned char *bytes = values;
    uint32_t bad = 0;

    if (dtype == CLORA_DTYPE_F32) {
        for (size_t i = 0; i < n; i++)
            bad |= (load_u32(bytes + 4 * i) & 0x7f800000u) == 0x7f800000u;
    } else {
        const uint16_t exponent = dtype == CLORA_DTYPE_F16 ? 0x7c00 : 0x7f80;
        for (size_t i = 0; i < n; i++)
            bad |= (load_u16(bytes + 2 * i) & exponent) == exponent;
    }
    return bad == 0;
}
