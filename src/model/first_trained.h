#ifndef CLORA_MODEL_FIRST_TRAINED_H
#define CLORA_MODEL_FIRST_TRAINED_H

#include "methods/selection.h"
#include "model/workspace.h"

/* Where in the order of a family's projections its normalisations and its sublayers' ends are. */
typedef struct layer_order {
    int before[LAYER_NORMS]; /* the projection before a normalisation, whose output it takes: -1, the layer before's */
    int ends[SUBLAYERS];     /* a sublayer's last projection */
} layer_order;

/* The first projection that trains: no gradient is needed before it. A gain counts as the projection before its
 * normalisation, whose output's gradient it takes; embeddings and a prompt as one before all, -1; a prefix, whose
 * gradient is that of keys and values, as the first. */
int first_trained(const workspace *ws, const selection *s, const layer_order *order);

/* Of what the stream begins as, from ws->dstream: the gradients of the embedding and of its term, and of a prompt,
 * accumulate where they train. */
clora_status embedding_gradients(workspace *ws, const selection *s);

#endif
