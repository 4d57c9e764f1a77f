#include "ops/matmul.h"

bool matmul_uses_tile(const clora_context *context) {
    return context->gemm == GEMM_TILE || (context->gemm == GEMM_CLBLAST && !context->is_cpu);
}

bool matmul_is_shape(const clora_tensor *t, size_t rows, int cols) {
    return rows <= INT32_MAX && tensor_rows(t) == rows && tensor_cols(t) == cols && t->dtype == CLORA_DTYPE_F32;
}

bool matmul_is_factor(const clora_tensor *f, size_t count) {
    return f->buffer && clora_tensor_count(f) == count && f->dtype == CLORA_DTYPE_F32 && tensor_is_dense(f);
}

kernel_key forward_key(const forward_product *p) {
    return (kernel_key){
        .dtype = p->w ? p->w->storage->id : 0, .M = p->M, .N = p->N, .K = p->K, .R = p->u ? tensor_cols(p->u) : 0};
}

kernel_key dx_key(const weight *w, const lowrank *lr, int M) {
    return (kernel_key){.dtype = w->storage->id, .M = M, .N = w->N, .K = w->K, .R = lr ? lr->R : 0};
}

kernel_key lowrank_key(const clora_tensor *u, const clora_tensor *x) {
    return (kernel_key){.M = (int)tensor_rows(x), .K = tensor_cols(x), .R = tensor_cols(u)};
}

int matmul_given(const forward_product *p) {
    enum { ACCUMULATE = 1, RESIDUAL = 2, BIAS = 4, COLUMNS = 8, TABLE = 16 }; /* as in kernels/common.cl */
    const int residual = p->residual == p->y ? ACCUMULATE : p->residual ? RESIDUAL : 0;

    return residual | (p->bias ? BIAS : 0) | (p->columns ? COLUMNS : 0) | (p->table ? TABLE : 0);
}

bool matmul_few_rows(const forward_product *p) {
    const kernel_key key = forward_key(p);

    return p->M <= PATH_MOST_FEW && tuning_choose(p->y->context, "path_rows", &key) == PATH_FEW_ROWS;
}

clora_status matmul_forward(const forward_product *p) {
    return matmul_uses_tile(p->y->context) ? matmul_tile_forward(p) : matmul_panel_forward(p);
}

/* Two views of the same elements. */
static bool is_same(const clora_tensor *a, const clora_tensor *b) {
    return a == b || (a && b && a->buffer == b->buffer && a->offset == b->offset && a->stride == b->stride);
}

bool matmul_is_term(const lowrank *lr, const clora_tensor *u, const weight *w, size_t M) {
    if (!lr || !u)
        return !lr && !u;
    return lr->base == w && matmul_is_shape(u, M, lr->R) && matmul_is_factor(&lr->a, lr->a_count) &&
           matmul_is_factor(&lr->b, lr->b_count);
}

clora_status op_lowrank_up(clora_tensor *y, const clora_tensor *u, const lowrank *lr) {
    const weight *w = lr->base;
    const size_t M = tensor_rows(y);

    if (!matmul_is_shape(y, M, w->N) || !matmul_is_term(lr, u, w, M))
        return clora_fail(CLORA_ERROR_SHAPE, "lowrank_up: y%s u%s b(%d,%d)", tensor_shape_text(y), tensor_shape_text(u),
                          w->N, lr->R);
    return matmul_forward(&(forward_product){.y = y,
                                             .residual = y,
                                             .columns = w->columns,
                                             .lr = lr,
                                             .u = u,
                                             .b = &lr->b,
                                             .table = lr->table,
                                             .M = (int)M,
                                             .N = w->N,
                                             .panels = w->panels});
}

/* The low-rank term in the product's accumulators, as a second product onto its result, or in the weight. */
static clora_status matmul_with_term(const forward_product *p, const lowrank *lr, bool dropped) {
    const kernel_key key = forward_key(p);
    const int path = tuning_choose(p->y->context, "path_term", &key);
    forward_product base = *p;
    clora_status status = CLORA_OK;

    if (path == TERM_SUM && !dropped)
        return matmul_sum_forward(p, lr);
    if (path != TERM_APART)
        return matmul_forward(p);
    base.lr = NULL;
    base.u = base.b = base.table = NULL;
    base.R = 0;
    TRY(matmul_forward(&base));
    TRY(op_lowrank_up(p->y, p->u, lr));
done:
    return status;
}

