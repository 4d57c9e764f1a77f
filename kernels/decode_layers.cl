// Layers for the few rows of a step that decodes, in one launch: for CPUs, where a launch takes as long as a small
// kernel's work. See norm, matvec, lowrank_panel, rope and attention_row .cl for the equations and the shapes.
//
//   qkv = rmsnorm(x) Wqkv^T     q, k rotated, k and v into the cache     att = attention     mid = x + att Wo^T
//   act = silu(g) * u of rmsnorm(mid) Wgu^T          x = mid + act Wdown^T          each product with its low-rank term
//
// The work is a list of tasks, numbered from phase to phase. Groups draw tickets for them in order. A task waits until
// those of the phases before are done, which other groups hold that are running already: no group waits for one that
// has not begun, however few run at a time. Which group does a task changes nothing in its result.

// NORM_FIRST: rows are normalised once, not by each task. WITH_TERM: some product has a low-rank term.
// QKV_STREAMS and its like: panels that each product's tasks read side by side. QKV_RANKS: ranks of u in a task.
#ifndef QKV_STREAMS
#define QKV_STREAMS 1
#define OUT_STREAMS 1
#define GATE_UP_STREAMS 2
#define DOWN_STREAMS 1
#endif
#ifndef QKV_RANKS
#define QKV_RANKS 4
#define OUT_RANKS 4
#define GATE_UP_RANKS 4
#define DOWN_RANKS 4
#endif
#ifndef WITH_TERM
#define WITH_TERM 1
#endif
#ifndef NORM_FIRST
#define NORM_FIRST 0
#endif
#if WG != 1
#error "groups of one work-item"
#endif

// What a group holds; `taken`, `done` and `left` are all groups', zero before and after a launch.
typedef struct {
    volatile __global int *taken, *done, *left;
    int ticket;     // in hand
    int first, end; // tickets of the phase
} tickets;

enum { TICKETS_APART = 16 }; // ints between two counters: a cache line each

// The compiler's own atomics, whose order holds for all memory as OpenCL C 1.2 does not say of its.
static inline void draw(tickets *t) { t->ticket = __sync_fetch_and_add(t->taken, 1); }

static inline void open_counters(tickets *t, __global int *counters) {
    t->taken = counters;
    t->done = counters + TICKETS_APART;
    t->left = counters + 2 * TICKETS_APART;
    t->first = t->end = 0;
    draw(t);
}

// The last group to leave sets all to zero.
static inline void close_counters(tickets *t) {
    if (__sync_fetch_and_add(t->left, 1) == (int)get_num_groups(0) - 1)
        *t->taken = *t->done = *t->left = 0;
}

static inline void begin_phase(tickets *t, const int tasks) {
    t->first = t->end;
    t->end += tasks;
}

static inline void end_task(tickets *t) {
    __sync_fetch_and_add(t->done, 1);
    draw(t);
}

// For each task of a phase that this group draws: TASK of `tasks`.
#define PHASE(tasks) for (begin_phase(&t, tasks); t.ticket < t.end; end_task(&t))
#define TASK (t.ticket - t.first)

// Until all tasks before ticket `end` are done. (None behind it may be done before: they wait for `end` too.)
static inline void await(const tickets *t, const int end) {
    while (*t->done < end) {
#ifdef __x86_64__
        __builtin_ia32_pause();
#endif
    }
    __sync_synchronize();
}

// A product in one phase: tasks that make u of its term, then tasks that need it only once they have read W0.
// streams, ranks, norm and gated are constants of the caller.
INLINE void linear(tickets *counter, const product *p, __global float *u, __global const float *a,
                   __global const float *scales, const int streams, const int ranks, const int norm,
                   const int gated) {
    const int each = streams >> gated, downs = (p->R + ranks - 1) / ranks;
    tickets t = *counter;
    PHASE(downs + (p->panels + each - 1) / each) {
        await(&t, t.first);
        if (WITH_TERM && TASK < downs) {
            const int r = TASK * ranks;
            lowrank_down(u, p->u_stride, p->x, p->x_stride, a, scales, p->K, p->R, 0, p->M, r, min(p->R, r + ranks),
                         p->gain, p->eps, norm, ranks);
        } else {
            const int begin = (TASK - downs) * each;
            stream_sums sums;
            matvec_sum(&sums, p, begin, streams, norm, gated);
            await(&t, t.first + downs);
            matvec_finish(&sums, p, begin, streams, gated);
        }
    }
    *counter = t;
}

// Every argument costs the host time: all numbers come in one. An offset is that of the buffer of the same name, and a
// step what it grows by from layer to layer. src/ops/decode.c has the same two.
typedef struct {
    ulong w, bias, columns, u, a, scales, b, table, w_step, a_step, b_step;
    int N, K, R, panels;
} linear_numbers;
typedef struct {
    linear_numbers qkv, out, gate_up, down;
    ulong x, normed, qkv_rows, att, mid, act, norm_attention, norm_mlp, norm_step, cache, cache_step;
    ulong positions, table, past, first, counters;
    int layers, B, T, S, H, G, cache_stride;
    float scale, eps;
} layer_numbers;

// The buffers of a linear layer (N, K). None is restrict that is written: one phase's output is another's input.
#if WITH_TERM
#define TERM(name)                                                                                                     \
    , __global float *name##_u, __global const float *restrict name##_a, __global const float *restrict name##_scales, \
        __global const float *restrict name##_b, __global const int *restrict name##_table
