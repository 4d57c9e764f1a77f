#ifndef CLORA_METHODS_ADAPTER_H
#define CLORA_METHODS_ADAPTER_H

#include <clora/adapter.h>

#include "methods/base_model.h"
#include "methods/classifier.h"
#include "methods/embedding_term.h"
#include "methods/saved_modules.h"
#include "ops/bottleneck.h"
#include "ops/lowrank.h"

/*
 * What a method attaches to a frozen model. The passes of the model meet it at the attach points alone and know no
 * method; everything else is behind the method's row (methods/method.h), whose own struct begins with this one.
 */
struct clora_adapter {
    shared shared;    /* held by the program, sessions, trainers and those it is joined in */
    uint64_t number;  /* no two that a process makes have the same, not even one after the other in one place */
    uint64_t factors; /* the number of that whose factors it has: its own, but at another scale (scaled.c) */
    float scale;      /* of these factors: 1, but at another scale */
    base_model base;  /* held too */
    const struct method *method;
    clora_adapter_info info; /* of other methods than lora: parameters, without padding, and labels */
    bool loaded;             /* from files, which say what its base is called */
    float dropout;           /* on the input of low-rank terms, in training */
    bool trains_weights;     /* of the base's linear layers: what is kept of a step is little beside what these take */
    bool changes_model;      /* trains the base's own weights: without the adapter the base is not what it was */

    /* Attach points; NULL: nothing there. */
    lowrank **term;             /* linear: one for each projection of the base, NULL where that is as it was */
    lowrank **origin;           /* likewise: terms that do not train, of what an adapter began as; or NULL */
    embedding_term *embedding;  /* the embedding: added to the rows of ids */
    bottleneck **sublayer;      /* after a sublayer: one for each of the base's, NULL where that is as it was */
    classifier *classifier;     /* the head: takes the place of the model's own */
    saved_modules *saved;       /* some of the model's own tensors: copies take their place */
    const clora_tensor *prefix; /* before each sequence's own keys and values: (positions, layers * 2*G*D), of each
                                   layer keys, then values */
    const clora_tensor *prompt; /* before each sequence's own rows of the stream: (positions, hidden) */
};

/* Begins the adapter's part of a method's zeroed struct. */
void adapter_init(clora_adapter *adapter, const base_model *base, const struct method *method);

/* What is told of it has its classifier's labels, which train too. */
void adapter_take_labels(clora_adapter *adapter);

/* Device memory that its attach points take. */
size_t adapter_bytes(const clora_adapter *adapter);

/* The low-rank term that is added at a projection, or NULL: also without an adapter, or with one that is merged. */
static inline lowrank *adapter_term(const clora_adapter *adapter, int p) {
    lowrank *term = adapter && adapter->term ? adapter->term[p] : NULL;
    return term && !term->merged ? term : NULL;
}

/* Its rank, 0 without one: also while it is merged, for it comes back. */
static inline int adapter_rank(const clora_adapter *adapter, int p) {
    return adapter && adapter->term && adapter->term[p] ? adapter->term[p]->R : 0;
}

/* The term besides that does not train, or NULL: also without an adapter. */
static inline const lowrank *adapter_origin(const clora_adapter *adapter, int p) {
    return adapter && adapter->origin ? adapter->origin[p] : NULL;
}

/* The embedding's term, or NULL: also without an adapter. */
static inline const embedding_term *adapter_embedding_term(const clora_adapter *adapter) {
    return adapter ? adapter->embedding : NULL;
}

/* Has it more than a sum with W0's product somewhere on linear layers: magnitudes (DoRA) or a bias of B? */
bool adapter_has_columns(const clora_adapter *adapter);

/* The bottleneck after a sublayer, or NULL: also without an adapter. */
static inline const bottleneck *adapter_sublayer(const clora_adapter *adapter, int sublayer) {
    return adapter && adapter->sublayer ? adapter->sublayer[sublayer] : NULL;
}

/* Does it draw in training, somewhere? */
bool adapter_drops(const clora_adapter *adapter);

/* The head that tells labels apart, or NULL: also without an adapter. */
static inline const classifier *adapter_classifier(const clora_adapter *adapter) {
    return adapter ? adapter->classifier : NULL;
}

/* What a pass reads of the model's own, or the copy that takes its place. */
static inline const weight *adapter_embedding(const clora_adapter *adapter, const weight *own) {
    return adapter && adapter->saved && adapter->saved->embedding ? adapter->saved->embedding : own;
}
static inline const weight *adapter_head(const clora_adapter *adapter, const weight *own) {
    return adapter && adapter->saved && adapter->saved->head ? adapter->saved->head : own;
}
static inline const clora_tensor *adapter_gain(const clora_adapter *adapter, const clora_tensor *own) {
    const clora_tensor *copy = adapter && own ? saved_modules_gain(adapter->saved, own) : NULL;
    return copy ? copy : own;
}

/* Positions before a sequence's own tokens. */
static inline int adapter_prefix_length(const clora_adapter *adapter) {
    return adapter && adapter->prefix ? adapter->prefix->shape[0] : 0;
}
static inline int adapter_prompt_length(const clora_adapter *adapter) {
    return adapter && adapter->prompt ? adapter->prompt->shape[0] : 0;
}
static inline int adapter_past(const clora_adapter *adapter) {
    return adapter_prefix_length(adapter) + adapter_prompt_length(adapter);
}

/* Layer l's part of the prefix (positions, 2*G*D); without one a tensor that has no buffer. */
clora_tensor adapter_prefix_of(const clora_adapter *adapter, int l);

/* The rank of each projection's term, 0 without one, for workspace_plan; none at all without an adapter. The caller
 * frees; NULL without memory. */
int *adapter_list_ranks(const clora_adapter *adapter, int projections);

#endif
