// The calls of a step that decodes, in one launch: for CPUs, where a launch takes as long as a small kernel's work.
// The host records them as phases (tape_phase.h); what a phase makes is said where its function is: embedding, matvec,
// lowrank_panel, norm, rope, attention_row, bottleneck, convert, layernorm, gelu, positions,
// activation and lowrank_each .cl.
//
// The work is a list of tasks, numbered on from phase to phase. Groups draw tickets for them in order. A task waits
// until those of the phases before are done, which other groups hold that are running already: no group waits for one
// that has not begun, however few run at a time. Which group does a task changes nothing in its result.

// PRODUCT_0 to PRODUCT_4 and DOWN_0 to DOWN_4: the variants in use, as tape_phase.h makes them.
#ifndef PRODUCT_0
#define PRODUCT_0 TAPE_PRODUCT_VARIANT(1, 0)
#endif
// PHASES: the other kinds in use, a TAPE_BIT each.
#ifndef PHASES
#define PHASES -1
#endif
#if WG != 1
#error "groups of one work-item"
#endif

// What a group holds; `taken`, `done` and `left` are all groups', zero before and after a launch.
typedef struct {
    volatile __global int *taken, *done, *left;
    int ticket; // in hand
} tickets;

enum { TICKETS_APART = TAPE_COUNTERS / 3 }; // ints between two counters: a cache line each

// The compiler's own atomics, whose order holds for all memory as OpenCL C 1.2 does not say of its.
static inline void draw(tickets *t) {
    t->ticket = __sync_fetch_and_add(t->taken, 1);
}

static inline void open_counters(tickets *t, __global int *counters) {
    t->taken = counters;
    t->done = counters + TICKETS_APART;
    t->left = counters + 2 * TICKETS_APART;
    draw(t);
}

// The last group to leave sets all to zero.
static inline void close_counters(tickets *t) {
    if (__sync_fetch_and_add(t->left, 1) == (int)get_num_groups(0) - 1)
        *t->taken = *t->done = *t->left = 0;
}

static inline void end_task(tickets *t) {
    __sync_fetch_and_add(t->done, 1);
    draw(t);
}

// Until all tasks before ticket `end` are done. (None after it may be done before: they wait for `end` too.)
static inline void await(const tickets *t, const int end) {
    while (*t->done < end) {
#ifdef __x86_64__
        __builtin_ia32_pause();
#endif
    }
    __sync_synchronize();
}

// For each task of a phase that this group draws: TASK is its number in the phase.
#define EACH_TASK(t, phase) for (; (t)->ticket < (phase)->end; end_task(t))
#define TASK(t, phase) ((t)->ticket - (phase)->first)

// The buffers, and what lies at a place in one of them.
typedef __global char *const *slots;
#define PLACE(type, place) ((__global type *)buffers[(place) >> TAPE_INDEX_BITS] + ((place)&TAPE_INDEX))
#define FLOATS(place) PLACE(const float, place)
#define INTS(place) PLACE(const int, place)

static inline void run_embedding(tickets *t, __global const tape_phase *phase, slots buffers) {
    __global const tape_embedding *p = &phase->call.embedding;
    EACH_TASK(t, phase) {
        const int parts = (p->K + p->columns - 1) / p->columns, m = TASK(t, phase) / parts;
        const int from = TASK(t, phase) % parts * p->columns;
        __global float *y = PLACE(float, p->y) + (size_t)m * p->y_stride;
        await(t, phase->early);
        for (int k = from; k < min(p->K, from + p->columns); k++)
            gather(y + k, PLACE(const stored, p->w), INTS(p->ids)[m], k, p->N, p->K, p->begin, p->end, p->scale);
    }
}

// The variant is a constant of the caller. A product's low-rank term is waited for once W0 has been read.
INLINE void run_product(tickets *counter, __global const tape_phase *phase, slots buffers, const int variant) {
    const int streams = TAPE_STREAMS(variant), gated = TAPE_GATED(variant);
    __global const tape_product *p = &phase->call.product;
    const product in = {.y = PLACE(float, p->y),
                        .x = FLOATS(p->x),
                        .residual = FLOATS(p->residual),
                        .bias = FLOATS(p->bias),
                        .u = FLOATS(p->u),
                        .b = FLOATS(p->b),
                        .w = PLACE(const stored, p->w),
                        .columns = INTS(p->columns),
                        .table = INTS(p->table),
                        .y_stride = p->y_stride,
                        .x_stride = p->x_stride,
                        .residual_stride = p->residual_stride,
                        .u_stride = p->u_stride,
                        .M = p->M,
                        .N = p->N,
                        .K = p->K,
                        .R = p->R,
                        .first = p->first,
                        .panels = p->panels};
    tickets t = *counter;
    EACH_TASK(&t, phase) {
        const int begin = TASK(&t, phase) * (streams >> gated);
        stream_sums sums;
        await(&t, phase->early);
        matvec_sum(&sums, &in, begin, streams, gated);
        await(&t, phase->late);
        matvec_finish(&sums, &in, begin, streams, gated);
    }
    *counter = t;
}

