#ifndef CLORA_MODEL_ATTEND_H
#define CLORA_MODEL_ATTEND_H

#include "methods/selection.h"
#include "model/kvcache.h"
#include "model/workspace.h"

/*
 * Rotary attention of layer l, from its q, k and v side by side in a->qkv. Its keys are those of the cache, or without
 * one the sequence's own; a prefix that the selection has stands before these.
 */

/* Normalises q and k, where the family does, rotates them, and makes att; with a cache, k and v go there. In
 * training a->qkv stays as it is where they are normalised. */
clora_status attend(workspace *ws, const selection *s, attention_activations *a, kv_cache *cache, int l);

/* att of a step without a cache once more, from what a->qkv was left as. */
clora_status attend_again(workspace *ws, const selection *s, attention_activations *a, int l);

/* After a step without a cache, from ws->datt: ws->dqkv overwritten, the prefix's gradient accumulates. */
clora_status attend_backward(workspace *ws, const selection *s, const attention_activations *a, int l);

#endif
