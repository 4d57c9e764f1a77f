#include "ref/ref.h"

#include <math.h>

float ref_sum_squares(const float *x, size_t n) {
    double sum = 0.0;

    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return (float)sum;
}

void ref_clip_scale(float scale[2], const float *sums, int n, float factor, float clip) {
    double sum = 0.0;

    for (int i = 0; i < n; i++)
        sum += (double)sums[i];
    const double norm = sqrt(sum) * (double)factor;
    scale[0] = factor;
    if (clip > 0.0f)
        scale[0] = (float)((double)factor * fmin(1.0, (double)clip / (norm + 1e-6)));
    if (!isfinite(norm))
        scale[0] = NAN;
    scale[1] = (float)norm;
}

void ref_adamw(float *p, float *m, float *v, const float *g, float scale, ref_adamw_options o, size_t n) {
    const double lr = (double)o.lr, b1 = (double)o.beta1, b2 = (double)o.beta2;

    for (size_t i = 0; i < n && !isnan(scale); i++) {
        const double gi = (double)g[i] * (double)scale, mi = b1 * (double)m[i] + (1.0 - b1) * gi,
                     vi = b2 * (double)v[i] + (1.0 - b2) * gi * gi;
        const double step = mi / (1.0 - pow(b1, o.step)) / (sqrt(vi / (1.0 - pow(b2, o.step))) + (double)o.eps);
        m[i] = (float)mi;
        v[i] = (float)vi;
        p[i] = (float)((double)p[i] * (1.0 - lr * (double)o.weight_decay) - lr * step);
    }
}
