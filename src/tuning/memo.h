#ifndef CLORA_TUNING_MEMO_H
#define CLORA_TUNING_MEMO_H

#include <stdatomic.h>

#include "tuning/entry.h"

/* An answer that was given before. The name is compared by address: another literal of the same text is
 * another slot. */
typedef struct memo_slot {
    const char *kernel;
    kernel_key key;
    tuning_entry found;
    bool is_noted; /* in the plan of launches */
} memo_slot;

/* Open addressing; the count is a power of two. */
typedef struct memo {
    memo_slot *slots;
    size_t count, used;
    atomic_uint cleared; /* how often */
} memo;

/* The slot of an answer: one without a kernel when it was not given yet, to be filled and counted as used. NULL without
 * memory. */
memo_slot *memo_find(memo *m, const char *kernel, const kernel_key *key);

/* Is there an answer with these values from this source? */
bool memo_holds(const memo *m, const tuning_entry *answer);

void memo_clear(memo *m);
void memo_finish(memo *m);

#endif
