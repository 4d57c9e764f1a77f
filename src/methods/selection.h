#ifndef CLORA_METHODS_SELECTION_H
#define CLORA_METHODS_SELECTION_H

#include "methods/adapter.h"

/* Which adapter applies, and its training state. */
typedef struct selection {
    const clora_adapter *adapter;   /* NULL: the base alone */
    clora_tensor *const *gradients; /* chunks like the adapter's, in training */
    float dropout;                  /* 0 outside training */
    uint64_t dropout_seed;          /* new for each micro-batch */
} selection;

/* The low-rank term at a site of the model, or NULL. */
static inline const lowrank *selection_term(const selection *s, int site) {
    return s->adapter ? s->adapter->term[site] : NULL;
}

#endif
