#include "ops/matmul.h"

bool matmul_is_shape(const clora_tensor *t, size_t rows, int cols) {
    return rows <= INT32_MAX && tensor_rows(t) == rows && tensor_cols(t) == cols && t->dtype == CLORA_DTYPE_F32;
}

bool matmul_is_factor(const clora_tensor *f, size_t count) {
    return f->buffer && clora_tensor_count(f) == count && f->dtype == CLORA_DTYPE_F32 && tensor_is_dense(f);
}

bool matmul_is_term(const lowrank *lr, const clora_tensor *u, const weight *w, size_t M) {
    if (!lr || !u)
        return !lr && !u;
    return lr->base == w && matmul_is_shape(u, M, lr->R) && matmul_is_factor(&lr->a, lr->a_count) &&
           matmul_is_factor(&lr->b, lr->b_count);
}

/* Two views of the same elements. */
static bool is_same(const clora_tensor *a, const clora_tensor *b) {
    return a == b || (a && b && a->buffer == b->buffer && a->offset == b->offset && a->stride == b->stride);
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

int matmul_given(const forward_product *p) {
    enum { ACCUMULATE = 1, RESIDUAL = 2, BIAS = 4, COLUMNS = 8, TABLE = 16 }; /* as in kernels/common.cl */
    const int residual = p->residual == p->y ? ACCUMULATE : p->residual ? RESIDUAL : 0;

    return residual | (p->bias ? BIAS : 0) | (p->columns ? COLUMNS : 0) | (p->table ? TABLE : 0);
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
