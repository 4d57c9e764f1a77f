#include "ref/ref.h"

#include <math.h>

void ref_embedding(float *y, const int32_t *ids, const float *w, float scale, int M, int N, int K) {
    for (int m = 0; m < M; m++)
        for (int k = 0; k < K; k++)
            y[(size_t)m * (size_t)K + (size_t)k] =
                ids[m] >= 0 && ids[m] < N ? scale * w[(size_t)ids[m] * (size_t)K + (size_t)k] : NAN;
}

void ref_add_positions(float *x, const float *table, const int32_t *positions, int first, int M, int P, int C) {
    for (int m = 0; m < M; m++) {
        const int row = first + positions[m];
        for (int c = 0; c < C; c++)
            x[(size_t)m * (size_t)C + (size_t)c] +=
                row >= 0 && row < P ? table[(size_t)row * (size_t)C + (size_t)c] : NAN;
    }
}

void ref_embedding_dw(float *dw, const float *dy, const int32_t *ids, float scale, int M, int N, int K) {
    for (int n = 0; n < N; n++)
        for (int k = 0; k < K; k++) {
            const size_t at = (size_t)n * (size_t)K + (size_t)k;
            double sum = (double)dw[at];
            for (int m = 0; m < M; m++)
                if (ids[m] == n)
                    sum += (double)scale * (double)dy[(size_t)m * (size_t)K + (size_t)k];
            dw[at] = (float)sum;
        }
}
