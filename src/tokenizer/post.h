#ifndef CLORA_TOKENIZER_POST_H
#define CLORA_TOKENIZER_POST_H

#include <jansson.h>

#include "tokenizer/text_buffer.h"

/* What the "post_processor" of tokenizer.json puts around a text. */
typedef struct post_processor {
    bool present; /* the file has one: it decides about bos, and nothing else does */
    id_buffer before, after;
} post_processor;

/* Ids must be below vocab_size. */
clora_status post_init(post_processor *post, const json_t *specification, int32_t vocab_size, const char *where);
void post_finish(post_processor *post);

#endif
