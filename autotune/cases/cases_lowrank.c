#include "cases/product.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "ops/lowrank_each.h"
#include "ref/ref.h"

static const op_shape lowrank_shapes[] = {
    {.M = 1, .N = 1, .K = 1, .R = 1},
    {.M = 1, .N = 67, .K = 131, .R = 8},
    {.M = 2, .N = 5, .K = 7, .R = 33, .pad = 1},
    {.M = 3, .N = 33, .K = 65, .R = 1, .modules = 2, .pad = 2},
    {.M = 4, .N = 16, .K = 32, .R = 4},
    {.M = 7, .N = 97, .K = 31, .R = 3, .modules = 3},
    {.M = 17, .N = 128, .K = 48, .R = 7, .modules = 4, .pad = 5},
    {.M = 33, .N = 64, .K = 96, .R = 16, .dtype = CLORA_STORAGE_BF16},
    {.M = 101, .N = 90, .K = 291, .R = 31, .modules = 3},
    {.M = 259, .N = 310, .K = 64, .R = 64, .pad = 3},
    {.M = 300, .N = 65, .K = 200, .R = 12, .dtype = CLORA_STORAGE_F16, .modules = 2},
};

/* ---- u = s * x * A^T ---- */

static void down_setup(case_run *run) {
    product *p = product_setup(run, CASE_IN, CASE_IN);

    p->u = case_matrix(run, "u", CASE_OUT, run->shape.M, p->R);
    p->x = case_matrix(run, "x", CASE_IN, run->shape.M, run->shape.K);
}

static clora_status down_launch(case_run *run) {
    product *p = run->data;
    return op_lowrank_down(&p->u->tensor, &p->x->tensor, run->lr);
}

static void down_reference(case_run *run) {
    const product *p = run->data;

    for (int i = 0; i < p->modules; i++)
        ref_lowrank_down(p->u->expected + p->row[i], p->R, p->x->host, p->a[i], p->scale[i], run->shape.M, run->shape.K,
                         p->rank[i]);
}

/* ---- y += u * B^T ---- */

static void up_setup(case_run *run) {
    product *p = product_setup(run, CASE_IN, CASE_IN);

    p->y = case_matrix(run, "y", CASE_INOUT, run->shape.M, run->shape.N);
    p->u = case_matrix(run, "u", CASE_IN, run->shape.M, p->R);
}

static clora_status up_launch(case_run *run) {
    product *p = run->data;
    return op_lowrank_up(&p->y->tensor, &p->u->tensor, run->lr);
}

static void up_reference(case_run *run) {
    const op_shape *s = &run->shape;
    const product *p = run->data;

    for (int i = 0; i < p->modules; i++)
        ref_lowrank_up(p->y->expected + p->col[i], s->N, p->u->host + p->row[i], p->R, p->b[i], s->M, p->N[i],
                       p->rank[i]);
}

/* ---- y += s * x * A^T * B^T of rows that have terms of their own: here two of three have the one there is ---- */

static bool has_term(int row) {
    return row % 3 != 1;
}

static void each_setup(case_run *run) {
    product *p = product_setup(run, CASE_IN, CASE_IN);

    p->y = case_matrix(run, "y", CASE_INOUT, run->shape.M, run->shape.N);
    p->x = case_matrix(run, "x", CASE_IN, run->shape.M, run->shape.K);
}

/* By the launches of single terms where the device has no others. */
static clora_status launch_singly(const product *p, const clora_tensor *u, const case_run *run) {
    clora_status status = CLORA_OK;

    for (int m = 0; m < run->shape.M; m++) {
        clora_tensor y = tensor_view(&p->y->tensor, m, 1, 0, run->shape.N), row = tensor_view(u, m, 1, 0, p->R);
        const clora_tensor x = tensor_view(&p->x->tensor, m, 1, 0, run->shape.K);
        if (!has_term(m))
            continue;
        TRY(op_lowrank_down(&row, &x, run->lr));
        TRY(op_lowrank_up(&y, &row, run->lr));
    }
done:
    return status;
}

static clora_status each_launch(case_run *run) {
    const int M = run->shape.M;
    const product *p = run->data;
    int32_t *rows = alloc_array((size_t)M, EACH_INTS * sizeof(*rows));
    clora_tensor *table = NULL, *u = NULL;
    clora_status status = CLORA_OK;
    each_buffers buffers = {.count = 0};

    if (!rows)
        return CLORA_ERROR_MEMORY;
    TRY(tensor_new(&u, run->context, CLORA_DTYPE_F32, M, p->R));
    if (!lowrank_each_can(run->context))
        TRY(launch_singly(p, u, run));
    else {
        for (int m = 0; m < M; m++)
            (void)lowrank_each_describe(rows + m * EACH_INTS, &buffers, has_term(m) ? run->lr : NULL);
        TRY(tensor_new(&table, run->context, CLORA_DTYPE_I32, M, EACH_INTS));
        TRY(clora_tensor_write(table, rows));
        TRY(op_lowrank_each(&p->y->tensor, &p->x->tensor, u, run->w, table, &buffers));
    }
done:
    free(rows);
    clora_tensor_free(table);
    clora_tensor_free(u);
    return status;
}

static void each_reference(case_run *run) {
    const op_shape *s = &run->shape;
    const product *p = run->data;
    float *u = case_memory(run, (size_t)p->R, sizeof(*u));

    for (int m = 0; u && m < s->M; m++)
        for (int i = 0; i < p->modules && has_term(m); i++) {
            ref_lowrank_down(u + p->row[i], p->R, p->x->host + (size_t)m * (size_t)s->K, p->a[i], p->scale[i], 1, s->K,
                             p->rank[i]);
            ref_lowrank_up(p->y->expected + (size_t)m * (size_t)s->N + p->col[i], s->N, u + p->row[i], p->R, p->b[i], 1,
                           p->N[i], p->rank[i]);
        }
}

