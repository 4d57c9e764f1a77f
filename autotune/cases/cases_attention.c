#include "cases/case.h"

#include <math.h>
#include <string.h>

#include "base/ints.h"
#include "ref/ref.h"

/*
 * Attention: sequence b of T queries has past[b] = S - T - b % 2 keys before them (0 when S = T). Options: 1 without
 * lse; 2 packed: the queries of a sequence belong to stretches of five, which do not see one another, and no query of a
 * packed sequence sees the past; 4: the S - T keys are a prefix, which every query sees; 8: all of a sequence sees its
 * first stretch, and the others see no other but it; 16: a query sees the WINDOW keys up to its own, of which the
 * prefix's are the first; 32: a soft cap of scores, which have another scale; 64: keys and values lie in pages of PAGE,
 * without lse.
 */
enum { NO_LSE = 1, PACKED = 2, PREFIX = 4, FORKED = 8, SLIDING = 16, CAPPED = 32, PAGED = 64 };
enum { STRETCH = 5, WINDOW = 6, PAGE = 4 };

static clora_tensor *tensor(case_run *run, int i) {
    return &run->buffer[i].tensor;
}

static int prefix_of(const op_shape *s) {
    return s->option & PREFIX ? s->S - s->T : 0;
}

static bool is_partial(const op_shape *s) {
    return s->option & PREFIX && s->option & SLIDING;
}

/* Small caps bend most scores of values between -1 and 1. */
static float cap_of(const op_shape *s) {
    return s->option & CAPPED ? 0.75f : 0.0f;
}

static float scale_of(const op_shape *s) {
    return s->option & CAPPED ? 0.4f : 0.0f;
}

static attention_shape shape_of(const op_shape *s) {
    return (attention_shape){.B = s->B,
                             .T = s->T,
                             .S = s->S,
                             .H = s->H,
                             .G = s->G,
                             .D = s->D,
                             .prefix = prefix_of(s),
                             .forked = s->option & FORKED,
                             .partial = is_partial(s),
                             .scale = scale_of(s),
                             .cap = cap_of(s)};
}

static ref_attention_shape ref_shape_of(const op_shape *s) {
    return (ref_attention_shape){.B = s->B,
                                 .T = s->T,
                                 .S = s->S,
                                 .H = s->H,
                                 .G = s->G,
                                 .D = s->D,
                                 .prefix = prefix_of(s),
                                 .partial = is_partial(s),
                                 .scale = scale_of(s),
                                 .cap = cap_of(s)};
}

static void fill_past(case_run *run, int32_t *past) {
    const op_shape *s = &run->shape;

    for (int b = 0; b < s->B && run->status == CLORA_OK; b++)
        past[b] = s->S - s->T - (s->S > s->T && !(s->option & PREFIX) ? b % 2 : 0);
}

/* Where the stretch of query t begins among the keys after the prefix. */
static int stretch_of(const op_shape *s, const int32_t *past, int b, int t) {
    return s->option & PACKED ? past[b] - prefix_of(s) + t / STRETCH * STRETCH : 0;
}

static void fill_first(case_run *run, int32_t *first, const int32_t *past) {
    const op_shape *s = &run->shape;
    const int columns = 1 + is_partial(s);

    for (int i = 0; i < s->B * s->T && run->status == CLORA_OK; i++) {
        const int b = i / s->T, t = i % s->T, begin = stretch_of(s, past, b, t), P = prefix_of(s);
        const int nearest = s->option & SLIDING ? past[b] - P + t - WINDOW + 1 : begin;
        first[i * columns] = nearest > begin ? nearest : begin;
        if (is_partial(s))
            first[i * columns + 1] = nearest - begin + P > 0 ? nearest - begin + P : 0;
    }
}

static case_buffer *first_buffer(case_run *run) {
    const op_shape *s = &run->shape;
    return case_dense(run, "first", CASE_IN, CLORA_DTYPE_I32, s->B * s->T, 1 + is_partial(s));
}

