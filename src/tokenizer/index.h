#ifndef CLORA_TOKENIZER_INDEX_H
#define CLORA_TOKENIZER_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* A token's text; NULL where there is none. Zero-terminated besides. */
typedef struct token_text {
    const char *text;
    size_t size;
} token_text;

/* Finds a text's place in a list of tokens. */
typedef struct token_index {
    int32_t *slots; /* open addressing; -1 is free */
    size_t mask;
    uint64_t seed;
} token_index;

clora_status token_index_init(token_index *index, size_t count); /* for up to count texts */
void token_index_finish(token_index *index);

/* The place in the list, or -1. */
int32_t token_index_find(const token_index *index, const token_text *list, const char *text, size_t size);

/* The text at a place of the list, which is not in the index yet. */
void token_index_add(token_index *index, const token_text *list, int32_t place);

#endif
