#include "ref/ref.h"

#include <math.h>

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