/* The last query that sees the key that stands where query t does. */
static int last_of(const op_shape *s, int t) {
    const bool is_seen_by_all = !(s->option & (PACKED | FORKED)) || (s->option & FORKED && t < STRETCH);
    const int end = is_seen_by_all ? s->T - 1 : t < 0 ? -1 : least(t / STRETCH * STRETCH + STRETCH, s->T) - 1;

    return s->option & SLIDING ? least(end, t < -WINDOW ? -1 : t + WINDOW - 1) : end;
}

static void fill_last(case_run *run, int32_t *last, const int32_t *past) {
    const op_shape *s = &run->shape;
    const int keys = s->S - prefix_of(s);

    for (int i = 0; i < s->B * keys && run->status == CLORA_OK; i++)
        last[i] = last_of(s, i % keys + prefix_of(s) - past[i / keys]);
}

/* ---- pages ---- */

static int pages_of(const op_shape *s) {
    return divide_up(s->S, PAGE);
}

/* Rows of keys and values. */
static int rows_of(const op_shape *s) {
    return s->option & PAGED ? s->B * pages_of(s) * PAGE : s->B * s->S;
}

/* The last buffer, where there are pages: from the last to the first. With `shared` ones the sequences begin with the
 * same. */
static void make_pages(case_run *run, bool shared) {
    const op_shape *s = &run->shape;
    const int n = pages_of(s);

    if (!(s->option & PAGED))
        return;
    int32_t *pages = case_dense(run, "pages", CASE_IN, CLORA_DTYPE_I32, s->B, n)->ids;
    for (int i = 0; i < s->B * n && run->status == CLORA_OK; i++)
        pages[i] = s->B * n - 1 - (shared && i % n == 0 ? 0 : i);
}

static attention_shape shape_with_pages(case_run *run, attention_shape shape) {
    if (run->shape.option & PAGED) {
        shape.pages = tensor(run, run->buffers - 1);
        shape.page = PAGE;
    }
    return shape;
}

/* The rows of a buffer of W columns, sequence by sequence. */
static float *rows_in_order(case_run *run, const float *host, int W) {
    const op_shape *s = &run->shape;
    float *rows = case_memory(run, (size_t)(s->B * s->S), (size_t)W * sizeof(*rows));

    if (run->status == CLORA_OK)
        ref_pages_read(rows, host, run->buffer[run->buffers - 1].ids, pages_of(s), PAGE, s->B, s->S, W);
    return rows;
}

/* ---- attention ---- */

static void attention_setup(case_run *run) {
    const op_shape *s = &run->shape;
    const int M = s->B * s->T;

    case_matrix(run, "y", CASE_OUT, M, s->H * s->D);
    case_matrix(run, "q", CASE_IN, M, s->H * s->D);
    case_matrix(run, "k", CASE_IN, rows_of(s), s->G * s->D);
    case_matrix(run, "v", CASE_IN, rows_of(s), s->G * s->D);
    case_buffer *past = case_dense(run, "past", CASE_IN, CLORA_DTYPE_I32, s->B, 1);
    case_buffer *first = first_buffer(run);
    fill_past(run, past->ids);
    fill_first(run, first->ids, past->ids);
    case_buffer *last = case_dense(run, "last", CASE_IN, CLORA_DTYPE_I32, s->B * (s->S - prefix_of(s)), 1);
    fill_last(run, last->ids, past->ids);
    if (!(s->option & NO_LSE))
        case_dense(run, "lse", CASE_OUT, CLORA_DTYPE_F32, M, s->H);
    make_pages(run, true);
}

static clora_status attention_launch(case_run *run) {
    return op_attention(tensor(run, 0), run->shape.option & NO_LSE ? NULL : tensor(run, 7), tensor(run, 1),
                        tensor(run, 2), tensor(run, 3), tensor(run, 4), tensor(run, 5), tensor(run, 6),
                        shape_with_pages(run, shape_of(&run->shape)));
}

static void attention_reference(case_run *run) {
    const case_buffer *b = run->buffer;
    const int W = run->shape.G * run->shape.D;
    const bool paged = run->shape.option & PAGED;
    const float *k = paged ? rows_in_order(run, b[2].host, W) : b[2].host;
    const float *v = paged ? rows_in_order(run, b[3].host, W) : b[3].host;

    if (run->status != CLORA_OK)
        return;
    ref_attention(b[0].expected, run->shape.option & NO_LSE ? NULL : b[7].expected, b[1].host, k, v, b[4].ids, b[5].ids,
                  run->shape.option & FORKED ? b[6].ids : NULL, ref_shape_of(&run->shape));
}

