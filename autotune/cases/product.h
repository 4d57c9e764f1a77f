#ifndef CLORA_AUTOTUNE_CASES_PRODUCT_H
#define CLORA_AUTOTUNE_CASES_PRODUCT_H

#include "cases/case.h"

/* What the cases of the products share: a packed weight of some modules with its low-rank term, and their
 * host values. */
typedef struct product {
    int modules, R;
    int N[WEIGHT_MODULES], rank[WEIGHT_MODULES], col[WEIGHT_MODULES], row[WEIGHT_MODULES];
    float scale[WEIGHT_MODULES];
    float *a[WEIGHT_MODULES], *b[WEIGHT_MODULES]; /* (R_i, K) and (N_i, R_i) */
    float *bias;                                  /* (N) or NULL */
    case_buffer *y, *x, *residual, *u, *fa, *fb;  /* fa, fb: the factors' panels */
} product;

/* Options of the products' shapes, to be added. */
enum { PRODUCT_RESIDUAL = 1, PRODUCT_IN_PLACE = 2, PRODUCT_BIAS = 4 };

/* Make run->w with values (also in run->w0) and, when the shape has a rank, run->lr with values in a and b; factor
 * panels become buffers of the given roles. K grows to whole blocks of the storage type. Unless the shape says how,
 * modules share N unevenly and the second of several has no adapter. */
product *product_setup(case_run *run, case_role a_role, case_role b_role);

/* Fill u with s x A^T, which belongs to x: a path may leave u aside. Not for benchmarks: time does not depend on it. */
void product_fill_u(case_run *run, product *p);

/* Round a product's input to what a weight in bf16 may be multiplied with in pairs (kernels/dot.cl): the result is then
 * exact but for sums. */
void product_round_input(case_run *run, case_buffer *input);

/* What W0 takes. */
double product_weight_bytes(const op_shape *s);

/* What the factors add to the costs: columns of u, and scalars of all B. */
int product_ranks(const op_shape *s);
double product_b_elements(const op_shape *s);

/* The factors' expected panels from row-major values. */
void product_expect_a(case_run *run, float *const *a);
void product_expect_b(case_run *run, float *const *b);

#endif
