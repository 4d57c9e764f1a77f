#ifndef CLORA_TOKENIZER_MERGES_H
#define CLORA_TOKENIZER_MERGES_H

#include <stdbool.h>

#include "tokenizer/vocab.h"

/* Two neighbouring tokens become one; the lower rank goes first. */
typedef struct merge {
    uint64_t pair; /* left id << 32 | right id */
    int32_t rank, id;
} merge;

typedef struct merges {
    merge *slots; /* open addressing; rank -1 is free */
    size_t mask;
    uint64_t multiplier; /* odd: see merges_slot */
    int shift;
    uint64_t *borders; /* the characters (last << 32 | first) between which some merge joins; UINT64_MAX is free */
} merges;

/* From ["a b", ...] or [["a", "b"], ...]. The right part loses the first prefix bytes when it is merged. */
clora_status merges_init(merges *m, const json_t *list, const vocab *v, size_t prefix, const char *where);

/* From scores: two tokens whose texts make a third become it, the one with the best score first. Those of equal scores
 * have one rank, so that the leftmost goes first. */
clora_status merges_init_scored(merges *m, const scored_vocab *scored, const vocab *v, const char *where);
void merges_finish(merges *m);

/* The highest bits of a product with a multiplier that no file foresees. */
static inline size_t merges_slot(const merges *m, uint64_t key) {
    return (size_t)((key * m->multiplier) >> m->shift);
}

/* The merge of two tokens, or NULL. */
static inline const merge *merges_find(const merges *m, int32_t left, int32_t right) {
    const uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    size_t slot = merges_slot(m, pair);

    while (m->slots[slot].rank >= 0) {
        if (m->slots[slot].pair == pair)
            return &m->slots[slot];
        slot = (slot + 1) & m->mask;
    }
    return NULL;
}

/* May any merge join a token that ends with one character and a token that begins with the other? */
bool merges_cross(const merges *m, uint32_t last, uint32_t first);

#endif
