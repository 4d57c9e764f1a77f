#ifndef CLORA_TOKENIZER_TOKENIZER_H
#define CLORA_TOKENIZER_TOKENIZER_H

#include <clora/tokenizer.h>

#include "base/shared.h"
#include "tokenizer/added.h"
#include "tokenizer/decode.h"
#include "tokenizer/post.h"
#include "tokenizer/pretokenize.h"
#include "tokenizer/token_model.h"

/* In the order of the data: text, added tokens, normalizer, pre-tokenizer, model, post-processor, ids;
 * decoder, text. */
struct clora_tokenizer {
    shared shared; /* held by the program and decoders */
    added_tokens added;
    normalizer *normalizer;
    pretokenizer *pretokenizer;
    token_model model;
    post_processor post;
    decode_chain *decoder;
    int32_t size;        /* one more than the highest id */
    token_text *tokens;  /* (size) as written */
    token_text *decoded; /* (size) what the decoder gets */
    bool *skipped;       /* (size) decoding may leave it out */
    int32_t bos, eos;    /* -1: none */
    bool adds_bos, may_drop;
    uint64_t hash; /* of the files that it was read from */
};

/* A text of two parts as ids, those of the first part first. */
typedef struct pair_ids {
    int32_t *ids; /* (count)  the caller's to free() */
    size_t count, context;
    size_t dropped; /* characters that the vocabulary cannot express, as clora_tokenizer_count_dropped() counts */
} pair_ids;

/*
 * A context, the first bytes of text, and the target that follows it. They are encoded as one text where a border
 * between two tokens lies between them; else apart, so that no token crosses, and as nothing may come between them,
 * nothing is put before the target: the blank at a text's beginning belongs to the whole.
 */
clora_status tokenizer_encode_pair(const clora_tokenizer *tokenizer, const char *text, size_t context, size_t size,
                                   pair_ids *out);

#endif
