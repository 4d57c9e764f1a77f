#ifndef CLORA_METHODS_PAST_FILES_H
#define CLORA_METHODS_PAST_FILES_H

#include "base/json.h"
#include "methods/adapter.h"

/*
 * PEFT's files of what stands before a sequence: adapter_config.json, and one tensor, prompt_embeddings (tokens,
 * width).
 */

/* What sets the files of a method apart, for a model. */
typedef struct past_layout {
    const char *peft_type;
    int heads, token_dim; /* num_attention_heads and token_dim */
    int width;            /* columns of prompt_embeddings */
    bool is_prefix;
} past_layout;

past_layout past_layout_of(const base_model *base, bool is_prefix);

/* The settings of a new adapter: exactly the keys that clora writes, in their order. */
clora_status past_config_create(json_t **out, const base_model *base, const past_layout *layout, int tokens,
                                int projection);

/* Read a directory: settings as above, and the values (tokens, width), which the caller frees. */
clora_status past_files_read(json_t **config, float **values, const base_model *base, const past_layout *layout,
                             const char *directory);

clora_status past_files_write(const char *directory, const clora_adapter_save_options *options, const json_t *config,
                              const past_layout *layout, const float *values);

/* Of settings as above. */
int past_config_tokens(const json_t *config);
int past_config_projection(const json_t *config); /* inputs of the projection's last layer; 0: none */

#endif