enum { DQ, DK, DV, DELTA, PARTS, DY, Y, Q, K, V, LSE, PAST, FIRST, LAST };

static const int32_t *limits_of(const case_run *run) {
    return run->shape.option & FORKED ? run->buffer[LAST].ids : NULL;
}

static void attention_backward_setup(case_run *run) {
    const op_shape *s = &run->shape;
    const int M = s->B * s->T, S = s->B * s->S, columns = s->H * s->D, kv = s->G * s->D;
    const int parts = op_attention_parts(run->context);
    case_buffer *b = run->buffer;

    case_matrix(run, "dq", CASE_OUT, M, columns);
    case_matrix(run, "dk", CASE_OUT, S, kv);
    case_matrix(run, "dv", CASE_OUT, S, kv);
    case_dense(run, "delta", CASE_OUT, CLORA_DTYPE_F32, M, s->H);
    case_dense(run, "parts", CASE_SCRATCH, CLORA_DTYPE_F32, M, (parts > 0 ? parts : 1) * columns);
    case_matrix(run, "dy", CASE_IN, M, columns);
    case_matrix(run, "y", CASE_IN, M, columns);
    case_matrix(run, "q", CASE_IN, M, columns);
    case_matrix(run, "k", CASE_IN, S, kv);
    case_matrix(run, "v", CASE_IN, S, kv);
    case_dense(run, "lse", CASE_IN, CLORA_DTYPE_F32, M, s->H);
    case_dense(run, "past", CASE_IN, CLORA_DTYPE_I32, s->B, 1);
    first_buffer(run);
    case_dense(run, "last", CASE_IN, CLORA_DTYPE_I32, S - s->B * prefix_of(s), 1);
    if (run->status != CLORA_OK)
        return;
    fill_past(run, b[PAST].ids);
    fill_first(run, b[FIRST].ids, b[PAST].ids);
    fill_last(run, b[LAST].ids, b[PAST].ids);
    if (run->guards) /* a benchmark has no use for true values, and the reference is slow at its shapes */
        ref_attention(b[Y].host, b[LSE].host, b[Q].host, b[K].host, b[V].host, b[PAST].ids, b[FIRST].ids,
                      limits_of(run), ref_shape_of(s));
}

static clora_status attention_backward_launch(case_run *run) {
    return op_attention_backward(tensor(run, DQ), tensor(run, DK), tensor(run, DV), tensor(run, DELTA),
                                 tensor(run, PARTS), tensor(run, DY), tensor(run, Y), tensor(run, Q), tensor(run, K),
                                 tensor(run, V), tensor(run, LSE), tensor(run, PAST), tensor(run, FIRST),
                                 tensor(run, LAST), shape_of(&run->shape));
}

static void attention_backward_reference(case_run *run) {
    const case_buffer *b = run->buffer;

    ref_attention_backward(b[DQ].expected, b[DK].expected, b[DV].expected, b[DELTA].expected, b[DY].host, b[Y].host,
                           b[Q].host, b[K].host, b[V].host, b[LSE].host, b[PAST].ids, b[FIRST].ids, limits_of(run),
                           ref_shape_of(&run->shape));
}

/* ---- rotated queries, rotated keys (K columns of each head, or all) and values into the cache ---- */

static void rope_store_setup(case_run *run) {
    const op_shape *s = &run->shape;
    const int M = s->B * s->T;

    case_matrix(run, "cache", CASE_INOUT, rows_of(s), 2 * s->G * s->D);
    case_matrix(run, "qkv", CASE_INOUT, M, (s->H + 2 * s->G) * s->D);
    case_buffer *positions = case_dense(run, "positions", CASE_IN, CLORA_DTYPE_I32, M, 1);
    case_dense(run, "table", CASE_IN, CLORA_DTYPE_F32, s->S, s->K ? s->K : s->D);
    int32_t *past = case_dense(run, "past", CASE_IN, CLORA_DTYPE_I32, s->B, 1)->ids;
    fill_past(run, past);
    for (int m = 0; m < M && run->status == CLORA_OK; m++)
        positions->ids[m] = past[m / s->T] + m % s->T;
    make_pages(run, false);
}

