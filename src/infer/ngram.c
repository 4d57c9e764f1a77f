#include "infer/ngram.h"

#include <math.h>
#include <string.h>

void ngram_ban(float *logits, const int32_t *ids, size_t count, int n) {
    const size_t before = (size_t)n - 1; /* ids of an n-gram before its last */

    if (n < 1 || count < (size_t)n)
        return;
    const int32_t *end = ids + count - before;
    for (size_t i = 0; i + before < count; i++)
        if (memcmp(ids + i, end, before * sizeof(*ids)) == 0)
            logits[ids[i + before]] = -INFINITY;
}
