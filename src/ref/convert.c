#include "ref/ref.h"

void ref_scale(float *x, float factor, size_t n) {
    for (size_t i = 0; i < n; i++)
        x[i] *= factor;
}

void ref_scale_rows(float *x, const float *factors, int M, int C) {
    for (int m = 0; m < M; m++)
        for (int c = 0; c < C; c++)
            x[(size_t)m * (size_t)C + (size_t)c] *= factors[m];
}