INLINE void run_down(tickets *counter, __global const tape_phase *phase, slots buffers, const int variant) {
    const int ranks = TAPE_RANKS(variant);
    __global const tape_down *p = &phase->call.down;
    tickets t = *counter;
    EACH_TASK(&t, phase) {
        const int r = TASK(&t, phase) * ranks;
        await(&t, phase->early);
        lowrank_down(PLACE(float, p->u), p->u_stride, FLOATS(p->x), p->x_stride, FLOATS(p->a), FLOATS(p->scales), p->K,
                     p->R, 0, p->M, r, min(p->R, r + ranks), DM, ranks);
    }
    *counter = t;
}

static inline void run_rmsnorm(tickets *t, __global const tape_phase *phase, slots buffers) {
    __global const tape_rmsnorm *p = &phase->call.rmsnorm;
    EACH_TASK(t, phase) {
        const size_t m = TASK(t, phase);
        await(t, phase->early);
        for (int i = 0; i < p->parts; i++) {
            __global const float *x = FLOATS(p->x) + m * p->x_stride + i * p->C;
            const float r = row_factor(x, p->C, p->eps);
            normalise_row(PLACE(float, p->y) + m * p->y_stride + i * p->C, x, r, FLOATS(p->gain), p->C);
            if (p->rstd)
                PLACE(float, p->rstd)[m * p->parts + i] = r;
        }
    }
}

static inline void run_rope_store(tickets *t, __global const tape_phase *phase, slots buffers) {
    __global const tape_rope_store *p = &phase->call.rope_store;
    EACH_TASK(t, phase) {
        const int m = TASK(t, phase);
        const cache_pages pages = {INTS(p->pages), p->page_count, p->page_bits, p->S};
        await(t, phase->early);
        store_row(PLACE(float, p->cache), p->cache_stride, PLACE(float, p->qkv), p->qkv_stride, INTS(p->positions),
                  FLOATS(p->table), INTS(p->past), p->T, p->H, p->G, &pages, m % p->T, m / p->T);
    }
}

INLINE void run_attention(tickets *t, __global const tape_phase *phase, slots buffers, __local float *query,
                          __local float *out, __local float *p, __local float *space) {
    __global const tape_attention *a = &phase->call.attention;
    const attention in = {.y = PLACE(float, a->y),
                          .lse = PLACE(float, a->lse),
                          .q = FLOATS(a->q),
                          .k = FLOATS(a->k),
                          .v = FLOATS(a->v),
                          .past = INTS(a->past),
                          .first = INTS(a->first),
                          .y_stride = a->y_stride,
                          .q_stride = a->q_stride,
                          .k_stride = a->k_stride,
                          .v_stride = a->v_stride,
                          .T = a->T,
                          .H = a->H,
                          .G = a->G,
                          .scale = a->scale,
                          .cap = a->cap,
                          .pages = {INTS(a->pages), a->page_count, a->page_bits, a->S}};
    const int parts = in.H / HEADS;
    EACH_TASK(t, phase) {
        const int task = TASK(t, phase);
        await(t, phase->early);
        attend(&in, task % parts * HEADS, task / parts % in.T, task / parts / in.T, query, out, p, space);
    }
}

static inline void run_activate(tickets *t, __global const tape_phase *phase, slots buffers) {
    __global const tape_activate *p = &phase->call.activate;
    EACH_TASK(t, phase) {
        const size_t m = TASK(t, phase);
        await(t, phase->early);
        activate_row(PLACE(float, p->a) + m * p->a_stride, FLOATS(p->z) + m * p->z_stride, FLOATS(p->bias), p->R,
                     p->swish, 0, p->R);
    }
}

