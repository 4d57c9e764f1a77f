#include "search/verdict.h"

#include "meter/meter.h"

/* Middle of the rounds' ratios to the default, and the share of rounds that were faster than it. */
static void compare(double *middle, double *faster, const double *samples, const double *standard, int rounds) {
    enum { MOST = 256 };
    double ratio[MOST];
    const int n = rounds < MOST ? rounds : MOST;
    int wins = 0;

    for (int i = 0; i < n; i++) {
        ratio[i] = samples[i] / standard[i];
        wins += ratio[i] < 1.0;
    }
    *middle = meter_median(ratio, n);
    *faster = (double)wins / n;
}

verdict verdict_of(double *samples, int count, int rounds) {
    const double needed = 0.97, often = 0.7;
    verdict v = {.winner = 0};
    double best = needed;

    for (int i = 1; i < count; i++) {
        double middle, faster;
        compare(&middle, &faster, samples + i * rounds, samples, rounds);
        if (middle <= best && faster >= often) {
            best = middle;
            v.winner = i;
        }
    }
    v.median = meter_median(samples + v.winner * rounds, rounds);
    v.minimum = samples[v.winner * rounds];
    v.spread = meter_spread(samples + v.winner * rounds, rounds);
    v.default_median = v.winner ? v.median / best : v.median; /* in the same rounds: medians alone may drift apart */
    return v;
}
