#include "tokenizer/index.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/alloc.h"
#include "base/hash.h"

clora_status token_index_init(token_index *index, size_t count) {
    size_t slots = 16;

    while (slots < count * 2)
        slots *= 2;
    *index = (token_index){.mask = slots - 1, .seed = hash_seed()};
    index->slots = alloc_array(slots, sizeof(*index->slots));
    if (!index->slots)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for %zu tokens", count);
    for (size_t i = 0; i < slots; i++)
        index->slots[i] = -1;
    return CLORA_OK;
}

void token_index_finish(token_index *index) {
    free(index->slots);
    *index = (token_index){0};
}

static size_t slot_of(const token_index *index, const token_text *list, const char *text, size_t size) {
    size_t slot = (size_t)XXH3_64bits_withSeed(text, size, index->seed) & index->mask;

    while (index->slots[slot] >= 0) {
        const token_text *token = &list[index->slots[slot]];
        if (token->size == size && memcmp(token->text, text, size) == 0)
            break;
        slot = (slot + 1) & index->mask;
    }
    return slot;
}

int32_t token_index_find(const token_index *index, const token_text *list, const char *text, size_t size) {
    return index->slots[slot_of(index, list, text, size)];
}

void token_index_add(token_index *index, const token_text *list, int32_t place) {
    index->slots[slot_of(index, list, list[place].text, list[place].size)] = place;
}
