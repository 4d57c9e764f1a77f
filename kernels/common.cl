// Begins every program: the offset idiom, vectors, sums over a work-group, the exponential.
//
// A tensor argument is a buffer and the index of its first element: TENSOR(const float, x) declares both, AT(x) moves
// the pointer. OpenCL 1.2 cannot pass a pointer into the middle of a buffer, and sub-buffers need an alignment that
// views lack.

#define TENSOR(type, name) __global type *restrict name, const ulong name##_offset
#define AT(name) name += name##_offset

// Of a product's `given`: what y begins with, and which arguments are there. Others are any buffer, which is not
// touched: AT_IF makes null pointers of them.
#define ACCUMULATE 1
#define RESIDUAL 2
#define BIAS 4
#define COLUMNS 8
#define TABLE 16
#define AT_IF(bit, name) name = given & (bit) ? name + name##_offset : 0

// V is an explicit vector of VW floats: CPU drivers make good SIMD code of it, where one work-item a column is 20 times
// slower. With VW = 1 the same source is plain scalar code, for GPUs whose lanes are the work-items.
#ifndef VW
#define VW 1 // 1, 2, 4, 8 or 16
#endif
#ifndef WG
#define WG 1 // work-items in a group; a power of two
#endif
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#if VW == 1
typedef float V;
typedef int VI;
#define LOAD(p) (*(p))
#define STORE(v, p) (*(p) = (v))
#define AS_V(i) as_float(i)
#define AS_VI(v) as_int(v)
#else
typedef JOIN(float, VW) V;
typedef JOIN(int, VW) VI;
#define LOAD(p) JOIN(vload, VW)(0, p)
#define STORE(v, p) JOIN(vstore, VW)(v, 0, p)
#define AS_V(i) JOIN(as_float, VW)(i)
#define AS_VI(v) JOIN(as_int, VW)(v)
#endif

#define UNROLL _Pragma("unroll")

// For every function that takes local memory. Left as a call, PoCL's compiler may put the one array that all calls pass
// into the function itself, where PoCL does not see that each work-group needs its own: two cores then share it.
#define INLINE static inline __attribute__((always_inline))

// The sum and the maximum of a vector's lanes, by halves: a fixed order.
#define ADD(a, b) ((a) + (b))
#define LANES_2(v, combine) combine((v).lo, (v).hi)
#if VW == 1
#define LANE_REDUCTION(name, combine)     \
    static inline float name(const V v) { \
        return v;                         \
    }
#elif VW == 2
#define LANE_REDUCTION(name, combine)     \
    static inline float name(const V v) { \
        return LANES_2(v, combine);       \
    }
#elif VW == 4
#define LANE_REDUCTION(name, combine)          \
    static inline float name(const V v) {      \
        const float2 v2 = LANES_2(v, combine); \
        return LANES_2(v2, combine);           \
    }
#else
#define LANE_REDUCTION(name, combine)           \
    static inline float name(const V v) {       \
        const float8 v8 = LANES_8(v, combine);  \
        const float4 v4 = LANES_2(v8, combine); \
        const float2 v2 = LANES_2(v4, combine); \
        return LANES_2(v2, combine);            \
    }
#if VW == 16
#define LANES_8(v, combine) LANES_2(v, combine)
#else
#define LANES_8(v, combine) (v)
#endif
#endif
LANE_REDUCTION(sum_lanes, ADD)
LANE_REDUCTION(max_lanes, fmax)

// A barrier where there is something to wait for: drivers for CPUs keep variables in memory across barriers.
#if WG == 1
#define GROUP_BARRIER
#else
#define GROUP_BARRIER barrier(CLK_LOCAL_MEM_FENCE)
#endif

// The sum and the maximum over the items of a group, in every item; space holds WG floats and may be used again.
#define GROUP_REDUCTION(name, combine)                          \
    INLINE float name(const float part, __local float *space) { \
        const int i = get_local_id(0);                          \
        GROUP_BARRIER;                                          \
        space[i] = part;                                        \
        for (int step = WG / 2; step > 0; step /= 2) {          \
            GROUP_BARRIER;                                      \
            if (i < step)                                       \
                space[i] = combine(space[i], space[i + step]);  \
        }                                                       \
        GROUP_BARRIER;                                          \
        return space[0];                                        \
    }
#if WG == 1
#define sum_group(part, space) ((void)(space), (part))
#define max_group(part, space) ((void)(space), (part))
#else
GROUP_REDUCTION(sum_group, ADD)
GROUP_REDUCTION(max_group, fmax)
#endif

// e^x within 2 ulp; 0 below -87, infinity above 88, NaN for NaN. x = n ln 2 + r with |r| <= ln 2 / 2, e^r by its
// minimax polynomial; adding 1.5 * 2^23 rounds to the integer n and leaves it in the low bits.
static inline V exponential(const V x) {
    const V shifted = fma(x, (V)(1.44269504f), (V)(12582912.0f)), n = shifted - 12582912.0f;
    const V r = fma(n, (V)(-1.42860682e-6f), fma(n, (V)(-0.693145752f), x));
    V q = fma(r, (V)(1.38145401768e-3f), (V)(8.36874510894e-3f));
    q = fma(q, r, (V)(4.16683907835e-2f));
    q = fma(q, r, (V)(0.16666520399f));
    q = fma(q, r, (V)(0.499999934321f));
    q = fma(q * r, r, r) + 1.0f;
    q *= AS_V((AS_VI(shifted) << 23) + 0x3f800000);
    q = x < -87.0f ? (V)(0.0f) : q;
    return x > 88.0f ? (V)(INFINITY) : q;
}

static inline V sigmoid(const V x) {
    return 1.0f / (1.0f + exponential(-x));
}

#define GELU_LINEAR 1.5957691216f  // 2 sqrt(2/pi)
#define GELU_CUBIC 0.071354816273f // 2 sqrt(2/pi) * 0.044715

// The gate of an MLP is g * sigmoid(GATE_INNER(g)): silu, or with GELU gelu by its tanh (gelu.cl). GATE_SLOPE is the
// slope of what stands in the sigmoid.
#ifndef GELU
#define GELU 0
#endif
#if GELU
#define GATE_INNER(g) ((g) * ((g) * (g)*GELU_CUBIC + GELU_LINEAR))
#define GATE_SLOPE(g) ((g) * (g) * (3.0f * GELU_CUBIC) + GELU_LINEAR)
#else
#define GATE_INNER(g) (g)
#define GATE_SLOPE(g) 1.0f
#endif

// What rmsnorm multiplies a row by, besides the gain: 1 / sqrt(mean(x^2) + eps).
static inline float row_factor(__global const float *x, const int K, const float eps) {
    V squares = (V)(0.0f);
    float rest = 0.0f;
    int k = 0;
    for (; k + VW <= K; k += VW)
        squares = fma(LOAD(x + k), LOAD(x + k), squares);
    for (; k < K; k++)
        rest = fma(x[k], x[k], rest);
    return 1.0f / sqrt((sum_lanes(squares) + rest) / K + eps);
}
