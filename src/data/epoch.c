#include "data/epoch.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "data/dataset_store.h"

/* Sequences of a file that an epoch has. */
static size_t drawn_of(const dataset_part *part) {
    const double n = round(part->weight * (double)part->count);

    return n < 1 ? 1 : (size_t)n;
}

clora_status epoch_order_init(epoch_order *out, const clora_dataset *dataset, bool shuffle, uint64_t seed) {
    size_t largest = 0;

    *out = (epoch_order){.dataset = dataset, .shuffle = shuffle, .seed = seed};
    out->count = dataset->part ? 0 : dataset->count;
    for (size_t i = 0; i < dataset->parts; i++) {
        out->count += drawn_of(&dataset->part[i]);
        largest = dataset->part[i].count > largest ? dataset->part[i].count : largest;
    }
    out->order = alloc_array(out->count, sizeof(*out->order));
    out->drawn = dataset->part ? alloc_array(out->count, sizeof(*out->drawn)) : NULL;
    out->deck = dataset->part ? alloc_array(largest, sizeof(*out->deck)) : NULL;
    if (!out->order || (dataset->part && (!out->drawn || !out->deck)))
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for an epoch of %zu sequences", out->count);
    return CLORA_OK;
}

void epoch_order_finish(epoch_order *order) {
    free(order->order);
    free(order->drawn);
    free(order->deck);
    *order = (epoch_order){.order = NULL};
}

static void permute(size_t *out, size_t n, bool shuffle, uint64_t seed, uint32_t stream) {
    if (shuffle)
        rng_permutation(out, n, seed, stream);
    else
        for (size_t i = 0; i < n; i++)
            out[i] = i;
}

/* A file is a deck that is dealt from epoch to epoch, and shuffled when it is used up. Returns how many were dealt. */
static size_t deal(size_t *out, epoch_order *order, size_t i, uint32_t epoch) {
    const dataset_part *part = &order->dataset->part[i];
    const size_t n = part->count, dealt = drawn_of(part);
    size_t round = (size_t)((uint64_t)epoch * dealt / n), place = (size_t)((uint64_t)epoch * dealt % n);

    for (size_t k = 0; k < dealt; k++) {
        if (k == 0 || place == n) {
            round += place == n;
            place = place == n ? 0 : place;
            permute(order->deck, n, order->shuffle, order->seed + i + 1, (uint32_t)round);
        }
        out[k] = part->first + order->deck[place++];
    }
    return dealt;
}

void epoch_order_start(epoch_order *order, uint32_t epoch) {
    size_t count = 0;

    permute(order->order, order->count, order->shuffle, order->seed, epoch);
    if (!order->drawn)
        return;
    for (size_t i = 0; i < order->dataset->parts; i++)
        count += deal(order->drawn + count, order, i, epoch);
    for (size_t k = 0; k < order->count; k++)
        order->order[k] = order->drawn[order->order[k]];
}
