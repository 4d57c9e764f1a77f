#include "ref/ref.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"

void ref_rmsnorm(float *y, float *rstd, const float *x, const float *g, float eps, int M, int C) {
    for (int m = 0; m < M; m++) {
        const float *row = x + (size_t)m * (size_t)C;
        double squares = 0.0;
        for (int c = 0; c < C; c++)
            squares += (double)row[c] * (double)row[c];
        const double r = 1.0 / sqrt(squares / C + (double)eps);
        for (int c = 0; c < C; c++)
            y[(size_t)m * (size_t)C + (size_t)c] = (float)((double)row[c] * r * (double)g[c]);
        if (rstd)
            rstd[m] = (float)r;
    }
}

void ref_rmsnorm_apply(float *y, const float *x, const float *rstd, const float *g, int M, int C) {
    for (int m = 0; m < M; m++)
        for (int c = 0; c < C; c++) {
            const size_t i = (size_t)m * (size_t)C + (size_t)c;
            y[i] = (float)((double)x[i] * (double)rstd[m] * (double)g[c]);
        }
}

void ref_rmsnorm_backward(float *dx, const float *dy, const float *x, const float *rstd, const float *g, int M, int C) {
    for (int m = 0; m < M; m++) {
        const size_t row = (size_t)m * (size_t)C;
        const double r = (double)rstd[m];
        double sum = 0.0;
        for (int c = 0; c < C; c++)
            sum += (double)dy[row + (size_t)c] * (double)g[c] * (double)x[row + (size_t)c];
        for (int c = 0; c < C; c++) {
            const size_t i = row + (size_t)c;
            dx[i] += (float)(r * (double)g[c] * (double)dy[i] - (double)x[i] * r * r * r / C * sum);
        }
    }
}

void ref_rope(float *x, const int32_t *positions, const float *table, int M, int heads, int D, bool inverse) {
    for (int m = 0; m < M; m++)
        for (int h = 0; h < heads; h++) {
            float *head = x + ((size_t)m * (size_t)heads + (size_t)h) * (size_t)D;
            const float *turn = table + (size_t)positions[m] * (size_t)D;
            for (int i = 0; i < D / 2; i++) {
                const double a = (double)head[i], b = (double)head[i + D / 2], c = (double)turn[i],
                             s = (double)(inverse ? -turn[i + D / 2] : turn[i + D / 2]);
                head[i] = (float)(a * c - b * s);
                head[i + D / 2] = (float)(b * c + a * s);
            }
        }
}

void ref_cache_store(float *cache, const float *x, const int32_t *past, int B, int T, int S, int W) {
    for (int b = 0; b < B; b++)
        for (int t = 0; t < T; t++)
            memcpy(cache + ((size_t)b * (size_t)S + (size_t)(past[b] + t)) * (size_t)W,
                   x + ((size_t)b * (size_t)T + (size_t)t) * (size_t)W, (size_t)W * sizeof(*x));
}

static double sigmoid(double x) {
    return 1.0 / (1.0 + exp(-x));
}

void ref_swiglu(float *y, const float *gu, int M, int F) {
    for (int m = 0; m < M; m++)
        for (int f = 0; f < F; f++) {
            const float *row = gu + (size_t)m * 2 * (size_t)F;
            const double g = (double)row[f], u = (double)row[F + f];
            y[(size_t)m * (size_t)F + (size_t)f] = (float)(g * sigmoid(g) * u);
        }
}

void ref_swiglu_backward(float *dgu, const float *dy, const float *gu, int M, int F) {
    for (int m = 0; m < M; m++)
        for (int f = 0; f < F; f++) {
            const size_t i = (size_t)m * 2 * (size_t)F + (size_t)f;
            const double g = (double)gu[i], u = (double)gu[i + (size_t)F], s = sigmoid(g),
                         d = (double)dy[(size_t)m * (size_t)F + (size_t)f];
            dgu[i] = (float)(d * u * s * (1.0 + g * (1.0 - s)));
            dgu[i + (size_t)F] = (float)(d * g * s);
        }
}

/* log sum exp of n finite numbers, NaN when one is not finite */
static double log_sum_exp(const float *x, int n) {
    double most = (double)x[0], sum = 0.0, odd = 0.0;

    for (int i = 0; i < n; i++) {
        most = fmax(most, (double)x[i]);
        odd += (double)x[i] * 0.0;
    }
    for (int i = 0; i < n; i++)
        sum += exp((double)x[i] - most);
    return most + log(sum) + odd;
}

/* Index of the largest, the lowest of equals. */
static int largest(const float *x, int n) {
    int at = 0;

    for (int i = 1; i < n; i++)
        if (x[i] > x[at])
            at = i;
    return at;
}

void ref_cross_entropy(float *nll, float *hit, float *logits, const int32_t *targets, const float *weights, int M,
                       int V, bool gradient) {
    for (int m = 0; m < M; m++) {
        float *row = logits + (size_t)m * (size_t)V;
        const int target = targets[m];
        const double lse = log_sum_exp(row, V), weight = weights ? (double)weights[m] : 1.0;
        nll[m] = target < 0 ? 0.0f : (float)(weight * (lse - (double)row[target]));
        hit[m] = target >= 0 && largest(row, V) == target ? 1.0f : 0.0f;
        for (int v = 0; v < V && gradient; v++)
            row[v] = target < 0 ? 0.0f : (float)(weight * (exp((double)row[v] - lse) - (v == target)));
    }
}

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
