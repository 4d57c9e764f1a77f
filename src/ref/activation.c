#include "ref/ref.h"

#include <math.h>

static double sigmoid(double x) {
    return 1.0 / (1.0 + exp(-x));
}

/* gelu by its tanh is x/2 * (1 + tanh(c * (x + a * x^3))) = x * sigmoid(2 * c * (x + a * x^3)), which loses no digits
 * where it is nearly 0. */
static const double GELU_LINEAR = 1.5957691216057308 /* 2 * sqrt(2 / pi) */, GELU_CUBIC = 0.044715;

/* Both activations are g * sigmoid(inner(g)). */
static double inner(double g, bool gelu) {
    return gelu ? GELU_LINEAR * (g + GELU_CUBIC * g * g * g) : g;
}

static double slope(double g, bool gelu) {
    return gelu ? GELU_LINEAR * (1.0 + 3.0 * GELU_CUBIC * g * g) : 1.0;
}

void ref_swiglu(float *y, const float *gu, bool gelu, int M, int F) {
    for (int m = 0; m < M; m++)
        for (int f = 0; f < F; f++) {
            const float *row = gu + (size_t)m * 2 * (size_t)F;
            const double g = (double)row[f], u = (double)row[F + f];
            y[(size_t)m * (size_t)F + (size_t)f] = (float)(g * sigmoid(inner(g, gelu)) * u);
        }
}

void ref_swiglu_backward(float *dgu, const float *dy, const float *gu, bool gelu, int M, int F) {
    for (int m = 0; m < M; m++)
        for (int f = 0; f < F; f++) {
            const size_t i = (size_t)m * 2 * (size_t)F + (size_t)f;
            const double g = (double)gu[i], u = (double)gu[i + (size_t)F], s = sigmoid(inner(g, gelu)),
                         d = (double)dy[(size_t)m * (size_t)F + (size_t)f];
            dgu[i] = (float)(d * u * s * (1.0 + g * slope(g, gelu) * (1.0 - s)));
            dgu[i + (size_t)F] = (float)(d * g * s);
        }
}

void ref_gelu(float *y, const float *x, int M, int F) {
    for (size_t i = 0; i < (size_t)M * (size_t)F; i++) {
        const double v = (double)x[i];
        y[i] = (float)(v * sigmoid(inner(v, true)));
    }
}

void ref_gelu_backward(float *dx, const float *dy, const float *x, int M, int F) {
    for (size_t i = 0; i < (size_t)M * (size_t)F; i++) {
        const double v = (double)x[i], s = sigmoid(inner(v, true));
        dx[i] = (float)((double)dy[i] * (s + v * s * (1.0 - s) * slope(v, true)));
    }
}

void ref_softcap(float *y, const float *x, float cap, int M, int C) {
    for (size_t i = 0; i < (size_t)M * (size_t)C; i++)
        y[i] = (float)((double)cap * tanh((double)x[i] / (double)cap));
}

void ref_softcap_backward(float *dx, const float *x, float cap, int M, int C) {
    for (size_t i = 0; i < (size_t)M * (size_t)C; i++) {
        const double t = tanh((double)x[i] / (double)cap);
        dx[i] = (float)((double)dx[i] * (1.0 - t * t));
    }
}
