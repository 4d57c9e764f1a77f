// What the host records (src/ops/tape.c) and the device walks through (tape.cl): both include this file.
//
// A tape is a list of phases, each made of tasks that are numbered on from phase to phase. A task of a phase begins
// when all tasks before number `early` are done; a product's ends when those before `late` are.

#ifdef __OPENCL_VERSION__
typedef ulong tape_place;
#else
#include <stdint.h>
typedef uint64_t tape_place;
#endif

// An element of a buffer: the buffer's slot among the kernel's arguments, counted from 1, and the element's index in
// it. 0 is nothing.
#define TAPE_INDEX_BITS 48
#define TAPE_INDEX (((tape_place)1 << TAPE_INDEX_BITS) - 1)

enum { TAPE_SLOTS = 32 };    // buffers of a launch
enum { TAPE_COUNTERS = 48 }; // ints that groups count in, zero between two launches

// A phase's kind. Products and low-rank terms have variants, which the program is made for.
enum { TAPE_VARIANTS = 5 };
enum {
    TAPE_PRODUCT = 0,
    TAPE_DOWN = TAPE_PRODUCT + TAPE_VARIANTS,
    TAPE_EMBEDDING = TAPE_DOWN + TAPE_VARIANTS,
    TAPE_RMSNORM,
    TAPE_ROPE_STORE,
    TAPE_ATTENTION,
    TAPE_ACTIVATE,
    TAPE_ADD,
    TAPE_LAYERNORM,
    TAPE_GELU,
    TAPE_POSITIONS,
    TAPE_SCALE,
    TAPE_SWIGLU,
    TAPE_EACH_DOWN,
    TAPE_EACH_UP
};

// The kinds besides products and low-rank terms that a program is made for: a bit each.
#define TAPE_BIT(kind) (1 << ((kind)-TAPE_EMBEDDING))

// A product's variant: panels that a task reads side by side, and whether it gates its output.
#define TAPE_PRODUCT_VARIANT(streams, gated) ((streams) << 1 | (gated))
#define TAPE_STREAMS(variant) ((variant) >> 1)
#define TAPE_GATED(variant) ((variant)&1)

// Of u = s x A^T: ranks in a task.
#define TAPE_DOWN_VARIANT(ranks) ((ranks) << 1)
#define TAPE_RANKS(variant) ((variant) >> 1)

// The arguments of the functions that make a phase, in embedding, matvec, lowrank_panel, norm, rope, attention_row,
// bottleneck, convert, layernorm, gelu, positions, activation and lowrank_each.cl.
typedef struct {
    tape_place y, ids, w;
    int y_stride, N, K, begin, end, columns; // of a task
    float scale;
} tape_embedding;

typedef struct {
    tape_place y, x, residual, bias, u, b, w, columns, table;
    int y_stride, x_stride, residual_stride, u_stride, M, N, K, R, first, panels;
} tape_product;

typedef struct {
    tape_place u, x, a, scales;
    int u_stride, x_stride, M, K, R;
} tape_down;

typedef struct {
    tape_place y, x, gain, rstd;
    int y_stride, x_stride, C, parts;
    float eps;
} tape_rmsnorm;

typedef struct {
    tape_place cache, qkv, positions, table, past, pages;
    int cache_stride, qkv_stride, T, S, H, G, page_count, page_bits;
} tape_rope_store;

typedef struct {
    tape_place y, lse, q, k, v, past, first, pages;
    int y_stride, q_stride, k_stride, v_stride, T, S, H, G, page_count, page_bits;
    float scale, cap;
} tape_attention;

typedef struct {
    tape_place a, z, bias;
    int a_stride, z_stride, R, swish;
} tape_activate;

typedef struct {
    tape_place y, x;
    int y_stride, x_stride, C;
} tape_add;

typedef struct {
    tape_place y, x, gain, bias, moments;
    int y_stride, x_stride, C;
    float eps;
} tape_layernorm;

typedef struct {
    tape_place y, x;
    int y_stride, x_stride, F, columns; // of a task
} tape_gelu;

typedef struct {
    tape_place x, table, positions;
    int x_stride, table_stride, first, P, C;
} tape_positions;

typedef struct {
    tape_place x;
    int x_stride, C;
    float factor;
} tape_scale;

typedef struct {
    tape_place y, gu;
    int y_stride, gu_stride, F, columns; // of a task
} tape_swiglu;

// `slots` are those of the buffers that the table counts.
typedef struct {
    tape_place u, x, table, slots;
    int u_stride, x_stride, T, K, parts; // of a row
} tape_each_down;

typedef struct {
    tape_place y, u, table, columns, slots;
    int y_stride, u_stride, T, panels, share; // of a task
    int begin1, begin2, begin3;
} tape_each_up;

typedef struct {
    int kind, early, late;
    int first, end; // its tasks
    union {
        tape_embedding embedding;
        tape_product product;
        tape_down down;
        tape_rmsnorm rmsnorm;
        tape_rope_store rope_store;
        tape_attention attention;
        tape_activate activate;
        tape_add add;
        tape_layernorm layernorm;
        tape_gelu gelu;
        tape_positions positions;
        tape_scale scale;
        tape_swiglu swiglu;
        tape_each_down each_down;
        tape_each_up each_up;
    } call;
} tape_phase;
