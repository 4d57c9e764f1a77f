#ifndef CLORA_TOKENIZER_TRIE_H
#define CLORA_TOKENIZER_TRIE_H

#include <stddef.h>
#include <stdint.h>

#include "tokenizer/index.h"

typedef struct trie_node {
    uint32_t child; /* the first of its children, which lie side by side in the order of their bytes */
    int32_t token;  /* the token that ends here, or -1 */
    uint16_t children;
    unsigned char byte;
} trie_node;

/* Finds the tokens that a text begins with. Node 0 is the root. Immutable. */
typedef struct trie {
    trie_node *nodes;
    size_t count, capacity;
} trie;

/* Of equal tokens the later one is found. */
clora_status trie_init(trie *t, const token_text *list, size_t count);
void trie_finish(trie *t);

/* One byte further down; 0 where no token goes on so. */
uint32_t trie_step(const trie *t, uint32_t node, unsigned char byte);

#endif
