#ifndef CLORA_TRAIN_OBJECTIVE_H
#define CLORA_TRAIN_OBJECTIVE_H

#include "model/head.h"

/* Some rows of a step, as an objective sees them. */
typedef struct objective_rows {
    int row;                     /* the first, where they are of all the step's */
    clora_tensor logits;         /* (n, V); with `gradient` overwritten = d(sum of loss) / d(logits) */
    clora_tensor targets;        /* i32 (n); negative: nothing to learn */
    const clora_tensor *weights; /* f32 (n): how much each row counts; NULL: 1 */
    clora_tensor loss, hit; /* f32 (n) overwritten: each row's loss, and whether its target is the most probable id */
} objective_rows;

/* What is minimised: the sum of a loss of each row. Each objective has a file of its own. */
typedef struct objective {
    clora_status (*run)(const void *options, objective_rows *rows, bool gradient);
    const void *options; /* borrowed: what the objective's own file says */
    bool all_rows;       /* it wants to see those without a target too */
} objective;

/* The negative log likelihood of each target. (likelihood.c) */
extern const objective objective_likelihood;

/* The same with smoothed labels: of each target *smoothing goes to all ids alike. (likelihood.c) */
objective objective_smoothed(const float *smoothing);

/* What the answers of preferences got: train/preference.h. */
typedef struct reward_sums {
    double reward[2]; /* of rejected or undesirable answers, and of the others */
    int answers[2];
    int won; /* pairs whose chosen answer has the larger reward */
    double kl;
    int batches;
} reward_sums;

/* Sums over the micro-batches of an update. */
typedef struct objective_sums {
    double loss;
    int units; /* what the loss is a mean over: learnt ids; of preferences pairs, or answers */
    int tokens, learnt;
    reward_sums rewards;
} objective_sums;

/*
 * ws->nll and ws->hit of every row of the step in hand, which model_forward has gone through; the head's logits are
 * made chunk by chunk, and none of rows without a target, unless the objective wants them or the head trains, whose
 * gradient is a sum over all rows. weights f32 (M), or NULL. With `gradient` also dnorm (M, C) = d(sum of losses) /
 * d(normed), and the gradients of the head's own term accumulate.
 */
clora_status objective_run(objective objective, workspace *ws, const selection *select, const clora_tensor *weights,
                           bool gradient);

#endif
