#include "ref/ref.h"

#include <math.h>
#include <stdlib.h>

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

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

void ref_dynamic_map(double map[256], bool is_signed) {
    enum { DECADES = 7 };
    int used = 0;

    for (int i = 0; i < DECADES; i++) {
        const int steps = is_signed ? 1 << i : 2 << i;
        for (int k = 0; k < steps; k++) {
            const double part = pow(10.0, i - DECADES + 1) * (0.1 + 0.9 * (k + 0.5) / steps);
            map[used++] = part;
            if (is_signed)
                map[used++] = -part;
        }
    }
    map[used++] = 0.0;
    map[used++] = 1.0;
    qsort(map, (size_t)used, sizeof(*map), by_value);
}

static uint8_t nearest(const double map[256], double x) {
    int best = 0;

    for (int i = 1; i < 256; i++)
        if (fabs(map[i] - x) < fabs(map[best] - x))
            best = i;
    return (uint8_t)best;
}

/* A block's values to codes; returns the largest magnitude, which they are parts of. */
static float encode(uint8_t *codes, const double map[256], const double *values, size_t n) {
    double most = 0.0;

    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs(values[i]));
    for (size_t i = 0; i < n; i++)
        codes[i] = nearest(map, most > 0.0 ? values[i] / most : 0.0);
    return (float)most;
}

void ref_adamw8bit(float *p, const ref_moments *s, const float *g, float scale, ref_adamw_options o, size_t n) {
    enum { BLOCK = 256 };
    const double lr = (double)o.lr, b1 = (double)o.beta1, b2 = (double)o.beta2;
    double m_map[256], v_map[256], m[BLOCK], v[BLOCK];

    ref_dynamic_map(m_map, true);
    ref_dynamic_map(v_map, false);
    for (size_t at = 0; at < n && !isnan(scale); at += BLOCK) {
        const size_t block = at / BLOCK, count = n - at < BLOCK ? n - at : BLOCK;
        for (size_t k = 0; k < count; k++) {
            const double gi = (double)g[at + k] * (double)scale;
            m[k] = b1 * m_map[s->m[at + k]] * (double)s->m_most[block] + (1.0 - b1) * gi;
            v[k] = b2 * v_map[s->v[at + k]] * (double)s->v_most[block] + (1.0 - b2) * gi * gi;
            const double step = m[k] / (1.0 - pow(b1, o.step)) / (sqrt(v[k] / (1.0 - pow(b2, o.step))) + (double)o.eps);
            p[at + k] = (float)((double)p[at + k] * (1.0 - lr * (double)o.weight_decay) - lr * step);
        }
        s->m_most[block] = encode(s->m + at, m_map, m, count);
        s->v_most[block] = encode(s->v + at, v_map, v, count);
    }
}

void ref_sgd(float *p, float *b, const float *g, float scale, float lr, float momentum, float weight_decay, size_t n) {
    for (size_t i = 0; i < n && !isnan(scale); i++) {
        double step = (double)g[i] * (double)scale + (double)weight_decay * (double)p[i];
        if (momentum > 0.0f) {
            step += (double)momentum * (double)b[i];
            b[i] = (float)step;
        }
        p[i] = (float)((double)p[i] - (double)lr * step);
    }
}
