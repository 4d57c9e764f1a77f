#ifndef CLORA_METHODS_BASE_MODEL_H
#define CLORA_METHODS_BASE_MODEL_H

#include "base/shared.h"
#include "files/model_names.h"
#include "ops/weight.h"

/* A frozen weight that an adapter may attach to, as the model lists them: its modules' Hugging Face names in order. */
typedef struct projection {
    const weight *weight;
    const char *names[WEIGHT_MODULES];
    bool is_head; /* "all-linear" leaves it out */
} projection;

/* A layer's parts that add to the residual stream, in order; of all layers they are numbered on. */
enum { SUBLAYER_ATTENTION, SUBLAYER_MLP, SUBLAYERS };

/* One of the model's own tensors: a module of a weight, or floats. */
typedef enum own_kind { OWN_WEIGHT, OWN_NORM, OWN_NORM_BIAS, OWN_BIAS, OWN_POSITIONS } own_kind;

typedef struct own_tensor {
    const char *name; /* as files have it */
    own_kind kind;
    const weight *weight; /* of OWN_WEIGHT */
    int module;
    clora_tensor vector; /* of the others: a view (1, n) */
    int rows;            /* of the files' matrix (rows, n / rows) that it is; 0: a vector */
    bool turned;         /* a module of a weight that the files have as (K, N) */
    clora_dtype file;    /* its type in the files that the model was read from */
} own_tensor;

/* The adapter whose terms are in the weights (model/merged.h). */
typedef struct base_merged {
    bool any;
    const struct clora_adapter *adapter; /* not held: NULL where none is, or where it has been freed since */
} base_merged;

/* The model below an adapter, as methods see it. */
typedef struct base_model {
    shared *model; /* whoever keeps the rest holds it: it owns what is named here */
    clora_context *context;
    const char *model_type; /* in config.json */
    const model_names *names;
    int layers, hidden, heads, kv_heads, head_dim, vocab, max_positions;
    float embedding_scale; /* of the embedding's rows */
    int projections;       /* those of each layer in the order of the forward pass, and the head */
    const projection *projection;
    int tensors; /* those that the files hold, but for a head that is the embedding */
    const own_tensor *tensor;
    const char *directory; /* the files' */
    base_merged *merged;   /* the model's */
    bool own_head;         /* the files have a head although config.json ties it to the embedding */
} base_model;

#endif
