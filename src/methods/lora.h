#ifndef CLORA_METHODS_LORA_H
#define CLORA_METHODS_LORA_H

#include <stdint.h>

#include "ops/ops.h"

/* Dropout on the adapter's input: p = 0 is off. The mask is recomputed in the backward pass from seed and stream. */
typedef struct lora_dropout {
    float p;
    uint64_t seed;
    uint32_t stream;
    clora_tensor scratch; /* at least (M, K) floats in all; used when p > 0 */
} lora_dropout;

/* *out: drop(x) in the scratch, or x itself when dropout is off. */
clora_status lora_drop(clora_tensor *out, const clora_tensor *x, const lora_dropout *drop);

/*
 * y (M,N) overwritten = [residual] + x W0^T + bias + s (drop(x) A^T) B^T
 * lr NULL: W0 alone. u (M,R) overwritten = s drop(x) A^T, which the backward pass needs. y NULL: u alone.
 */
clora_status lora_forward(clora_tensor *y, const clora_tensor *x, const weight *w, const clora_tensor *residual,
                          const lowrank *lr, clora_tensor *u, const lora_dropout *drop);

/* y (M,N) accumulates += s (x A^T) B^T; u (M,R) overwritten: the term of rows whose W0 product is there already. */
clora_status lora_add(clora_tensor *y, const clora_tensor *x, const lowrank *lr, clora_tensor *u);

/*
 * dx (M,K) overwritten, or NULL when nobody needs it; db accumulates (NULL without lr).
 *   du = s dy B    db += dy^T u    dx = dy W0 + mask * (du A) / (1 - p)
 * du (M,R) overwritten, for lora_gradient_a.
 */
clora_status lora_backward(clora_tensor *dx, clora_tensor *db, const clora_tensor *dy, const weight *w,
                           const lowrank *lr, const clora_tensor *u, clora_tensor *du, const lora_dropout *drop);

/* da += du^T drop(x): by itself, for it alone needs x, which may be made in between. */
clora_status lora_gradient_a(clora_tensor *da, const clora_tensor *du, const clora_tensor *x, const lowrank *lr,
                             const lora_dropout *drop);

#endif
