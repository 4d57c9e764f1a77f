#ifndef CLORA_MODEL_EACH_TERMS_H
#define CLORA_MODEL_EACH_TERMS_H

#include "methods/selection.h"
#include "model/model.h"
#include "ops/lowrank_each.h"

/* The tables (ops/lowrank_each.h) of the sequences of a session that have an adapter each, for all projections: made
 * anew when a sequence has another adapter. */
typedef struct each_terms {
    const clora_model *model;
    clora_tensor *table; /* i32 (projections * most, EACH_INTS): of each projection `count` rows */
    int32_t *host;
    uint64_t *number; /* (most) of the adapters that are in the tables; 0: none */
    int most, count;
    uint64_t version; /* of the tables */
    unsigned changes; /* of the model's weights then: what is merged has no terms */
    int *ranks;       /* (projections) the largest; 0: nobody has a term there */
    each_buffers buffers;
    bool whole; /* all terms are there */
} each_terms;

clora_status each_terms_create(each_terms **out, const clora_model *model, int most);
void each_terms_free(each_terms *t);

/* Of n sequences, for the steps that follow. Waits when they are others than before. */
clora_status each_terms_set(each_terms *t, const clora_adapter *const *each, int n);

/* The rows of a projection. */
clora_tensor each_terms_table(const each_terms *t, int p);

#endif
