#ifndef CLORA_METHODS_LORA_ADAPTER_H
#define CLORA_METHODS_LORA_ADAPTER_H

#include "methods/method.h"
#include "methods/target.h"

/*
 * Low-rank terms on linear layers: PEFT's LoRA. All factors live in a few flat f32 buffers (chunks, one unless the
 * device's largest allocation is passed), so that the optimizer is one launch a chunk.
 */
typedef struct lora_adapter {
    clora_adapter adapter;         /* its terms' factors are views of the chunks */
    clora_adapter_options options; /* its strings are owned */
    int chunks;
    clora_tensor **chunk; /* f32 (1, n) */
    int modules;
    json_t *config; /* what adapter_config.json says (methods/peft_config.h) */
    int targets;    /* modules of all projections, in order, adapted or not */
    target_module *target;
    target_choice *choice;
} lora_adapter;

/* An adapter of this method as one. */
static inline lora_adapter *lora_of(const clora_adapter *adapter) {
    return (lora_adapter *)(uintptr_t)adapter;
}

clora_status lora_adapter_create(clora_adapter **out, const base_model *base, const clora_adapter_options *options);

#endif
