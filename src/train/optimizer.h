#ifndef CLORA_TRAIN_OPTIMIZER_H
#define CLORA_TRAIN_OPTIMIZER_H

#include <clora/train.h>

#include "train/parameters.h"

enum { OPTIMIZER_STATES = 4 /* the most that a rule keeps */ };

/* What a rule keeps from update to update, zero at first. */
typedef struct optimizer_state {
    const char *name;
    clora_dtype dtype; /* f32, or i32 for whatever else four bytes hold */
    int elements;      /* for each block of scalars */
} optimizer_state;

/* Parameters side by side that are updated alike: dense tensors. */
typedef struct optimizer_span {
    clora_tensor value, gradient, state[OPTIMIZER_STATES];
    float lr, weight_decay; /* of this update */
} optimizer_span;

/* How parameters follow their gradients: each rule has a file of its own. */
typedef struct optimizer_rule {
    int block; /* scalars, from each parameter's first on, that share elements of the state */
    int states;
    optimizer_state state[OPTIMIZER_STATES];

    /* Value and state in place, with gradients scaled by scale[0] (op_clip_scale); step counts from 1. */
    clora_status (*update)(optimizer_span *span, const clora_tensor *scale, const clora_train_options *options,
                           int step);

    unsigned self_check; /* its group of operations (device/self_check.h), where not all trainings have it */

    /* Parameters of less than `least` scalars follow this rule instead. */
    const struct optimizer_rule *small;
    size_t least;
} optimizer_rule;

extern const optimizer_rule optimizer_adamw;                       /* adamw.c */
extern const optimizer_rule optimizer_adamw8bit;                   /* adamw8bit.c */
extern const optimizer_rule optimizer_sgd, optimizer_sgd_momentum; /* sgd.c */

/* The rule that the options ask for. */
const optimizer_rule *optimizer_find(const clora_train_options *options);

/* Parameters from one to another of the list, which one call of a rule updates. */
typedef struct optimizer_run {
    const optimizer_rule *rule;
    size_t first, last;
    optimizer_span span;
} optimizer_run;

/* A rule at work on a list of parameters. */
typedef struct optimizer {
    const optimizer_rule *rule;
    const parameters *parameters; /* borrowed */
    optimizer_run *run;
    size_t runs;
    clora_tensor **state; /* OPTIMIZER_STATES for each buffer, of all its runs; NULL where there is nothing */
    clora_tensor *sums;   /* (buffers): sum of squares of each gradient */
    clora_tensor *parts;  /* what one of them is summed up from */
    clora_tensor *scale;  /* (2): what gradients are multiplied by, and their norm */
} optimizer;

clora_status optimizer_create(optimizer **out, const optimizer_rule *rule, const parameters *parameters);
void optimizer_free(optimizer *o);

/* Device memory of all that it keeps. */
size_t optimizer_bytes(const optimizer *o);

/* The norm of all gradients * factor; the scale for optimizer_update follows from it and clip. Waits. Not finite: *norm
 * is not. */
clora_status optimizer_norm(optimizer *o, float *norm, float factor, float clip);

/* One update of all parameters, number step from 1. */
clora_status optimizer_update(optimizer *o, const clora_train_options *options, float lr, int step);

/*
 * Without clipping the factor is all of the scale, and a gradient can be used up as soon as it is made: begin before
 * the backward pass, and then update those buffers. optimizer_norm and optimizer_update do the rest.
 */
clora_status optimizer_begin(optimizer *o, float factor);
clora_status optimizer_update_buffer(optimizer *o, int buffer, const clora_train_options *options, float lr, int step);

/* The rule that parameter i follows, and what is kept for it under the name of the rule's state `which`: a view. */
const optimizer_rule *optimizer_rule_of(const optimizer *o, size_t i);
clora_tensor optimizer_view_state(const optimizer *o, size_t i, int which);

#endif
