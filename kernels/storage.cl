// How the elements of a frozen weight are stored, and the two ways to read them. One block here is one row of
// src/ops/storage.c.
//
//   element(panel, k, lane)              one, as float: for kernels whose items are lanes
//   LANES(n, out, panel, k, lane)        STEPS steps of K from k (a multiple of STEPS) at once, n lanes from `lane` on:
//                                        out[0] ... out[STEPS - 1], vectors of n floats
//
// STEPS_AT(panel, k) is where LANES reads those of lane 0, as a pointer to what one lane has of them.
//
// A panel has NR rows of W0, its lanes, and panel_size(K) of `stored`. Plain rows are panels of one lane: with NR 1 the
// same formulas read them, and W0 is one long row.

#ifndef NR
#define NR 16 // rows of a panel; 1: plain rows
#endif
#ifndef STORAGE
#define STORAGE 0 // clora_storage: 0 f32, 1 f16, 2 bf16, 4 q8_0
#endif

// n neighbours at p, also one.
#define uint1 uint
#define float1 float
#define as_float1 as_float
#define load1(p) (*(p))
#define load2(p) vload2(0, p)
#define load4(p) vload4(0, p)
#define load8(p) vload8(0, p)
#define load16(p) vload16(0, p)

// Eight at a time: drivers make one instruction of it where the CPU has one, and 16 at a time often a loop.
#define halves1(p) vload_half(0, p)
#define halves2(p) vload_half2(0, p)
#define halves4(p) vload_half4(0, p)
#define halves8(p) vload_half8(0, p)
#define halves16(p) ((float16)(vload_half8(0, p), vload_half8(1, p)))

#if STORAGE == 0 // ---- f32: the lanes of a step side by side ----
typedef float stored;
#define UNIT 1  // steps of K that lie together
#define WORDS 1 // of `stored` that a lane of them takes
#define STEPS 1
#define STEPS_AT(panel, k) ((panel) + (size_t)(k)*NR)
#define LANES(n, out, panel, k, lane) (out)[0] = JOIN(load, n)(STEPS_AT(panel, k) + (lane))

static inline float element(__global const stored *panel, const size_t k, const int lane) {
    return panel[k * NR + lane];
}

#elif STORAGE == 1 // ---- f16: the same ----
typedef ushort stored;
#define UNIT 1
#define WORDS 1
#define STEPS 1
#define STEPS_AT(panel, k) ((panel) + (size_t)(k)*NR)
#define LANES(n, out, panel, k, lane) (out)[0] = JOIN(halves, n)((__global const half *)(STEPS_AT(panel, k) + (lane)))

static inline float element(__global const stored *panel, const size_t k, const int lane) {
    return vload_half(k * NR + lane, (__global const half *)panel);
}

#elif STORAGE == 2 // ---- bf16: pairs of steps k and k + 1 in one uint, the even one in the low half ----
typedef ushort stored;
#define UNIT (NR == 1 ? 1 : 2)
#define WORDS UNIT
#define STEPS 2
#define STEPS_AT(panel, k) ((__global const uint *)((panel) + (size_t)(k)*NR))
#define LANES(n, out, panel, k, lane)                                           \
    {                                                                           \
        const JOIN(uint, n) pairs = JOIN(load, n)(STEPS_AT(panel, k) + (lane)); \
        (out)[0] = JOIN(as_float, n)(pairs << 16);                              \
        (out)[1] = JOIN(as_float, n)(pairs & 0xffff0000u);                      \
    }

static inline float element(__global const stored *panel, const size_t k, const int lane) {
    return as_float((uint)panel[(k / UNIT * NR + lane) * UNIT + k % UNIT] << 16);
}

#elif STORAGE == 4 // ---- q8_0: of 32 steps each lane's scale in f16, then the steps in fours, bytes of a uint ----
typedef ushort stored;
#define UNIT 32
#define WORDS 17
#define STEPS 4
#define BLOCK_AT(panel, k) ((panel) + (size_t)((k) / UNIT) * (WORDS * NR))
#define STEPS_AT(panel, k) ((__global const uint *)(BLOCK_AT(panel, k) + NR) + (k) % UNIT / STEPS * NR)
// A byte as a float: 2^23 has its last bit at one, so that its low bits are an integer; 128 more make it positive.
#define LANES(n, out, panel, k, lane)                                                                                \
    {                                                                                                                \
        const JOIN(uint, n) bytes = JOIN(load, n)(STEPS_AT(panel, k) + (lane)) ^ 0x80808080u;                        \
        const JOIN(float, n) scale = JOIN(halves, n)((__global const half *)BLOCK_AT(panel, k) + (lane));            \
        UNROLL for (int nth = 0; nth < STEPS; nth++) {                                                               \
            (out)[nth] = (JOIN(as_float, n)((bytes >> (uint)(8 * nth) & 0xffu) | 0x4b000000u) - 8388736.0f) * scale; \
        }                                                                                                            \
    }

static inline float element(__global const stored *panel, const size_t k, const int lane) {
    __global const char *bytes = (__global const char *)(BLOCK_AT(panel, k) + NR);
    return bytes[(k % UNIT / STEPS * NR + lane) * STEPS + k % STEPS] *
           vload_half(lane, (__global const half *)BLOCK_AT(panel, k));
}
#endif

static inline size_t panel_size(const int K) {
    return (size_t)((K + UNIT - 1) / UNIT) * WORDS * NR;
}
