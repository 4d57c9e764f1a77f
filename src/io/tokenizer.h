#ifndef CLORA_IO_TOKENIZER_H
#define CLORA_IO_TOKENIZER_H

#include <clora/tokenizer.h>

#include "io/tokenizer_added.h"
#include "io/tokenizer_bpe.h"
#include "io/tokenizer_decode.h"
#include "io/tokenizer_post.h"
#include "io/tokenizer_pretokenize.h"

/* In the order of the data: text, added tokens, normalizer, pre-tokenizer, model, post-processor, ids; decoder, text.
 */
struct clora_tokenizer {
    added_tokens added;
    normalizer *normalizer;
    pretokenizer *pretokenizer;
    bpe model;
    post_processor post;
    decode_chain *decoder;
    int32_t size;         /* one more than the highest id */
    vocab_token *tokens;  /* (size) as written */
    vocab_token *decoded; /* (size) what the decoder gets */
    bool *skipped;        /* (size) decoding may leave it out */
    int32_t bos, eos;     /* -1: none */
    bool adds_bos, may_drop;
};

#endif
