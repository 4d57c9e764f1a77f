#ifndef CLORA_MODEL_DECODER_H
#define CLORA_MODEL_DECODER_H

#include "methods/selection.h"
#include "model/kvcache.h"
#include "model/workspace.h"

/* What each layer has, in the order in which the forward pass uses it. */
enum {
    DECODER_NORM_ATTENTION,
    DECODER_NORM_MLP,
    DECODER_NORM_QUERIES,
    DECODER_NORM_KEYS,
    DECODER_NORM_AFTER_ATTENTION,
    DECODER_NORM_AFTER_MLP,
    DECODER_NORMS
};
enum { DECODER_QKV, DECODER_OUT, DECODER_GATE_UP, DECODER_DOWN, DECODER_PROJECTIONS };

/*
 * In each layer x += attention(rmsnorm(x)), then x += gated MLP(rmsnorm(x)); in some families what is added is
 * normalised too (sublayer.h).
 * These are its family's forward and backward (model/family.h).
 */
clora_status decoder_forward(workspace *ws, const selection *select, kv_cache *cache);
clora_status decoder_backward(workspace *ws, const selection *select);

#endif
