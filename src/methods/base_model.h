#ifndef CLORA_METHODS_BASE_MODEL_H
#define CLORA_METHODS_BASE_MODEL_H

#include "base/shared.h"
#include "ops/weight.h"

/* A frozen weight that an adapter may attach to, as the model lists them: its modules' Hugging Face names in order. */
typedef struct projection {
    const weight *weight;
    const char *names[WEIGHT_MODULES];
    bool is_head; /* "all-linear" leaves it out */
} projection;

/* The model below an adapter, as methods see it. */
typedef struct base_model {
    shared *model; /* whoever keeps the rest holds it: it owns what is named here */
    clora_context *context;
    const char *model_type; /* in config.json */
    int layers, hidden, heads, kv_heads, head_dim, vocab, max_positions;
    int projections; /* those of each layer in the order of the forward pass, and the head */
    const projection *projection;
} base_model;

#endif
