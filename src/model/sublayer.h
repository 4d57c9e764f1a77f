#ifndef CLORA_MODEL_SUBLAYER_H
#define CLORA_MODEL_SUBLAYER_H

#include "methods/selection.h"
#include "model/workspace.h"

/*
 * The end of a layer's attention or MLP: the projection whose output f, in some families normalised, joins the residual
 * stream, and the bottleneck adapter, if the selection has one there:
 *
 *     y = residual + f + adapter(residual + f)   one that reads the stream
 *     y = residual + f + adapter(f)              one that reads what the sublayer adds
 *
 * Where a family multiplies f, this is so of the stream as it is, not as it is kept (model/config.h).
 */

/* y (M,C) overwritten, of x, the input of projection p, with linear_forward's room for its term; sublayer: its number
 * among those of all layers. */
clora_status sublayer_forward(workspace *ws, const selection *s, int sublayer, int p, clora_tensor *y,
                              const clora_tensor *x, const clora_tensor *residual, clora_tensor *u_space);

/* Before the projection's own backward pass: ws->dstream, the gradient of y, becomes that of the residual, *df is a
 * view of f's, and the adapter's gradients accumulate. */
clora_status sublayer_backward(workspace *ws, const selection *s, int sublayer, clora_tensor *df);

#endif
