#include <string.h>

#include "cases/product.h"
#include "ref/ref.h"
#include "tuning/tuning.h"

/*
 * What a weight of some shape meets, for the choice of its layout: a step's product forward and back, and some single
 * tokens. The key of the choice knows no rows (a weight is packed before they are known), so the mix is fixed.
 */
enum { ROWS = 256, CHECKED_ROWS = 19, TOKENS = 16 };

typedef struct mix {
    product *p;
    case_buffer *y, *x, *dx, *dy, *token, *token_y;
} mix;

static const op_shape layout_shapes[] = {
    {.N = 1, .K = 1},
    {.N = 67, .K = 131, .modules = 2},
    {.N = 40, .K = 259, .dtype = CLORA_STORAGE_F16},
    {.N = 97, .K = 31, .modules = 3, .dtype = CLORA_STORAGE_BF16},
};

static int rows_of(const case_run *run) {
    return run->guards ? CHECKED_ROWS : ROWS;
}

static void make_other(case_run *run, const product *p) {
    const op_shape *s = &run->shape;

    if (run->status == CLORA_OK)
        run->status =
            weight_create_as(&run->other, run->context, run->w->layout == WEIGHT_PANEL ? WEIGHT_PLAIN : WEIGHT_PANEL,
                             s->dtype, s->K, p->modules, p->N);
    for (int i = 0; i < p->modules && run->status == CLORA_OK; i++)
        run->status = weight_pack(run->other, i, run->w0 + (size_t)p->col[i] * (size_t)s->K, CLORA_DTYPE_F32, false);
}

static void layout_setup(case_run *run) {
    const int M = rows_of(run);

    run->shape.R = run->shape.option = 0;
    product *p = product_setup(run, CASE_IN, CASE_IN);
    const int N = run->shape.N, K = run->shape.K;
    make_other(run, p);
    mix *m = case_memory(run, 1, sizeof(*m));
    m->p = p;
    m->y = case_matrix(run, "y", CASE_OUT, M, N);
    m->x = case_matrix(run, "x", CASE_IN, M, K);
    product_round_input(run, m->x);
    m->dx = case_matrix(run, "dx", CASE_OUT, M, K);
    m->dy = case_matrix(run, "dy", CASE_IN, M, N);
    product_round_input(run, m->dy);
    m->token_y = case_matrix(run, "token_y", CASE_OUT, 1, N);
    m->token = case_matrix(run, "token", CASE_IN, 1, K);
    run->data = m;
}

static clora_status layout_launch(case_run *run) {
    const kernel_key key = {.dtype = run->shape.dtype, .N = run->shape.N, .K = run->shape.K};
    const int layout = tuning_choose(run->context, "weight_layout", &key);
    const weight *w = (int)run->w->layout == layout ? run->w : run->other;
    mix *m = run->data;
    clora_status status = CLORA_OK;

    TRY(op_matmul(&m->y->tensor, &m->x->tensor, w, NULL, NULL, NULL, false));
    TRY(op_matmul_dx(&m->dx->tensor, &m->dy->tensor, w, NULL, NULL, false));
    for (int i = 0; i < TOKENS; i++)
        TRY(op_matmul(&m->token_y->tensor, &m->token->tensor, w, NULL, NULL, NULL, false));
done:
    return status;
}

static void layout_reference(case_run *run) {
    const int N = run->shape.N, K = run->shape.K, M = rows_of(run);
    const mix *m = run->data;

    ref_matmul(m->y->expected, m->x->host, run->w0, NULL, NULL, M, N, K);
    ref_matmul_dx(m->dx->expected, m->dy->host, run->w0, false, M, N, K);
    ref_matmul(m->token_y->expected, m->token->host, run->w0, NULL, NULL, 1, N, K);
}

static double layout_flops(const op_shape *s) {
    return 2.0 * (2 * ROWS + TOKENS) * s->N * s->K;
}

static double layout_bytes(const op_shape *s) {
    return (2.0 + TOKENS) * product_weight_bytes(s);
}

/* ---- y = W0, from plain rows of any storage type to f32: M * K values ---- */

static const op_shape widen_shapes[] = {
    {.M = 1, .K = 1, .dtype = CLORA_STORAGE_F16},
    {.M = 3, .K = 171, .dtype = CLORA_STORAGE_BF16},
    {.M = 2, .K = 513, .dtype = CLORA_STORAGE_F16},
    {.M = 5, .K = 9},
};

static void widen_setup(case_run *run) {
    op_shape *s = &run->shape;

    const int block = storage_of(s->dtype)->block, rows = s->K % block ? (s->M * s->K + block - 1) / block : s->M;
    s->K = s->K % block ? block : s->K; /* as many values */
    s->N = s->M = rows;
    s->R = s->option = s->modules = 0;
    product *p = product_setup(run, CASE_IN, CASE_IN);
    make_other(run, p);
    p->y = case_dense(run, "y", CASE_OUT, CLORA_DTYPE_F32, s->N, s->K);
}

static clora_status widen_launch(case_run *run) {
    const product *p = run->data;
    const weight *w = run->w->layout == WEIGHT_PLAIN ? run->w : run->other;

    return op_widen(&p->y->tensor, w->part[0].data, w->storage);
}

static void widen_reference(case_run *run) {
    const product *p = run->data;

    memcpy(p->y->expected, run->w0, (size_t)run->shape.N * (size_t)run->shape.K * sizeof(float));
}

static double widen_flops(const op_shape *s) {
    (void)s;
    return 0.0;
}

static double widen_bytes(const op_shape *s) {
    const op_shape rows = {.N = s->M, .K = s->K, .dtype = s->dtype};
    return product_weight_bytes(&rows) + 4.0 * s->M * s->K;
}

const op_case cases_layout[] = {
    {"widen", CASE_SHAPES(widen_shapes), widen_setup, widen_launch, widen_reference, widen_flops, widen_bytes, 0.0f},
    {"weight_layout", CASE_SHAPES(layout_shapes), layout_setup, layout_launch, layout_reference, layout_flops,
     layout_bytes, 4e-6f},
    {.name = NULL},
};
