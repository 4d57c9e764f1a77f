#ifndef CLORA_TRAIN_CLASSIFY_H
#define CLORA_TRAIN_CLASSIFY_H

#include "data/dataset.h"
#include "methods/adapter.h"
#include "train/objective.h"

/*
 * Labels of texts. An adapter's head tells them in place of the next token (model/head.h), and each text has one
 * target, at its last id: the objective is the likelihood, here as there.
 */

/* The adapter (or NULL) tells the labels that the data have, or there are none on either side. */
clora_status classify_check(const clora_dataset *dataset, const clora_adapter *adapter);

/* What an evaluation counts of each label. */
typedef struct label_counts {
    int labels;
    int64_t *right, *wanted, *told; /* (labels) texts: told so and rightly; that have it; told so */
    float *logits;                  /* (max_rows, labels) */
    const clora_batch *batch;       /* of the step in hand; borrowed */
} label_counts;

clora_status label_counts_init(label_counts *c, int labels, int max_rows);
void label_counts_finish(label_counts *c);

/* The likelihood, and what is told is counted. c is borrowed. */
objective objective_counting(label_counts *c);

/* The mean F1 of the labels that occur, told or had. */
double label_counts_f1(const label_counts *c);

#endif
