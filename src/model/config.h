#ifndef CLORA_MODEL_CONFIG_H
#define CLORA_MODEL_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "model/rope_table.h"

/* The widths that a layer's projections connect, and a head's. */
typedef enum config_width {
    WIDTH_HIDDEN,
    WIDTH_FFN,
    WIDTH_QUERIES,
    WIDTH_KEYS,
    WIDTH_HEAD,
    WIDTH_QKV,    /* queries, keys and values as one module */
    WIDTH_GATE_UP /* both halves of a gated MLP as one */
} config_width;

enum { CONFIG_EOS = 8, CONFIG_LAYERS = 4096 };

/* Which of its model's rotations a layer has: the first, as all layers of most models, the second or none. */
enum { ROPE_FIRST, ROPE_SECOND, ROPE_NONE, ROPES };

/* config.json and generation_config.json of a Hugging Face directory (docs/formats.md), checked. */
typedef struct model_config {
    const struct model_family *family;
    int layers, hidden, ffn, heads, kv_heads, head_dim, vocab, max_positions;
    float norm_eps;
    bool norm_plus_one;    /* gains of norms are kept as what they are beside 1 */
    bool gelu;             /* gates the MLP, by tanh, in the place of silu */
    float embedding_scale; /* of the embedding's rows */
    bool scale_rounded;    /* embedding_scale is of the type of the weights: when they are loaded it is rounded */
    float input_scale;     /* of all that enters the stream, embeddings and prompts; 1 */
    float branch_scale;    /* of what sublayers add to the stream; 1. The stream is kept divided by it, which is in
                              input_scale and norm_eps, and sublayers just add (sublayer.h) */
    float logit_scale;     /* of what the head makes; 1 */
    bool tied;
    bool own_head;   /* tied in config.json, but not in the files, which decide (model_files_check) */
    unsigned biases; /* bit k: the k-th of a layer's projections (model/family.h) has biases */
    rope_settings rope[ROPES];
    uint8_t layer_rope[CONFIG_LAYERS]; /* ROPE_FIRST, where the family does not say otherwise */
    float attention_scale;             /* of products of queries and keys; 0: 1 / sqrt(head_dim) */
    float attention_cap;               /* scores become cap * tanh(score / cap); 0: they stay as they are */
    float logit_cap;                   /* likewise of logits */
    int window;                        /* tokens that a sliding layer sees, the query's own with them; 0: none slides */
    bool slides[CONFIG_LAYERS];
    int eos_count; /* ids that end a generation */
    int32_t eos[CONFIG_EOS];
    int eos_ignored; /* ids in the files that are outside the vocabulary */
} model_config;

/* The window of a layer; 0: none, or one that no sequence is longer than. */
static inline int model_window(const model_config *c, int l) {
    return c->window < c->max_positions && c->slides[l] ? c->window : 0;
}

clora_status config_load(model_config *out, const char *directory);

/* Rows N of each module of a layer's k-th projection, WEIGHT_MODULES at most, and its inputs K. Returns how many there
 * are. */
int model_projection_shape(const model_config *c, int k, int *N, int *K);

/* Whether a layer has this rotation: ROPE_FIRST, ROPE_SECOND or ROPE_NONE. */
bool config_has_rope(const model_config *c, int which);

/* All of them, for a family's layers. (config_rope.c) */
clora_status config_read_rope(model_config *c, const json_t *root, const char *path);

/* Values of the gain of a layer's i-th normalisation; 0: it has none there. */
int model_norm_width(const model_config *c, int i);

/* Whether a layer's k-th projection has biases. */
bool model_projection_bias(const model_config *c, int k);

#endif
