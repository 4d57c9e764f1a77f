#ifndef CLORA_MODEL_SESSION_H
#define CLORA_MODEL_SESSION_H

#include <clora/generate.h>

#include "model/llama.h"

struct clora_session {
    clora_model *model;
    workspace *ws;
    selection select;
    kv_cache cache;
    arena memory;        /* of the cache and the logits */
    clora_tensor *k, *v; /* views, one a layer */
    clora_tensor logits; /* (rows, V) */
    clora_tensor *u;     /* (rows, R) scratch of the adapter's term; grows with the largest rank selected */
    int32_t *host;       /* staging for ids, positions */
    int length;
};

#endif
