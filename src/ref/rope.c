#include "ref/ref.h"

#include <string.h>

void ref_rope(float *x, const int32_t *positions, const float *table, int M, int heads, int D, int W, bool inverse) {
    for (int m = 0; m < M; m++)
        for (int h = 0; h < heads; h++) {
            float *head = x + ((size_t)m * (size_t)heads + (size_t)h) * (size_t)D;
            const float *turn = table + (size_t)positions[m] * (size_t)W;
            for (int i = 0; i < W / 2; i++) {
                const double a = (double)head[i], b = (double)head[i + W / 2], c = (double)turn[i],
                             s = (double)(inverse ? -turn[i + W / 2] : turn[i + W / 2]);
                head[i] = (float)(a * c - b * s);
                head[i + W / 2] = (float)(b * c + a * s);
            }
        }
}

void ref_cache_store(float *cache, const float *x, const int32_t *past, int B, int T, int S, int W) {
    for (int b = 0; b < B; b++)
        for (int t = 0; t < T; t++)
            memcpy(cache + ((size_t)b * (size_t)S + (size_t)(past[b] + t)) * (size_t)W,
                   x + ((size_t)b * (size_t)T + (size_t)t) * (size_t)W, (size_t)W * sizeof(*x));
}

static size_t page_row(const int32_t *pages, int count, int page, int b, int s) {
    return (size_t)pages[(size_t)b * (size_t)count + (size_t)(s / page)] * (size_t)page + (size_t)(s % page);
}

void ref_pages_read(float *x, const float *in, const int32_t *pages, int count, int page, int B, int S, int W) {
    for (int i = 0; i < B * S; i++)
        memcpy(x + (size_t)i * (size_t)W, in + page_row(pages, count, page, i / S, i % S) * (size_t)W,
               (size_t)W * sizeof(*x));
}

void ref_pages_write(float *in, const float *x, const int32_t *pages, int count, int page, int B, int S, int W) {
    for (int i = 0; i < B * S; i++)
        memcpy(in + page_row(pages, count, page, i / S, i % S) * (size_t)W, x + (size_t)i * (size_t)W,
               (size_t)W * sizeof(*x));
}
