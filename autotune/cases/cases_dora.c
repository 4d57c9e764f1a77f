#include "base/dtype.h"
#include "cases/product.h"
#include "ref/ref.h"

/* What weight-decomposed adapters (DoRA) need besides the products. */

static clora_tensor *tensor(case_run *run, int i) {
    return &run->buffer[i].tensor;
}

/* ---- norms of the rows of W0 + s * B * A; option 1: magnitudes begin as the norms ---- */

enum { BEGIN = 1 };

static const op_shape norm_shapes[] = {
    {.N = 1, .K = 1, .R = 1},
    {.N = 67, .K = 131, .R = 8},
    {.N = 33, .K = 17, .R = 5, .modules = 2, .dtype = CLORA_STORAGE_BF16, .option = BEGIN},
    {.N = 40, .K = 259, .R = 1, .dtype = CLORA_STORAGE_F16},
    {.N = 97, .K = 31, .R = 3, .modules = 3, .option = BEGIN},
    {.N = 128, .K = 64, .R = 33, .modules = 4, .dtype = CLORA_STORAGE_Q8_0},
    {.N = 130, .K = 601, .R = 7, .modules = 3, .dtype = CLORA_STORAGE_BF16},
};

static void norms_setup(case_run *run) {
    const case_role role = run->shape.option == BEGIN ? CASE_OUT : CASE_IN;
    const int N = run->shape.N;

    case_dense(run, "scale", CASE_OUT, CLORA_DTYPE_F32, 1, N);
    case_dense(run, "inverse", CASE_OUT, CLORA_DTYPE_F32, 1, N);
    case_dense(run, "magnitude", role, CLORA_DTYPE_F32, 1, N);
    product_setup(run, CASE_IN, CASE_IN);
}

static clora_status norms_launch(case_run *run) {
    return op_lowrank_norms(tensor(run, 0), tensor(run, 1), tensor(run, 2), run->lr, run->shape.option == BEGIN);
}

static void norms_reference(case_run *run) {
    const product *p = run->data;
    const bool begin = run->shape.option == BEGIN;
    const case_buffer *magnitude = &run->buffer[2];
    float *norms = case_memory(run, (size_t)run->shape.N, sizeof(float));

    for (int i = 0; i < p->modules && run->status == CLORA_OK; i++)
        ref_lowrank_norms(norms + p->col[i], run->w0 + (size_t)p->col[i] * (size_t)run->shape.K, p->a[i], p->b[i],
                          p->scale[i], p->N[i], run->shape.K, p->rank[i]);
    for (int i = 0; i < p->modules && run->status == CLORA_OK; i++)
        for (int n = p->col[i]; n < p->col[i] + p->N[i]; n++) {
            const bool adapted = p->rank[i] > 0;
            run->buffer[0].expected[n] = begin || !adapted ? 1.0f : magnitude->host[n] / norms[n];
            run->buffer[1].expected[n] = adapted ? 1.0f / norms[n] : 0.0f;
            magnitude->expected[n] = begin ? norms[n] : magnitude->expected[n];
        }
}

static double norms_flops(const op_shape *s) {
    return 2.0 * s->K * (product_b_elements(s) + s->N);
}

static double norms_bytes(const op_shape *s) {
    return product_weight_bytes(s) + 4.0 * (product_b_elements(s) + (double)product_ranks(s) * s->K);
}

/* ---- columns times a factor each; option: what is added, and 4 in place ---- */

enum { RESIDUAL = 1, BIAS = 2, IN_PLACE = 4 };

static const op_shape scale_shapes[] = {
    {.M = 1, .K = 1},
    {.M = 5, .K = 7, .option = RESIDUAL | BIAS, .pad = 1},
    {.M = 3, .K = 64, .option = BIAS | IN_PLACE},
    {.M = 2, .K = 577, .option = RESIDUAL, .pad = 3},
};

static void scale_setup(case_run *run) {
    const op_shape *s = &run->shape;

    case_matrix(run, "y", s->option & IN_PLACE ? CASE_INOUT : CASE_OUT, s->M, s->K);
    case_matrix(run, "x", CASE_IN, s->M, s->K);
    case_matrix(run, "residual", CASE_IN, s->M, s->K);
    case_dense(run, "bias", CASE_IN, CLORA_DTYPE_F32, 1, s->K);
    case_dense(run, "factors", CASE_IN, CLORA_DTYPE_F32, 1, s->K);
}

static clora_status scale_launch(case_run *run) {
    const int option = run->shape.option;

    return op_scale_columns(tensor(run, 0), tensor(run, option & IN_PLACE ? 0 : 1),
                            option & RESIDUAL ? tensor(run, 2) : NULL, option & BIAS ? tensor(run, 3) : NULL,
                            tensor(run, 4));
}

static void scale_reference(case_run *run) {
    const int option = run->shape.option;

    ref_scale_columns(run->buffer[0].expected, run->buffer[option & IN_PLACE ? 0 : 1].host,
                      option & RESIDUAL ? run->buffer[2].host : NULL, option & BIAS ? run->buffer[3].host : NULL,
                      run->buffer[4].host, run->shape.M, run->shape.K);
}

/* ---- d += factors * sums of dy * [x]; option 1: without x ---- */

static const op_shape dots_shapes[] = {
    {.M = 1, .K = 1},
    {.M = 5, .K = 7, .pad = 1, .option = 1},
    {.M = 67, .K = 64, .pad = 2},
    {.M = 9, .K = 577, .pad = 3},
};

static void dots_setup(case_run *run) {
    const op_shape *s = &run->shape;

    case_dense(run, "d", CASE_INOUT, CLORA_DTYPE_F32, 1, s->K);
    case_matrix(run, "dy", CASE_IN, s->M, s->K);
    case_matrix(run, "x", CASE_IN, s->M, s->K);
    case_dense(run, "factors", CASE_IN, CLORA_DTYPE_F32, 1, s->K);
}

static clora_status dots_launch(case_run *run) {
    return op_column_dots(tensor(run, 0), tensor(run, 1), run->shape.option ? NULL : tensor(run, 2), tensor(run, 3));
}

static void dots_reference(case_run *run) {
    ref_column_dots(run->buffer[0].expected, run->buffer[1].host, run->shape.option ? NULL : run->buffer[2].host,
                    run->buffer[3].host, run->shape.M, run->shape.K);
}

/* ---- costs: bound by bandwidth ---- */

static double flops(const op_shape *s) {
    return 3.0 * s->M * s->K;
}

static double bytes(const op_shape *s) {
    return 8.0 * s->M * s->K;
}

const op_case cases_dora[] = {
    {"lowrank_norms", CASE_SHAPES(norm_shapes), norms_setup, norms_launch, norms_reference, norms_flops, norms_bytes,
     1e-5f},
    {"scale_columns", CASE_SHAPES(scale_shapes), scale_setup, scale_launch, scale_reference, flops, bytes, 1e-6f},
    {"column_dots", CASE_SHAPES(dots_shapes), dots_setup, dots_launch, dots_reference, flops, bytes, 1e-5f},
    {.name = NULL},
};
