#ifndef CLORA_AUTOTUNE_SEARCH_SURROGATE_H
#define CLORA_AUTOTUNE_SEARCH_SURROGATE_H

#include "device/kernels.h"

/*
 * What the times of some configurations say of the others: a Gaussian process on the logarithms of times, in which
 * configurations are the more alike the more parameters they share (Rasmussen and Williams 2006, algorithm 2.1).
 */

enum { SURROGATE_POINTS = 192 /* a fit takes the cube of it */ };

/* A configuration as places in the lists of values, and its time. */
typedef struct visit {
    int at[KERNEL_PARAMETERS];
    double time;
} visit;

typedef struct surrogate {
    int dims, count;
    const visit *points[SURROGATE_POINTS];
    double alike[KERNEL_PARAMETERS + 1]; /* covariance by the number of parameters that differ */
    double best;                         /* the least logarithm */
    double mean, variance;
    double factor[SURROGATE_POINTS][SURROGATE_POINTS]; /* of the covariance of the points, Cholesky's */
    double rest[SURROGATE_POINTS];                     /* factor^-1 (logarithms - mean) */
} surrogate;

/* Fit to at most SURROGATE_POINTS visits, which must outlive the surrogate; one of them is finite at least. */
void surrogate_fit(surrogate *m, int dims, const visit *visits, int count);

/* Of a configuration, by how much the logarithm of its time is expected to fall below the least: 0.01 is 1 %. */
double surrogate_gain(const surrogate *m, const int *at);

#endif
