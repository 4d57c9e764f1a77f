#include "tokenizer/trie.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* A token while all are put in order, with its first bytes as a number: few comparisons need more. */
typedef struct entry {
    uint64_t head;
    token_text token;
    int32_t place;
} entry;

/* The sorted entries first..end begin alike, with `depth` bytes: they are what lies under a node. */
typedef struct stretch {
    uint32_t first, end, depth;
} stretch;

typedef struct building {
    trie *t;
    entry *entries;
    stretch *stretches; /* of the nodes, place by place */
    size_t capacity;
} building;

static uint64_t head_of(const token_text *token) {
    uint64_t head = 0;

    for (size_t i = 0; i < 8; i++)
        head = head << 8 | (i < token->size ? (unsigned char)token->text[i] : 0);
    return head;
}

static int compare(const void *left, const void *right) {
    const entry *a = left, *b = right;

    if (a->head != b->head)
        return a->head < b->head ? -1 : 1;
    const size_t least = a->token.size < b->token.size ? a->token.size : b->token.size;
    const int order = memcmp(a->token.text, b->token.text, least);
    if (order != 0)
        return order;
    if (a->token.size != b->token.size)
        return a->token.size < b->token.size ? -1 : 1;
    return a->place < b->place ? -1 : 1;
}

static clora_status add_node(building *b, stretch under, unsigned char byte) {
    clora_status status = CLORA_OK;
    trie *t = b->t;

    TRY(alloc_grow((void **)&t->nodes, &t->capacity, t->count + 1, sizeof(*t->nodes)));
    TRY(alloc_grow((void **)&b->stretches, &b->capacity, t->count + 1, sizeof(*b->stretches)));
    b->stretches[t->count] = under;
    t->nodes[t->count++] = (trie_node){.token = -1, .byte = byte};
done:
    return status;
}

/* A node's token, and a child for each byte that follows. */
static clora_status expand(building *b, size_t node) {
    const stretch under = b->stretches[node];
    clora_status status = CLORA_OK;
    uint32_t at = under.first;

    while (at < under.end && b->entries[at].token.size == under.depth)
        b->t->nodes[node].token = b->entries[at++].place;
    b->t->nodes[node].child = (uint32_t)b->t->count;
    while (at < under.end) {
        const char byte = b->entries[at].token.text[under.depth];
        uint32_t end = at;
        while (end < under.end && b->entries[end].token.text[under.depth] == byte)
            end++;
        TRY(add_node(b, (stretch){at, end, under.depth + 1}, (unsigned char)byte));
        b->t->nodes[node].children++;
        at = end;
    }
done:
    return status;
}

clora_status trie_init(trie *t, const token_text *list, size_t count) {
    building b = {.t = t, .entries = alloc_array(count, sizeof(entry))};
    clora_status status = CLORA_OK;

    *t = (trie){0};
    if (!b.entries)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for %zu tokens", count));
    for (size_t i = 0; i < count; i++)
        b.entries[i] = (entry){head_of(&list[i]), list[i], (int32_t)i};
    qsort(b.entries, count, sizeof(entry), compare);
    TRY(add_node(&b, (stretch){0, (uint32_t)count, 0}, 0));
    for (size_t node = 0; node < t->count; node++)
        TRY(expand(&b, node));
done:
    free(b.entries);
    free(b.stretches);
    if (status != CLORA_OK)
        trie_finish(t);
    return status;
}

void trie_finish(trie *t) {
    free(t->nodes);
    *t = (trie){0};
}

uint32_t trie_step(const trie *t, uint32_t node, unsigned char byte) {
    uint32_t low = t->nodes[node].child, high = low + t->nodes[node].children;
    const uint32_t end = high;

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (t->nodes[middle].byte < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low < end && t->nodes[low].byte == byte ? low : 0;
}
