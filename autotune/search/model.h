#ifndef CLORA_AUTOTUNE_SEARCH_MODEL_H
#define CLORA_AUTOTUNE_SEARCH_MODEL_H

#include "device/kernels.h"

/*
 * What the times of some configurations say of the others: a Gaussian process on the logarithms of times, in which
 * configurations are the more alike the more parameters they share (Rasmussen and Williams 2006, algorithm 2.1).
 */

enum { MODEL_POINTS = 192 /* a fit takes the cube of it */ };

/* A configuration as places in the lists of values, and its time. */
typedef struct visit {
    int at[KERNEL_PARAMETERS];
    double time;
} visit;

typedef struct model {
    int dims, count;
    const visit *points[MODEL_POINTS];
    double alike[KERNEL_PARAMETERS + 1]; /* covariance by the number of parameters that differ */
    double best;                         /* the least logarithm */
    double mean, variance;
    double factor[MODEL_POINTS][MODEL_POINTS]; /* of the covariance of the points, Cholesky's */
    double rest[MODEL_POINTS];                 /* factor^-1 (logarithms - mean) */
} model;

/* Fit to at most MODEL_POINTS visits, which must outlive the model; one of them is finite at least. */
void model_fit(model *m, int dims, const visit *visits, int count);

/* Of a configuration, by how much the logarithm of its time is expected to fall below the least: 0.01 is 1 %. */
double model_gain(const model *m, const int *at);

#endif
