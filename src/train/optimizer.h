#ifndef CLORA_TRAIN_OPTIMIZER_H
#define CLORA_TRAIN_OPTIMIZER_H

#include <clora/train.h>

#include "methods/adapter.h"

/* Gradients and AdamW's moments of an adapter: buffers of the same sizes as its chunks. */
typedef struct optimizer {
    clora_adapter *adapter; /* borrowed */
    clora_tensor **gradient, **m, **v;
    clora_tensor *sums;  /* (chunks): sum of squares of each gradient chunk */
    clora_tensor *scale; /* (2): what gradients are multiplied by, and their norm */
} optimizer;

clora_status optimizer_create(optimizer **out, clora_adapter *adapter);
void optimizer_free(optimizer *o);

/* Bytes of parameters, gradients and moments. */
size_t optimizer_bytes(const optimizer *o);

clora_status optimizer_zero_gradients(optimizer *o);

/* The norm of gradients * factor; the scale for optimizer_update follows from it and clip. Waits. Not finite: *norm is
 * not. */
clora_status optimizer_norm(optimizer *o, float *norm, float factor, float clip);

/* One AdamW update, number step from 1. */
clora_status optimizer_update(optimizer *o, const clora_train_options *options, float lr, int step);

/* Name the first tensor whose gradient is not finite in a CLORA_ERROR_FORMAT. Waits. */
clora_status optimizer_blame(const optimizer *o, int step);

#endif
