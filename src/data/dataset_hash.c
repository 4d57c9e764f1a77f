#include <stdio.h>

#include <xxhash.h>

#include "data/dataset.h"

static void add_sequence(XXH3_state_t *state, const clora_dataset *dataset, size_t i) {
    const int32_t *ids, *labels;
    const int32_t n = clora_dataset_sequence(dataset, i, &ids, &labels);

    XXH3_128bits_update(state, &n, sizeof(n));
    XXH3_128bits_update(state, ids, (size_t)n * sizeof(*ids));
    XXH3_128bits_update(state, labels, (size_t)n * sizeof(*labels));
}

/* How a row of preferences is parted into prompt and answers shows in the labels. */
clora_status clora_dataset_hash(char *out, const clora_dataset *dataset) {
    NEED(out);
    NEED(dataset);
    XXH3_state_t *state = XXH3_createState();
    if (!state)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to hash a dataset");
    XXH3_128bits_reset(state);
    for (size_t i = 0; i < clora_dataset_count(dataset); i++)
        add_sequence(state, dataset, i);
    const XXH128_hash_t hash = XXH3_128bits_digest(state);
    snprintf(out, 33, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
    XXH3_freeState(state);
    return CLORA_OK;
}
