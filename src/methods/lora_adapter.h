#ifndef CLORA_METHODS_LORA_ADAPTER_H
#define CLORA_METHODS_LORA_ADAPTER_H

#include "methods/method.h"
#include "methods/peft.h"
#include "methods/target.h"

/*
 * Low-rank terms on linear layers: PEFT's LoRA, with DoRA's magnitudes or a bias of B. All that trains lives in a few
 * flat f32 buffers (chunks, one unless the device's largest allocation is passed), so that the optimizer is one launch
 * a chunk.
 */
typedef struct lora_adapter {
    clora_adapter adapter;         /* its terms' factors are views of the chunks */
    clora_adapter_options options; /* its strings are owned */
    int chunks;
    clora_tensor **chunk;  /* f32 (1, n) */
    clora_tensor **frozen; /* f32 (1, n), one a projection: factors of what is taken away (lora_origin.h); or NULL */
    peft_part vector;      /* what trains besides A and B, or PEFT_NONE */
    clora_tensor *derived; /* f32 (1, n): all terms' applied and slope; NULL without such */
    clora_adapter_module_info *module; /* (info.modules) the targets that are adapted */
    json_t *config;                    /* what adapter_config.json says (methods/peft_config.h) */
    int targets;                       /* modules of all projections, in order, and the embedding: adapted or not */
    int embedding;                     /* which of them it is */
    target_module *target;
    target_choice *choice;
} lora_adapter;

/* An adapter of this method as one. */
static inline lora_adapter *lora_of(const clora_adapter *adapter) {
    return (lora_adapter *)(uintptr_t)adapter;
}

/* ---- the steps of making one, fresh or from files ---- */

/* Empty, with the list of its targets. */
clora_status lora_adapter_allocate(lora_adapter **out, const base_model *base);

/* The options as the settings say them: targets expanded and sorted. */
clora_status lora_adapter_read_options(lora_adapter *lora, clora_init init, uint64_t seed);

/* The copies that the settings name, whose values are yet to come. */
clora_status lora_adapter_add_saved(lora_adapter *lora, bool strict);

/* From checked settings and choices to what trains on the device. fresh: magnitudes begin as norms. */
clora_status lora_adapter_build(lora_adapter *lora, peft_source source, void *user, bool fresh);

/* The head and the labels that it tells apart, whose names are taken over. Its weight is yet to come. */
clora_status lora_adapter_add_classifier(lora_adapter *lora, char **names);

/* Of the method's row (lora_files.c). */
clora_status lora_adapter_list_parameters(parameters *out, const clora_adapter *adapter,
                                          const clora_train_options *options);
clora_status lora_adapter_derive(const clora_adapter *adapter);
clora_status lora_adapter_set_dropout(clora_adapter *adapter, float dropout);
void lora_adapter_destroy(clora_adapter *adapter);

clora_status lora_adapter_create(clora_adapter **out, const base_model *base, const clora_adapter_options *options);

#endif
