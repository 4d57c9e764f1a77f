#ifndef CLORA_TOKENIZER_SPM_H
#define CLORA_TOKENIZER_SPM_H

#include <jansson.h>

#include "base/file.h"
#include "tokenizer/scored.h"

/* SentencePiece's own file, tokenizer.model, which is mapped while the vocabulary is in use. */
typedef struct spm_file {
    file_map map;
    char *texts; /* of the tokens, zero-terminated */
    scored_vocab vocab;
} spm_file;

clora_status spm_read(spm_file *out, const char *path);
void spm_finish(spm_file *file);

/*
 * All of a tokenizer.json but its model, for a vocabulary with scores: what stands around the model in SentencePiece,
 * and the special tokens that a tokenizer_config.json names, as Llama's class has them. *out is yours to free
 * with json_decref().
 */
clora_status spm_describe(json_t **out, const scored_vocab *vocab, const json_t *config, const char *where);

#endif
