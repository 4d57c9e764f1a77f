#ifndef CLORA_DATA_EPOCH_H
#define CLORA_DATA_EPOCH_H

#include "data/dataset.h"

/* Which sequences an epoch has, and in which order: from the files' weights, the seed and the epoch alone. */
typedef struct epoch_order {
    const clora_dataset *dataset; /* borrowed */
    bool shuffle;
    uint64_t seed;
    size_t count;  /* sequences of an epoch */
    size_t *order; /* (count) */
    size_t *drawn; /* (count) those of an epoch, file by file; NULL where each sequence comes once */
    size_t *deck;  /* a file's sequences as they are drawn */
} epoch_order;

clora_status epoch_order_init(epoch_order *out, const clora_dataset *dataset, bool shuffle, uint64_t seed);
void epoch_order_finish(epoch_order *order);

/* Fill order for an epoch. */
void epoch_order_start(epoch_order *order, uint32_t epoch);

#endif
