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

/* W0's bias, with the term's own; none where columns are yet to be scaled. */
static const clora_tensor *bias_of(const weight *w, const lowrank *lr) {
    if (lr && lr->magnitude.buffer)
        return NULL;
    return lr && lr->bias.buffer ? &lr->applied : w->bias;
}

forward_product matmul_product(clora_tensor *y, const clora_tensor *x, const weight *w, const clora_tensor *residual,
                               const lowrank *lr, const clora_tensor *u) {
    forward_product p = {.y = y,
                         .residual = is_same(residual, y) ? y : residual,
                         .bias = bias_of(w, lr),
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

/* Which arguments are there. */
static int given(const forward_product *p) {
    enum { ACCUMULATE = 1, RESIDUAL = 2, BIAS = 4, COLUMNS = 8, TABLE = 16 }; /* as in kernels/common.cl */
    const int residual = p->residual == p->y ? ACCUMULATE : p->residual ? RESIDUAL : 0;

    return residual | (p->bias ? BIAS : 0) | (p->columns ? COLUMNS : 0) | (p->table ? TABLE : 0);
}

void matmul_arguments(launch *l, const forward_product *p, const weight_part *part, int panels) {
    const clora_tensor *none = p->y; /* in place of what is not there */

    launch_matrix(l, p->y);
    launch_matrix(l, p->x ? p->x : none);
    launch_tensor(l, part ? part->data : none);
    launch_matrix(l, p->residual ? p->residual : none);
    launch_tensor(l, p->bias ? p->bias : none);
    launch_tensor(l, p->columns ? p->columns : none);
    launch_matrix(l, p->u ? p->u : none);
    launch_tensor(l, p->b ? p->b : none);
    launch_tensor(l, p->table ? p->table : none);
    launch_int(l, p->M);
    launch_int(l, p->N);
    launch_int(l, p->K);
    launch_int(l, p->R);
    launch_int(l, part ? part->panel : 0);
    launch_int(l, panels);
    launch_int(l, given(p));
}

/* The term comes with the first part, to which the others add. */
void matmul_dx_arguments(launch *l, clora_tensor *dx, const clora_tensor *dy, const weight *w, int part,
                         const lowrank *lr, const clora_tensor *du, bool accumulate) {
    const bool term = part == 0 && lr;

    launch_matrix(l, dx);
    launch_matrix(l, dy);
    launch_tensor(l, w->part[part].data);
    launch_tensor(l, w->columns);
    launch_matrix(l, term ? du : dx);
    launch_tensor(l, term ? &lr->a : dx);
    launch_int(l, (int)tensor_rows(dx));
    launch_int(l, w->K);
    launch_int(l, term ? lr->R : 0);
    launch_int(l, w->part[part].panel);
    launch_int(l, w->part[part].panels);
    launch_int(l, accumulate || part > 0);
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
