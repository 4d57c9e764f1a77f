#include <math.h>
#include <stdlib.h>

#include <xxhash.h>

#include "base/alloc.h"
#include "data/dataset.h"
#include "data/dataset_store.h"

/* What stays together: a sequence, or the answers to a prompt. */
typedef struct unit {
    uint64_t hash; /* of what it holds, and the seed */
    size_t index;
} unit;

static int by_hash(const void *a, const void *b) {
    const unit *x = a, *y = b;

    return x->hash != y->hash ? (x->hash > y->hash) - (x->hash < y->hash)
                              : (x->index > y->index) - (x->index < y->index);
}

static size_t sequences_of_unit(const clora_dataset *d) {
    return d->kind == CLORA_DATA_PREFERENCE ? 2 : 1;
}

/* Of all ids of a unit, then of all its labels. */
static uint64_t hash_unit(XXH64_state_t *state, const clora_dataset *d, size_t index, uint64_t seed) {
    const size_t per = sequences_of_unit(d), from = index * per, to = from + per;

    XXH64_reset(state, seed);
    for (size_t i = from; i < to; i++)
        XXH64_update(state, dataset_ids(d, i), d->place[i].count * sizeof(int32_t));
    XXH64_reset(state, XXH64_digest(state));
    for (size_t i = from; i < to; i++)
        XXH64_update(state, dataset_labels(d, i), d->place[i].count * sizeof(int32_t));
    return XXH64_digest(state);
}

/* Which units are held out. Equal ones are all on one side. */
static clora_status choose(unsigned char *held, const clora_dataset *d, size_t units, double share, uint64_t seed) {
    unit *sorted = alloc_array(units, sizeof(*sorted));
    XXH64_state_t *state = XXH64_createState();
    clora_status status = CLORA_OK;
    size_t count = (size_t)fmax(1.0, round(share * (double)units));

    if (!sorted || !state)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to split %zu sequences", units));
    for (size_t i = 0; i < units; i++)
        sorted[i] = (unit){hash_unit(state, d, i, seed), i};
    qsort(sorted, units, sizeof(*sorted), by_hash);
    while (count < units && sorted[count].hash == sorted[count - 1].hash)
        count++;
    for (size_t i = 0; i < count && i < units; i++)
        held[sorted[i].index] = 1;
    if (count >= units)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT,
                       "%zu of %zu rows that differ would be held out, and none is left to train on", count, units));
done:
    XXH64_freeState(state);
    free(sorted);
    return status;
}

/* ---- Two datasets of one, whose values they share ---- */

static clora_status new_part(clora_dataset **out, const clora_dataset *d) {
    clora_status status = CLORA_OK;
    int32_t number;

    TRY(dataset_new(out));
    shared_hold(&d->shared);
    (*out)->whole = d;
    (*out)->values = d->values;
    (*out)->kind = d->kind;
    (*out)->max_length = d->max_length;
    for (size_t i = 0; i < d->names; i++)
        TRY(dataset_find_label(&number, *out, d->name[i], true));
done:
    return status;
}

static clora_status add_unit(clora_dataset *to, const clora_dataset *d, size_t index) {
    const size_t per = sequences_of_unit(d);
    clora_status status = CLORA_OK;

    for (size_t i = index * per; i < (index + 1) * per; i++)
        TRY(dataset_share_sequence(to, d, i));
done:
    return status;
}

/* The sequences that are left of each file; one of which none is left is none of the rest's. */
static clora_status keep_parts(clora_dataset *rest, const clora_dataset *d, const unsigned char *held) {
    const size_t per = sequences_of_unit(d);
    size_t first = 0;

    if (!d->part)
        return CLORA_OK;
    rest->part = alloc_array(d->parts, sizeof(*rest->part));
    if (!rest->part)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for %zu data files", d->parts);
    for (size_t p = 0; p < d->parts; p++) {
        const dataset_part *part = &d->part[p];
        size_t count = 0;
        for (size_t i = part->first; i < part->first + part->count; i++)
            count += !held[i / per];
        if (count > 0)
            rest->part[rest->parts++] = (dataset_part){first, count, part->weight};
        first += count;
    }
    return CLORA_OK;
}

/* What was found when the files were read. */
static void keep_counts(clora_dataset *rest, const clora_dataset *d) {
    const clora_dataset_stats own = rest->stats;

    rest->stats = d->stats;
    rest->stats.sequences = own.sequences;
    rest->stats.tokens = own.tokens;
    rest->stats.target_tokens = own.target_tokens;
    rest->stats.longest = own.longest;
    rest->stats.largest_id = own.largest_id;
}

static clora_status split(clora_dataset *side[2], const clora_dataset *d, double share, uint64_t seed) {
    const size_t units = d->count / sequences_of_unit(d);
    unsigned char *held = alloc_array(units, 1);
    clora_status status = CLORA_OK;

    if (!held)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to split %zu sequences", units);
    TRY(choose(held, d, units, share, seed));
    TRY(new_part(&side[0], d));
    TRY(new_part(&side[1], d));
    for (size_t i = 0; i < units; i++)
        TRY(add_unit(side[held[i]], d, i));
    TRY(keep_parts(side[0], d, held));
    keep_counts(side[0], d);
done:
    free(held);
    return status;
}

clora_status clora_dataset_split(clora_dataset **rest, clora_dataset **held, const clora_dataset *dataset, double share,
                                 uint64_t seed) {
    clora_dataset *side[2] = {NULL, NULL};
    clora_status status = CLORA_OK;

    NEED(rest);
    *rest = NULL;
    NEED(held);
    *held = NULL;
    NEED(dataset);
    if (!(share > 0 && share < 1))
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "a share of %g to hold out; it is above 0 and below 1", share));
    TRY(split(side, dataset, share, seed));
    dataset_complete(side[0]);
    dataset_complete(side[1]);
    *rest = side[0];
    *held = side[1];
done:
    if (status != CLORA_OK) {
        clora_dataset_free(side[0]);
        clora_dataset_free(side[1]);
    }
    return clora_keep_cause(status);
}
