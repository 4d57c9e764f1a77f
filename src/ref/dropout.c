#include "ref/ref.h"

#include "base/rng.h"

static double dropped(float x, float p, uint64_t seed, uint32_t stream, size_t i) {
    return rng_uniform(seed, stream, i) >= p ? (double)x / (1.0 - (double)p) : 0.0;
}

void ref_dropout(float *y, const float *x, float p, uint64_t seed, uint32_t stream, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] = (float)dropped(x[i], p, seed, stream, i);
}

void ref_dropout_add(float *y, const float *x, float p, uint64_t seed, uint32_t stream, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] = (float)((double)y[i] + dropped(x[i], p, seed, stream, i));
}

void ref_dropout_rest(float *y, const float *x, float p, uint64_t seed, uint32_t stream, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] = (float)((double)x[i] - dropped(x[i], p, seed, stream, i));
}
