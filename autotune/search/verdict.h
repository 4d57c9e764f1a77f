#ifndef CLORA_AUTOTUNE_SEARCH_VERDICT_H
#define CLORA_AUTOTUNE_SEARCH_VERDICT_H

#include <stdbool.h>

/* Who wins a play-off: samples[i * rounds + round], configuration 0 is the default. */
typedef struct verdict {
    int winner;
    double median, minimum, spread; /* of the winner */
    double default_median;
} verdict;

/*
 * The default is replaced only by one that was at least 3 % faster in the middle of the rounds, and faster in seven
 * rounds of ten: rounds are compared with one another, so that a slow moment hits both. The samples are not kept.
 */
verdict verdict_of(double *samples, int count, int rounds);

#endif
