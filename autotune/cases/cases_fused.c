#include "cases/product.h"

#include "base/dtype.h"
#include "ops/tape.h"
#include "ref/ref.h"

#define F16 CLORA_STORAGE_F16
#define BF16 CLORA_STORAGE_BF16

/*
 * A GEMV, for which all is one kernel, and more rows, for which it is not; options NORM and GATED, which halves N,
 * TAPED: as a step that is recorded and then run, where the device has a way (ops/tape.h), and GEMMA: gains with 1, and
 * gates of gelu.
 */
enum { NORM = 8, GATED = 16, TAPED = 32, GEMMA = 64 };

static const float eps = 1e-5f;

static const op_shape fused_shapes[] = {
    {.M = 1, .N = 1, .K = 1, .option = NORM},
    {.M = 1, .N = 2, .K = 5, .modules = 2, .first = 1, .option = GATED},
    {.M = 1, .N = 134, .K = 131, .modules = 2, .first = 67, .option = NORM | GATED, .pad = 3},
    {.M = 1, .N = 67, .K = 64, .dtype = F16, .modules = 3, .option = NORM | PRODUCT_BIAS},
    {.M = 1, .N = 96, .K = 259, .dtype = BF16, .modules = 2, .first = 48, .option = NORM | GATED},
    {.M = 1, .N = 320, .K = 33, .R = 5, .modules = 2, .first = 160, .option = GATED | PRODUCT_BIAS},
    {.M = 2, .N = 70, .K = 66, .R = 8, .dtype = F16, .modules = 2, .first = 35, .option = GATED, .pad = 1},
    {.M = 3, .N = 66, .K = 97, .dtype = BF16, .modules = 2, .first = 33, .option = NORM | GATED},
    {.M = 4, .N = 50, .K = 19, .modules = 2, .first = 25, .option = NORM | GATED},
    {.M = 5, .N = 65, .K = 37, .option = NORM},
    {.M = 5, .N = 130, .K = 70, .R = 6, .modules = 2, .first = 65, .option = NORM | GATED},
    {.M = 7, .N = 66, .K = 37, .R = 3, .dtype = BF16, .modules = 2, .first = 33, .option = GATED, .pad = 1},
    {.M = 8, .N = 134, .K = 67, .dtype = F16, .modules = 2, .first = 67, .option = NORM | GATED | PRODUCT_BIAS},
    {.M = 6, .N = 40, .K = 130, .dtype = F16, .option = NORM, .pad = 2},
    {.M = 2, .N = 51, .K = 40, .modules = 2, .option = NORM}, /* halves that are none */
    {.M = 1, .N = 134, .K = 131, .R = 8, .modules = 2, .first = 67, .option = NORM | GATED},
    {.M = 3, .N = 66, .K = 97, .R = 5, .dtype = F16, .modules = 3, .option = NORM | PRODUCT_BIAS, .pad = 2},
    {.M = 6, .N = 40, .K = 64, .R = 1, .option = NORM},
    {.M = 33, .N = 66, .K = 67, .R = 4, .modules = 2, .first = 33, .option = NORM | GATED},
    {.M = 21, .N = 98, .K = 65, .R = 3, .modules = 2, .first = 49, .option = GATED},
    {.M = 70, .N = 66, .K = 67, .modules = 2, .first = 33, .option = NORM | GATED},
    {.M = 1, .N = 1154, .K = 131, .R = 29, .modules = 2, .first = 577, .option = NORM | GATED | TAPED},
    {.M = 1, .N = 134, .K = 131, .modules = 2, .first = 67, .option = NORM | GATED | GEMMA},
    {.M = 21, .N = 98, .K = 65, .R = 3, .modules = 2, .first = 49, .option = NORM | GATED | GEMMA},
    {.M = 2, .N = 134, .K = 131, .modules = 2, .first = 67, .option = NORM | GATED | TAPED | GEMMA},
};

typedef struct fused {
    product *p;
    case_buffer *gain;
} fused;

