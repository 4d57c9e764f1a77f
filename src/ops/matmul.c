#include "ops/matmul.h"

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

    if (path == TERM_MERGED && !dropped)
        return matmul_merged_forward(p, lr);
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
        if (path == TERM_MERGED)
            return matmul_merged_dx(dx, dy, lr, accumulate);
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
