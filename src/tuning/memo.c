#include "tuning/memo.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/alloc.h"

static memo_slot *find(const memo *m, const char *kernel, const kernel_key *key) {
    const struct {
        const char *kernel;
        int numbers[5], zero;
    } hashed = {kernel, {key->dtype, key->M, key->N, key->K, key->R}, 0};
    size_t at = (size_t)XXH3_64bits(&hashed, sizeof(hashed));

    for (;; at++) {
        memo_slot *slot = &m->slots[at & (m->count - 1)];
        if (!slot->kernel || (slot->kernel == kernel && kernel_key_is(&slot->key, key)))
            return slot;
    }
}

/* Room for one more: at least half of the slots stay free. False without memory. */
static bool grow(memo *m) {
    enum { FIRST = 128 };
    const size_t old_count = m->count;
    memo_slot *const old = m->slots;

    if (old_count > 2 * m->used)
        return true;
    const size_t count = old_count ? 2 * old_count : FIRST;
    memo_slot *slots = alloc_array(count, sizeof(*slots));
    if (!slots)
        return false;
    m->slots = slots;
    m->count = count;
    for (size_t i = 0; i < old_count; i++)
        if (old[i].kernel)
            *find(m, old[i].kernel, &old[i].key) = old[i];
    free(old);
    return true;
}

memo_slot *memo_find(memo *m, const char *kernel, const kernel_key *key) {
    return grow(m) ? find(m, kernel, key) : NULL;
}

bool memo_holds(const memo *m, const tuning_entry *answer) {
    for (size_t i = 0; i < m->count; i++) {
        const tuning_entry *found = &m->slots[i].found;
        if (m->slots[i].kernel && found->row == answer->row && found->source == answer->source &&
            memcmp(found->values, answer->values, sizeof(found->values)) == 0)
            return true;
    }
    return false;
}

void memo_clear(memo *m) {
    if (m->used)
        memset(m->slots, 0, m->count * sizeof(*m->slots));
    m->used = 0;
    m->cleared++;
}

void memo_finish(memo *m) {
    free(m->slots);
    *m = (memo){0};
}
