/**
 * @file clora/train.h
 * @brief Tier 4: train an adapter on a dataset; evaluate a model.
 *
 * The loss of an update is the mean negative log likelihood (natural logarithm) over its target tokens, with smoothed
 * labels where they are asked for, that of an objective of the program's own, or the mean over pairs of answers (or
 * answers) of a loss of preferences. An evaluation's is always the plain likelihood. The optimizer works on A
 * and B alone; W0 is only read.
 */
#ifndef CLORA_TRAIN_H
#define CLORA_TRAIN_H

#include <clora/adapter.h>
#include <clora/dataset.h>
#include <clora/objective.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @addtogroup tier4
 * @{
 */

/** Learning-rate schedule after warm-up, over the remaining updates. */
typedef enum clora_schedule {
    CLORA_SCHEDULE_CONSTANT = 0, /**< as it is */
    CLORA_SCHEDULE_LINEAR = 1,   /**< to zero */
    CLORA_SCHEDULE_COSINE = 2    /**< half a cosine to zero */
} clora_schedule;

/** How parameters follow their gradients (docs/optimizers.md). */
typedef enum clora_optimizer {
    CLORA_OPTIMIZER_ADAMW = 0,     /**< AdamW (Loshchilov and Hutter 2019), two moments in f32 */
    CLORA_OPTIMIZER_ADAMW8BIT = 1, /**< the same with moments of 8 bits in blocks of 256 (Dettmers et al. 2022);
                                        parameters of less than 4096 scalars keep those of f32 */
    CLORA_OPTIMIZER_SGD = 2        /**< gradient descent, with a momentum in f32 when it is above 0 */
} clora_optimizer;

/** What is minimised on data of preferences: TRL's definitions (docs/objectives.md). */
typedef enum clora_preference {
    CLORA_PREFERENCE_NONE = 0,  /**< there are none: the likelihood of each id of a target */
    CLORA_PREFERENCE_DPO = 1,   /**< direct preference optimization (Rafailov et al. 2023) */
    CLORA_PREFERENCE_IPO = 2,   /**< identity preference optimization (Azar et al. 2023) */
    CLORA_PREFERENCE_HINGE = 3, /**< the hinge of SLiC (Zhao et al. 2023) */
    CLORA_PREFERENCE_ORPO = 4,  /**< odds ratios, without a reference policy (Hong et al. 2024) */
    CLORA_PREFERENCE_KTO = 5    /**< Kahneman-Tversky optimization, on unpaired answers (Ethayarajh et al. 2024) */
} clora_preference;

/** How to train. */
typedef struct clora_train_options {
    size_t size;    /**< of this struct, as the caller knows it */
    int steps;      /**< updates; 0: from epochs (default 0) */
    double epochs;  /**< passes over the data when steps is 0 (default 1) */
    int batch_size; /**< rows in a micro-batch (default 4) */
    int accumulate; /**< micro-batches in an update (default 1) */
    int pack;       /**< 1: several sequences share a row (default 0) */
    int max_length; /**< longest row, in tokens: sizes the arena and packed rows (default 0: the dataset's longest) */
    int shuffle;    /**< 1: a new order each epoch (default 1) */
    uint64_t seed;  /**< of order and dropout (default 0) */
    float lr;       /**< learning rate (default 2e-4) */
    clora_schedule schedule; /**< of the learning rate (default constant) */
    int warmup;              /**< updates of linear warm-up (default 0) */
    float weight_decay;      /**< decoupled; of SGD a part of the gradient (default 0) */
    float clip;              /**< largest norm of all gradients together; 0 = off (default 1) */
    float beta1;             /**< AdamW's decay of the mean of gradients, in [0, 1) (default 0.9) */
    float beta2;             /**< AdamW's decay of the mean of their squares, in [0, 1) (default 0.999) */
    float eps;               /**< AdamW's, above 0 (default 1e-8) */
    int recompute;           /**< a clora_recompute: what is not kept but computed again (default 0, none) */
    float lora_plus_ratio;   /**< B's learning rate over A's, above 0: LoRA+ (Hayou et al. 2024,
                              https://arxiv.org/abs/2402.12354; default 1, which is LoRA) */
    float label_smoothing;   /**< s of each target goes to all ids of the vocabulary alike, 0 to 1 (Szegedy et al. 2016,
                              https://arxiv.org/abs/1512.00567, as PyTorch's cross_entropy; default 0); of DPO, the
                              share of pairs that are taken to be the wrong way round */
    const clora_objective *objective; /**< of the program's own instead of the likelihood; copied (default NULL) */
    clora_optimizer optimizer;        /**< (default AdamW) */
    float momentum;                   /**< SGD's decay of the sum of gradients, in [0, 1) (default 0) */
    clora_preference preference; /**< learn from preferences, by this loss; the dataset's kind must be the loss's, and
                                      batch_size counts prompts (default none) */
    float beta;                  /**< of that loss, above 0 (default 0.1) */
    clora_adapter *reference;    /**< of this model: what adapts the reference policy, as when an adapter is trained on;
                                      held (default NULL: the base alone) */
    int skip_nonfinite; /**< steps with a loss or gradient that is not finite that may change nothing and be passed
                             over; the next one ends the run. Not without clipping where a model's own weights train
                             (default 0) */
} clora_train_options;

/** The defaults of clora_train_options. */
#define CLORA_TRAIN_OPTIONS_INIT                                                                                    \
    {                                                                                                               \
        sizeof(clora_train_options), 0, 1.0, 4, 1, 0, 0, 1, 0, 2e-4f, CLORA_SCHEDULE_CONSTANT, 0, 0.0f, 1.0f, 0.9f, \
            0.999f, 1e-8f, 0, 1.0f, 0.0f, NULL, CLORA_OPTIMIZER_ADAMW, 0.0f, CLORA_PREFERENCE_NONE, 0.1f, NULL, 0   \
    }

/** How the policy judges the answers of an update: means of rewards, which are beta * log(policy / reference), and for
 * ORPO beta * the mean log-probability of an answer's ids. NaN where there are none to judge. */
typedef struct clora_rewards {
    size_t size;    /**< of this struct, as the caller knows it */
    float chosen;   /**< of chosen or desirable answers */
    float rejected; /**< of the others */
    float margin;   /**< chosen - rejected */
    float accuracy; /**< share of pairs whose chosen answer has the larger reward; NaN for KTO */
    float kl;       /**< KTO's: how far the policy is from the reference, in nats of an answer; NaN for the others */
} clora_rewards;

/** A clora_rewards to fill. */
#define CLORA_REWARDS_INIT \
    { sizeof(clora_rewards), 0.0f, 0.0f, 0.0f, 0.0f, 0.0f }

/** One update, after it is done. */
typedef struct clora_train_step {
    size_t size;                  /**< of this struct, as the caller knows it */
    int step;                     /**< this update, from 1 */
    int steps;                    /**< updates in the whole run */
    double epoch;                 /**< passes over the data so far */
    float loss;                   /**< before the update */
    float lr;                     /**< used by the update; B's is lora_plus_ratio times this */
    float grad_norm;              /**< before clipping */
    int tokens;                   /**< non-padding ids of the update */
    int target_tokens;            /**< ids of the update that count in the loss */
    double seconds;               /**< of this update */
    const clora_rewards *rewards; /**< on preferences, borrowed until the next step; else NULL */
    int skipped; /**< steps of the run so far that were passed over, with this one if its loss or grad_norm
                                is not finite */
} clora_train_step;

/** A clora_train_step to fill. */
#define CLORA_TRAIN_STEP_INIT \
    { sizeof(clora_train_step), 0, 0, 0.0, 0.0f, 0.0f, 0.0f, 0, 0, 0.0, NULL, 0 }

/** A training run: the adapter's gradients and moments, the arena, the place in the data. One thread at a time. */
typedef struct clora_trainer clora_trainer;

/**
 * Prepare a run. Allocates all that it will need; nothing grows later. Waits.
 *
 * @param[out]    out      yours to free with clora_trainer_free()
 * @param[in]     model    only read; kept until the trainer is freed
 * @param[in,out] adapter  of this model; trained in place by the steps; kept until the trainer is freed
 * @param[in]     dataset  only read; kept until the trainer is freed
 * @param[in]     options  NULL for the defaults
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT for an option outside its limits, an adapter of another model, an id outside
 * the model's vocabulary or a sequence longer than max_length or than the model has positions, CLORA_ERROR_MEMORY when
 * the device has not enough memory, CLORA_ERROR_OPENCL when it computes wrongly
 */
CLORA_API clora_status clora_trainer_create(clora_trainer **out, clora_model *model, clora_adapter *adapter,
                                            const clora_dataset *dataset, const clora_train_options *options);

/**
 * Free a trainer; the adapter stays as the last update left it. Waits for what was enqueued.
 *
 * @param[in] trainer  NULL is allowed
 */
CLORA_API void clora_trainer_free(clora_trainer *trainer);

/**
 * Updates in the whole run.
 *
 * @param[in] trainer  NULL: 0
 *
 * @return the number, at least 1
 */
CLORA_API int clora_trainer_steps(const clora_trainer *trainer);

/**
 * Device memory of the run, as allocated.
 *
 * @param[in] trainer  NULL: zeros
 *
 * @return bytes; borrowed until the next call on the trainer
 */
CLORA_API const clora_memory_plan *clora_trainer_plan(clora_trainer *trainer);

/**
 * What a trainer would take, without making it.
 *
 * @param[out] out       overwritten: what clora_trainer_plan() would say
 * @param[in]  model     of clora_model_outline()
 * @param[in]  adapter   made on it
 * @param[in]  options   of the trainer, but for the data; NULL for the defaults
 * @param[in]  length    tokens of the longest row, at least 1
 * @param[in]  validate  1: with a clora_evaluate() of the same batches while the trainer is there
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT for a model of clora_model_load() and as clora_trainer_create();
 * CLORA_ERROR_MEMORY when a single activation is larger than a buffer of the device may be
 */
CLORA_API clora_status clora_train_plan(clora_memory_plan *out, clora_model *model, clora_adapter *adapter,
                                        const clora_train_options *options, int length, int validate);

/**
 * Do one update and wait for it.
 *
 * @param[out]    out      overwritten: what the update was
 * @param[in,out] trainer  one update further
 *
 * @return CLORA_OK, also for a step that is passed over (skip_nonfinite); CLORA_ERROR_FORMAT when the loss or a
 * gradient is not finite: the message names step and tensor, and the adapter is as it was before the step;
 * CLORA_ERROR_ARGUMENT when without clipping a gradient of a model's own weights is not finite, which some have
 * followed then (docs/optimizers.md); CLORA_ERROR_NOT_FOUND when the run is over
 */
CLORA_API clora_status clora_trainer_step(clora_train_step *out, clora_trainer *trainer);

/**
 * Called after each update.
 *
 * @param[in] user  as handed to clora_train()
 * @param[in] step  what the update was; borrowed during the call
 *
 * @return non-zero to stop
 */
typedef int (*clora_train_callback)(void *user, const clora_train_step *step);

/**
 * Do a whole run: create a trainer, step until done or stopped, free it. Waits.
 *
 * @param[in]     model     only read
 * @param[in,out] adapter   of this model; trained in place
 * @param[in]     dataset   only read
 * @param[in]     options   NULL for the defaults
 * @param[in]     callback  told of each update; NULL for none
 * @param[in]     user      handed to the callback; borrowed
 *
 * @return CLORA_OK; CLORA_CANCELLED when the callback stopped the run: the adapter has the updates so far; else as
 * clora_trainer_create() and clora_trainer_step()
 */
CLORA_API clora_status clora_train(clora_model *model, clora_adapter *adapter, const clora_dataset *dataset,
                                   const clora_train_options *options, clora_train_callback callback, void *user);

/** The quality of a model on a dataset. */
typedef struct clora_evaluate_result {
    size_t size;           /**< of this struct, as the caller knows it */
    double loss;           /**< mean negative log likelihood per target token */
    double perplexity;     /**< exp(loss) */
    double accuracy;       /**< share of target tokens (of texts with labels: of these) that had the largest logit */
    int64_t target_tokens; /**< what the loss is the mean of */
    int64_t tokens;        /**< non-padding ids */
    int64_t sequences;     /**< of the dataset */
    double seconds;        /**< that it took */
    double f1;             /**< of texts with labels: the mean F1 of the labels that occur; else 0 */
} clora_evaluate_result;

/** A clora_evaluate_result to fill. */
#define CLORA_EVALUATE_RESULT_INIT \
    { sizeof(clora_evaluate_result), 0.0, 0.0, 0.0, 0, 0, 0, 0.0, 0.0 }

/** How to evaluate. */
typedef struct clora_evaluate_options {
    size_t size;    /**< of this struct, as the caller knows it */
    int batch_size; /**< rows in a step, at least 1 (default 8) */
    int pack;       /**< 1: several sequences share a row (default 0) */
    int max_length; /**< tokens of the longest row, which packed ones have (default 0: the dataset's longest) */
    clora_progress progress; /**< told after each step of the sequences done (default NULL) */
    void *user;              /**< handed to progress; borrowed (default NULL) */
} clora_evaluate_options;

/** The defaults of clora_evaluate_options. */
#define CLORA_EVALUATE_OPTIONS_INIT \
    { sizeof(clora_evaluate_options), 8, 0, 0, NULL, NULL }

/**
 * Evaluate a model on all of a dataset, without dropout. Waits.
 *
 * @param[out] out      overwritten
 * @param[in]  model    only read
 * @param[in]  adapter  of this model; NULL for the base alone
 * @param[in]  dataset  only read
 * @param[in]  options  NULL for the defaults
 *
 * @return CLORA_OK; CLORA_CANCELLED when progress stopped it: out is of the sequences so far; CLORA_ERROR_ARGUMENT for
 * arguments that do not fit, as clora_trainer_create(); CLORA_ERROR_FORMAT when the loss is not finite
 */
CLORA_API clora_status clora_evaluate(clora_evaluate_result *out, clora_model *model, clora_adapter *adapter,
                                      const clora_dataset *dataset, const clora_evaluate_options *options);

/** How clora_evaluate_preferences() compares answers. */
typedef struct clora_preference_options {
    size_t size;                 /**< of this struct, as the caller knows it */
    clora_preference preference; /**< by this loss, whose kind of data the dataset's must be (default DPO) */
    float beta;                  /**< of the loss, above 0 (default 0.1) */
    float label_smoothing;       /**< of DPO, as in training (default 0) */
    int batch_size;              /**< prompts in a step, of KTO at least 2 (default 8) */
    clora_adapter *reference;    /**< of this model: what adapts the reference policy; borrowed (default NULL: the base
                                      alone) */
    clora_progress progress;     /**< told after each step of the answers done (default NULL) */
    void *user;                  /**< handed to progress; borrowed (default NULL) */
} clora_preference_options;

/** The defaults of clora_preference_options. */
#define CLORA_PREFERENCE_OPTIONS_INIT \
    { sizeof(clora_preference_options), CLORA_PREFERENCE_DPO, 0.1f, 0.0f, 8, NULL, NULL, NULL }

/**
 * Evaluate a policy on all of a dataset of preferences, without dropout. Waits.
 *
 * @param[out] out      overwritten; `loss` is the mean of the loss of preferences, `perplexity` NaN, and `accuracy` the
 *                      share of pairs whose chosen answer has the larger reward, NaN for KTO
 * @param[out] rewards  overwritten: means over the dataset
 * @param[in]  model    only read
 * @param[in]  adapter  of this model: the policy; NULL for the base alone
 * @param[in]  dataset  only read
 * @param[in]  options  NULL for the defaults
 *
 * @return as clora_evaluate()
 */
CLORA_API clora_status clora_evaluate_preferences(clora_evaluate_result *out, clora_rewards *rewards,
                                                  clora_model *model, clora_adapter *adapter,
                                                  const clora_dataset *dataset,
                                                  const clora_preference_options *options);

/**
 * Evaluate what a trainer trains on other data, as far as it has come: clora_evaluate() with the trainer's options, or
 * on preferences the trainer's loss of them, with its reference policy. Where the model's own weights train, that is
 * the model before the first step: data that are evaluated later are to be evaluated before it too. Waits.
 *
 * @param[out]    out       overwritten; of preferences `loss` is the mean of their loss, `perplexity` NaN, and
 *                          `accuracy` the share of pairs whose chosen answer has the larger reward, NaN for KTO
 * @param[in,out] trainer   stays where it is in its run
 * @param[in]     dataset   of the kind that it trains on; only read
 * @param[in]     progress  told after each step of the sequences done; NULL for none
 * @param[in]     user      handed to progress; borrowed
 *
 * @return as clora_evaluate(); CLORA_ERROR_UNSUPPORTED where the reference policy is not there any more
 */
CLORA_API clora_status clora_trainer_evaluate(clora_evaluate_result *out, clora_trainer *trainer,
                                              const clora_dataset *dataset, clora_progress progress, void *user);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
