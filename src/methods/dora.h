#ifndef CLORA_METHODS_DORA_H
#define CLORA_METHODS_DORA_H

#include "methods/lora.h"

/*
 * Terms that have something for each column of the product besides A and B. DoRA (Liu et al. 2024,
 * https://arxiv.org/abs/2402.09353) scales each row of W0 + s B A to a magnitude m that trains:
 *
 *     y = [residual] + bias + g (x W0^T + s (x A^T) B^T),   g = m / norms of the rows of W0 + s B A
 *
 * The norms follow A and B, but no gradient goes through them. As in PEFT dropout takes from all that is scaled, not
 * from W0's own product: with d = drop(x), y = [residual] + bias + (x - d) W0^T + g (d W0^T + s (d A^T) B^T).
 *
 * A bias of B is nothing but a part of the bias that the product adds (op_matmul).
 */
static inline bool dora_is(const lowrank *lr) {
    return lr && lr->magnitude.buffer;
}

/* What follows from A, B, the magnitudes or B's bias is made anew, which is due whenever they or W0 change. begin: the
 * magnitudes become the norms, so that nothing is scaled. */
clora_status dora_derive(lowrank *lr, bool begin);

/* y (M,N) overwritten as above, by lr's magnitudes; y NULL: u and z alone. u (M,R) overwritten as by lora_forward.
 * z (M,N) overwritten = what g scales, which the backward pass needs; without dropout it may be y. Neither may be the
 * residual. */
clora_status dora_forward(clora_tensor *y, const clora_tensor *x, const weight *w, const clora_tensor *residual,
                          const lowrank *lr, clora_tensor *u, clora_tensor *z, const lora_dropout *drop);

/* dz (M,N) overwritten = g dy; dm (N) accumulates, unless it has no buffer. */
clora_status dora_scale_backward(clora_tensor *dz, clora_tensor *dm, const clora_tensor *dy, const clora_tensor *z,
                                 const lowrank *lr);

/* As lora_backward, of a term that is scaled: dz as above is what reaches it. */
clora_status dora_backward(clora_tensor *dx, clora_tensor *db, const clora_tensor *dy, const clora_tensor *dz,
                           const lowrank *lr, const clora_tensor *u, clora_tensor *du, const lora_dropout *drop);

#endif