static clora_status rope_store_launch(case_run *run) {
    return op_rope_store(tensor(run, 0), tensor(run, 1), tensor(run, 2), tensor(run, 3), tensor(run, 4),
                         shape_with_pages(run, shape_of(&run->shape)));
}

static void copy_columns(float *to, int to_stride, const float *from, int from_stride, int rows, int columns) {
    for (int m = 0; m < rows; m++)
        memcpy(to + (size_t)m * (size_t)to_stride, from + (size_t)m * (size_t)from_stride,
               (size_t)columns * sizeof(*to));
}

static void rope_store_reference(case_run *run) {
    const op_shape *s = &run->shape;
    const case_buffer *b = run->buffer;
    const int M = s->B * s->T, all = (s->H + 2 * s->G) * s->D, q = s->H * s->D, kv = s->G * s->D;
    float *qk = case_memory(run, (size_t)M * (size_t)(q + kv), sizeof(*qk));
    float *row = case_memory(run, (size_t)M * (size_t)(2 * kv), sizeof(*row));

    if (run->status != CLORA_OK)
        return;
    copy_columns(qk, q + kv, b[1].host, all, M, q + kv);
    ref_rope(qk, b[2].ids, b[3].host, M, s->H + s->G, s->D, s->K ? s->K : s->D, false);
    copy_columns(b[1].expected, all, qk, q + kv, M, q);
    copy_columns(row, 2 * kv, qk + q, q + kv, M, kv);
    copy_columns(row + kv, 2 * kv, b[1].host + q + kv, all, M, kv);
    float *cache = s->option & PAGED ? rows_in_order(run, b[0].host, 2 * kv) : b[0].expected;
    if (run->status != CLORA_OK)
        return;
    ref_cache_store(cache, row, b[4].ids, s->B, s->T, s->S, 2 * kv);
    if (s->option & PAGED)
        ref_pages_write(b[0].expected, cache, b[5].ids, pages_of(s), PAGE, s->B, s->S, 2 * kv);
}

/* ---- costs: what the visible pairs need ---- */

static double pairs(const op_shape *s) {
    return (double)s->B * s->H * s->T * (s->S - s->T + (s->T + 1) / 2.0);
}

static double attention_flops(const op_shape *s) {
    return 4.0 * s->D * pairs(s);
}
static double attention_backward_flops(const op_shape *s) {
    return 10.0 * s->D * pairs(s);
}
static double attention_bytes(const op_shape *s) {
    return 8.0 * s->B * s->D * ((double)s->T * s->H + (double)s->S * s->G);
}
static double attention_backward_bytes(const op_shape *s) {
    return 16.0 * s->B * s->D * ((double)s->T * s->H + (double)s->S * s->G);
}
static double rope_store_flops(const op_shape *s) {
    return 3.0 * s->B * s->T * (s->H + s->G) * s->D;
}
static double rope_store_bytes(const op_shape *s) {
    return 8.0 * s->B * s->T * (s->H + 2.0 * s->G) * s->D;
}

enum { FORWARD = 5 /* shapes of one key, and in pages */ };

