#ifndef CLORA_TOKENIZER_UNIGRAM_H
#define CLORA_TOKENIZER_UNIGRAM_H

#include "tokenizer/piece.h"
#include "tokenizer/text_buffer.h"
#include "tokenizer/trie.h"
#include "tokenizer/vocab.h"

/*
 * The "model" of tokenizer.json, of type Unigram: of all the ways to write a text as tokens the one whose scores have
 * the largest sum (Kudo 2018). Immutable.
 */
typedef struct unigram {
    vocab vocab;
    trie trie;
    double *scores;       /* (vocab.size) */
    double unknown_score; /* of a character that is no token */
    int32_t unknown_id;   /* -1: none */
    int32_t bytes[256];   /* ids of <0x00>... */
    bool byte_fallback;
    bool rounds; /* sums are rounded to 32 bits, as SentencePiece's are */
} unigram;

clora_status unigram_init(unigram *u, const json_t *model, const char *where);
clora_status unigram_init_scored(unigram *u, const scored_vocab *scored, const char *where);
void unigram_finish(unigram *u);

/* Scratch of one thread. Zeroed is ready. */
typedef struct unigram_workspace {
    struct unigram_place *places;
    size_t capacity;
} unigram_workspace;

void unigram_workspace_finish(unigram_workspace *workspace);

/* Append the ids of one piece, and see whether a token crosses its border. */
clora_status unigram_encode(const unigram *u, id_buffer *out, const piece *text, unigram_workspace *workspace,
                            piece_notes *notes);

#endif
