#include "cases/case.h"

#include <math.h>

#include "ref/ref.h"

/* Elementwise operations and those on rows: M rows of K columns; V columns of logits; heads H of D. */

static size_t count(const case_buffer *b) {
    return (size_t)b->rows * (size_t)b->cols;
}

static clora_tensor *tensor(case_run *run, int i) {
    return &run->buffer[i].tensor;
}

/* ---- a bias's gradient ---- */

static void dbias_setup(case_run *run) {
    case_dense(run, "dbias", CASE_INOUT, CLORA_DTYPE_F32, 1, run->shape.K);
    case_matrix(run, "dy", CASE_IN, run->shape.M, run->shape.K);
}

static clora_status dbias_launch(case_run *run) {
    return op_matmul_dbias(tensor(run, 0), tensor(run, 1));
}

static void dbias_reference(case_run *run) {
    ref_matmul_dbias(run->buffer[0].expected, run->buffer[1].host, run->shape.M, run->shape.K);
}

/* ---- rope: M rows at positions 0..P-1, K of each head's columns, or all; option 1 rotates back ---- */

enum { POSITIONS = 19 };

static void rope_setup(case_run *run) {
    const op_shape *s = &run->shape;
    const int W = s->K ? s->K : s->D;

    case_matrix(run, "x", CASE_INOUT, s->M, s->H * s->D);
    case_buffer *positions = case_dense(run, "positions", CASE_IN, CLORA_DTYPE_I32, s->M, 1);
    case_buffer *table = case_dense(run, "table", CASE_IN, CLORA_DTYPE_F32, POSITIONS, W);
    for (int m = 0; m < s->M && run->status == CLORA_OK; m++)
        positions->ids[m] = (m * 7 + 3) % POSITIONS;
    for (int i = 0; i < POSITIONS * W && run->status == CLORA_OK; i++) {
        const int pair = i % W % (W / 2);
        const double angle = i / W * pow(10000.0, -2.0 * pair / W);
        table->host[i] = (float)(i % W < W / 2 ? cos(angle) : sin(angle));
    }
}

static clora_status rope_launch(case_run *run) {
    return op_rope(tensor(run, 0), tensor(run, 1), tensor(run, 2), run->shape.H, run->shape.option != 0);
}

static void rope_reference(case_run *run) {
    const op_shape *s = &run->shape;

    ref_rope(run->buffer[0].expected, run->buffer[1].ids, run->buffer[2].host, s->M, s->H, s->D, s->K ? s->K : s->D,
             s->option != 0);
}

static void widen_range(case_run *run, case_buffer *b, float factor) {
    for (size_t i = 0; i < count(b) && run->status == CLORA_OK; i++)
        b->host[i] *= factor;
}

/* ---- loss: every fourth row has no target, every third row a tie ---- */

enum { LEAVE_LOGITS = 1, ROW_WEIGHTS = 2, SMOOTHED = 4 /* bits of the option */ };

static void cross_entropy_setup(case_run *run) {
    const op_shape *s = &run->shape;

    case_dense(run, "nll", CASE_OUT, CLORA_DTYPE_F32, s->M, 1);
    case_dense(run, "hit", CASE_OUT, CLORA_DTYPE_F32, s->M, 1);
    case_buffer *logits = case_matrix(run, "logits", s->option & LEAVE_LOGITS ? CASE_IN : CASE_INOUT, s->M, s->V);
    case_buffer *targets = case_dense(run, "targets", CASE_IN, CLORA_DTYPE_I32, s->M, 1);
    case_dense(run, "weights", CASE_IN, CLORA_DTYPE_F32, s->M, 1);
    widen_range(run, logits, 12.0f);
    for (int m = 0; m < s->M && run->status == CLORA_OK; m++) {
        float *row = logits->host + (size_t)m * (size_t)s->V;
        const int target = (m * 31 + 5) % s->V;
        targets->ids[m] = m % 4 == 3 ? -1 : target;
        if (m % 3 != 1)
            row[target] = 13.0f;
        if (m % 3 == 2)
            row[(target + s->V / 2) % s->V] = 13.0f;
    }
}

