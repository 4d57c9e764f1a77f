// Floats to 16 bits, to nearest, ties to even: by their bits, so that every device rounds alike. VW at a time, in the
// low halves of uints.

#define VU JOIN(uint, VW)
#if VW == 1
#define AS_VU(v) as_uint(v)
#else
#define AS_VU(v) JOIN(as_uint, VW)(v)
#endif

static inline VU rounded_f16(const V value) {
    const VU bits = AS_VU(value), sign = bits >> 16u & 0x8000u, size = bits & 0x7fffffffu;
    const VU tiny = AS_VU(AS_V(size) + 0.5f) - 0x3f000000u; // subnormal: adding 0.5 leaves multiples of 2^-24
    VU half_bits = (size - 0x38000000u + 0xfffu + (size >> 13u & 1u)) >> 13u;
    half_bits = size < (VU)(0x38800000u) ? tiny : half_bits;
    half_bits = size >= (VU)(0x477ff000u) ? (VU)(0x7c00u) : half_bits; // from 65520 on: infinity
    half_bits = size > (VU)(0x7f800000u) ? (VU)(0x7e00u) : half_bits;  // NaN
    return sign | half_bits;
}

static inline VU rounded_bf16(const V value) {
    const VU bits = AS_VU(value);
    const VU nearest = (bits + 0x7fffu + (bits >> 16u & 1u)) >> 16u;
    return (bits & 0x7fffffffu) > (VU)(0x7f800000u) ? (VU)(0x7fc0u) : nearest;
}
