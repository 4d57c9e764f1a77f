#ifndef CLORA_OPS_MATMUL_H
#define CLORA_OPS_MATMUL_H

#include "ops/launch.h"
#include "ops/ops.h"

/*
 * The paths of the products, behind op_matmul and its kin. Shapes are checked before; w, residual, lr and u may be NULL
 * as said in ops.h. Two families of kernels read panels: `panel` (explicit vectors, for CPUs) and `tile` (local memory,
 * for GPUs). The CLBlast path makes the W0 product of a plain weight and leaves the rest to the device's family.
 */

/* ---- what a product is (matmul_product.c) ---- */

/* An f32 matrix of this shape; a factor's panels, set and dense. */
bool matmul_is_shape(const clora_tensor *t, size_t rows, int cols);
bool matmul_is_factor(const clora_tensor *f, size_t count);

/* lr and u come together, of this weight, with the factors set. */
bool matmul_is_term(const lowrank *lr, const clora_tensor *u, const weight *w, size_t M);

/*
 * y = [residual, or y when it is the same tensor] + x * W0^T + bias + u * b^T, columns and table as the weight and the
 * low-rank term say. Without w: K = 0. Without columns or table: one module of N columns and rank R.
 */
typedef struct forward_product {
    clora_tensor *y;
    const clora_tensor *x, *residual, *bias, *columns, *u, *b, *table;
    const weight *w;   /* panels, or NULL */
    const lowrank *lr; /* whose b and table these are, or NULL */
    int M, N, K, R, panels;
    bool gated; /* GEMV on a CPU: y (M, N/2) = swiglu of the product, of the weight's two equal modules */
    bool gelu;  /* gated by gelu (op_swiglu) */
} forward_product;

/* What the product of a weight in panels with x takes; residual, lr and u may be NULL. */
forward_product matmul_product(clora_tensor *y, const clora_tensor *x, const weight *w, const clora_tensor *residual,
                               const lowrank *lr, const clora_tensor *u);

/* The arguments that all kernels of a product begin with, here of the columns that one part of the weight makes, or of
 * all where there is no weight; and those of dx. For what is not there they get any buffer: drivers may refuse NULL. */
void matmul_arguments(launch *l, const forward_product *p, const weight_part *part, int panels);
void matmul_dx_arguments(launch *l, clora_tensor *dx, const clora_tensor *dy, const weight *w, int part,
                         const lowrank *lr, const clora_tensor *du, bool accumulate);

/* What the products' parameters depend on. */
kernel_key forward_key(const forward_product *p);
kernel_key dx_key(const weight *w, const lowrank *lr, int M);
kernel_key lowrank_key(const clora_tensor *u, const clora_tensor *x); /* a factor of R rows over the columns of x */

/* ---- GEMV: few rows (matmul_gemv.c) ---- */

/* By the GEMV kernels? */
bool matmul_is_gemv(const forward_product *p);

/* Rows and panels whose sums the GEMV kernels hold in registers, multiplied; kernels/matvec.cl says the same. */
int matmul_gemv_sums(const clora_context *context);

/* Rows that a GEMV program is made for, at least M: not for each M its own, as texts side by side end one by one. */
int matmul_program_rows(int M);

/* Panels, of `panels` in a part, that an item of the GEMV kernels reads side by side, at most `most`: the more the
 * better for memory, as far as the rows leave registers and no core gets more work than it would with the least. Of a
 * gated weight they are pairs. */
int matmul_panels_together(const clora_context *context, int most, const forward_product *p, int panels);

/* ---- the paths ---- */

/* The family that suits the context, also on the CLBlast path (matmul_family.c). */
bool matmul_uses_tile(const clora_context *context);

clora_status matmul_forward(const forward_product *p); /* by the context's family */
clora_status matmul_panel_forward(const forward_product *p);
clora_status matmul_tile_forward(const forward_product *p);

/* dx = [dx] + dy * W0 + du * A by the context's family, of panels. */
clora_status matmul_dx(clora_tensor *dx, const clora_tensor *dy, const weight *w, const lowrank *lr,
                       const clora_tensor *du, bool accumulate);
clora_status matmul_panel_dx(clora_tensor *dx, const clora_tensor *dy, const weight *w, const lowrank *lr,
                             const clora_tensor *du, bool accumulate);
clora_status matmul_tile_dx(clora_tensor *dx, const clora_tensor *dy, const weight *w, const lowrank *lr,
                            const clora_tensor *du, bool accumulate);

/* The same two with the merged weight W0 + s * B * A, made first: p's u, b and table are left out. Panels only. */
clora_status matmul_merged_forward(const forward_product *p, const lowrank *lr);
clora_status matmul_merged_dx(clora_tensor *dx, const clora_tensor *dy, const lowrank *lr, bool accumulate);

/* y = x * W0^T (+ y), dx = dy * W0 (+ dx) with a plain weight through CLBlast. */
clora_status matmul_clblast_forward(clora_tensor *y, const clora_tensor *x, const weight *w, bool accumulate);
clora_status matmul_clblast_dx(clora_tensor *dx, const clora_tensor *dy, const weight *w, bool accumulate);

/* dw += dy^T * x for rows of a plain weight. */
clora_status matmul_clblast_dw(clora_tensor *dw, const clora_tensor *dy, const clora_tensor *x, const weight *w,
                               weight_span span);

/* u (M,R) = scales * x * f^T, and f += d^T * x for one factor f of R rows in panels over the columns of x. By the
 * context's family: */
clora_status lowrank_factor_down(clora_tensor *u, const clora_tensor *x, const clora_tensor *f,
                                 const clora_tensor *scales);
clora_status lowrank_factor_grad(clora_tensor *f, const clora_tensor *d, const clora_tensor *x);
clora_status lowrank_panel_down(clora_tensor *u, const clora_tensor *x, const clora_tensor *f,
                                const clora_tensor *scales);
clora_status lowrank_tile_down(clora_tensor *u, const clora_tensor *x, const clora_tensor *f,
                               const clora_tensor *scales);
clora_status lowrank_panel_grad(clora_tensor *f, const clora_tensor *d, const clora_tensor *x);
clora_status lowrank_tile_grad(clora_tensor *f, const clora_tensor *d, const clora_tensor *x);

#endif
