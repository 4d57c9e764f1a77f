#ifndef CLORA_MODEL_GPT2_H
#define CLORA_MODEL_GPT2_H

#include "base/json.h"
#include "methods/selection.h"
#include "model/kvcache.h"
#include "model/workspace.h"

/* What each layer has, in the order in which the forward pass uses it. */
enum { GPT2_NORM_ATTENTION, GPT2_NORM_MLP, GPT2_NORMS };
enum { GPT2_QKV, GPT2_OUT, GPT2_UP, GPT2_DOWN, GPT2_PROJECTIONS };

/*
 * GPT-2: tokens and learned positions, then in each layer x += attention(layernorm(x)), x += MLP(layernorm(x)) with
 * GELU in the middle. These are its family's forward and backward (model/family.h).
 */
clora_status gpt2_forward(workspace *ws, const selection *select, kv_cache *cache);
clora_status gpt2_backward(workspace *ws, const selection *select);

/* config.json with the keys that other families have beside its own, and what it says of GPT-2 alone.
 * (config_gpt2.c) */
clora_status gpt2_translate(json_t *root, const char *path);
clora_status gpt2_read_config(model_config *c, const json_t *root, const char *path);

#endif
