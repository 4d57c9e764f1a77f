#ifndef CLORA_TOKENIZER_TOKEN_MODEL_H
#define CLORA_TOKENIZER_TOKEN_MODEL_H

#include "tokenizer/bpe.h"
#include "tokenizer/unigram.h"

/* The "model" of tokenizer.json: how a piece of text becomes ids. Immutable. */
typedef struct token_model {
    bool is_unigram; /* else bpe */
    bpe bpe;
    unigram unigram;
} token_model;

clora_status token_model_init(token_model *m, const json_t *model, const char *where);
clora_status token_model_init_scored(token_model *m, const scored_vocab *scored, const char *where);
void token_model_finish(token_model *m);

const vocab *token_model_vocab(const token_model *m);

/* The ids of all bytes, -1 for none; NULL where characters do not become bytes. */
const int32_t *token_model_bytes(const token_model *m);

/* Scratch of one thread. Zeroed is ready. */
typedef struct token_model_workspace {
    bpe_workspace bpe;
    unigram_workspace unigram;
} token_model_workspace;

void token_model_workspace_finish(token_model_workspace *workspace);

/* Append the ids of one piece, and note what else there is to say. */
clora_status token_model_encode(const token_model *m, id_buffer *out, const piece *text,
                                token_model_workspace *workspace, piece_notes *notes);

#endif
