#ifndef CLORA_TRAIN_PREFERENCE_H
#define CLORA_TRAIN_PREFERENCE_H

#include "data/answers.h"
#include "methods/selection.h"
#include "model/workspace.h"
#include "train/objective.h"
#include "train/preference_loss.h"
#include "train/reference.h"

/*
 * Learning from preferences. A loss of whole answers depends on the sums of their ids' log-probabilities, so its
 * gradient is that of each row's likelihood times a number for each answer. A micro-batch is: a forward pass of the
 * reference policy where it has not scored the answers yet, one of the policy with the head's backward pass, the loss
 * on the host, each row of the head's gradient times what the loss says, and the rest of the backward pass.
 */
typedef struct preference {
    const preference_rule *rule;
    preference_options options;
    answer_loader *loader;
    clora_adapter *reference; /* held; NULL: the base alone */
    reference_scores *known;  /* borrowed: what it made of the dataset so far */
    workspace *ws;            /* borrowed, for the loader's largest batch */
    float *nll, *weight;      /* (rows) each row's likelihood, and how much it counts */
    scored_answer *scored;    /* (rows) the answers of a batch */
} preference;

/* The loader; the workspace is to be of its shape, and comes with preference_begin. `known` lists what the reference
 * made of datasets until now, and outlives it. */
clora_status preference_create(preference **out, const clora_adapter *adapter, const clora_dataset *dataset,
                               reference_scores **known, const clora_train_options *options);
clora_status preference_begin(preference *p, workspace *ws);
void preference_free(preference *p); /* NULL is allowed */

/* The reference's scores of the first so many batches of all, before the model changes; the loader stays there. */
clora_status preference_look_ahead(preference *p, size_t batches);

/* The next micro-batch through the forward passes, with `gradient` also back through the head, where all rows weigh 1.
 * Its sums are added. */
clora_status preference_judge(preference *p, const selection *policy, bool gradient, objective_sums *sums);

/* The same, and back: gradients are added too. */
clora_status preference_micro_batch(preference *p, const selection *policy, objective_sums *sums);

/* The means that the sums are of. */
clora_rewards preference_rewards(const preference *p, const objective_sums *sums);

/* clora_trainer_evaluate() on preferences. (preference_evaluate.c) */
clora_status preference_evaluate(clora_evaluate_result *out, clora_trainer *trainer, const clora_dataset *dataset,
                                 clora_progress progress, void *user);

#endif
