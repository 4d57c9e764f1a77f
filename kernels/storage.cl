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
#define STORAGE 0 // clora_storage: 0 f32, 1 f16, 2 bf16
#endif

// n neighbours at p, also one.
#define uint1 uint
#define as_float1 as_float
#define load1(p) (*(p))
#define load2(p) vload2(0, p)
#define load4(p) vload4(0, p)
#define load8(p) vload8(0, p)
#define load16(p) vload16(0, p)

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
// Eight at a time: drivers make one instruction of it where the CPU has one, and 16 at a time often a loop.
#define halves1(p) vload_half(0, p)
#define halves2(p) vload_half2(0, p)
#define halves4(p) vload_half4(0, p)
#define halves8(p) vload_half8(0, p)
#define halves16(p) ((float16)(vload_half8(0, p), vload_half8(1, p)))
#define STEPS_AT(panel, k) ((panel) + (size_t)(k)*NR)
#define LANES(n, out, panel, k, lane)                                                                                  \
    (out)[0] = JOIN(halves, n)((__global const half *)(STEPS_AT(panel, k) + (lane)))

static inline float element(__global const stored *panel, const size_t k, const int lane) {
    return vload_half(k * NR + lane, (__global const half *)panel);
}

#elif STORAGE == 2 // ---- bf16: pairs of steps k and k + 1 in one uint, the even one in the low half ----
typedef ushort stored;
#define UNIT (NR == 1 ? 1 : 2)
#define WORDS UNIT
#define STEPS 2
#define STEPS_AT(panel, k) ((__global const uint *)((panel) + (size_t)(k)*NR))
#define LANES(n, out, panel, k, lane)                                                                                  \
    {                                                                                                                  \
        const JOIN(uint, n) pairs = JOIN(load, n)(STEPS_AT(panel, k) + (lane));                                       \
        (out)[0] = JOIN(as_float, n)(pairs << 16);                                                                     \
        (out)[1] = JOIN(as_float, n)(pairs & 0xffff0000u);                                                             \
    }

static inline float element(__global const stored *panel, const size_t k, const int lane) {
    return as_float((uint)panel[(k / UNIT * NR + lane) * UNIT + k % UNIT] << 16);
}
#endif

static inline size_t panel_size(const int K) { return (size_t)((K + UNIT - 1) / UNIT) * WORDS * NR; }