forward_product matmul_product(clora_tensor *y, const clora_tensor *x, const weight *w, const clora_tensor *residual,
                               const lowrank *lr, const clora_tensor *u) {
    forward_product p = {.y = y,
                         .residual = is_same(residual, y) ? y : residual,
                         .bias = w->bias,
                         .columns = w->columns,
                         .x = x,
                         .w = w,
                         .M = (int)tensor_rows(x),
                         .N = w->N,
                         .K = w->K,
                         .panels = w->panels};
    if (lr) {
        p.lr = lr;
        p.u = u;
        p.b = &lr->b;
        p.table = lr->table;
    }
    return p;
}

clora_status op_matmul(clora_tensor *y, const clora_tensor *x, const weight *w, const clora_tensor *residual,
                       const lowrank *lr, const clora_tensor *u, bool dropped) {
    const size_t M = tensor_rows(y);
    clora_status status = CLORA_OK;

    if (!matmul_is_shape(y, M, w->N) || !matmul_is_shape(x, M, w->K) ||
        (residual && !matmul_is_shape(residual, M, w->N)) || !matmul_is_term(lr, u, w, M))
        return clora_fail(CLORA_ERROR_SHAPE, "matmul: y%s x%s w(%d,%d) residual%s u%s", tensor_shape_text(y),
                          tensor_shape_text(x), w->N, w->K, tensor_shape_text(residual), tensor_shape_text(u));
    forward_product p = matmul_product(y, x, w, residual, lr, u);
    if (w->layout == WEIGHT_PANEL)
        return lr ? matmul_with_term(&p, lr, dropped) : matmul_forward(&p);
    p.x = NULL;
    p.w = NULL;
    p.K = 0;
    const bool begun = residual || lr || w->bias; /* all but W0's product is in y before CLBlast adds to it */
    if (lr || w->bias || (p.residual && p.residual != y))
        TRY(matmul_forward(&p));
    TRY(matmul_clblast_forward(y, x, w, begun));
done:
    return status;
}

clora_status matmul_dx(clora_tensor *dx, const clora_tensor *dy, const weight *w, const lowrank *lr,
                       const clora_tensor *du, bool accumulate) {
    return matmul_uses_tile(w->context) ? matmul_tile_dx(dx, dy, w, lr, du, accumulate)
                                        : matmul_panel_dx(dx, dy, w, lr, du, accumulate);
}

/* dx = [dx] + du * A */
static clora_status dx_term(clora_tensor *dx, const lowrank *lr, const clora_tensor *du, bool accumulate) {
    const int K = lr->base->K, NR = lr->base->NR;

    return matmul_forward(&(forward_product){.y = dx,
                                             .residual = accumulate ? dx : NULL,
                                             .u = du,
                                             .b = &lr->a,
                                             .M = (int)tensor_rows(dx),
                                             .N = K,
                                             .R = lr->R,
                                             .panels = divide_up(K, NR)});
}

clora_status op_matmul_dx(clora_tensor *dx, const clora_tensor *dy, const weight *w, const lowrank *lr,
                          const clora_tensor *du, bool accumulate) {
    const size_t M = tensor_rows(dx);
    clora_status status = CLORA_OK;

    if (!matmul_is_shape(dx, M, w->K) || !matmul_is_shape(dy, M, w->N) || !matmul_is_term(lr, du, w, M))
        return clora_fail(CLORA_ERROR_SHAPE, "matmul_dx: dx%s dy%s w(%d,%d) du%s", tensor_shape_text(dx),
                          tensor_shape_text(dy), w->N, w->K, tensor_shape_text(du));
    if (w->layout == WEIGHT_PANEL) {
        const kernel_key key = dx_key(w, lr, (int)M);
        const int path = lr ? tuning_choose(w->context, "path_dx_term", &key) : TERM_FUSED;
        if (path == TERM_SUM)
            return matmul_sum_dx(dx, dy, lr, accumulate);
        if (path != TERM_APART)
            return matmul_dx(dx, dy, w, lr, du, accumulate);
        TRY(matmul_dx(dx, dy, w, NULL, NULL, accumulate));
        return dx_term(dx, lr, du, true);
    }
    if (lr)
        TRY(dx_term(dx, lr, du, accumulate));
    TRY(matmul_clblast_dx(dx, dy, w, accumulate || lr));
done:
    return status;
}
