#ifndef CLORA_TESTS_SAMPLE_H
#define CLORA_TESTS_SAMPLE_H

#include <stdbool.h>

/*
 * Draws, where all would be too many. The seed is CLORA_TEST_SEED, else another in each run, and is printed;
 * CLORA_TEST_LONG=1 takes all.
 */
typedef struct test_sample {
    unsigned seed, drawn;
    int one;
} test_sample;

void sample_begin(test_sample *sample);

/* One of `of` things is taken. */
bool sample_takes(test_sample *sample, int of);

/* Of `of` things that are asked for in their order, from 0 on, one is taken. */
bool sample_takes_one(test_sample *sample, int at, int of);

#endif
