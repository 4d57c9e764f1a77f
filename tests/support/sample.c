#include "support/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/rng.h"

void sample_begin(test_sample *sample) {
    const char *given = getenv("CLORA_TEST_SEED");

    *sample = (test_sample){.seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL)};
    if (!getenv("CLORA_TEST_LONG"))
        print_message("a sample; CLORA_TEST_SEED=%u repeats it, CLORA_TEST_LONG=1 takes all\n", sample->seed);
}

bool sample_takes(test_sample *sample, int of) {
    return getenv("CLORA_TEST_LONG") || rng_bits(sample->seed, 0, sample->drawn++) % (unsigned)of == 0;
}

bool sample_takes_one(test_sample *sample, int at, int of) {
    if (at == 0)
        sample->one = (int)(rng_bits(sample->seed, 0, sample->drawn++) % (unsigned)of);
    return getenv("CLORA_TEST_LONG") || at == sample->one;
}