static const op_shape shapes[] = {
    {.B = 1, .T = 1, .S = 1, .H = 1, .G = 1, .D = 8},
    {.B = 1, .T = 1, .S = 1, .H = 1, .G = 1, .D = 2, .option = NO_LSE},
    {.B = 2, .T = 1, .S = 71, .H = 6, .G = 2, .D = 16, .pad = 3, .option = PAGED | NO_LSE},
    {.B = 2, .T = 67, .S = 70, .H = 3, .G = 1, .D = 20, .option = PAGED | NO_LSE},
    {.B = 1, .T = 131, .S = 134, .H = 2, .G = 1, .D = 16, .option = PAGED | SLIDING | NO_LSE},
    {.B = 1, .T = 1, .S = 2, .H = 1, .G = 1, .D = 4}, /* from here on with gradients that are not all zero */
    {.B = 2, .T = 7, .S = 7, .H = 3, .G = 1, .D = 8, .pad = 5},
    {.B = 1, .T = 17, .S = 17, .H = 4, .G = 2, .D = 12, .option = PACKED},
    {.B = 2, .T = 1, .S = 71, .H = 6, .G = 2, .D = 16, .pad = 3, .option = NO_LSE},
    {.B = 8, .T = 1, .S = 67, .H = 8, .G = 2, .D = 20, .pad = 2},
    {.B = 2, .T = 5, .S = 70, .H = 2, .G = 2, .D = 34},
    {.B = 1, .T = 67, .S = 67, .H = 3, .G = 1, .D = 64, .pad = 128},
    {.B = 2, .T = 65, .S = 65, .H = 2, .G = 1, .D = 13, .pad = 1, .option = PACKED},
    {.B = 1, .T = 33, .S = 131, .H = 1, .G = 1, .D = 80},
    {.B = 1, .T = 140, .S = 140, .H = 2, .G = 1, .D = 20, .pad = 3, .option = PACKED},
    {.B = 1, .T = 9, .S = 13, .H = 7, .G = 7, .D = 128, .option = PACKED},
    {.B = 1, .T = 18, .S = 18, .H = 2, .G = 1, .D = 256, .pad = 7},
    {.B = 2, .T = 7, .S = 10, .H = 4, .G = 2, .D = 12, .option = PREFIX},
    {.B = 1, .T = 131, .S = 134, .H = 2, .G = 1, .D = 16, .pad = 3, .option = PREFIX | PACKED},
    {.B = 2, .T = 13, .S = 66, .H = 1, .G = 1, .D = 20, .option = PREFIX | PACKED},
    {.B = 2, .T = 17, .S = 17, .H = 4, .G = 2, .D = 12, .option = FORKED},
    {.B = 1, .T = 131, .S = 131, .H = 2, .G = 1, .D = 16, .pad = 3, .option = FORKED},
    {.B = 1, .T = 70, .S = 75, .H = 1, .G = 1, .D = 20, .option = FORKED | PREFIX},
    {.B = 1, .T = 131, .S = 131, .H = 2, .G = 1, .D = 16, .pad = 3, .option = SLIDING},
    {.B = 2, .T = 1, .S = 71, .H = 6, .G = 2, .D = 16, .option = SLIDING | NO_LSE},
    {.B = 2, .T = 17, .S = 20, .H = 4, .G = 2, .D = 12, .option = SLIDING | PREFIX},
    {.B = 2, .T = 3, .S = 71, .H = 6, .G = 2, .D = 16, .option = CAPPED},
    {.B = 1, .T = 67, .S = 67, .H = 2, .G = 1, .D = 16, .pad = 3, .option = CAPPED | PACKED},
    {.B = 1, .T = 131, .S = 134, .H = 2, .G = 1, .D = 16, .option = SLIDING | PREFIX | PACKED},
};

static const op_shape store_shapes[] = {
    {.B = 1, .T = 1, .S = 1, .H = 1, .G = 1, .D = 2},
    {.B = 3, .T = 1, .S = 9, .H = 3, .G = 1, .D = 34, .pad = 3},
    {.B = 2, .T = 5, .S = 11, .H = 4, .G = 2, .D = 64},
    {.B = 1, .T = 4, .S = 4, .H = 2, .G = 2, .D = 6, .pad = 1},
    {.B = 2, .T = 5, .S = 11, .H = 4, .G = 2, .D = 64, .option = PAGED},
    {.B = 2, .T = 1, .S = 5, .H = 2, .G = 2, .D = 64, .K = 50, .pad = 1},
};

const op_case cases_attention[] = {
    {"attention", CASE_SHAPES(shapes), attention_setup, attention_launch, attention_reference, attention_flops,
     attention_bytes, 1e-5f},
    {"attention_backward", shapes + FORWARD, sizeof(shapes) / sizeof(shapes[0]) - FORWARD, attention_backward_setup,
     attention_backward_launch, attention_backward_reference, attention_backward_flops, attention_backward_bytes,
     2e-5f},
    {"rope_store", CASE_SHAPES(store_shapes), rope_store_setup, rope_store_launch, rope_store_reference,
     rope_store_flops, rope_store_bytes, 1e-6f},
    {.name = NULL},
};
