#ifndef CLORA_TESTS_ASSERT_H
#define CLORA_TESTS_ASSERT_H

/* Comparisons of arrays of floats. Include after cmocka.h. */

#include <math.h>
#include <stddef.h>

/* The limit is met; not `diff > limit`, which a NaN would pass. */
static inline int close_enough(float actual, float expected, double rtol, double atol) {
    if (actual == expected) /* infinities too */
        return 1;
    return fabs((double)actual - (double)expected) <= atol + rtol * fabs((double)expected);
}

/* |actual - expected| <= atol + rtol * |expected| for each of n elements; tells the first that differs and
 * the worst. */
static inline void assert_close(const float *actual, const float *expected, size_t n, double rtol, double atol) {
    size_t first = n, worst = n, wrong = 0;
    double largest = -1.0;

    for (size_t i = 0; i < n; i++) {
        const double diff = fabs((double)actual[i] - (double)expected[i]);
        if (close_enough(actual[i], expected[i], rtol, atol))
            continue;
        first = wrong++ == 0 ? i : first;
        if (!(diff <= largest)) {
            largest = diff;
            worst = i;
        }
    }
    if (wrong)
        fail_msg("%zu of %zu elements differ; first [%zu]: %.9g, wanted %.9g; worst [%zu]: %.9g, wanted %.9g", wrong, n,
                 first, (double)actual[first], (double)expected[first], worst, (double)actual[worst],
                 (double)expected[worst]);
}

/* |actual - expected| <= limit * (1 + |expected|) for each of n elements. */
static inline void assert_close_to_doubles(const float *actual, const double *expected, size_t n, double limit) {
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)actual[i] - expected[i]) <= limit * (1.0 + fabs(expected[i]))))
            fail_msg("element %zu of %zu: %g, expected %g", i, n, (double)actual[i], expected[i]);
}

#endif
