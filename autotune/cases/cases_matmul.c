#include "cases/product.h"

#include "base/dtype.h"
#include "ref/ref.h"

#define F16 CLORA_STORAGE_F16
#define BF16 CLORA_STORAGE_BF16

/* One of everything, primes, one past a tile, few rows and many, modules smaller than a panel, every storage type. */
static const op_shape product_shapes[] = {
    {.M = 1, .N = 1, .K = 1},
    {.M = 1, .N = 1, .K = 1, .R = 1, .dtype = BF16, .pad = 1},
    {.M = 1, .N = 67, .K = 131, .R = 8, .option = PRODUCT_RESIDUAL},
    {.M = 1, .N = 67, .K = 131, .R = 3, .dtype = F16, .option = PRODUCT_BIAS, .modules = 3},
    {.M = 1, .N = 96, .K = 64, .dtype = BF16, .option = PRODUCT_IN_PLACE | PRODUCT_BIAS},
    {.M = 2, .N = 33, .K = 17, .R = 5, .dtype = BF16, .pad = 3},
    {.M = 3, .N = 40, .K = 259, .R = 1, .dtype = F16, .pad = 2, .option = PRODUCT_IN_PLACE},
    {.M = 4, .N = 31, .K = 12, .R = 9, .modules = 2},
    {.M = 5, .N = 64, .K = 33, .dtype = BF16},
    {.M = 6, .N = 17, .K = 5, .R = 4, .dtype = F16},
    {.M = 7, .N = 97, .K = 11, .R = 2, .pad = 5, .option = PRODUCT_RESIDUAL | PRODUCT_BIAS},
    {.M = 9, .N = 130, .K = 300, .R = 7, .modules = 3, .pad = 1, .option = PRODUCT_IN_PLACE},
    {.M = 13, .N = 65, .K = 67, .R = 16, .dtype = F16, .modules = 4, .option = PRODUCT_BIAS},
    {.M = 23, .N = 5, .K = 513, .R = 6, .dtype = BF16, .modules = 2, .pad = 7},
    {.M = 65, .N = 129, .K = 257, .R = 33, .dtype = BF16, .option = PRODUCT_RESIDUAL},
    {.M = 66, .N = 320, .K = 64, .R = 12, .dtype = F16, .modules = 3},
    {.M = 129, .N = 64, .K = 96, .R = 64, .option = PRODUCT_RESIDUAL | PRODUCT_BIAS},
    {.M = 251, .N = 289, .K = 290, .modules = 3, .pad = 2},
    {.M = 300, .N = 530, .K = 70, .R = 17, .modules = 2},
    {.M = 19, .N = 801, .K = 661, .R = 3, .modules = 2}, /* several blocks of K forward, of N backward */
    {.M = 18, .N = 1571, .K = 1301, .R = 2, .dtype = BF16},
    {.M = 17, .N = 33, .K = 1, .R = 1, .dtype = BF16},
    {.M = 31, .N = 99, .K = 65, .dtype = BF16, .modules = 3, .pad = 1, .option = PRODUCT_IN_PLACE | PRODUCT_BIAS},
    {.M = 34, .N = 803, .K = 1283, .dtype = F16},
};

/* ---- y = x * W0^T ... ---- */

static void matmul_setup(case_run *run) {
    const op_shape *s = &run->shape;
    product *p = product_setup(run, CASE_IN, CASE_IN);

    p->y = case_matrix(run, "y", s->option & PRODUCT_IN_PLACE ? CASE_INOUT : CASE_OUT, s->M, s->N);
    p->x = case_matrix(run, "x", CASE_IN, s->M, s->K);
    product_round_input(run, p->x);
    p->residual = s->option & PRODUCT_RESIDUAL ? case_matrix(run, "residual", CASE_IN, s->M, s->N) : NULL;
    p->u = p->R > 0 ? case_matrix(run, "u", CASE_IN, s->M, p->R) : NULL;
    product_fill_u(run, p);
}

static clora_status matmul_launch(case_run *run) {
    product *p = run->data;
    const clora_tensor in_place = p->y->tensor; /* a view of its own: sameness is a matter of memory */
    const clora_tensor *residual = run->shape.option & PRODUCT_IN_PLACE ? &in_place
                                   : p->residual                        ? &p->residual->tensor
                                                                        : NULL;
    return op_matmul(&p->y->tensor, &p->x->tensor, run->w, residual, run->lr, p->u ? &p->u->tensor : NULL, false);
}