static inline void run_add(tickets *t, __global const tape_phase *phase, slots buffers) {
    __global const tape_add *p = &phase->call.add;
    EACH_TASK(t, phase) {
        const size_t m = TASK(t, phase);
        await(t, phase->early);
        add_row(PLACE(float, p->y) + m * p->y_stride, FLOATS(p->x) + m * p->x_stride, 0, p->C);
    }
}

INLINE void run_layernorm(tickets *t, __global const tape_phase *phase, slots buffers, __local float *space) {
    __global const tape_layernorm *p = &phase->call.layernorm;
    EACH_TASK(t, phase) {
        const size_t m = TASK(t, phase);
        __global const float *x = FLOATS(p->x) + m * p->x_stride;
        float mean, r;
        await(t, phase->early);
        row_moments(&mean, &r, x, p->C, p->eps, space);
        centre_row(PLACE(float, p->y) + m * p->y_stride, x, mean, r, FLOATS(p->gain), FLOATS(p->bias), p->C);
        if (p->moments) {
            PLACE(float, p->moments)[2 * m] = mean;
            PLACE(float, p->moments)[2 * m + 1] = r;
        }
    }
}

static inline void run_gelu(tickets *t, __global const tape_phase *phase, slots buffers) {
    __global const tape_gelu *p = &phase->call.gelu;
    EACH_TASK(t, phase) {
        const int parts = (p->F + p->columns - 1) / p->columns, from = TASK(t, phase) % parts * p->columns;
        const size_t m = TASK(t, phase) / parts;
        await(t, phase->early);
        gelu_row(PLACE(float, p->y) + m * p->y_stride, FLOATS(p->x) + m * p->x_stride, from,
                 min(p->F, from + p->columns));
    }
}

static inline void run_positions(tickets *t, __global const tape_phase *phase, slots buffers) {
    __global const tape_positions *p = &phase->call.positions;
    EACH_TASK(t, phase) {
        const size_t m = TASK(t, phase);
        await(t, phase->early);
        add_position(PLACE(float, p->x) + m * p->x_stride, FLOATS(p->table), p->table_stride,
                     p->first + INTS(p->positions)[m], p->P, p->C);
    }
}

static inline void run_scale(tickets *t, __global const tape_phase *phase, slots buffers) {
    __global const tape_scale *p = &phase->call.scale;
    EACH_TASK(t, phase) {
        const size_t m = TASK(t, phase);
        await(t, phase->early);
        scale_row(PLACE(float, p->x) + m * p->x_stride, p->factor, 0, p->C);
    }
}

static inline void run_swiglu(tickets *t, __global const tape_phase *phase, slots buffers) {
    __global const tape_swiglu *p = &phase->call.swiglu;
    EACH_TASK(t, phase) {
        const int parts = (p->F + p->columns - 1) / p->columns, from = TASK(t, phase) % parts * p->columns;
        const size_t m = TASK(t, phase) / parts;
        __global const float *g = FLOATS(p->gu) + m * p->gu_stride;
        await(t, phase->early);
        gate_columns(PLACE(float, p->y) + m * p->y_stride, g, g + p->F, from, min(p->F, from + p->columns));
    }
}

// The i-th buffer of a table of terms.
#define TERM_BUFFER(p, i) ((__global const float *)buffers[INTS((p)->slots)[i]])

INLINE void run_each_down(tickets *t, __global const tape_phase *phase, slots buffers) {
    __global const tape_each_down *p = &phase->call.each_down;
    EACH_TASK(t, phase) {
        const int m = TASK(t, phase) / p->parts, first = TASK(t, phase) % p->parts * RANKS;
        __global const int *term = INTS(p->table) + (size_t)(m / p->T) * TERM_INTS;
        await(t, phase->early);
        if (first < term[TERM_RANKS])
            each_down(PLACE(float, p->u), p->u_stride, FLOATS(p->x), p->x_stride, term,
                      TERM_BUFFER(p, term[TERM_A_BUFFER]), m, p->K, first);
    }
}

INLINE void run_each_up(tickets *t, __global const tape_phase *phase, slots buffers) {
    __global const tape_each_up *p = &phase->call.each_up;
    const int parts = (p->panels + p->share - 1) / p->share;
    EACH_TASK(t, phase) {
        const int m = TASK(t, phase) / parts, begin = TASK(t, phase) % parts * p->share;
        __global const int *term = INTS(p->table) + (size_t)(m / p->T) * TERM_INTS;
        await(t, phase->early);
        if (term[TERM_RANKS] > 0)
            each_up(PLACE(float, p->y), p->y_stride, FLOATS(p->u), p->u_stride, term,
                    TERM_BUFFER(p, term[TERM_B_BUFFER]), INTS(p->columns), m, begin, min(p->panels, begin + p->share),
                    p->begin1, p->begin2, p->begin3);
    }
}

