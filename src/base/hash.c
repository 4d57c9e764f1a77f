#include "base/hash.h"

#include <stddef.h>
#include <sys/random.h>
#include <time.h>

uint64_t hash_seed(void) {
    uint64_t seed;
    struct timespec now = {0};

    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) == (ssize_t)sizeof(seed))
        return seed;
    clock_gettime(CLOCK_MONOTONIC, &now); /* a kernel without it, or one that has just begun */
    return ((uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec) + (uint64_t)(uintptr_t)&now;
}
