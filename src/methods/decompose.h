#ifndef CLORA_METHODS_DECOMPOSE_H
#define CLORA_METHODS_DECOMPOSE_H

#include "ops/weight.h"

/*
 * Factors A (R, K) and B (N, R) that a module W (N, K) of a weight gives itself, for scale * B * A to be a part of it.
 * The products with W run on its device, in its storage type; the host makes small bases orthogonal, in double. Wait.
 */

/* PiSSA (Meng et al. 2024, arXiv 2404.02948): the R largest singular values S with their vectors, W = U S V^T:
 * A = sqrt(S / scale) V^T, B = U sqrt(S / scale). By subspace iteration, as PEFT's pissa_niter_16. */
clora_status decompose_pissa(float *a, float *b, const weight *w, int module, int R, float scale, uint64_t seed);

/* OLoRA (Buyukakyuz 2024, arXiv 2406.01775): of W = Q P with orthonormal columns of Q and triangular P, A = the first R
 * rows of P and B = the first R columns of Q. */
clora_status decompose_olora(float *a, float *b, const weight *w, int module, int R);

#endif
