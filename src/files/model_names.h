#ifndef CLORA_FILES_MODEL_NAMES_H
#define CLORA_FILES_MODEL_NAMES_H

#include <stdbool.h>

/* How a family's files name a model's tensors, but for the head, which is lm_head.weight in all, and how they lie in
 * them. */
typedef struct model_names {
    const char *embedding; /* "model.embed_tokens.weight", and its module */
    const char *embedding_module;
    const char *layers;    /* "model.layers": their number follows */
    const char *norm;      /* "model.norm", the last normalisation */
    const char *positions; /* learned embeddings of positions; NULL: there are none */
    const char
        *buffers[2]; /* what names of tensors end with that old files carry, though the configuration tells them */
    const char *others[4]; /* what names of tensors begin with that no text needs: they stay as they are */
    const char *excluded;  /* an expression for the modules of those, or NULL */
    bool turned;           /* a layer's matrices lie as (K, N): inputs first */
} model_names;

#define MODEL_EMBEDDING "model.embed_tokens.weight"                     /* of most families */
#define MODEL_TEXT_EMBEDDING "model.language_model.embed_tokens.weight" /* of models of texts and images */
#define MODEL_WTE "transformer.wte.weight"                              /* of GPT-2 */
#define MODEL_HEAD "lm_head.weight"

#endif
