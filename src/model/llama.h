#ifndef CLORA_MODEL_LLAMA_H
#define CLORA_MODEL_LLAMA_H

#include "model/workspace.h"

/* Keys and values of all positions so far: per layer f32 (B * capacity, 2*G*D), keys in front. A step works on
 * sequences from `first` on. */
typedef struct kv_cache {
    int B, capacity;
    int first;
    clora_tensor *kv; /* one view a layer */
} kv_cache;

/* Which adapter applies, and its training state. */
typedef struct selection {
    const clora_adapter *adapter;   /* NULL: the base alone */
    clora_tensor *const *gradients; /* chunks like the adapter's, in training */
    float dropout;                  /* 0 outside training */
    uint64_t dropout_seed;          /* new for each micro-batch */
} selection;

/*
 * The stream after the last layer, normalised, lands in ws->normed (M, C). The step's ids, positions, first and past
 * are in the workspace. With a cache the new keys and values are appended to it and attention reads them there.
 */
clora_status llama_forward(workspace *ws, const selection *select, kv_cache *cache);

/* logits (rows of x, V) = x * head */
clora_status llama_head(workspace *ws, const selection *select, clora_tensor *logits, const clora_tensor *x);

/* ws->nll and ws->hit of every row, chunk by chunk. With `gradient` also dnorm (M, C) = d(sum of nll) / d(normed). */
clora_status llama_loss(workspace *ws, const selection *select, bool gradient);

/* After llama_forward (train) and llama_loss (gradient): the adapter's gradients accumulate. */
clora_status llama_backward(workspace *ws, const selection *select);

#endif
