#ifndef CLORA_TRAIN_REFERENCE_H
#define CLORA_TRAIN_REFERENCE_H

#include "data/answers.h"

/* What the reference policy makes of each answer of a dataset. It never changes, so each is made once, in the first
 * epoch or before the model itself changes. */
typedef struct reference_scores {
    struct reference_scores *next; /* of other datasets: a trainer's training and validation data */
    const clora_dataset *dataset;  /* held */
    double *score;                 /* log-probability of each sequence; NAN: not made yet */
} reference_scores;

/* The list's of this dataset, which is added where there is none. */
clora_status reference_scores_find(reference_scores **out, reference_scores **list, const clora_dataset *dataset);
void reference_scores_free(reference_scores *list); /* NULL is allowed */

bool reference_scores_hold(const reference_scores *r, const answer_batch *batch);
bool reference_scores_hold_all(const reference_scores *r);

#endif