static float smoothing(const case_run *run) {
    return run->shape.option & SMOOTHED ? 0.1f : 0.0f;
}

static clora_status cross_entropy_launch(case_run *run) {
    const int option = run->shape.option;

    return op_cross_entropy(tensor(run, 0), tensor(run, 1), tensor(run, 2), tensor(run, 3),
                            option & ROW_WEIGHTS ? tensor(run, 4) : NULL, smoothing(run), !(option & LEAVE_LOGITS));
}

static void cross_entropy_reference(case_run *run) {
    const bool gradient = !(run->shape.option & LEAVE_LOGITS);
    case_buffer *logits = &run->buffer[2];

    ref_cross_entropy(run->buffer[0].expected, run->buffer[1].expected, gradient ? logits->expected : logits->host,
                      run->buffer[3].ids, run->shape.option & ROW_WEIGHTS ? run->buffer[4].host : NULL, smoothing(run),
                      run->shape.M, run->shape.V, gradient);
}

/* ---- dropout: p = option / 10 ---- */

static const uint64_t SEED = 0x123456789abcdefu;
static const uint32_t STREAM = 77;

static void dropout_setup(case_run *run) {
    case_matrix(run, "y", CASE_OUT, run->shape.M, run->shape.K);
    case_matrix(run, "x", CASE_IN, run->shape.M, run->shape.K);
}

static float dropout_p(const case_run *run) {
    return (float)run->shape.option / 10.0f;
}

static clora_status dropout_launch(case_run *run) {
    return op_dropout(tensor(run, 0), tensor(run, 1), dropout_p(run), SEED, STREAM);
}

static void dropout_reference(case_run *run) {
    ref_dropout(run->buffer[0].expected, run->buffer[1].host, dropout_p(run), SEED, STREAM, count(&run->buffer[1]));
}

static void dropout_add_setup(case_run *run) {
    case_matrix(run, "y", CASE_INOUT, run->shape.M, run->shape.K);
    case_matrix(run, "x", CASE_IN, run->shape.M, run->shape.K);
}

static clora_status dropout_add_launch(case_run *run) {
    return op_dropout_add(tensor(run, 0), tensor(run, 1), dropout_p(run), SEED, STREAM);
}

static void dropout_add_reference(case_run *run) {
    ref_dropout_add(run->buffer[0].expected, run->buffer[1].host, dropout_p(run), SEED, STREAM, count(&run->buffer[1]));
}

static clora_status dropout_rest_launch(case_run *run) {
    return op_dropout_rest(tensor(run, 0), tensor(run, 1), dropout_p(run), SEED, STREAM);
}

static void dropout_rest_reference(case_run *run) {
    ref_dropout_rest(run->buffer[0].expected, run->buffer[1].host, dropout_p(run), SEED, STREAM,
                     count(&run->buffer[1]));
}

/* ---- y += x ---- */

static clora_status add_launch(case_run *run) {
    return op_add(tensor(run, 0), tensor(run, 1));
}

static void add_reference(case_run *run) {
    for (size_t i = 0; i < count(&run->buffer[0]); i++)
        run->buffer[0].expected[i] += run->buffer[1].host[i];
}

/* ---- x times a factor ---- */

static void scale_setup(case_run *run) {
    case_matrix(run, "x", CASE_INOUT, run->shape.M, run->shape.K);
}

static clora_status scale_launch(case_run *run) {
    return op_scale(tensor(run, 0), 0.22f);
}

static void scale_reference(case_run *run) {
    ref_scale(run->buffer[0].expected, 0.22f, count(&run->buffer[0]));
}

/* ---- rows times a factor each ---- */

