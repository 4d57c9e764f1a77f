#ifndef CLORA_BASE_INTS_H
#define CLORA_BASE_INTS_H

#include <stddef.h>

/* a / b, rounded up; b above 0. */
static inline int divide_up(int a, int b) {
    return (a + b - 1) / b;
}

static inline size_t divide_up_size(size_t a, size_t b) {
    return (a + b - 1) / b;
}

/* The next multiple of step. */
static inline size_t round_up(size_t n, size_t step) {
    return divide_up_size(n, step) * step;
}

static inline int least(int a, int b) {
    return a < b ? a : b;
}

static inline int most(int a, int b) {
    return a > b ? a : b;
}

#endif
