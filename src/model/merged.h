#ifndef CLORA_MODEL_MERGED_H
#define CLORA_MODEL_MERGED_H

#include "methods/selection.h"
#include "model/kept_base.h"

/*
 * An adapter that is merged into the weights of a running model. Its weights lie where they lay, so that launches,
 * recorded steps and layouts are the base's; its terms are marked, so that nobody adds them once more. (switch.c)
 */
typedef struct merged_state {
    base_merged base;
    bool broken;      /* some weights may hold one adapter and some another: nothing may be computed with them */
    unsigned changes; /* how often the weights have changed */
    kept_base kept;
    clora_tensor *outside; /* i32 (projections): where a sum was not finite */
} merged_state;

/* An error where a merge that failed has left weights in between. */
clora_status merged_check_whole(const merged_state *m);

/* An error where the selection of n sequences does not go with what the weights are: another adapter's terms, or
 * training, while one is merged. */
clora_status merged_check_selection(const merged_state *m, const selection *s, int n);

/* An error while an adapter is merged: for what wants the base's own weights. */
clora_status merged_check_none(const merged_state *m);

/* Nothing is merged any more, or the model is freed: W0 needs no keeping. */
void merged_finish(clora_model *model);

#endif
