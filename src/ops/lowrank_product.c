#include "ops/matmul.h"
#include "ops/tape_note.h"

clora_status lowrank_factor_down(clora_tensor *u, const clora_tensor *x, const clora_tensor *f,
                                 const clora_tensor *scales) {
    return matmul_uses_tile(u->context) ? lowrank_tile_down(u, x, f, scales) : lowrank_panel_down(u, x, f, scales);
}

clora_status lowrank_factor_grad(clora_tensor *f, const clora_tensor *d, const clora_tensor *x) {
    return matmul_uses_tile(f->context) ? lowrank_tile_grad(f, d, x) : lowrank_panel_grad(f, d, x);
}

/* One module's panels in b or db, and its columns in the matrices at both ends: views, empty rank not allowed. */
static clora_tensor module_factor(const lowrank *lr, int module, const clora_tensor *b) {
    const int NR = lr->base->NR, panels = divide_up(lr->base->module[module].N, NR);
    return tensor_slice(b, lr->module[module].b, panels * lr->module[module].R, NR);
}

static clora_tensor module_columns(const lowrank *lr, int module, const clora_tensor *y) {
    const weight_module *m = &lr->base->module[module];
    return tensor_view(y, 0, (int)tensor_rows(y), m->col, m->N);
}

static clora_tensor module_ranks(const lowrank *lr, int module, const clora_tensor *u) {
    const lowrank_module *m = &lr->module[module];
    return tensor_view(u, 0, (int)tensor_rows(u), m->row, m->R);
}

clora_status op_lowrank_down(clora_tensor *u, const clora_tensor *x, const lowrank *lr) {
    const size_t M = tensor_rows(u);

    if (!matmul_is_shape(u, M, lr->R) || !matmul_is_shape(x, M, lr->base->K) || !matmul_is_factor(&lr->a, lr->a_count))
        return clora_fail(CLORA_ERROR_SHAPE, "lowrank_down: u%s x%s a(%d,%d)", tensor_shape_text(u),
                          tensor_shape_text(x), lr->R, lr->base->K);
    return tape_note_down(u, x, &lr->a, lr) ? CLORA_OK : lowrank_factor_down(u, x, &lr->a, lr->scales);
}

clora_status op_lowrank_down_grad(clora_tensor *du, const clora_tensor *dy, const lowrank *lr) {
    const size_t M = tensor_rows(du);
    clora_status status = CLORA_OK;

    if (!matmul_is_shape(du, M, lr->R) || !matmul_is_shape(dy, M, lr->base->N) ||
        !matmul_is_factor(&lr->b, lr->b_count))
        return clora_fail(CLORA_ERROR_SHAPE, "lowrank_down_grad: du%s dy%s b(%d,%d)", tensor_shape_text(du),
                          tensor_shape_text(dy), lr->base->N, lr->R);
    for (int i = 0; i < lr->modules; i++) {
        if (lr->module[i].R == 0)
            continue;
        clora_tensor out = module_ranks(lr, i, du);
        const clora_tensor in = module_columns(lr, i, dy), f = module_factor(lr, i, &lr->b);
        const clora_tensor scales = tensor_view(lr->scales, 0, 1, lr->module[i].row, lr->module[i].R);
        TRY(lowrank_factor_down(&out, &in, &f, &scales));
    }
done:
    return status;
}

clora_status op_lowrank_dx(clora_tensor *dx, const clora_tensor *du, const lowrank *lr, bool accumulate) {
    const size_t M = tensor_rows(dx);

    if (!matmul_is_shape(dx, M, lr->base->K) || !matmul_is_shape(du, M, lr->R) ||
        !matmul_is_factor(&lr->a, lr->a_count))
        return clora_fail(CLORA_ERROR_SHAPE, "lowrank_dx: dx%s du%s a(%d,%d)", tensor_shape_text(dx),
                          tensor_shape_text(du), lr->R, lr->base->K);
    const int NR = lr->base->NR;
    const forward_product p = {.y = dx,
                               .residual = accumulate ? dx : NULL,
                               .u = du,
                               .b = &lr->a,
                               .M = (int)M,
                               .N = lr->base->K,
                               .R = lr->R,
                               .panels = divide_up(lr->base->K, NR)};
    return matmul_forward(&p);
}

clora_status op_lowrank_grad_a(clora_tensor *da, const clora_tensor *du, const clora_tensor *x, const lowrank *lr) {
    const size_t M = tensor_rows(du);

    if (!matmul_is_factor(da, lr->a_count) || !matmul_is_shape(du, M, lr->R) || !matmul_is_shape(x, M, lr->base->K))
        return clora_fail(CLORA_ERROR_SHAPE, "lowrank_grad_a: da%s du%s x%s a(%d,%d)", tensor_shape_text(da),
                          tensor_shape_text(du), tensor_shape_text(x), lr->R, lr->base->K);
    return lowrank_factor_grad(da, du, x);
}

clora_status op_lowrank_grad_b(clora_tensor *db, const clora_tensor *dy, const clora_tensor *u, const lowrank *lr) {
    const size_t M = tensor_rows(u);
    clora_status status = CLORA_OK;

    if (!matmul_is_factor(db, lr->b_count) || !matmul_is_shape(u, M, lr->R) || !matmul_is_shape(dy, M, lr->base->N))
        return clora_fail(CLORA_ERROR_SHAPE, "lowrank_grad_b: db%s dy%s u%s b(%d,%d)", tensor_shape_text(db),
                          tensor_shape_text(dy), tensor_shape_text(u), lr->base->N, lr->R);
    for (int i = 0; i < lr->modules; i++) {
        if (lr->module[i].R == 0)
            continue;
        clora_tensor out = module_factor(lr, i, db);
        const clora_tensor in = module_columns(lr, i, dy), d = module_ranks(lr, i, u);
        TRY(lowrank_factor_grad(&out, &d, &in));
    }
done:
    return status;
}
