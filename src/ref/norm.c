#include "ref/ref.h"

#include <math.h>

static double factor(const float *g, int c, bool plus_one) {
    return (double)g[c] + (plus_one ? 1.0 : 0.0);
}

void ref_rmsnorm(float *y, float *rstd, const float *x, const float *g, float eps, bool plus_one, int M, int C) {
    for (int m = 0; m < M; m++) {
        const float *row = x + (size_t)m * (size_t)C;
        double squares = 0.0;
        for (int c = 0; c < C; c++)
            squares += (double)row[c] * (double)row[c];
        const double r = 1.0 / sqrt(squares / C + (double)eps);
        for (int c = 0; c < C; c++)
            y[(size_t)m * (size_t)C + (size_t)c] = (float)((double)row[c] * r * factor(g, c, plus_one));
        if (rstd)
            rstd[m] = (float)r;
    }
}

void ref_rmsnorm_apply(float *y, const float *x, const float *rstd, const float *g, bool plus_one, int M, int C) {
    for (int m = 0; m < M; m++)
        for (int c = 0; c < C; c++) {
            const size_t i = (size_t)m * (size_t)C + (size_t)c;
            y[i] = (float)((double)x[i] * (double)rstd[m] * factor(g, c, plus_one));
        }
}

void ref_rmsnorm_backward(float *dx, const float *dy, const float *x, const float *rstd, const float *g, bool plus_one,
                          int M, int C) {
    for (int m = 0; m < M; m++) {
        const size_t row = (size_t)m * (size_t)C;
        const double r = (double)rstd[m];
        double sum = 0.0;
        for (int c = 0; c < C; c++)
            sum += (double)dy[row + (size_t)c] * factor(g, c, plus_one) * (double)x[row + (size_t)c];
        for (int c = 0; c < C; c++) {
            const size_t i = row + (size_t)c;
            dx[i] += (float)(r * factor(g, c, plus_one) * (double)dy[i] - (double)x[i] * r * r * r / C * sum);
        }
    }
}

void ref_rmsnorm_dg(float *dg, const float *dy, const float *x, const float *rstd, int M, int C) {
    for (int c = 0; c < C; c++) {
        double sum = (double)dg[c];
        for (int m = 0; m < M; m++) {
            const size_t i = (size_t)m * (size_t)C + (size_t)c;
            sum += (double)dy[i] * (double)x[i] * (double)rstd[m];
        }
        dg[c] = (float)sum;
    }
}

void ref_layernorm(float *y, float *moments, const float *x, const float *g, const float *b, float eps, int M, int C) {
    for (int m = 0; m < M; m++) {
        const size_t row = (size_t)m * (size_t)C;
        double mean = 0.0, squares = 0.0;
        for (int c = 0; c < C; c++)
            mean += (double)x[row + (size_t)c] / C;
        for (int c = 0; c < C; c++)
            squares += ((double)x[row + (size_t)c] - mean) * ((double)x[row + (size_t)c] - mean);
        const double r = 1.0 / sqrt(squares / C + (double)eps);
        for (int c = 0; c < C; c++)
            y[row + (size_t)c] = (float)(((double)x[row + (size_t)c] - mean) * r * (double)g[c] + (double)b[c]);
        if (moments) {
            moments[2 * m] = (float)mean;
            moments[2 * m + 1] = (float)r;
        }
    }
}

void ref_layernorm_apply(float *y, const float *x, const float *moments, const float *g, const float *b, int M, int C) {
    for (int m = 0; m < M; m++)
        for (int c = 0; c < C; c++) {
            const size_t i = (size_t)m * (size_t)C + (size_t)c;
            const double n = ((double)x[i] - (double)moments[2 * m]) * (double)moments[2 * m + 1];
            y[i] = (float)(n * (double)g[c] + (double)b[c]);
        }
}

void ref_layernorm_backward(float *dx, const float *dy, const float *x, const float *moments, const float *g, int M,
                            int C) {
    for (int m = 0; m < M; m++) {
        const size_t row = (size_t)m * (size_t)C;
        const double mean = (double)moments[2 * m], r = (double)moments[2 * m + 1];
        double sum = 0.0, products = 0.0;
        for (int c = 0; c < C; c++) {
            const double d = (double)dy[row + (size_t)c] * (double)g[c];
            sum += d;
            products += d * ((double)x[row + (size_t)c] - mean) * r;
        }
        for (int c = 0; c < C; c++) {
            const size_t i = row + (size_t)c;
            const double n = ((double)x[i] - mean) * r;
            dx[i] += (float)(r * ((double)g[c] * (double)dy[i] - sum / C - n * products / C));
        }
    }
}

void ref_layernorm_dg(float *dg, const float *dy, const float *x, const float *moments, int M, int C) {
    for (int c = 0; c < C; c++) {
        double sum = (double)dg[c];
        for (int m = 0; m < M; m++) {
            const size_t i = (size_t)m * (size_t)C + (size_t)c;
            sum += (double)dy[i] * ((double)x[i] - (double)moments[2 * m]) * (double)moments[2 * m + 1];
        }
        dg[c] = (float)sum;
    }
}
