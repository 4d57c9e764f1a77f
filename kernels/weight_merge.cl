// An adapter merged into the weights of a running model:
//
//   w = W0 + scale * B * A    summed in float and rounded once to the storage type of W0
//
//   weight_merge         panels of one module: a group makes BLOCK columns k of one, an item NV vectors of its lanes
//   weight_merge_plain   plain rows (NR = 1): an item makes 32 columns k of one
//
// `first` is the first of these units, counted from the module's. w0 may be w itself. outside becomes 1 where a sum is
// not finite in the storage type. A and B are panels of FACTOR_NR lanes (ops/lowrank.h). Bandwidth bound while the rank
// is small: 2 * rank operations and one read and write an element.

#ifndef FACTOR_NR
#define FACTOR_NR NR
#endif
#if NR == 1 && !defined(NV)
#define NV 1
#endif
#ifndef NV
#define NV 2 // vectors of an item; NV * VW divides NR
#endif
#ifndef RK
#define RK 4 // columns k at a time; divides FACTOR_NR
#endif
#if RK < STEPS
#undef RK
#define RK STEPS // whole loads
#endif
#ifndef BLOCK
#define BLOCK 256 // columns k of a group; a multiple of FACTOR_NR and of UNIT
#endif
#define ITEMS (NR / (NV * VW))
#if NR % (NV * VW) != 0 || FACTOR_NR % RK != 0 || RK % STEPS != 0 || BLOCK % FACTOR_NR != 0 || BLOCK % 32 != 0
#error "NR must be a multiple of NV * VW, FACTOR_NR of RK, RK of STEPS, BLOCK of FACTOR_NR and 32"
#endif

