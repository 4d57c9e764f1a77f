#ifndef CLORA_TOKENIZER_VOCAB_H
#define CLORA_TOKENIZER_VOCAB_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/status.h"
#include "tokenizer/index.h"
#include "tokenizer/scored.h"

/* Tokens by id, and ids by text. */
typedef struct vocab {
    token_text *tokens;
    int32_t size;  /* one more than the highest id */
    int32_t count; /* tokens: less than size where ids are left out */
    char *texts;
    size_t texts_size;
    token_index index;
} vocab;

/* From {"text": id, ...}. The ids of tokens must differ, and leave out at most a million. */
clora_status vocab_init(vocab *v, const json_t *object, const char *where);

/* From [["text", score], ...]: ids are places. Of texts that are listed twice the later one is found. */
clora_status vocab_init_list(vocab *v, const json_t *list, const char *where);
/* From tokens with scores: ids are places, and texts must differ. */
clora_status vocab_init_scored(vocab *v, const scored_vocab *scored, const char *where);
void vocab_finish(vocab *v);

int32_t vocab_find(const vocab *v, const char *text, size_t size); /* -1 when it is not there */
void vocab_find_bytes(const vocab *v, int32_t bytes[256]);         /* the ids of <0x00>... */

#endif
