#ifndef CLORA_TOKENIZER_SCORED_H
#define CLORA_TOKENIZER_SCORED_H

#include <stdbool.h>

#include "tokenizer/index.h"

/* What a token of SentencePiece is, by its numbers, which GGUF files have too. */
typedef enum scored_kind {
    SCORED_NORMAL = 1,
    SCORED_UNKNOWN = 2,
    SCORED_CONTROL = 3,
    SCORED_OWN = 4, /* user-defined: comes whole */
    SCORED_UNUSED = 5,
    SCORED_BYTE = 6
} scored_kind;

typedef struct scored_token {
    token_text token; /* zero-terminated */
    float score;
    scored_kind kind;
} scored_token;

/* A vocabulary with scores, as SentencePiece's models have it: how a text is parted follows from the scores alone. */
typedef struct scored_vocab {
    scored_token *tokens; /* (count) by id */
    size_t count, capacity;
    bool unigram; /* the tokens whose scores have the largest sum; else those that merges of the best score make */
    bool byte_fallback;
    bool prefix;          /* a blank is put before a text */
    bool drop_blanks;     /* at its ends, and all but one of several */
    bool mark_blanks;     /* a blank is written as U+2581 */
    const void *charsmap; /* (charsmap_size)  what is rewritten, or NULL; borrowed */
    size_t charsmap_size;
    int32_t unknown, bos, eos; /* ids, -1 for none */
} scored_vocab;

#endif
