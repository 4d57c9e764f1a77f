#ifndef CLORA_MODEL_OWN_H
#define CLORA_MODEL_OWN_H

#include "methods/selection.h"
#include "model/workspace.h"

/* The forward passes of what is no projection: with the model's own tensors, or the copies that the selection has. */

/* y (M, C) overwritten: the rows of the step's ids */
clora_status own_embedding(workspace *ws, const selection *s, clora_tensor *y);

/* y (M, P*C) overwritten = rmsnorm(x) with a gain of the model or its copy; rstd (M, P) overwritten, or NULL */
clora_status own_norm(workspace *ws, const selection *s, clora_tensor *y, clora_tensor *rstd, const clora_tensor *x,
                      const clora_tensor *gain);

/* Of a training pass, where one adapter serves all: dx (M, P*C), which may be dy, overwritten with the
 * gradient of x; that of the gain accumulates, where it trains. */
clora_status own_norm_backward(const workspace *ws, const selection *s, clora_tensor *dx, const clora_tensor *dy,
                               const clora_tensor *x, const clora_tensor *rstd, const clora_tensor *gain);

/* Gain and bias of a layer normalisation of the model. (own_layernorm.c) */
typedef struct own_layernorm {
    const clora_tensor *gain, *bias;
} own_layernorm;

/* y (M, C) overwritten = layernorm(x); moments (M, 2) overwritten */
clora_status own_layernorm_forward(workspace *ws, const selection *s, clora_tensor *y, clora_tensor *moments,
                                   const clora_tensor *x, const own_layernorm *norm);

/* Of a training pass, with the moments that it kept: y (M, C) overwritten once more; the gradients of gain and bias
 * accumulate where they train, and dx (M, C). */
clora_status own_layernorm_again(const selection *s, clora_tensor *y, const clora_tensor *x,
                                 const clora_tensor *moments, const own_layernorm *norm);
clora_status own_layernorm_gradients(const selection *s, const clora_tensor *dy, const clora_tensor *x,
                                     const clora_tensor *moments, const own_layernorm *norm);
clora_status own_layernorm_backward(const selection *s, clora_tensor *dx, const clora_tensor *dy, const clora_tensor *x,
                                    const clora_tensor *moments, const own_layernorm *norm);

#endif
