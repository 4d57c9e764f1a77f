#include "cases/product.h"
#include "ops/tape.h"
#include "ref/ref.h"

/*
 * A step that is recorded and then run in one launch, where the device has a way (ops/tape.h). T layers, whose phases
 * all need what the one before made last: rows normalised, a product with its low-rank term (N = K), the product
 * normalised as one row, and added to x. RUNS times, as a session's tape runs for token after token.
 */
enum { RUNS = 2 };
static const float eps = 1e-5f;

static const op_shape tape_shapes[] = {{.M = 2, .N = 64, .K = 64, .R = 5, .T = 3}};

/* The stream is x; the others are scratch. */
typedef struct layers {
    product *p;
    case_buffer *gain, *whole_gain, *normed, *z;
} layers;

static void tape_setup(case_run *run) {
    const op_shape *s = &run->shape;
    layers *l = case_memory(run, 1, sizeof(*l));
    product *p = product_setup(run, CASE_IN, CASE_IN);

    p->x = case_matrix(run, "x", CASE_INOUT, s->M, s->K);
    p->u = case_matrix(run, "u", CASE_SCRATCH, s->M, p->R);
    p->y = case_dense(run, "y", CASE_SCRATCH, CLORA_DTYPE_F32, s->M, s->N);
    *l = (layers){.p = p,
                  .gain = case_dense(run, "gain", CASE_IN, CLORA_DTYPE_F32, 1, s->K),
                  .whole_gain = case_dense(run, "whole gain", CASE_IN, CLORA_DTYPE_F32, 1, s->M * s->K),
                  .normed = case_matrix(run, "normed", CASE_SCRATCH, s->M, s->K),
                  .z = case_dense(run, "z", CASE_SCRATCH, CLORA_DTYPE_F32, s->M, s->K)};
    run->data = l;
}

/* All rows of a dense matrix as one. */
static clora_tensor whole(const case_buffer *b) {
    return tensor_slice(&b->tensor, 0, 1, b->rows * b->cols);
}

static clora_status forward(case_run *run) {
    const layers *l = run->data;
    const product *p = l->p;
    clora_tensor y = whole(p->y), z = whole(l->z);
    clora_status status = CLORA_OK;

    for (int t = 0; t < run->shape.T; t++) {
        TRY(op_rmsnorm(&l->normed->tensor, NULL, &p->x->tensor, &l->gain->tensor, eps, false));
        TRY(op_lowrank_down(&p->u->tensor, &l->normed->tensor, run->lr));
        TRY(op_matmul(&p->y->tensor, &l->normed->tensor, run->w, NULL, run->lr, &p->u->tensor, false));
        TRY(op_rmsnorm(&z, NULL, &y, &l->whole_gain->tensor, eps, false));
        TRY(op_add(&p->x->tensor, &l->z->tensor));
    }
done:
    return status;
}

static clora_status tape_launch_case(case_run *run) {
    const tape_key key = {.B = run->shape.M, .T = 1};
    clora_status status = CLORA_OK;
    tape *t = NULL;

    TRY(tape_create(&t, run->context));
    if (tape_begin(t, key))
        tape_end(t, forward(run));
    for (int i = 0; i < RUNS; i++)
        TRY(tape_holds(t, key) ? tape_run(t) : forward(run));
done:
    tape_free(t);
    return status;
}

static void tape_reference(case_run *run) {
    const op_shape *s = &run->shape;
    const layers *l = run->data;
    const product *p = l->p;
    const size_t n = (size_t)s->M * (size_t)s->K;
    float *normed = case_memory(run, n, sizeof(float)), *y = case_memory(run, n, sizeof(float));
    float *u = case_memory(run, (size_t)s->M * (size_t)p->R, sizeof(float));
    float *rstd = case_memory(run, (size_t)s->M, sizeof(float)), *x = p->x->expected;

    for (int t = 0; run->status == CLORA_OK && t < RUNS * s->T; t++) {
        ref_rmsnorm(normed, rstd, x, l->gain->host, eps, false, s->M, s->K);
        ref_lowrank_down(u, p->R, normed, p->a[0], p->scale[0], s->M, s->K, p->R);
        ref_matmul(y, normed, run->w0, NULL, NULL, s->M, s->N, s->K);
        ref_lowrank_up(y, s->N, u, p->R, p->b[0], s->M, s->N, p->R);
        ref_rmsnorm(normed, rstd, y, l->whole_gain->host, eps, false, 1, s->M * s->K);
        for (size_t i = 0; i < n; i++)
            x[i] += normed[i];
    }
}

static double tape_flops(const op_shape *s) {
    return 2.0 * RUNS * s->T * s->M * s->N * (s->K + 2.0 * s->R);
}

static double tape_bytes(const op_shape *s) {
    return RUNS * s->T * product_weight_bytes(s);
}

const op_case cases_tape[] = {
    {"tape", CASE_SHAPES(tape_shapes), tape_setup, tape_launch_case, tape_reference, tape_flops, tape_bytes, 1e-4f},
    {.name = NULL},
};
