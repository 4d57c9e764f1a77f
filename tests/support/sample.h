#ifndef CLORA_TESTS_SAMPLE_H
#define CLORA_TESTS_SAMPLE_H

#include <stdbool.h>

/*
 * Draws, where all would be too many. The seed is CLORA_TEST_SEED, else another in each run, and is printed;
 * CLORA_TEST_LONG=1 takes all.
 */
typedef struct test_sample {
    unsigned seed, drawn;
} test_sample;

void sample_begin(test_sample *sample);

/* One of `of` things is taken. */
bool sample_takes(test_sample *sample, int of);

#endif
