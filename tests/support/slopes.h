#ifndef CLORA_TESTS_SLOPES_H
#define CLORA_TESTS_SLOPES_H

#include <stddef.h>

/*
 * Finite differences. An operation is seen as loss(x) = sum of weight[i] * f(x)[i] with fixed weights; its backward
 * with dy = weight must give d loss / dx.
 */

/* Uniform values in [-1, 1), the same for the same seed. */
void fill(float *out, size_t n, unsigned seed);

/* The loss of an operation's output, and its gradient, dy. */
double weighted(const float *y, size_t n);
void weights(float *dy, size_t n);

typedef double (*loss_function)(void);

/* gradient[] against the slope of the loss along each of x[] */
void assert_gradient(loss_function loss, float *x, const float *gradient, size_t n);

#endif
