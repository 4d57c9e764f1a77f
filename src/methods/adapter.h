#ifndef CLORA_METHODS_ADAPTER_H
#define CLORA_METHODS_ADAPTER_H

#include <clora/adapter.h>

#include "methods/target.h"
#include "ops/lowrank.h"
#include "train/parameters.h"

/* A frozen weight that an adapter may attach to, as the model lists them: its modules' Hugging Face names in order. */
typedef struct projection {
    const weight *weight;
    const char *names[WEIGHT_MODULES];
    bool is_head; /* "all-linear" leaves it out */
} projection;

/* Where the factors of one term lie among the adapter's parameters: a chunk, and the first elements of a and b
 * in it. */
typedef struct adapter_slot {
    int chunk;
    size_t a, b;
} adapter_slot;

/*
 * Terms are indexed like the model's projections. All factors live in a few flat f32 buffers (chunks, one unless the
 * device's largest allocation is passed): those of a list of parameters, so that the optimizer is one launch a chunk.
 */
struct clora_adapter {
    shared shared; /* held by the program, sessions and trainers */
    shared *base;  /* the model, held: it owns the weights and their names */
    clora_context *context;
    clora_adapter_options options; /* its strings are owned */
    int projections;
    projection *projection; /* copies; names borrowed from the model */
    lowrank **term;         /* per projection; NULL: not adapted */
    adapter_slot *slot;     /* per projection */
    int chunks;
    clora_tensor **chunk; /* f32 (1, n) */
    int modules;
    int64_t parameters;
    json_t *config; /* what adapter_config.json says (methods/peft_config.h) */
    int targets;    /* modules of all projections, in order, adapted or not */
    target_module *target;
    target_choice *choice;
};

clora_status adapter_create(clora_adapter **out, clora_context *context, const projection *projections, int count,
                            const clora_adapter_options *options);
clora_status adapter_load(clora_adapter **out, clora_context *context, const projection *projections, int count,
                          const char *directory);

/* Add the factors to what trains, A's and B's each in their group; the list's buffers are the chunks. Modules that
 * share a projection are one parameter, named after the first adapted: "model.layers.0.self_attn.q_proj.lora_A". */
clora_status adapter_list_parameters(parameters *out, const clora_adapter *adapter, parameter_group a,
                                     parameter_group b);

/* The views of a term's factors in a set of chunks (the adapter's own, or their gradients). */
clora_tensor adapter_view_a(const clora_adapter *adapter, clora_tensor *const *chunks, int p);
clora_tensor adapter_view_b(const clora_adapter *adapter, clora_tensor *const *chunks, int p);

#endif
