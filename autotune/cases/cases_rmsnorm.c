#include "cases/case.h"

#include "ref/ref.h"

/* Normalisations of M rows of K columns, or of each of the H parts of K columns that a row has, which the reference
 * takes for rows. */

static size_t count(const case_buffer *b) {
    return (size_t)b->rows * (size_t)b->cols;
}

static clora_tensor *tensor(case_run *run, int i) {
    return &run->buffer[i].tensor;
}

enum { WITHOUT_RSTD = 1, REPLACES = 1, PLUS_ONE = 2 /* bits of the option */ };

static int parts(const op_shape *s) {
    return s->H ? s->H : 1;
}

static bool plus_one(const op_shape *s) {
    return s->option & PLUS_ONE;
}

static case_buffer *parts_matrix(case_run *run, const char *name, case_role role) {
    return case_matrix(run, name, role, run->shape.M, parts(&run->shape) * run->shape.K);
}

static case_buffer *rstd_matrix(case_run *run, case_role role) {
    return case_dense(run, "rstd", role, CLORA_DTYPE_F32, run->shape.M, parts(&run->shape));
}

static void rstd_of(case_run *run, case_buffer *rstd, const case_buffer *x, const case_buffer *g) {
    float *y = case_memory(run, count(x), sizeof(float));

    if (run->status == CLORA_OK)
        ref_rmsnorm(y, rstd->host, x->host, g->host, 1e-5f, plus_one(&run->shape), run->shape.M * parts(&run->shape),
                    run->shape.K);
}

static void rmsnorm_setup(case_run *run) {
    parts_matrix(run, "y", CASE_OUT);
    parts_matrix(run, "x", CASE_IN);
    case_dense(run, "g", CASE_IN, CLORA_DTYPE_F32, 1, run->shape.K);
    if (!(run->shape.option & WITHOUT_RSTD))
        rstd_matrix(run, CASE_OUT);
}

static clora_status rmsnorm_launch(case_run *run) {
    return op_rmsnorm(tensor(run, 0), run->shape.option & WITHOUT_RSTD ? NULL : tensor(run, 3), tensor(run, 1),
                      tensor(run, 2), 1e-5f, plus_one(&run->shape));
}

static void rmsnorm_reference(case_run *run) {
    const op_shape *s = &run->shape;

    ref_rmsnorm(run->buffer[0].expected, s->option & WITHOUT_RSTD ? NULL : run->buffer[3].expected, run->buffer[1].host,
                run->buffer[2].host, 1e-5f, plus_one(s), s->M * parts(s), s->K);
}

static void rmsnorm_apply_setup(case_run *run) {
    parts_matrix(run, "y", CASE_OUT);
    const case_buffer *x = parts_matrix(run, "x", CASE_IN);
    case_buffer *rstd = rstd_matrix(run, CASE_IN);
    rstd_of(run, rstd, x, case_dense(run, "g", CASE_IN, CLORA_DTYPE_F32, 1, run->shape.K));
}

static clora_status rmsnorm_apply_launch(case_run *run) {
    return op_rmsnorm_apply(tensor(run, 0), tensor(run, 1), tensor(run, 2), tensor(run, 3), plus_one(&run->shape));
}

static void rmsnorm_apply_reference(case_run *run) {
    ref_rmsnorm_apply(run->buffer[0].expected, run->buffer[1].host, run->buffer[2].host, run->buffer[3].host,
                      plus_one(&run->shape), run->shape.M * parts(&run->shape), run->shape.K);
}

/* Option REPLACES: dx takes the place of dy. */
static void rmsnorm_backward_setup(case_run *run) {
    parts_matrix(run, "dx", CASE_INOUT);
    const case_buffer *x = parts_matrix(run, "x", CASE_IN);
    case_buffer *rstd = rstd_matrix(run, CASE_IN);
    rstd_of(run, rstd, x, case_dense(run, "g", CASE_IN, CLORA_DTYPE_F32, 1, run->shape.K));
    if (!(run->shape.option & REPLACES))
        parts_matrix(run, "dy", CASE_IN);
}

