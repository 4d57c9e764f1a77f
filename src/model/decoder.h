#ifndef CLORA_MODEL_DECODER_H
#define CLORA_MODEL_DECODER_H

#include "methods/selection.h"
#include "model/kvcache.h"
#include "model/workspace.h"

/*
 * The pre-norm decoder: in each layer x += attention(rmsnorm(x)), then x += gated MLP(rmsnorm(x)).
 *
 * The stream after the last layer, normalised, lands in ws->normed (M, C). The step's ids, positions, first and past
 * are in the workspace. With a cache the new keys and values are appended to it and attention reads them there.
 */
clora_status decoder_forward(workspace *ws, const selection *select, kv_cache *cache);

/* After decoder_forward (train), with d(loss) / d(normed) in ws->dnorm: the adapter's gradients accumulate. */
clora_status decoder_backward(workspace *ws, const selection *select);

#endif