/* ---- du = s * dy * B ---- */

static void down_grad_setup(case_run *run) {
    product *p = product_setup(run, CASE_IN, CASE_IN);

    p->u = case_matrix(run, "du", CASE_OUT, run->shape.M, p->R);
    p->y = case_matrix(run, "dy", CASE_IN, run->shape.M, run->shape.N);
}

static clora_status down_grad_launch(case_run *run) {
    product *p = run->data;
    return op_lowrank_down_grad(&p->u->tensor, &p->y->tensor, run->lr);
}

static void down_grad_reference(case_run *run) {
    const op_shape *s = &run->shape;
    const product *p = run->data;

    for (int i = 0; i < p->modules; i++)
        ref_lowrank_down_grad(p->u->expected + p->row[i], p->R, p->y->host + p->col[i], s->N, p->b[i], p->scale[i],
                              s->M, p->N[i], p->rank[i]);
}

/* ---- dx = du * A ---- */

static void dx_setup(case_run *run) {
    product *p = product_setup(run, CASE_IN, CASE_IN);

    p->x = case_matrix(run, "dx", CASE_OUT, run->shape.M, run->shape.K);
    p->u = case_matrix(run, "du", CASE_IN, run->shape.M, p->R);
}

static clora_status dx_launch(case_run *run) {
    product *p = run->data;
    return op_lowrank_dx(&p->x->tensor, &p->u->tensor, run->lr, false);
}

static void dx_reference(case_run *run) {
    const product *p = run->data;

    for (int i = 0; i < p->modules; i++)
        ref_lowrank_dx(p->x->expected, p->u->host + p->row[i], p->R, p->a[i], run->shape.M, run->shape.K, p->rank[i]);
}

/* ---- da += du^T * x,  db += dy^T * u: the values of a and b stand for gradients that are there already ---- */

static void grad_a_setup(case_run *run) {
    product *p = product_setup(run, CASE_INOUT, CASE_IN);

    p->u = case_matrix(run, "du", CASE_IN, run->shape.M, p->R);
    p->x = case_matrix(run, "x", CASE_IN, run->shape.M, run->shape.K);
}

static clora_status grad_a_launch(case_run *run) {
    product *p = run->data;
    return op_lowrank_grad_a(&p->fa->tensor, &p->u->tensor, &p->x->tensor, run->lr);
}

static void grad_a_reference(case_run *run) {
    const product *p = run->data;

    for (int i = 0; i < p->modules; i++)
        ref_lowrank_grad_a(p->a[i], p->u->host + p->row[i], p->R, p->x->host, run->shape.M, run->shape.K, p->rank[i]);
    product_expect_a(run, p->a);
}

static void grad_b_setup(case_run *run) {
    product *p = product_setup(run, CASE_IN, CASE_INOUT);

    p->y = case_matrix(run, "dy", CASE_IN, run->shape.M, run->shape.N);
    p->u = case_matrix(run, "u", CASE_IN, run->shape.M, p->R);
}

static clora_status grad_b_launch(case_run *run) {
    product *p = run->data;
    return op_lowrank_grad_b(&p->fb->tensor, &p->y->tensor, &p->u->tensor, run->lr);
}

static void grad_b_reference(case_run *run) {
    const op_shape *s = &run->shape;
    const product *p = run->data;

    for (int i = 0; i < p->modules; i++)
        ref_lowrank_grad_b(p->b[i], p->y->host + p->col[i], s->N, p->u->host + p->row[i], p->R, s->M, p->N[i],
                           p->rank[i]);
    product_expect_b(run, p->b);
}

static double k_flops(const op_shape *s) {
    return 2.0 * s->M * s->K * product_ranks(s);
}

static double n_flops(const op_shape *s) {
    return 2.0 * s->M * product_b_elements(s);
}

static double k_bytes(const op_shape *s) {
    return 4.0 * ((double)s->M * s->K + ((double)s->M + s->K) * product_ranks(s));
}

static double n_bytes(const op_shape *s) {
    return 4.0 * ((double)s->M * s->N + (double)s->M * product_ranks(s) + product_b_elements(s));
}

#define SHAPES CASE_SHAPES(lowrank_shapes)

const op_case cases_lowrank[] = {
    {"lowrank_down", SHAPES, down_setup, down_launch, down_reference, k_flops, k_bytes, 4e-6f},
    {"lowrank_up", SHAPES, up_setup, up_launch, up_reference, n_flops, n_bytes, 4e-6f},
    {"lowrank_each", SHAPES, each_setup, each_launch, each_reference, k_flops, k_bytes, 4e-6f},
    {"lowrank_down_grad", SHAPES, down_grad_setup, down_grad_launch, down_grad_reference, n_flops, n_bytes, 4e-6f},
    {"lowrank_dx", SHAPES, dx_setup, dx_launch, dx_reference, k_flops, k_bytes, 4e-6f},
    {"lowrank_grad_a", SHAPES, grad_a_setup, grad_a_launch, grad_a_reference, k_flops, k_bytes, 4e-6f},
    {"lowrank_grad_b", SHAPES, grad_b_setup, grad_b_launch, grad_b_reference, n_flops, n_bytes, 4e-6f},
    {.name = NULL},
};
