#ifndef CLORA_TRAIN_TRAINER_H
#define CLORA_TRAIN_TRAINER_H

#include <clora/train.h>

#include "base/json.h"
#include "data/dataset.h"
#include "model/family.h"
#include "train/objective.h"
#include "train/optimizer.h"
#include "train/own_objective.h"
#include "train/preference.h"

/* A dataset made with another tokenizer may hold ids that the model has no embedding for. (batch.c) */
clora_status batch_check_ids(const clora_model *model, const clora_adapter *adapter, const clora_dataset *dataset);

/* Host staging and upload of a batch; the workspace takes its shape. (batch.c) */
clora_status batch_upload(workspace *ws, const clora_batch *batch);

/* The keys that the batch's rows see in layers with a window. (window.c) */
clora_status window_upload(workspace *ws, const clora_batch *batch);

/* Sums of nll and hits over the rows of the step in hand. Waits. (batch.c) */
clora_status batch_results(const workspace *ws, float *staging, double *nll, double *hits);

/* CLORA_ERROR_FORMAT for a loss that is not finite. (batch.c) */
clora_status batch_check_loss(float loss, int step);

/* Lend memory to gradients that are to be listed; without clipping they are used up in the backward pass, which
 * trainer_begin_use then comes before. (lend_gradients.c) */
clora_status trainer_lend_gradients(clora_trainer *t);
clora_status trainer_begin_use(clora_trainer *t, const clora_batch *batch);

/* The arena of an evaluation, planned. (evaluate.c) */
clora_status evaluation_plan(workspace **out, const clora_model *model, const clora_adapter *adapter, int batch_size,
                             int length);

struct clora_trainer {
    clora_model *model;
    clora_adapter *adapter;
    clora_train_options options;
    const clora_dataset *dataset; /* held by the loader */
    clora_loader *loader;         /* NULL where there is */
    preference *preference;       /* what learns from preferences, with a loader of its own */
    reference_scores *references;
    workspace *ws;
    objective objective;
    own_objective own; /* where it is the program's own */
    parameters parameters;
    gradient_lender lender; /* of some of their gradients: */
    size_t *lent;           /* floats of each layer's spare places; or else */
    clora_tensor *passing;  /* the one place of all */
    optimizer *optimizer;
    float *staging; /* max_rows floats */
    float lr;       /* of the update in hand */
    int step, steps;
    clora_rewards rewards;          /* of the last step, on preferences */
    clora_memory_plan plan;         /* as it was last asked for */
    int skipped;                    /* of these steps: they had no update */
    int64_t batches, batches_total; /* micro-batches so far, and of the whole run (0: no such limit) */
    json_t *terms;                  /* what the run is (checkpoint/), once a checkpoint has asked */
};

/* Where the run is in its data. */
batch_place trainer_place(const clora_trainer *t);
clora_status trainer_seek(clora_trainer *t, batch_place place);

/* A trainer in two steps, so that a plan needs no data: with its options checked, and with all that it has on the
 * device for micro-batches of at most B x T ids. */
clora_status trainer_begin(clora_trainer **out, clora_model *model, clora_adapter *adapter,
                           const clora_train_options *options);
clora_status trainer_allocate(clora_trainer *t, int B, int T);

#endif