#define PRODUCT_CASE(i)                               \
    case TAPE_PRODUCT + i:                            \
        run_product(&t, phase, buffers, PRODUCT_##i); \
        break
#define DOWN_CASE(i)                            \
    case TAPE_DOWN + i:                         \
        run_down(&t, phase, buffers, DOWN_##i); \
        break
#define OTHER_CASE(kind, run)          \
    case kind:                         \
        if ((PHASES)&TAPE_BIT(kind)) { \
            run;                       \
        }                              \
        break
#define SLOT(i) __global char *s##i
#define FOUR_SLOTS(a, b, c, d) SLOT(a), SLOT(b), SLOT(c), SLOT(d)

// The first buffer is the tape's own: counters, tables, and from element `from` on the phases. None is restrict: one
// phase's output is another's input.
__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
tape(const int from, const int count, FOUR_SLOTS(1, 2, 3, 4), FOUR_SLOTS(5, 6, 7, 8), FOUR_SLOTS(9, 10, 11, 12),
     FOUR_SLOTS(13, 14, 15, 16), FOUR_SLOTS(17, 18, 19, 20), FOUR_SLOTS(21, 22, 23, 24), FOUR_SLOTS(25, 26, 27, 28),
     FOUR_SLOTS(29, 30, 31, 32)) {
    __local float query[HEADS * D], out[HEADS * D], p[BK], space[WG];
    __global char *const buffers[TAPE_SLOTS + 1] = {0,   s1,  s2,  s3,  s4,  s5,  s6,  s7,  s8,  s9,  s10,
                                                    s11, s12, s13, s14, s15, s16, s17, s18, s19, s20, s21,
                                                    s22, s23, s24, s25, s26, s27, s28, s29, s30, s31, s32};
    tickets t;
    __global int *data = (__global int *)s1;
    __global const tape_phase *phases = (__global const tape_phase *)(data + from);
    open_counters(&t, data);
    for (int i = 0; i < count; i++) {
        __global const tape_phase *phase = phases + i;
        switch (phase->kind) {
            PRODUCT_CASE(0);
#ifdef PRODUCT_1
            PRODUCT_CASE(1);
#endif
#ifdef PRODUCT_2
            PRODUCT_CASE(2);
#endif
#ifdef PRODUCT_3
            PRODUCT_CASE(3);
#endif
#ifdef PRODUCT_4
            PRODUCT_CASE(4);
#endif
#ifdef DOWN_0
            DOWN_CASE(0);
#endif
#ifdef DOWN_1
            DOWN_CASE(1);
#endif
#ifdef DOWN_2
            DOWN_CASE(2);
#endif
#ifdef DOWN_3
            DOWN_CASE(3);
#endif
#ifdef DOWN_4
            DOWN_CASE(4);
#endif
            OTHER_CASE(TAPE_EMBEDDING, run_embedding(&t, phase, buffers));
            OTHER_CASE(TAPE_RMSNORM, run_rmsnorm(&t, phase, buffers));
            OTHER_CASE(TAPE_ROPE_STORE, run_rope_store(&t, phase, buffers));
            OTHER_CASE(TAPE_ATTENTION, run_attention(&t, phase, buffers, query, out, p, space));
            OTHER_CASE(TAPE_ACTIVATE, run_activate(&t, phase, buffers));
            OTHER_CASE(TAPE_ADD, run_add(&t, phase, buffers));
            OTHER_CASE(TAPE_LAYERNORM, run_layernorm(&t, phase, buffers, space));
            OTHER_CASE(TAPE_GELU, run_gelu(&t, phase, buffers));
            OTHER_CASE(TAPE_POSITIONS, run_positions(&t, phase, buffers));
            OTHER_CASE(TAPE_SCALE, run_scale(&t, phase, buffers));
            OTHER_CASE(TAPE_SWIGLU, run_swiglu(&t, phase, buffers));
            OTHER_CASE(TAPE_EACH_DOWN, run_each_down(&t, phase, buffers));
            OTHER_CASE(TAPE_EACH_UP, run_each_up(&t, phase, buffers));
        }
    }
    close_counters(&t);
}
