#include "verdict.h"

#include "bench.h"

/* Middle and upper quarter of the rounds' ratios to the default. */
static void compare(double *middle, double *upper, const double *samples, const double *standard, int rounds) {
    enum { MOST = 256 };
    double ratio[MOST];
    const int n = rounds < MOST ? rounds : MOST;

    for (int i = 0; i < n; i++)
        ratio[i] = samples[i] / standard[i];
    *middle = bench_median(ratio, n);
    *upper = ratio[n * 3 / 4 < n ? n * 3 / 4 : n - 1];
}

verdict verdict_of(double *samples, int count, int rounds) {
    const double needed = 0.97;
    verdict v = {.winner = 0};
    double best = needed;

    for (int i = 1; i < count; i++) {
        double middle, upper;
        compare(&middle, &upper, samples + i * rounds, samples, rounds);
        if (middle <= best && upper < 1.0) {
            best = middle;
            v.winner = i;
        }
    }
    v.median = bench_median(samples + v.winner * rounds, rounds);
    v.minimum = samples[v.winner * rounds];
    v.spread = bench_spread(samples + v.winner * rounds, rounds);
    v.default_median = v.winner ? bench_median(samples, rounds) : v.median;
    return v;
}