#define OF_TERM(name, member) (name##_##member + n.name.member)
#else
#define TERM(name)
#define OF_TERM(name, member) NULL
#endif
#define LINEAR(name)                                                                                                   \
    __global const stored *restrict name##_w, __global const float *restrict name##_bias,                              \
        __global const int *restrict name##_columns TERM(name)

// The product y_ = [residual_] + x_ W^T, dense matrices.
#define MULTIPLY_LINEAR(name, PART, norm, gated, y_, residual_, gain_, x_)                                             \
    {                                                                                                                  \
        const int width = gated ? n.name.N / 2 : n.name.N;                                                             \
        const product p = {.y = y_,                                                                                    \
                           .x = x_,                                                                                    \
                           .residual = residual_,                                                                      \
                           .bias = name##_bias ? name##_bias + n.name.bias : 0,                                        \
                           .u = OF_TERM(name, u),                                                                      \
                           .b = OF_TERM(name, b),                                                                      \
                           .gain = gain_,                                                                              \
                           .w = name##_w + n.name.w,                                                                   \
                           .columns = name##_columns ? name##_columns + n.name.columns : 0,                            \
                           .table = OF_TERM(name, table),                                                              \
                           .y_stride = width,                                                                          \
                           .x_stride = n.name.K,                                                                       \
                           .residual_stride = width,                                                                   \
                           .u_stride = n.name.R,                                                                       \
                           .M = M,                                                                                     \
                           .N = n.name.N,                                                                              \
                           .K = n.name.K,                                                                              \
                           .R = n.name.R,                                                                              \
                           .panels = gated ? n.name.panels / 2 : n.name.panels,                                        \
                           .eps = n.eps};                                                                              \
        linear(&t, &p, OF_TERM(name, u), OF_TERM(name, a), OF_TERM(name, scales), PART##_STREAMS, PART##_RANKS, norm,  \
               gated);                                                                                                 \
    }

// Of few rows each task of a product normalises its own; of more, a phase of their own does.
#if NORM_FIRST
#define NORMALISE(gain, x)                                                                                             \
    PHASE(M) {                                                                                                         \
        __global const float *from = (x) + (size_t)TASK * n.qkv.K;                                                     \
        await(&t, t.first);                                                                                            \
        normalise_row(normed + (size_t)TASK * n.qkv.K, from, row_factor(from, n.qkv.K, n.eps), gain, n.qkv.K);         \
    }
#define NORMED(x) normed
#else
#define NORMALISE(gain, x)
#define NORMED(x) x
#endif

static inline void next_layer(linear_numbers *n) {
    n->w += n->w_step;
    n->a += n->a_step;
    n->b += n->b_step;
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
decode_layers(LINEAR(qkv), LINEAR(out), LINEAR(gate_up), LINEAR(down), __global float *x, __global float *normed,
              __global float *qkv_rows, __global float *att, __global float *mid, __global float *act,
              __global const float *restrict norm_attention, __global const float *restrict norm_mlp,
              __global float *cache, __global const int *restrict positions, __global const float *restrict table,
              __global const int *restrict past, __global const int *restrict first, __global int *counters,
              const layer_numbers numbers) {
    __local float query[HEADS * D], row[HEADS * D], p[BK], space[WG];
    layer_numbers n = numbers;
    const int M = n.B * n.T, parts = n.H / HEADS;
    tickets t;
    x += n.x;
    normed += n.normed;
    qkv_rows += n.qkv_rows;
    att += n.att;
    mid += n.mid;
    act += n.act;
    norm_attention += n.norm_attention;
    norm_mlp += n.norm_mlp;
    cache += n.cache;
    positions += n.positions;
    table += n.table;
    past += n.past;
    first += n.first;
    open_counters(&t, counters + n.counters);
    for (int l = 0; l < n.layers; l++) {
        const attention in = {.y = att,
                              .q = qkv_rows,
                              .k = cache,
                              .v = cache + n.G * D,
                              .past = past,
                              .first = first,
                              .y_stride = n.H * D,
                              .q_stride = n.qkv.N,
                              .k_stride = n.cache_stride,
                              .v_stride = n.cache_stride,
                              .T = n.T,
                              .S = n.S,
                              .H = n.H,
                              .G = n.G,
                              .scale = n.scale};

        NORMALISE(norm_attention, x);
        MULTIPLY_LINEAR(qkv, QKV, !NORM_FIRST, 0, qkv_rows, 0, norm_attention, NORMED(x));
        PHASE(M) {
            await(&t, t.first);
            store_row(cache, n.cache_stride, qkv_rows, n.qkv.N, positions, table, past, n.T, n.S, n.H, n.G, TASK % n.T,
                      TASK / n.T);
        }
        PHASE(M * parts) {
            await(&t, t.first);
            attend(&in, TASK % parts * HEADS, TASK / parts % n.T, TASK / parts / n.T, query, row, p, space);
        }
        MULTIPLY_LINEAR(out, OUT, 0, 0, mid, x, 0, att);
        NORMALISE(norm_mlp, mid);
        MULTIPLY_LINEAR(gate_up, GATE_UP, !NORM_FIRST, 1, act, 0, norm_mlp, NORMED(mid));
        MULTIPLY_LINEAR(down, DOWN, 0, 0, x, mid, 0, act);
        next_layer(&n.qkv);
        next_layer(&n.out);
        next_layer(&n.gate_up);
        next_layer(&n.down);
        norm_attention += n.norm_step;
        norm_mlp += n.norm_step;
        cache += n.cache_step;
    }
    close_counters(&t);
}