static void scale_rows_setup(case_run *run) {
    case_matrix(run, "x", CASE_INOUT, run->shape.M, run->shape.K);
    case_dense(run, "factors", CASE_IN, CLORA_DTYPE_F32, run->shape.M, 1);
}

static clora_status scale_rows_launch(case_run *run) {
    return op_scale_rows(tensor(run, 0), tensor(run, 1));
}

static void scale_rows_reference(case_run *run) {
    ref_scale_rows(run->buffer[0].expected, run->buffer[1].host, run->shape.M, run->shape.K);
}

/* ---- M of N rows, by their numbers ---- */

static void fill_numbers(case_run *run, case_buffer *rows) {
    for (int i = 0; i < run->shape.M && run->status == CLORA_OK; i++)
        rows->ids[i] = run->shape.N - 1 - i * run->shape.N / run->shape.M; /* not in their order */
}

static void gather_rows_setup(case_run *run) {
    const op_shape *s = &run->shape;

    case_matrix(run, "y", CASE_OUT, s->M, s->K);
    case_matrix(run, "x", CASE_IN, s->N, s->K);
    fill_numbers(run, case_dense(run, "rows", CASE_IN, CLORA_DTYPE_I32, s->M, 1));
}

static clora_status gather_rows_launch(case_run *run) {
    return op_gather_rows(tensor(run, 0), tensor(run, 1), tensor(run, 2));
}

static void gather_rows_reference(case_run *run) {
    ref_gather_rows(run->buffer[0].expected, run->buffer[1].host, run->buffer[2].ids, run->shape.M, run->shape.K);
}

static void scatter_rows_setup(case_run *run) {
    const op_shape *s = &run->shape;

    case_matrix(run, "y", CASE_INOUT, s->N, s->K);
    case_matrix(run, "x", CASE_IN, s->M, s->K);
    fill_numbers(run, case_dense(run, "rows", CASE_IN, CLORA_DTYPE_I32, s->M, 1));
}

static clora_status scatter_rows_launch(case_run *run) {
    return op_scatter_rows(tensor(run, 0), tensor(run, 1), tensor(run, 2));
}

static void scatter_rows_reference(case_run *run) {
    ref_scatter_rows(run->buffer[0].expected, run->buffer[1].host, run->buffer[2].ids, run->shape.M, run->shape.K);
}

/* ---- costs: nothing here is bound by arithmetic ---- */

static double elements(const op_shape *s) {
    return (double)s->M * (double)(s->H ? s->H * s->D : s->K);
}

static double no_flops(const op_shape *s) {
    (void)s;
    return 0.0;
}
static double few_flops(const op_shape *s) {
    return 4.0 * elements(s);
}
static double reads(const op_shape *s) {
    return 4.0 * elements(s);
}
static double moves_2(const op_shape *s) {
    return 8.0 * elements(s);
}
static double moves_3(const op_shape *s) {
    return 12.0 * elements(s);
}

/* Of the loss: the logits become their gradient. */
static double loss_flops(const op_shape *s) {
    return 4.0 * s->M * (double)s->V;
}
static double loss_bytes(const op_shape *s) {
    return 8.0 * s->M * (double)s->V;
}

