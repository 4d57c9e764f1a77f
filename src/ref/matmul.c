#include "ref/ref.h"

void ref_matmul(float *y, const float *x, const float *w, const float *residual, const float *bias, int M, int N,
                int K) {
    for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++) {
            const float *row = x + (size_t)m * (size_t)K, *weights = w + (size_t)n * (size_t)K;
            const size_t at = (size_t)m * (size_t)N + (size_t)n;
            double sum = (residual ? (double)residual[at] : 0.0) + (bias ? (double)bias[n] : 0.0);
            for (int k = 0; k < K; k++)
                sum += (double)row[k] * (double)weights[k];
            y[at] = (float)sum;
        }
}

void ref_matmul_dx(float *dx, const float *dy, const float *w, bool accumulate, int M, int N, int K) {
    for (int m = 0; m < M; m++)
        for (int k = 0; k < K; k++) {
            const size_t at = (size_t)m * (size_t)K + (size_t)k;
            double sum = accumulate ? (double)dx[at] : 0.0;
            for (int n = 0; n < N; n++)
                sum += (double)dy[(size_t)m * (size_t)N + (size_t)n] * (double)w[(size_t)n * (size_t)K + (size_t)k];
            dx[at] = (float)sum;
        }
}

void ref_matmul_dw(float *dw, const float *dy, const float *x, int M, int N, int K) {
    for (int n = 0; n < N; n++)
        for (int k = 0; k < K; k++) {
            const size_t at = (size_t)n * (size_t)K + (size_t)k;
            double sum = (double)dw[at];
            for (int m = 0; m < M; m++)
                sum += (double)dy[(size_t)m * (size_t)N + (size_t)n] * (double)x[(size_t)m * (size_t)K + (size_t)k];
            dw[at] = (float)sum;
        }
}

void ref_matmul_dbias(float *dbias, const float *dy, int M, int N) {
    for (int n = 0; n < N; n++) {
        double sum = (double)dbias[n];
        for (int m = 0; m < M; m++)
            sum += (double)dy[(size_t)m * (size_t)N + (size_t)n];
        dbias[n] = (float)sum;
    }
}
