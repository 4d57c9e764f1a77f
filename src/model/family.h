#ifndef CLORA_MODEL_FAMILY_H
#define CLORA_MODEL_FAMILY_H

#include "base/json.h"
#include "methods/selection.h"
#include "model/kvcache.h"
#include "model/workspace.h"

/* One of a layer's projections: a weight made of the modules that read the same input. */
typedef struct family_projection {
    config_width inputs;
    int modules;
    struct {
        const char *path; /* within the layer, as Hugging Face names it: "self_attn.q_proj" */
        config_width outputs;
    } module[WEIGHT_MODULES];
} family_projection;

/* One of a layer's normalisations, by its name within the layer, and how many values its gain has. A layer has none
 * where the name is NULL. */
typedef struct family_norm {
    const char *path;
    config_width width;
} family_norm;

/*
 * A family of models: what sets it apart from the others. A new one is a row in families.c, and a file with its forward
 * and backward pass where these are another list of calls.
 */
typedef struct model_family {
    const char *model_type; /* in config.json */
    const model_names *names;

    /* Where config.json does not say. */
    int max_positions, head_dim; /* head_dim 0: hidden / heads */
    float norm_eps;              /* 0: 1e-6 */
    float rope_theta;            /* 0: 10000 */
    bool local_theta;            /* that of sliding layers has a key of its own, and is 10000 without it */
    const char *activation;      /* of the MLP; NULL: silu */
    bool tied;

    bool partial_rope; /* may rotate a part of each head's columns */
    int norms;         /* of each layer, by their places in it */
    const family_norm *norm;
    int projections; /* of each layer, in the order of the forward pass */
    const family_projection *projection;
    bool layernorm; /* of the mean too, and with a bias: not of the root mean square */
    bool plain_mlp; /* one projection before its activation, which nothing gates */

    /* Its config.json has other keys: the usual ones are added. NULL: it has these. */
    clora_status (*translate)(json_t *root, const char *path);

    /* What config.json says of this family alone. */
    clora_status (*read_config)(model_config *c, const json_t *root, const char *path);

    /*
     * The stream after the last layer, normalised, lands in ws->normed (M, C). The step's ids, positions, first and
     * past are in the workspace. With a cache the new keys and values go there, and attention reads all that it has.
     */
    clora_status (*forward)(workspace *ws, const selection *s, kv_cache *cache);

    /* After forward (train), with d(loss) / d(normed) in ws->dnorm: the adapter's gradients accumulate. */
    clora_status (*backward)(workspace *ws, const selection *s);
} model_family;

/* The i-th family; NULL past the last. */
const model_family *family_at(size_t i);

/* The family that "model_type" of a config.json names, or an error that names those there are. */
clora_status family_find(const model_family **out, const json_t *root, const char *path);

static inline clora_status model_forward(workspace *ws, const selection *s, kv_cache *cache) {
    const clora_status status = merged_check_selection(&ws->model->merged, s, ws->B);
    return status == CLORA_OK ? ws->model->config.family->forward(ws, s, cache) : status;
}

static inline clora_status model_backward(workspace *ws, const selection *s) {
    return ws->model->config.family->backward(ws, s);
}

#endif
