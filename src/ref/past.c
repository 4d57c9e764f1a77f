#include <string.h>

#include "ref/ref.h"

void ref_past_join(float *kv, const float *past, const float *x, int B, int P, int T, int W) {
    const size_t before = (size_t)P * (size_t)W, own = (size_t)T * (size_t)W;

    for (size_t b = 0; b < (size_t)B; b++) {
        memcpy(kv + b * (before + own), past, before * sizeof(*kv));
        if (T > 0)
            memcpy(kv + b * (before + own) + before, x + b * own, own * sizeof(*kv));
    }
}

void ref_past_split(float *dpast, float *dx, const float *dkv, int B, int P, int T, int W) {
    const size_t before = (size_t)P * (size_t)W, own = (size_t)T * (size_t)W;

    for (size_t b = 0; b < (size_t)B; b++)
        memcpy(dx + b * own, dkv + b * (before + own) + before, own * sizeof(*dx));
    for (size_t i = 0; dpast && i < before; i++) {
        double sum = (double)dpast[i];
        for (size_t b = 0; b < (size_t)B; b++)
            sum += (double)dkv[b * (before + own) + i];
        dpast[i] = (float)sum;
    }
}

void ref_past_embed(float *x, const float *past, const int32_t *ids, int M, int N, int P, int W) {
    const size_t width = (size_t)W;

    for (size_t m = 0; m < (size_t)M; m++)
        if (ids[m] >= N && ids[m] - N < P)
            memcpy(x + m * width, past + (size_t)(ids[m] - N) * width, width * sizeof(*x));
}

void ref_past_embed_backward(float *dpast, const float *dx, const int32_t *ids, int M, int N, int P, int W) {
    for (int i = 0; i < P * W; i++) {
        double sum = (double)dpast[i];
        for (int m = 0; m < M; m++)
            sum += ids[m] == N + i / W ? (double)dx[(size_t)m * (size_t)W + (size_t)(i % W)] : 0.0;
        dpast[i] = (float)sum;
    }
}
