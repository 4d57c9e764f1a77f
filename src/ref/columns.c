#include "ref/ref.h"

void ref_scale_columns(float *y, const float *x, const float *residual, const float *bias, const float *factors, int M,
                       int C) {
    for (int m = 0; m < M; m++)
        for (int c = 0; c < C; c++) {
            const size_t i = (size_t)m * (size_t)C + (size_t)c;
            const double first = (residual ? (double)residual[i] : 0.0) + (bias ? (double)bias[c] : 0.0);
            y[i] = (float)(first + (double)factors[c] * (double)x[i]);
        }
}

void ref_column_dots(float *d, const float *dy, const float *x, const float *factors, int M, int C) {
    for (int c = 0; c < C; c++) {
        double sum = 0.0;
        for (int m = 0; m < M; m++) {
            const size_t i = (size_t)m * (size_t)C + (size_t)c;
            sum += (double)dy[i] * (x ? (double)x[i] : 1.0);
        }
        d[c] = (float)((double)d[c] + (double)factors[c] * sum);
    }
}
