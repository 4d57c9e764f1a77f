#include "cases/case.h"

#include "ref/ref.h"

/*
 * What stands before a sequence's own tokens: keys and values, P = S - T rows of W = H * D columns (T may be 0; option
 * 1: without the past's gradient), and R rows in the place of embeddings.
 */
enum { FROZEN = 1 };

static clora_tensor *tensor(case_run *run, int i) {
    return &run->buffer[i].tensor;
}

static int past_of(const op_shape *s) {
    return s->S - s->T;
}

/* ---- keys and values ---- */

static void join_setup(case_run *run) {
    const op_shape *s = &run->shape;

    case_matrix(run, "kv", CASE_OUT, s->B * s->S, s->H * s->D);
    case_matrix(run, "past", CASE_IN, past_of(s), s->H * s->D);
    if (s->T > 0)
        case_matrix(run, "x", CASE_IN, s->B * s->T, s->H * s->D);
}

static clora_status join_launch(case_run *run) {
    return op_past_join(tensor(run, 0), tensor(run, 1), run->shape.T > 0 ? tensor(run, 2) : NULL, run->shape.B);
}

static void join_reference(case_run *run) {
    const op_shape *s = &run->shape;
    const case_buffer *b = run->buffer;

    ref_past_join(b[0].expected, b[1].host, s->T > 0 ? b[2].host : NULL, s->B, past_of(s), s->T, s->H * s->D);
}

static void split_setup(case_run *run) {
    const op_shape *s = &run->shape;

    case_matrix(run, "dx", CASE_OUT, s->B * s->T, s->H * s->D);
    case_matrix(run, "dkv", CASE_IN, s->B * s->S, s->H * s->D);
    if (!(s->option & FROZEN))
        case_matrix(run, "dpast", CASE_INOUT, past_of(s), s->H * s->D);
}

static clora_status split_launch(case_run *run) {
    const op_shape *s = &run->shape;

    return op_past_split(s->option & FROZEN ? NULL : tensor(run, 2), tensor(run, 0), tensor(run, 1), past_of(s), s->B);
}

static void split_reference(case_run *run) {
    const op_shape *s = &run->shape;
    const case_buffer *b = run->buffer;

    ref_past_split(s->option & FROZEN ? NULL : b[2].expected, b[0].expected, b[1].host, s->B, past_of(s), s->T,
                   s->H * s->D);
}

/* ---- rows in the place of embeddings: of ids from N on ---- */

static void fill_ids(case_run *run, case_buffer *ids) {
    const op_shape *s = &run->shape;

    for (int m = 0; m < s->M && run->status == CLORA_OK; m++)
        ids->ids[m] = m % 3 == 2 ? m % s->N : s->N + m * 5 % (s->R + 1); /* some are none of the R either */
}

static void embed_setup(case_run *run) {
    const op_shape *s = &run->shape;

    case_matrix(run, "x", CASE_INOUT, s->M, s->K);
    case_matrix(run, "past", CASE_IN, s->R, s->K);
    fill_ids(run, case_dense(run, "ids", CASE_IN, CLORA_DTYPE_I32, s->M, 1));
}

static clora_status embed_launch(case_run *run) {
    return op_past_embed(tensor(run, 0), tensor(run, 1), tensor(run, 2), run->shape.N);
}

static void embed_reference(case_run *run) {
    const op_shape *s = &run->shape;
    const case_buffer *b = run->buffer;

    ref_past_embed(b[0].expected, b[1].host, b[2].ids, s->M, s->N, s->R, s->K);
}

static void embed_backward_setup(case_run *run) {
    const op_shape *s = &run->shape;

    case_matrix(run, "dpast", CASE_INOUT, s->R, s->K);
    case_matrix(run, "dx", CASE_IN, s->M, s->K);
    fill_ids(run, case_dense(run, "ids", CASE_IN, CLORA_DTYPE_I32, s->M, 1));
}

static clora_status embed_backward_launch(case_run *run) {
    return op_past_embed_backward(tensor(run, 0), tensor(run, 1), tensor(run, 2), run->shape.N);
}

static void embed_backward_reference(case_run *run) {
    const op_shape *s = &run->shape;
    const case_buffer *b = run->buffer;

    ref_past_embed_backward(b[0].expected, b[1].host, b[2].ids, s->M, s->N, s->R, s->K);
}

/* ---- costs ---- */

static double no_flops(const op_shape *s) {
    (void)s;
    return 0.0;
}
static double sum_flops(const op_shape *s) {
    return (double)s->B * past_of(s) * s->H * s->D;
}
static double embed_flops(const op_shape *s) {
    return (double)s->M * s->K;
}
static double rows_bytes(const op_shape *s) {
    return 8.0 * s->B * s->S * s->H * s->D;
}
static double embed_bytes(const op_shape *s) {
    return 8.0 * s->M * s->K;
}

static const op_shape join_shapes[] = {
    {.B = 1, .T = 1, .S = 2, .H = 1, .D = 2},
    {.B = 3, .T = 5, .S = 12, .H = 3, .D = 34, .pad = 5},
    {.B = 1, .T = 0, .S = 4, .H = 2, .D = 19, .pad = 1},
};

static const op_shape split_shapes[] = {
    {.B = 1, .T = 1, .S = 2, .H = 1, .D = 2},
    {.B = 3, .T = 5, .S = 12, .H = 3, .D = 34, .pad = 5},
    {.B = 2, .T = 3, .S = 4, .H = 2, .D = 19, .pad = 1, .option = FROZEN},
};

static const op_shape embed_shapes[] = {
    {.M = 1, .N = 1, .R = 1, .K = 1},
    {.M = 31, .N = 7, .R = 4, .K = 77, .pad = 3},
};

const op_case cases_past[] = {
    {"past_join", CASE_SHAPES(join_shapes), join_setup, join_launch, join_reference, no_flops, rows_bytes, 0.0f},
    {"past_split", CASE_SHAPES(split_shapes), split_setup, split_launch, split_reference, sum_flops, rows_bytes, 1e-6f},
    {"past_embed", CASE_SHAPES(embed_shapes), embed_setup, embed_launch, embed_reference, no_flops, embed_bytes, 0.0f},
    {"past_embed_backward", CASE_SHAPES(embed_shapes), embed_backward_setup, embed_backward_launch,
     embed_backward_reference, embed_flops, embed_bytes, 1e-6f},
    {.name = NULL},
};
