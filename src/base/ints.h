#ifndef CLORA_BASE_INTS_H
#define CLORA_BASE_INTS_H

/* a / b, rounded up; b above 0. */
static inline int divide_up(int a, int b) {
    return (a + b - 1) / b;
}

static inline int least(int a, int b) {
    return a < b ? a : b;
}

#endif
