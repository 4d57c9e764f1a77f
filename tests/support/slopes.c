#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/rng.h"
#include "support/slopes.h"

enum { MOST = 512 };

void fill(float *out, size_t n, unsigned seed) {
    for (size_t i = 0; i < n; i++)
        out[i] = 2.0f * rng_uniform(seed, 0, i) - 1.0f;
}

double weighted(const float *y, size_t n) {
    float weight[MOST];
    double sum = 0.0;

    assert_true(n <= MOST);
    weights(weight, n);
    for (size_t i = 0; i < n; i++)
        sum += (double)weight[i] * (double)y[i];
    return sum;
}

void weights(float *dy, size_t n) {
    fill(dy, n, 1);
}

static double central(loss_function loss, float *x, float step) {
    const float kept = *x, up = kept + step, down = kept - step;

    *x = up;
    const double above = loss();
    *x = down;
    const double below = loss();
    *x = kept;
    return (above - below) / ((double)up - (double)down);
}

/* Two step sizes, extrapolated: the error of fourth order is far below float's rounding. */
static double slope(loss_function loss, float *x) {
    return (4.0 * central(loss, x, 0.01f) - central(loss, x, 0.02f)) / 3.0;
}

void assert_gradient(loss_function loss, float *x, const float *gradient, size_t n) {
    double largest = 0.0;

    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)gradient[i]));
    assert_true(largest > 0.01); /* all zeros would prove nothing */
    for (size_t i = 0; i < n; i++) {
        const double expected = slope(loss, &x[i]), difference = fabs((double)gradient[i] - expected);
        if (!(difference <= 2e-4 * largest))
            fail_msg("element %zu: gradient %g, slope %g, largest %g", i, (double)gradient[i], expected, largest);
    }
}
