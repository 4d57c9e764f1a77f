#ifndef CLORA_TRAIN_OPTIMIZER_H
#define CLORA_TRAIN_OPTIMIZER_H

#include <clora/train.h>

#include "train/parameters.h"

enum { OPTIMIZER_STATES = 2 /* the most that a rule keeps */ };

/* What a rule keeps from update to update: an element for each scalar that trains. */
typedef struct optimizer_state {
    const char *name; /* PyTorch's */
    clora_dtype dtype;
} optimizer_state;

/* Parameters side by side that are updated alike: dense tensors of equal counts. */
typedef struct optimizer_span {
    clora_tensor value, gradient, state[OPTIMIZER_STATES];
    float lr, weight_decay; /* of this update */
} optimizer_span;

/* How parameters follow their gradients: each rule has a file of its own. */
typedef struct optimizer_rule {
    int states;
    optimizer_state state[OPTIMIZER_STATES];

    /* Value and state in place, with gradients scaled by scale[0] (op_clip_scale); step counts from 1. */
    clora_status (*update)(optimizer_span *span, const clora_tensor *scale, const clora_train_options *options,
                           int step);
} optimizer_rule;

extern const optimizer_rule optimizer_adamw; /* adamw.c */

/* Bytes for each scalar that trains: its value, its gradient and its state. */
size_t optimizer_scalar_bytes(const optimizer_rule *rule);

/* A rule at work on a list of parameters. */
typedef struct optimizer {
    const optimizer_rule *rule;
    const parameters *parameters; /* borrowed */
    clora_tensor **state;         /* rule->states for each buffer, of its size; zero at first */
    clora_tensor *sums;           /* (buffers): sum of squares of each gradient */
    clora_tensor *scale;          /* (2): what gradients are multiplied by, and their norm */
} optimizer;

clora_status optimizer_create(optimizer **out, const optimizer_rule *rule, const parameters *parameters);
void optimizer_free(optimizer *o);

/* The norm of all gradients * factor; the scale for optimizer_update follows from it and clip. Waits. Not finite: *norm
 * is not. */
clora_status optimizer_norm(optimizer *o, float *norm, float factor, float clip);

/* One update of all parameters, number step from 1. */
clora_status optimizer_update(optimizer *o, const clora_train_options *options, float lr, int step);

/* What is kept for parameter i under the name rule->state[which].name: a view. */
clora_tensor optimizer_view_state(const optimizer *o, size_t i, int which);

#endif
