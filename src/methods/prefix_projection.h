#ifndef CLORA_METHODS_PREFIX_PROJECTION_H
#define CLORA_METHODS_PREFIX_PROJECTION_H

#include "methods/base_model.h"
#include "train/parameters.h"

/*
 * A prefix that is made of fewer values in training, by Li and Liang's re-parametrisation, and stays without them:
 *
 *     prefix (P, N) = tanh(e * W1^T + b1) * W2^T + b2      e (P, D)   W1 (H, D)   b1 (H)   W2 (N, H)   b2 (N)
 *
 * as PEFT's PrefixEncoder has it, D = kv_heads * head_dim.
 */
typedef struct prefix_projection prefix_projection;

/* Row by row; on the host. */
typedef struct projection_values {
    int D, H;
    float *e, *w1, *b1, *w2, *b2;
} projection_values;

/* Zeroed room for P positions of N columns. Free with projection_values_finish, also after a failure. */
clora_status projection_values_init(projection_values *v, int P, int D, int H, int N);
void projection_values_finish(projection_values *v);

/* As PyTorch begins: e N(0, 1), the others uniform below 1 / sqrt(columns of their W). */
void projection_values_fill(projection_values *v, int P, int N, uint64_t seed);

/* matrix (P, N) is what is made: overwritten now, and after each update. Borrowed. */
clora_status prefix_projection_create(prefix_projection **out, const base_model *base, const clora_tensor *matrix,
                                      const projection_values *values);
void prefix_projection_free(prefix_projection *p); /* NULL is allowed */

/* Scalars that train. */
int64_t prefix_projection_scalars(const prefix_projection *p);

clora_status prefix_projection_list(parameters *out, const prefix_projection *p, parameter_group group);

#endif
