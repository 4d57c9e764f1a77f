/**
 * @file clora/train.h
 * @brief Tier 4: train an adapter on a dataset; evaluate a model.
 *
 * The loss of an update is the mean negative log likelihood (natural logarithm) over its learnt ids. The optimizer is
 * AdamW (Loshchilov and Hutter 2019) on A and B alone; W0 is only read.
 */
#ifndef CLORA_TRAIN_H
#define CLORA_TRAIN_H

#include <clora/adapter.h>
#include <clora/dataset.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Course of the learning rate after warm-up, over the remaining updates. */
typedef enum clora_schedule {
    CLORA_SCHEDULE_CONSTANT = 0,
    CLORA_SCHEDULE_LINEAR = 1, /**< to zero */
    CLORA_SCHEDULE_COSINE = 2  /**< half a cosine to zero */
} clora_schedule;

/** How to train. */
typedef struct clora_train_options {
    int steps;      /**< updates; 0: from epochs (default 0) */
    double epochs;  /**< passes over the data when steps is 0 (default 1) */
    int batch_size; /**< rows in a micro-batch (default 4) */
    int accumulate; /**< micro-batches in an update (default 1) */
    int pack;       /**< 1: several sequences share a row (default 0) */
    int max_length; /**< longest row, in tokens: sizes the arena and packed rows (default 0: the dataset's longest) */
    int shuffle;    /**< 1: a new order each epoch (default 1) */
    uint64_t seed;  /**< of order and dropout (default 0) */
    float lr;       /**< learning rate (default 2e-4) */
    clora_schedule schedule; /**< (default constant) */
    int warmup;              /**< updates of linear warm-up (default 0) */
    float weight_decay;      /**< decoupled (default 0) */
    float clip;              /**< largest gradient norm; 0 = off (default 1) */
    float beta1, beta2, eps; /**< AdamW's (default 0.9, 0.999, 1e-8) */
    int recompute; /**< 1: keep only each layer's input and compute the layer again in the backward pass: the same bits
                      in less memory and more time (Chen et al. 2016, Training Deep Nets with Sublinear Memory Cost;
                      default 0) */
} clora_train_options;

#define CLORA_TRAIN_OPTIONS_INIT \
    { 0, 1.0, 4, 1, 0, 0, 1, 0, 2e-4f, CLORA_SCHEDULE_CONSTANT, 0, 0.0f, 1.0f, 0.9f, 0.999f, 1e-8f, 0 }

/** One update, after it is done. */
typedef struct clora_train_step {
    int step, steps; /**< this update, from 1, and how many there are */
    double epoch;    /**< passes over the data so far */
    float loss;      /**< before the update */
    float lr;        /**< used by the update */
    float grad_norm; /**< before clipping */
    int tokens;      /**< non-padding ids of the update */
    int learnt;      /**< learnt ids of the update */
    double seconds;  /**< of this update */
} clora_train_step;

/** A training run: the adapter's gradients and moments, the arena, the place in the data. */
typedef struct clora_trainer clora_trainer;

/**
 * Prepare a run. Allocates all that it will need; nothing grows later.
 *
 * @param[in] adapter  trained in place; kept, like model and dataset, until the trainer is freed
 */
CLORA_API clora_status clora_trainer_create(clora_trainer **out, clora_model *model, clora_adapter *adapter,
                                            const clora_dataset *dataset, const clora_train_options *options);
CLORA_API void clora_trainer_free(clora_trainer *trainer);

/** Updates in the whole run. */
CLORA_API int clora_trainer_steps(const clora_trainer *trainer);

/** Device memory of the run, as allocated. */
CLORA_API clora_memory_plan clora_trainer_plan(const clora_trainer *trainer);

/**
 * Do one update and wait for it.
 *
 * @return CLORA_ERROR_FORMAT when the loss or a gradient is not finite: the message names step and tensor, and the
 * adapter is as it was before the step. CLORA_ERROR_NOT_FOUND when the run is over.
 */
CLORA_API clora_status clora_trainer_step(clora_trainer *trainer, clora_train_step *out);

/** Called after each update; return non-zero to stop. */
typedef int (*clora_train_callback)(void *user, const clora_train_step *step);

/** All updates: create, step until done or stopped, free. @return CLORA_OK also when the callback stopped the run. */
CLORA_API clora_status clora_train(clora_model *model, clora_adapter *adapter, const clora_dataset *dataset,
                                   const clora_train_options *options, clora_train_callback callback, void *user);

/** The quality of a model on a dataset. */
typedef struct clora_eval_result {
    double loss;       /**< mean negative log likelihood per learnt id */
    double perplexity; /**< exp(loss) */
    double accuracy;   /**< share of learnt ids that had the largest logit */
    int64_t learnt;    /**< learnt ids: what the loss is the mean of */
    int64_t tokens;    /**< non-padding ids */
    int64_t sequences;
    double seconds;
} clora_eval_result;

/**
 * Evaluate. Waits.
 *
 * @param[in] adapter     NULL for the base alone
 * @param[in] batch_size  rows in a step, at least 1
 * @param[in] pack        1: several sequences share a row of max_length tokens
 * @param[in] max_length  longest row; 0: the dataset's longest
 * @param[in] progress    called with the sequences done so far; non-zero stops with CLORA_ERROR_ARGUMENT; NULL allowed
 */
CLORA_API clora_status clora_evaluate(clora_eval_result *out, clora_model *model, clora_adapter *adapter,
                                      const clora_dataset *dataset, int batch_size, int pack, int max_length,
                                      int (*progress)(void *user, int64_t done), void *user);

#ifdef __cplusplus
}
#endif
#endif
