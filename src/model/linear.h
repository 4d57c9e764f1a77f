#ifndef CLORA_MODEL_LINEAR_H
#define CLORA_MODEL_LINEAR_H

#include "methods/selection.h"
#include "model/workspace.h"

/*
 * A projection of the model, W0 (N, K), by its number, with the low-rank term that the selection has for it. u_space
 * (M, >= R) is room for u = s x A^T, which the backward pass needs. Where sequences have an adapter each, W0's product
 * is one for all rows, and each adapter's term is added to its own.
 */

/* y (M, N) overwritten = [residual +] x W0^T + bias + the term; y NULL: u alone. */
clora_status linear_forward(workspace *ws, const selection *s, int p, clora_tensor *y, const clora_tensor *x,
                            const clora_tensor *residual, clora_tensor *u_space);

/*
 * y (M, N) overwritten = the projection of rmsnorm(x), or of x where gain is NULL, and act (M, N/2) = swiglu(y) unless
 * act is NULL. For a backward pass x's rstd and y are kept; without one y is scratch where act is wanted, and launches
 * are few.
 */
clora_status linear_forward_normed(workspace *ws, const selection *s, int p, clora_tensor *y, clora_tensor *act,
                                   const clora_tensor *x, const clora_tensor *gain, clora_tensor *rstd,
                                   clora_tensor *u_space);

/* dx (M, K) overwritten, or NULL; the gradient of B accumulates. ws->du stays for the gradient of A. */
clora_status linear_backward_input(workspace *ws, const selection *s, int p, clora_tensor *dx, const clora_tensor *dy,
                                   const clora_tensor *u_space);

/* Whether anything here trains whose gradient is made of x: then x is wanted in the backward pass. */
bool linear_needs_input(const workspace *ws, const selection *s, int p);

/* The gradients of A, and of W0 and its biases where they train, accumulate, right after linear_backward_input of this
 * projection: apart from it, for these alone need x, which may be made again in between. */
clora_status linear_backward_parameters(workspace *ws, const selection *s, int p, const clora_tensor *dy,
                                        const clora_tensor *x);

/* Both of them. */
clora_status linear_backward(workspace *ws, const selection *s, int p, clora_tensor *dx, const clora_tensor *dy,
                             const clora_tensor *x, const clora_tensor *u_space);

#endif
