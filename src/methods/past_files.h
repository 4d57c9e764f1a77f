#ifndef CLORA_METHODS_PAST_FILES_H
#define CLORA_METHODS_PAST_FILES_H

#include "base/json.h"
#include "files/safetensors.h"
#include "methods/adapter.h"

/*
 * PEFT's files of what stands before a sequence: adapter_config.json, and one tensor, prompt_embeddings (tokens,
 * width); with a head of labels (SEQ_CLS) its weight besides.
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

/* What is in a directory. */
typedef struct past_contents {
    json_t *config; /* settings as above; with a head, and the names of its labels */
    float *values;  /* (tokens, width) */
    char **labels;  /* names, and a NULL (methods/classifier.h); NULL: there is no head */
    float *score;   /* (labels, hidden) its weight */
} past_contents;

clora_status past_files_read(past_contents *out, const base_model *base, const past_layout *layout,
                             const char *directory);
void past_contents_finish(past_contents *contents);

clora_status past_files_write(const char *directory, const clora_adapter_save_options *options,
                              const past_contents *contents, const past_layout *layout, int hidden);

/* Of a directory's settings and tensors the names of labels, NULL without a head. */
clora_status past_files_labels(char ***out, const safetensors *file, const json_t *config);

/* Of settings as above. */
int past_config_tokens(const json_t *config);
int past_config_projection(const json_t *config); /* inputs of the projection's last layer; 0: none */

#endif
