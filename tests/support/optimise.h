#ifndef CLORA_TESTS_OPTIMISE_H
#define CLORA_TESTS_OPTIMISE_H

#include <stdbool.h>
#include <stdlib.h>

/* Whether PoCL optimises what it compiles from now on, which takes most of the time of kernels that run once. */
static inline void optimise(bool yes) {
    if (yes)
        unsetenv("POCL_EXTRA_BUILD_FLAGS");
    else
        setenv("POCL_EXTRA_BUILD_FLAGS", "-cl-opt-disable", 1);
}

#endif