static clora_status rmsnorm_backward_launch(case_run *run) {
    const bool replaces = run->shape.option & REPLACES;

    return op_rmsnorm_backward(tensor(run, 0), tensor(run, replaces ? 0 : 4), tensor(run, 1), tensor(run, 2),
                               tensor(run, 3), plus_one(&run->shape), !replaces);
}

static void rmsnorm_backward_reference(case_run *run) {
    const op_shape *s = &run->shape;
    case_buffer *dx = &run->buffer[0];

    for (size_t i = 0; s->option & REPLACES && i < count(dx); i++)
        dx->expected[i] = 0.0f;
    ref_rmsnorm_backward(dx->expected, s->option & REPLACES ? dx->host : run->buffer[4].host, run->buffer[1].host,
                         run->buffer[2].host, run->buffer[3].host, plus_one(s), s->M * parts(s), s->K);
}

static void rmsnorm_dg_setup(case_run *run) {
    case_dense(run, "dg", CASE_INOUT, CLORA_DTYPE_F32, 1, run->shape.K);
    parts_matrix(run, "dy", CASE_IN);
    parts_matrix(run, "x", CASE_IN);
    rstd_matrix(run, CASE_IN);
}

static clora_status rmsnorm_dg_launch(case_run *run) {
    return op_rmsnorm_dg(tensor(run, 0), tensor(run, 1), tensor(run, 2), tensor(run, 3));
}

static void rmsnorm_dg_reference(case_run *run) {
    ref_rmsnorm_dg(run->buffer[0].expected, run->buffer[1].host, run->buffer[2].host, run->buffer[3].host,
                   run->shape.M * parts(&run->shape), run->shape.K);
}

/* ---- costs: nothing here is bound by arithmetic ---- */

static double elements(const op_shape *s) {
    return (double)s->M * parts(s) * s->K;
}

static double few_flops(const op_shape *s) {
    return 4.0 * elements(s);
}
static double moves_2(const op_shape *s) {
    return 8.0 * elements(s);
}
static double moves_4(const op_shape *s) {
    return 16.0 * elements(s);
}

static const op_shape norm_shapes[] = {
    {.M = 1, .K = 1},
    {.M = 3, .K = 7, .pad = 5},
    {.M = 5, .K = 64},
    {.M = 2, .K = 577, .pad = 1},
    {.M = 1, .K = 2053},
    {.M = 7, .K = 16},
    {.M = 2, .K = 17},
    {.M = 3, .K = 33, .option = 1},
    {.M = 2, .K = 9, .pad = 3},
    {.M = 5, .K = 8, .H = 6, .pad = 16},
    {.M = 2, .K = 34, .H = 3, .option = 1},
    {.M = 3, .K = 33, .option = 3},
    {.M = 2, .K = 17, .option = 2},
    {.M = 2, .K = 8, .H = 3, .option = 3},
    {.M = 3, .K = 128, .H = 2, .pad = 3},
};
static const op_shape gain_shapes[] = {
    {.M = 1, .K = 1},
    {.M = 3, .K = 7, .pad = 5},
    {.M = 71, .K = 64},
    {.M = 9, .K = 577, .pad = 1},
    {.M = 7, .K = 34, .H = 3, .pad = 5},
};

const op_case cases_rmsnorm[] = {
    {"rmsnorm", CASE_SHAPES(norm_shapes), rmsnorm_setup, rmsnorm_launch, rmsnorm_reference, few_flops, moves_2, 1e-5f},
    {"rmsnorm_apply", CASE_SHAPES(norm_shapes), rmsnorm_apply_setup, rmsnorm_apply_launch, rmsnorm_apply_reference,
     few_flops, moves_2, 1e-6f},
    {"rmsnorm_backward", CASE_SHAPES(norm_shapes), rmsnorm_backward_setup, rmsnorm_backward_launch,
     rmsnorm_backward_reference, few_flops, moves_4, 1e-5f},
    {"rmsnorm_dg", CASE_SHAPES(gain_shapes), rmsnorm_dg_setup, rmsnorm_dg_launch, rmsnorm_dg_reference, few_flops,
     moves_2, 1e-5f},
    {.name = NULL},
};
