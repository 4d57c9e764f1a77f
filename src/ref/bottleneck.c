#include <math.h>

#include "ref/ref.h"

static double activated(double x, bool swish) {
    return swish ? x / (1.0 + exp(-x)) : x < 0.0 ? 0.0 : x;
}

static double slope(double x, bool swish) {
    const double s = 1.0 / (1.0 + exp(-x));
    return swish ? s * (1.0 + x * (1.0 - s)) : x > 0.0 ? 1.0 : 0.0;
}

void ref_activate(float *a, const float *z, const float *bias, bool swish, int M, int R) {
    for (int m = 0; m < M; m++) {
        float *out = a + (size_t)m * (size_t)(R + 1);
        for (int r = 0; r < R; r++)
            out[r] = (float)activated((double)z[(size_t)m * (size_t)R + (size_t)r] + (double)bias[r], swish);
        out[R] = 1.0f;
    }
}

void ref_activate_backward(float *dz, const float *da, const float *z, const float *bias, bool swish, int M, int R) {
    for (int m = 0; m < M; m++)
        for (int r = 0; r < R; r++) {
            const size_t i = (size_t)m * (size_t)R + (size_t)r;
            dz[i] = (float)((double)da[i + (size_t)m] * slope((double)z[i] + (double)bias[r], swish));
        }
}

static void add(float *y, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] += x[i];
}

static void begin(float *y, const float *start, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] = start ? start[i] : 0.0f;
}

void ref_bottleneck(float *y, float *z, float *a, const float *start, const float *x, const ref_bottleneck_values *b,
                    int M, int C, int R) {
    begin(y, start, (size_t)M * (size_t)C);
    ref_lowrank_down(z, R, x, b->down, 1.0f, M, C, R);
    ref_activate(a, z, b->bias, b->swish, M, R);
    ref_lowrank_up(y, C, a, R + 1, b->up, M, C, R + 1);
}

void ref_bottleneck_backward(float *dx, const ref_bottleneck_gradients *d, float *dz, float *da, const float *start,
                             const float *dy, const float *x, const float *z, const float *a,
                             const ref_bottleneck_values *b, int M, int C, int R) {
    ref_lowrank_down_grad(da, R + 1, dy, C, b->up, 1.0f, M, C, R + 1);
    ref_lowrank_grad_b(d->up, dy, C, a, R + 1, M, C, R + 1);
    ref_activate_backward(dz, da, z, b->bias, b->swish, M, R);
    for (int m = 0; m < M; m++)
        add(d->bias, dz + (size_t)m * (size_t)R, (size_t)R);
    ref_lowrank_grad_a(d->down, dz, R, x, M, C, R);
    begin(dx, start, (size_t)M * (size_t)C);
    ref_lowrank_dx(dx, dz, R, b->down, M, C, R);
}
