#ifndef CLORA_METHODS_SELECTION_H
#define CLORA_METHODS_SELECTION_H

#include "methods/adapter.h"
#include "train/parameters.h"

/* Which adapter applies, and its training state. */
typedef struct selection {
    const clora_adapter *adapter;     /* of all sequences; NULL: the base alone */
    const clora_adapter *const *each; /* of each of the step's sequences, never in training; NULL: `adapter` of all */
    const struct each_terms *terms;   /* of `each`, on the device (model/each_terms.h); NULL: they are not there */
    const parameters *trains;         /* whose gradients a backward pass adds to; NULL outside training */
    float dropout;                    /* 0 outside training */
    uint64_t dropout_seed;            /* new for each micro-batch */
} selection;

/* The selection of n sequences with these adapters: of one for all where they are the same. */
static inline selection selection_of(const clora_adapter *const *each, int n) {
    for (int i = 1; i < n; i++)
        if (each[i] != each[0])
            return (selection){.each = each};
    return (selection){.adapter = each[0]};
}

/* How many sequences from one on, of n, have its adapter. */
static inline int selection_run(const selection *s, int sequence, int n) {
    int end = sequence + 1;

    while (end < n && s->each[end] == s->each[sequence])
        end++;
    return end - sequence;
}

/* The low-rank term that all sequences have at a projection of the model, or NULL. */
static inline const lowrank *selection_term(const selection *s, int p) {
    return adapter_term(s->adapter, p);
}

/* The bottleneck that all sequences have after a sublayer, or NULL. */
static inline const bottleneck *selection_sublayer(const selection *s, int sublayer) {
    return adapter_sublayer(s->adapter, sublayer);
}

#endif
