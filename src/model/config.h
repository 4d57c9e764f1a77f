#ifndef CLORA_MODEL_CONFIG_H
#define CLORA_MODEL_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

typedef enum rope_scaling { ROPE_DEFAULT, ROPE_LINEAR, ROPE_LLAMA3 } rope_scaling;

/* The widths that a layer's projections connect. */
typedef enum config_width { WIDTH_HIDDEN, WIDTH_FFN, WIDTH_QUERIES, WIDTH_KEYS } config_width;

enum { CONFIG_EOS = 8 };

/* config.json and generation_config.json of a Hugging Face directory (docs/formats.md), checked. */
typedef struct model_config {
    const struct model_family *family;
    int layers, hidden, ffn, heads, kv_heads, head_dim, vocab, max_positions;
    float norm_eps;
    bool tied;
    bool own_head;   /* tied in config.json, but not in the files, which decide (model_files_check) */
    unsigned biases; /* bit k: the k-th of a layer's projections (model/family.h) has biases */
    float rope_theta;
    rope_scaling scaling;
    float scaling_factor, scaling_low, scaling_high;
    int scaling_original; /* positions of the model that was scaled */
    int eos_count;        /* ids that end a generation */
    int32_t eos[CONFIG_EOS];
    int eos_ignored; /* ids in the files that are outside the vocabulary */
} model_config;

clora_status config_load(model_config *out, const char *directory);

/* Rows N of each module of a layer's k-th projection, WEIGHT_MODULES at most, and its inputs K. Returns how many there
 * are. */
int model_projection_shape(const model_config *c, int k, int *N, int *K);

/* Whether a layer's k-th projection has biases. */
bool model_projection_bias(const model_config *c, int k);

#endif