// What builtins.cl has not, for compilers that are kept from their own declarations (src/device/program.c).
#ifdef _OPENCL_H_
#define OVERLOADED __attribute__((overloadable))
#define DECLARE(n)                                                          \
    uint##n OVERLOADED __attribute__((const)) max(uint##n, uint##n);        \
    int##n OVERLOADED __attribute__((const)) convert_int##n(float##n);      \
    ushort##n OVERLOADED __attribute__((const)) convert_ushort##n(uint##n); \
    float##n OVERLOADED __attribute__((const)) round(float##n);             \
    int OVERLOADED __attribute__((const)) any(int##n);                      \
    void OVERLOADED vstore##n(ushort##n, size_t, __global ushort *);        \
    void OVERLOADED vstore_half##n##_rte(float##n, size_t, __global half *);
DECLARE(4)
DECLARE(8)
DECLARE(16)
int OVERLOADED __attribute__((const)) convert_int(float);
ushort OVERLOADED __attribute__((const)) convert_ushort(uint);
float OVERLOADED __attribute__((const)) round(float);
void OVERLOADED vstore_half_rte(float, size_t, __global half *);
int OVERLOADED atomic_or(volatile __global int *, int);
#endif

#if VW == 1
#define ushort1 ushort
#define TO_USHORTS(v) convert_ushort(v)
#define TO_INTS(v) convert_int(v)
#else
#define TO_USHORTS(v) JOIN(convert_ushort, VW)(v)
#define TO_INTS(v) JOIN(convert_int, VW)(v)
#endif

// The size of the first float that is not finite in the storage type, as bits.
#if STORAGE == 1
#define LIMIT 0x477ff000u
#elif STORAGE == 2
#define LIMIT 0x7f7f8000u
#else
#define LIMIT 0x7f800000u
#endif
#define SIZE_OF(v) (AS_VU(v) & 0x7fffffffu)

// Past the caches where the compiler has a way: w is larger than they are, and is not read before it is written.
#if defined(__clang__) && VW > 1
#define STREAM(v, type, p) __builtin_nontemporal_store(v, (__global type *)(p))
#else
#define STREAM(v, type, p) *(__global type *)(p) = (v)
#endif

// f16 by the drivers' own instruction, which makes eight: rounded_f16 takes five times as long.
#if STORAGE == 1
#define halves_rounded1(v, p) vstore_half_rte(v, 0, p)
#define halves_rounded4(v, p) vstore_half4_rte(v, 0, p)
#define halves_rounded8(v, p) vstore_half8_rte(v, 0, p)
#define halves_rounded16(v, p) (vstore_half8_rte((v).lo, 0, p), vstore_half8_rte((v).hi, 1, p))
static inline void put_halves(__global stored *to, const V x) {
    JOIN(halves_rounded, VW)(x, (__global half *)to);
}
#endif

// STEPS values from column k on, a multiple of STEPS, of VW lanes from `lane` on.
#if STORAGE == 0
#define PUT(panel, k, lane, x) STREAM((x)[0], V, (panel) + (size_t)(k)*NR + (lane))
#elif STORAGE == 1
#define PUT(panel, k, lane, x) put_halves((panel) + (size_t)(k)*NR + (lane), (x)[0])
#elif STORAGE == 2
#define PUT(panel, k, lane, x) \
    STREAM(rounded_bf16((x)[0]) | rounded_bf16((x)[1]) << 16u, VU, (__global uint *)((panel) + (size_t)(k)*NR) + (lane))
#endif

// A block of q8_0, as src/ops/storage.c packs it: the scale is rounded after it has served. Returns LIMIT where the
// block cannot be stored.
#if STORAGE == 4
static inline VU put_block(__global stored *panel, const int k, const int lane, const V *x) {
    VU largest = (VU)(0u);
    for (int i = 0; i < UNIT; i++)
        largest = max(largest, SIZE_OF(x[i])); // sizes are in the order of their bits, NaN last
    const V d = AS_V(largest) / 127.0f, inverse = 1.0f / d;
    const VU scale = rounded_f16(d);
    __global stored *block = panel + (size_t)(k / UNIT) * (WORDS * NR);
    STORE(TO_USHORTS(scale), block + lane);
    for (int i = 0; i < UNIT; i += STEPS) {
        VU bytes = (VU)(0u);
        UNROLL for (int e = 0; e < STEPS; e++) {
            const V q = round(x[i + e] * inverse); // of values too small for an inverse nothing is left
            bytes |= (AS_VU(TO_INTS(inverse < INFINITY ? q : (V)(0.0f))) & 0xffu) << (uint)(8 * e);
        }
#if NR == 1
        block[1 + i / 2] = bytes & 0xffffu;
        block[2 + i / 2] = bytes >> 16u;
#else
        STORE(bytes, (__global uint *)(block + NR) + (size_t)(i / STEPS) * NR + lane);
#endif
    }
    return scale >= (VU)(0x7c00u) ? (VU)(LIMIT) : (VU)(0u);
}
#endif

#if VW == 1
#define ANY(condition) (condition)
#else
#define ANY(condition) any(condition)
#endif
#define NOTE(worst)                  \
    if (ANY((worst) >= (VU)(LIMIT))) \
    atomic_or(outside, 1)

// c[i][j] = B * A at `steps` columns and `vectors` of lanes.
#define TERMS(c, steps, vectors, left, right)                                                                \
    UNROLL for (int i = 0; i < (steps); i++) UNROLL for (int j = 0; j < (vectors); j++) c[i][j] = (V)(0.0f); \
    for (int r = 0; r < rank; r++) {                                                                         \
        V part[vectors];                                                                                     \
        UNROLL for (int j = 0; j < (vectors); j++) part[j] = LOAD((right) + (size_t)r * FACTOR_NR + j * VW); \
        UNROLL for (int i = 0; i < (steps); i++) {                                                           \
            const V value = (V)((left)[(size_t)r * FACTOR_NR + i]);                                          \
            UNROLL for (int j = 0; j < (vectors); j++) c[i][j] = fma(value, part[j], c[i][j]);               \
        }                                                                                                    \
    }

// Where the module's rows of A begin at column k, which are FACTOR_NR apart.
#define LEFT(k) (a + ((size_t)((k) / FACTOR_NR) * R + row) * FACTOR_NR + (k) % FACTOR_NR)

#define ARGUMENTS                                                                                             \
    __global stored *w, const ulong w_offset, __global const stored *w0, const ulong w0_offset,               \
        TENSOR(const float, a), TENSOR(const float, b), TENSOR(int, outside), const float scale, const int K, \
        const int R, const int row, const int rank, const int first
#define BEGIN    \
    AT(w);       \
    AT(w0);      \
    AT(a);       \
    AT(b);       \
    AT(outside); \
    VU worst = (VU)(0u)

#if NR > 1
__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void weight_merge(ARGUMENTS) {
    BEGIN;
    const int begin = get_group_id(0) * BLOCK, end = min(K, begin + BLOCK), q = get_group_id(1);
    const int lane = get_local_id(0) * NV * VW;
    __global const float *right = b + (size_t)(first + q) * rank * NR + lane;
    w += q * panel_size(K);
    w0 += q * panel_size(K);
#if STORAGE == 4
    for (int k = begin; k < end; k += UNIT)
        for (int n = 0; n < NV; n++) {
            V x[UNIT];
            for (int part_of = 0; part_of < UNIT; part_of += RK) {
                V c[RK][1];
                __global const float *left = LEFT(k + part_of);
                TERMS(c, RK, 1, left, right + n * VW);
                UNROLL for (int i = 0; i < RK; i += STEPS) {
                    V wide[STEPS];
                    LANES(VW, wide, w0, k + part_of + i, lane + n * VW);
                    UNROLL for (int e = 0; e < STEPS; e++) x[part_of + i + e] = fma((V)(scale), c[i + e][0], wide[e]);
                }
            }
            worst = max(worst, put_block(w, k, lane + n * VW, x));
        }
#else
    for (int k = begin; k < end; k += RK) {
        V c[RK][NV];
        __global const float *left = LEFT(k);
        TERMS(c, RK, NV, left, right);
        // A's lanes past K are zero, as W0's padding is: what is stored there stays zero.
        UNROLL for (int i = 0; i < RK; i += STEPS) if (k + i < end) UNROLL for (int j = 0; j < NV; j++) {
            V x[STEPS];
            LANES(VW, x, w0, k + i, lane + j * VW);
            UNROLL for (int e = 0; e < STEPS; e++) {
                x[e] = fma((V)(scale), c[i + e][j], x[e]);
                worst = max(worst, SIZE_OF(x[e]));
            }
            PUT(w, k + i, lane + j * VW, x);
        }
    }
#endif
    NOTE(worst);
}
#else
__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void weight_merge_plain(ARGUMENTS) {
    BEGIN;
    const int begin = get_global_id(0) * 32, end = min(K, begin + 32), n = get_global_id(1);
    __global const float *right = b + (size_t)((first + n) / FACTOR_NR) * rank * FACTOR_NR + (first + n) % FACTOR_NR;
    float x[32];
    w += n * panel_size(K);
    w0 += n * panel_size(K);
    for (int k = begin; k < end; k++) {
        float c = 0.0f;
        for (int r = 0; r < rank; r++)
            c = fma(LEFT(k)[(size_t)r * FACTOR_NR], right[(size_t)r * FACTOR_NR], c);
        x[k - begin] = fma(scale, c, element(w0, k, 0));
    }
#if STORAGE == 4
    if (begin < end)
        worst = put_block(w, begin, 0, x);
#else
    for (int k = begin; k < end; k++) {
        worst = max(worst, SIZE_OF(x[k - begin]));
#if STORAGE == 0
        w[k] = x[k - begin];
#elif STORAGE == 1
        w[k] = rounded_f16(x[k - begin]);
#else
        w[k] = rounded_bf16(x[k - begin]);
#endif
    }
#endif
    NOTE(worst);
}
#endif
