#include "ref/ref.h"

#include <math.h>

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

static double mean(const float *x, int n) {
    double sum = 0.0;

    for (int i = 0; i < n; i++)
        sum += (double)x[i];
    return sum / n;
}

void ref_cross_entropy(float *nll, float *hit, float *logits, const int32_t *targets, const float *weights,
                       float smoothing, int M, int V, bool gradient) {
    const double s = (double)smoothing;

    for (int m = 0; m < M; m++) {
        float *row = logits + (size_t)m * (size_t)V;
        const int target = targets[m];
        const double lse = log_sum_exp(row, V), weight = weights ? (double)weights[m] : 1.0;
        nll[m] = target < 0 ? 0.0f : (float)(weight * (lse - (1.0 - s) * (double)row[target] - s * mean(row, V)));
        hit[m] = target >= 0 && largest(row, V) == target ? 1.0f : 0.0f;
        for (int v = 0; v < V && gradient; v++)
            row[v] =
                target < 0 ? 0.0f : (float)(weight * (exp((double)row[v] - lse) - (1.0 - s) * (v == target) - s / V));
    }
}