static const op_shape rows[] = {
    {.M = 1, .K = 1},           {.M = 3, .K = 7, .pad = 5}, {.M = 5, .K = 64}, {.M = 2, .K = 577, .pad = 1},
    {.M = 1, .K = 2053},        {.M = 7, .K = 16},          {.M = 2, .K = 17}, {.M = 3, .K = 33, .option = 1},
    {.M = 2, .K = 9, .pad = 3},
};
static const op_shape column_shapes[] = {
    {.M = 1, .K = 1},
    {.M = 3, .K = 7, .pad = 5},
    {.M = 71, .K = 64},
    {.M = 9, .K = 577, .pad = 1},
};
static const op_shape rope_shapes[] = {
    {.M = 1, .H = 1, .D = 2},
    {.M = 5, .H = 3, .D = 8, .pad = 7},
    {.M = 23, .H = 2, .D = 34, .option = 1},
    {.M = 3, .H = 9, .D = 64, .pad = 384},
    {.M = 2, .H = 1, .D = 256, .option = 1, .pad = 1},
    {.M = 4, .H = 5, .D = 6},
    {.M = 3, .H = 3, .D = 64, .K = 50, .option = 1},
};
static const op_shape loss_shapes[] = {
    {.M = 1, .V = 1},
    {.M = 7, .V = 2},
    {.M = 9, .V = 97, .pad = 3},
    {.M = 13, .V = 512},
    {.M = 4, .V = 4099},
    {.M = 6, .V = 17, .pad = 1},
    {.M = 9, .V = 97, .pad = 3, .option = LEAVE_LOGITS},
    {.M = 9, .V = 97, .pad = 3, .option = ROW_WEIGHTS},
    {.M = 5, .V = 31, .option = ROW_WEIGHTS | LEAVE_LOGITS},
    {.M = 9, .V = 97, .pad = 3, .option = ROW_WEIGHTS | SMOOTHED},
    {.M = 2, .V = 4099, .option = SMOOTHED},
    {.M = 5, .V = 31},
    {.M = 2, .V = 49152},
};
static const op_shape dropout_shapes[] = {
    {.M = 1, .K = 1, .option = 1},
    {.M = 5, .K = 7, .option = 5},
    {.M = 3, .K = 64},
    {.M = 2, .K = 577, .option = 1, .pad = 3},
    {.M = 3, .K = 517, .option = 9},
    {.M = 7, .K = 34, .option = 5},
};

static const op_shape picked_shapes[] = {
    {.M = 1, .N = 1, .K = 1},
    {.M = 5, .N = 31, .K = 77, .pad = 3},
    {.M = 7, .N = 7, .K = 1},
};

const op_case cases_nn[] = {
    {"matmul_dbias", CASE_SHAPES(column_shapes), dbias_setup, dbias_launch, dbias_reference, few_flops, reads, 1e-5f},
    {"rope", CASE_SHAPES(rope_shapes), rope_setup, rope_launch, rope_reference, few_flops, moves_2, 1e-6f},
    {"cross_entropy", CASE_SHAPES(loss_shapes), cross_entropy_setup, cross_entropy_launch, cross_entropy_reference,
     loss_flops, loss_bytes, 1e-5f},
    {"dropout", CASE_SHAPES(dropout_shapes), dropout_setup, dropout_launch, dropout_reference, few_flops, moves_2,
     1e-6f},
    {"dropout_add", CASE_SHAPES(dropout_shapes), dropout_add_setup, dropout_add_launch, dropout_add_reference,
     few_flops, moves_3, 1e-6f},
    {"dropout_rest", CASE_SHAPES(dropout_shapes), dropout_setup, dropout_rest_launch, dropout_rest_reference, few_flops,
     moves_2, 1e-6f},
    {"add", CASE_SHAPES(rows), dropout_add_setup, add_launch, add_reference, few_flops, moves_3, 1e-6f},
    {"scale", CASE_SHAPES(rows), scale_setup, scale_launch, scale_reference, few_flops, moves_2, 1e-6f},
    {"scale_rows", CASE_SHAPES(rows), scale_rows_setup, scale_rows_launch, scale_rows_reference, few_flops, moves_2,
     1e-6f},
    {"gather_rows", CASE_SHAPES(picked_shapes), gather_rows_setup, gather_rows_launch, gather_rows_reference, no_flops,
     moves_2, 0.0f},
    {"scatter_rows", CASE_SHAPES(picked_shapes), scatter_rows_setup, scatter_rows_launch, scatter_rows_reference,
     no_flops, moves_2, 0.0f},
    {.name = NULL},
};
