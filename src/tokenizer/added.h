#ifndef CLORA_TOKENIZER_ADDED_H
#define CLORA_TOKENIZER_ADDED_H

#include "tokenizer/split.h"
#include "tokenizer/vocab.h"

/* A token that is found in the text before anything else happens to it. */
typedef struct added_token {
    char *content; /* as the file writes it */
    size_t size;
    char *pattern; /* what is searched, and what decoding reads: the content, normalized for a `normalized` token */
    size_t pattern_size;
    int32_t id;
    bool single_word, lstrip, rstrip, normalized, special, skipped; /* skipped: decoding may leave it out */
} added_token;

/*
 * All patterns of one kind as an automaton that reads a text from its end (Aho and Corasick 1975): in time linear in
 * the text it tells at each place the longest pattern that begins there.
 */
typedef struct added_search {
    struct added_node *nodes; /* a tree of reversed patterns; node 0 is the root */
    size_t count, capacity;
    uint32_t root[256]; /* the root's children; 0: none */
} added_search;

typedef struct added_tokens {
    added_token *tokens;
    token_text *contents; /* (count) of the tokens, for the index */
    size_t count;
    token_index index;
    added_search plain, normalized; /* for the text as it comes, and for the normalized text */
} added_tokens;

/* The "added_tokens" of tokenizer.json. */
clora_status added_init(added_tokens *a, const json_t *list, const vocab *v, const normalizer *n, const char *where);
void added_finish(added_tokens *a);

int32_t added_find_text(const added_tokens *a, const char *content, size_t size); /* the id, or -1 */

/* Add the pattern of tokens[place]; *taken says that another token has the same. Then, once, link all patterns. */
clora_status added_search_add(added_search *search, const added_token *tokens, int32_t place, bool *taken);
clora_status added_search_link(added_search *search);
void added_search_finish(added_search *search);

/* What splitting finds: token ids with the text that they take, and the text between. */
typedef struct added_sink {
    clora_status (*token)(void *user, int32_t id, const piece *text);
    piece_sink text;
    void *user;
} added_sink;

clora_status added_split(const added_tokens *a, const added_search *search, const piece *text, const added_sink *sink);

#endif
