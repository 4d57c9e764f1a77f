#ifndef CLORA_TRAIN_PREFERENCE_LOSS_H
#define CLORA_TRAIN_PREFERENCE_LOSS_H

#include <stdbool.h>
#include <stddef.h>

#include <clora/train.h>

/*
 * What is minimised on preferences, on the host: the model gives log-probabilities of whole answers, and all that its
 * backward pass wants to know is how the loss changes with each. The definitions are TRL's.
 */

/* An answer's log-probabilities, summed over its ids, and what a loss makes of them. */
typedef struct scored_answer {
    double policy, reference;
    int count; /* ids */
    bool desirable;
    double slope;  /* d(loss) / d(policy) */
    double reward; /* what the policy gives it, as the log shows it */
} scored_answer;

typedef struct preference_options {
    double beta, label_smoothing;
    double kl; /* KTO: how far the policy has gone from the reference */
} preference_options;

/* The loss of a pair (the chosen answer, then the rejected one), or of one answer; sets slopes and rewards. */
typedef double (*preference_loss)(scored_answer *answer, const preference_options *options);

typedef struct preference_rule {
    const char *name;
    clora_data_kind data;
    preference_loss loss;
    bool reference;      /* compares with the reference policy */
    bool learns_prompts; /* the likelihood of the desirable answers and their prompts counts too */
    bool kl;
} preference_rule;

/* NULL for none of these. */
const preference_rule *preference_rule_of(clora_preference preference);

#endif
