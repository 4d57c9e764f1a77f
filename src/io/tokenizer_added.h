#ifndef CLORA_IO_TOKENIZER_ADDED_H
#define CLORA_IO_TOKENIZER_ADDED_H

#include "io/tokenizer_split.h"
#include "io/tokenizer_vocab.h"

/* A token that is found in the text before anything else happens to it. */
typedef struct added_token {
    char *content; /* as the file writes it */
    size_t size;
    char *pattern; /* what is searched, and what decoding reads: the content, normalized for a `normalized` token */
    size_t pattern_size;
    int32_t id;
    bool single_word, lstrip, rstrip, normalized, special, skipped; /* skipped: decoding may leave it out */
} added_token;

/* All patterns of one kind as a tree of bytes; node 0 is the root. */
typedef struct added_tree {
    struct added_node *nodes;
    size_t count, capacity;
    bool first[256]; /* bytes that begin a pattern */
} added_tree;

typedef struct added_tokens {
    added_token *tokens;
    size_t count, capacity;
    added_tree plain, normalized; /* searched in the text as it comes, and in the normalized text */
} added_tokens;

/* The "added_tokens" of tokenizer.json. */
clora_status added_init(added_tokens *a, const json_t *list, const vocab *v, const normalizer *n, const char *where);
void added_finish(added_tokens *a);

const added_token *added_find_id(const added_tokens *a, int32_t id);
int32_t added_find_text(const added_tokens *a, const char *content, size_t size);

/* What splitting finds: token ids with the text that they take, and the text between. */
typedef struct added_sink {
    clora_status (*token)(void *user, int32_t id, const piece *text);
    piece_sink text;
    void *user;
} added_sink;

clora_status added_split(const added_tokens *a, const added_tree *tree, const piece *text, const added_sink *sink);

#endif