static void matmul_reference(case_run *run) {
    const op_shape *s = &run->shape;
    const product *p = run->data;
    const float *residual = s->option & PRODUCT_IN_PLACE ? p->y->expected : p->residual ? p->residual->host : NULL;

    ref_matmul(p->y->expected, p->x->host, run->w0, residual, p->bias, s->M, s->N, s->K);
    for (int i = 0; i < p->modules && p->R > 0; i++)
        ref_lowrank_up(p->y->expected + p->col[i], s->N, p->u->host + p->row[i], p->R, p->b[i], s->M, p->N[i],
                       p->rank[i]);
}

/* ---- dx = dy * W0 + du * A ---- */

static void dx_setup(case_run *run) {
    const op_shape *s = &run->shape;
    product *p = product_setup(run, CASE_IN, CASE_IN);

    p->x = case_matrix(run, "dx", s->option & PRODUCT_IN_PLACE ? CASE_INOUT : CASE_OUT, s->M, s->K);
    p->y = case_matrix(run, "dy", CASE_IN, s->M, s->N);
    product_round_input(run, p->y);
    p->u = p->R > 0 ? case_matrix(run, "du", CASE_IN, s->M, p->R) : NULL;
    for (int i = 0; i < p->modules && p->u && run->guards && run->status == CLORA_OK; i++) /* as product_fill_u */
        ref_lowrank_down_grad(p->u->host + p->row[i], p->R, p->y->host + p->col[i], s->N, p->b[i], p->scale[i], s->M,
                              p->N[i], p->rank[i]);
}

static clora_status dx_launch(case_run *run) {
    product *p = run->data;
    return op_matmul_dx(&p->x->tensor, &p->y->tensor, run->w, run->lr, p->u ? &p->u->tensor : NULL,
                        run->shape.option & PRODUCT_IN_PLACE);
}

static void dx_reference(case_run *run) {
    const op_shape *s = &run->shape;
    const product *p = run->data;

    ref_matmul_dx(p->x->expected, p->y->host, run->w0, s->option & PRODUCT_IN_PLACE, s->M, s->N, s->K);
    for (int i = 0; i < p->modules && p->R > 0; i++)
        ref_lowrank_dx(p->x->expected, p->u->host + p->row[i], p->R, p->a[i], s->M, s->K, p->rank[i]);
}

static double product_flops(const op_shape *s) {
    return 2.0 * s->M * ((double)s->N * s->K + product_b_elements(s));
}

static double dx_flops(const op_shape *s) {
    return 2.0 * s->M * ((double)s->N * s->K + (double)product_ranks(s) * s->K);
}

static double product_bytes(const op_shape *s) {
    return product_weight_bytes(s) + 4.0 * s->M * ((double)s->N + s->K + product_ranks(s));
}

/* ---- embedding ---- */

enum { SCALED = 1 };

static const op_shape embedding_shapes[] = {
    {.M = 1, .N = 1, .K = 1},
    {.M = 5, .N = 97, .K = 33, .pad = 3},
    {.M = 70, .N = 50, .K = 65, .dtype = F16, .option = SCALED},
    {.M = 19, .N = 131, .K = 77, .dtype = BF16, .pad = 1},
};

static float embedding_scale(const case_run *run) {
    return run->shape.option & SCALED ? 5.75f : 1.0f;
}

static void embedding_setup(case_run *run) {
    const op_shape *s = &run->shape;
    product *p = product_setup(run, CASE_IN, CASE_IN);

    p->y = case_matrix(run, "y", CASE_OUT, s->M, s->K);
    p->x = case_dense(run, "ids", CASE_IN, CLORA_DTYPE_I32, 1, s->M);
    for (int m = 0; m < s->M && run->status == CLORA_OK; m++)
        p->x->ids[m] = (m * 7919 + s->N - 1) % s->N;
}

static clora_status embedding_launch(case_run *run) {
    product *p = run->data;
    return op_embedding(&p->y->tensor, &p->x->tensor, run->w, embedding_scale(run));
}

static void embedding_reference(case_run *run) {
    const product *p = run->data;
    ref_embedding(p->y->expected, p->x->ids, run->w0, embedding_scale(run), run->shape.M, run->shape.N, run->shape.K);
}

static double embedding_flops(const op_shape *s) {
    (void)s;
    return 0.0;
}

static double embedding_bytes(const op_shape *s) {
    return 4.0 * s->M * s->K + product_weight_bytes(s) * s->M / s->N;
}

const op_case cases_matmul[] = {
    {"matmul", CASE_SHAPES(product_shapes), matmul_setup, matmul_launch, matmul_reference, product_flops, product_bytes,
     4e-6f},
    {"matmul_dx", CASE_SHAPES(product_shapes), dx_setup, dx_launch, dx_reference, dx_flops, product_bytes, 4e-6f},
    {"embedding", CASE_SHAPES(embedding_shapes), embedding_setup, embedding_launch, embedding_reference,
     embedding_flops, embedding_bytes, 0.0f},
    {.name = NULL},
};
