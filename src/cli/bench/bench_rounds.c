#include <stdlib.h>

#include "cli/bench/cmd_bench.h"

static int32_t random_id(uint64_t *seed, int vocab) {
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (int32_t)((*seed >> 33) % (uint64_t)vocab);
}

int32_t *bench_random_ids(const bench_state *state, size_t count) {
    const int vocab = clora_model_get_info(state->model)->vocab;
    int32_t *ids = malloc(count * sizeof(*ids));
    uint64_t seed = 1;

    for (size_t i = 0; ids && i < count; i++)
        ids[i] = random_id(&seed, vocab);
    return ids;
}

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void bench_sort(bench_times *times) {
    qsort(times->seconds, (size_t)times->count, sizeof(double), by_size);
}
