#ifndef CLORA_TRAIN_OWN_OBJECTIVE_H
#define CLORA_TRAIN_OWN_OBJECTIVE_H

#include <clora/objective.h>

#include "data/dataset.h"
#include "train/objective.h"

/* An objective of the program's own, at work on a batch. */
typedef struct own_objective {
    clora_objective objective;
    const clora_batch *batch; /* of the step in hand; borrowed */
    int32_t *rows;            /* 0, 1, 2, ... */
} own_objective;

/* For batches of at most max_rows. The given one is copied. */
clora_status own_objective_init(own_objective *o, const clora_objective *given, int max_rows);
void own_objective_finish(own_objective *o);

/* o is borrowed. */
objective own_objective_of(const own_objective *o);

#endif