static void fused_setup(case_run *run) {
    const op_shape *s = &run->shape;
    product *p = product_setup(run, CASE_IN, CASE_IN);
    fused *f = case_memory(run, 1, sizeof(*f));

    *f = (fused){.p = p};
    p->y = case_matrix(run, "y", CASE_OUT, s->M, s->option & GATED ? s->N / 2 : s->N);
    p->x = case_matrix(run, "x", CASE_IN, s->M, s->K);
    p->u = p->R > 0 ? case_matrix(run, "u", s->option & NORM ? CASE_OUT : CASE_IN, s->M, p->R) : NULL;
    if (!(s->option & NORM))
        product_fill_u(run, p);
    f->gain = case_dense(run, "gain", CASE_IN, CLORA_DTYPE_F32, 1, s->K);
    run->data = f;
}

static clora_status call(case_run *run, const matmul_fusion *fusion) {
    const product *p = ((const fused *)run->data)->p;

    return op_matmul_fused(&p->y->tensor, &p->x->tensor, run->w, run->lr, p->u ? &p->u->tensor : NULL, fusion);
}

static clora_status call_taped(case_run *run, const matmul_fusion *fusion) {
    const tape_key key = {.B = run->shape.M, .T = 1};
    clora_status status = CLORA_OK;
    tape *t = NULL;

    TRY(tape_create(&t, run->context));
    if (tape_begin(t, key))
        tape_end(t, call(run, fusion));
    TRY(tape_holds(t, key) ? tape_run(t) : call(run, fusion));
done:
    tape_free(t);
    return status;
}

static clora_status fused_launch(case_run *run) {
    const fused *f = run->data;
    const op_shape *s = &run->shape;
    clora_tensor *normed = NULL, *gu = NULL; /* of any contents: new for each launch */
    clora_status status = CLORA_OK;

    TRY(tensor_new(&normed, run->context, CLORA_DTYPE_F32, s->M, s->K));
    TRY(tensor_new(&gu, run->context, CLORA_DTYPE_F32, s->M, s->N));
    const matmul_fusion fusion = {.gain = s->option & NORM ? &f->gain->tensor : NULL,
                                  .eps = eps,
                                  .plus_one = s->option & GEMMA,
                                  .gelu = s->option & GEMMA,
                                  .normed = normed,
                                  .gu = s->option & GATED ? gu : NULL};
    TRY(s->option & TAPED ? call_taped(run, &fusion) : call(run, &fusion));
done:
    clora_tensor_free(normed);
    clora_tensor_free(gu);
    return status;
}

static void fused_reference(case_run *run) {
    const op_shape *s = &run->shape;
    const fused *f = run->data;
    const product *p = f->p;
    float *normed = case_memory(run, (size_t)s->M * (size_t)s->K, sizeof(float));
    float *rstd = case_memory(run, (size_t)s->M, sizeof(float));
    float *y = s->option & GATED ? case_memory(run, (size_t)s->M * (size_t)s->N, sizeof(float)) : p->y->expected;

    if (run->status != CLORA_OK)
        return;
    if (s->option & NORM)
        ref_rmsnorm(normed, rstd, p->x->host, f->gain->host, eps, s->option & GEMMA, s->M, s->K);
    ref_matmul(y, s->option & NORM ? normed : p->x->host, run->w0, NULL, p->bias, s->M, s->N, s->K);
    for (int i = 0; i < p->modules && p->R > 0; i++) {
        float *u = (s->option & NORM ? p->u->expected : p->u->host) + p->row[i];
        if (s->option & NORM)
            ref_lowrank_down(u, p->R, normed, p->a[i], p->scale[i], s->M, s->K, p->rank[i]);
        ref_lowrank_up(y + p->col[i], s->N, u, p->R, p->b[i], s->M, p->N[i], p->rank[i]);
    }
    if (s->option & GATED)
        ref_swiglu(p->y->expected, y, s->option & GEMMA, s->M, s->N / 2);
}

static double fused_flops(const op_shape *s) {
    return 2.0 * s->M * ((double)s->N * s->K + product_b_elements(s));
}

static double fused_bytes(const op_shape *s) {
    return product_weight_bytes(s) + 4.0 * s->M * ((double)s->N + s->K);
}

const op_case cases_fused[] = {
    {"matmul_fused", CASE_SHAPES(fused_shapes), fused_setup, fused_launch, fused_reference, fused_flops, fused_bytes,
     1e-5f},
    {.name = NULL},
};
