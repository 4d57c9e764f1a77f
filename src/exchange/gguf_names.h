#ifndef CLORA_EXCHANGE_GGUF_NAMES_H
#define CLORA_EXCHANGE_GGUF_NAMES_H

#include <stdbool.h>

#include "base/status.h"

/* A kind of a layer's tensors (gguf_names.c). */
typedef struct gguf_part gguf_part;

/* How GGUF files hold a family of models. */
typedef struct gguf_family {
    const char *model_type, *architecture;
    const char *layers; /* of what the modules of a layer are: "model.layers" */
    const gguf_part *parts;
    bool interleaved; /* rows of q and k that RoPE rotates together are neighbours, not halves of a head apart */
} gguf_family;

/* By config.json's model_type; NULL when unknown. */
const gguf_family *gguf_family_find(const char *model_type);

/* By a file's architecture, which families may share; when unknown, one with the names that most have. */
const gguf_family *gguf_family_of(const char *architecture);

/* "blk.0.attn_q" of "model.layers.0.self_attn.q_proj", and back; yours to free, NULL (with CLORA_OK) when GGUF has no
 * such name. */
clora_status gguf_name_of(char **out, const char *module, const gguf_family *family);
clora_status gguf_module_of(char **out, const char *name, const gguf_family *family);

/* Is it a module whose rows are interleaved? heads: of q or of k. */
int gguf_rotated_heads(const char *module, int heads, int kv_heads);

#endif
