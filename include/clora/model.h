/**
 * @file clora/model.h
 * @brief Tier 3: a base model on the device, its weights frozen.
 *
 * A model is read from a Hugging Face directory (config.json and safetensors, docs/formats.md) and does not change, but
 * where its own weights train (clora/full.h) or an adapter is merged into them (clora_adapter_merge()), so that any
 * number of sessions and adapters share it. Its weights are on
 * the device once, in their file's type.
 */
#ifndef CLORA_MODEL_H
#define CLORA_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include <clora/context.h>
#include <clora/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @addtogroup tier3
 * @{
 */

/** A loaded model. Thread-safe to share; the work of all its sessions goes through one queue. */
typedef struct clora_model clora_model;

/** How to load. */
typedef struct clora_model_options {
    size_t size; /**< of this struct, as the caller knows it */
    int dtype;   /**< storage of the weights on the device: a clora_storage, or -1 for the file's own
                                  (default -1) */
    clora_progress
        progress; /**< clora_model_load(): told every few megabytes of the files, and at the beginning and the
                                  end (default NULL) */
    void *user;   /**< handed to progress; borrowed (default NULL) */
} clora_model_options;

/** The defaults of clora_model_options. */
#define CLORA_MODEL_OPTIONS_INIT \
    { sizeof(clora_model_options), -1, NULL, NULL }

/** Sizes of a model, from its config.json and the heads of its files. */
typedef struct clora_model_info {
    size_t size;            /**< of this struct, as the caller knows it */
    const char *model_type; /**< of the family, as config.json has it: "llama", "gpt2" */
    int layers;             /**< decoder layers */
    int hidden;             /**< width of the residual stream */
    int ffn;                /**< width inside of the MLP */
    int heads;              /**< query heads */
    int kv_heads;           /**< key and value heads, each for heads / kv_heads query heads */
    int head_dim;           /**< width of a head */
    int vocab;              /**< rows of the embedding: ids are below */
    int max_positions;      /**< most tokens of a sequence */
    int tied;               /**< 1 when the output head is the embedding table */
    int own_head;           /**< 1 when the files hold a head that differs from the embedding, although config.json ties
                              the two: it is used, as transformers 5 does */
    const char *dtype;      /**< storage type of the matrices on the device, such as "bf16", or "mixed" */
    int64_t parameters;     /**< scalars in the files */
    size_t device_bytes;    /**< device memory of the weights */
    int eos_count;   /**< ids that end a generation: generation_config.json's, else config.json's; besides them the
                              tokenizer's eos does (clora_generate()) */
    int32_t eos[8];  /**< (eos_count) ids */
    int eos_ignored; /**< ids in those files that are outside the vocabulary and passed over */
} clora_model_info;

/** A clora_model_info to fill. */
#define CLORA_MODEL_INFO_INIT \
    { sizeof(clora_model_info), NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, 0, 0, 0, {0}, 0 }

/** One linear layer that an adapter may target. */
typedef struct clora_module_info {
    const char *name; /**< Hugging Face path, such as "model.layers.0.self_attn.q_proj" */
    int out;          /**< N, outputs; W0 is (N, K) */
    int in;           /**< K, inputs */
    int is_head;      /**< 1 for the output head, which "all-linear" leaves out */
} clora_module_info;

/**
 * Read a model directory and put its weights on the device. Waits.
 *
 * Every tensor of the files must be used and every tensor that the model needs must be there, of the right shape,
 * finite. At the device's first use its operations are checked first (clora_context_create()).
 *
 * @param[out] out        yours to free with clora_model_free()
 * @param[in]  context    kept until the model is freed
 * @param[in]  directory  holds config.json and model.safetensors, or model.safetensors.index.json with shards
 * @param[in]  options    NULL for the defaults
 *
 * @return CLORA_OK; CLORA_CANCELLED when progress stopped it: there is no model then; CLORA_ERROR_UNSUPPORTED for a
 * model_type, activation or rope scaling that clora does not know (the
 * message names it), a tensor without a place in the model, and quantized weights; CLORA_ERROR_FORMAT for a file that
 * is not what it says; CLORA_ERROR_NOT_FOUND for a missing file or tensor; CLORA_ERROR_MEMORY when the device has not
 * enough memory; CLORA_ERROR_OPENCL when it computes wrongly
 */
CLORA_API clora_status clora_model_load(clora_model **out, clora_context *context, const char *directory,
                                        const clora_model_options *options);

/**
 * Make a model with fresh weights, to be trained from scratch (clora/full.h). Waits.
 *
 * As transformers makes one of the same configuration, with other random numbers: weights N(0, "initializer_range"^2),
 * the embedding's row of "pad_token_id" zero, gains 1, biases 0. Weights that the directory holds are not looked at.
 *
 * @param[out] out        yours to free with clora_model_free()
 * @param[in]  context    kept until the model is freed
 * @param[in]  directory  holds config.json, whose "dtype" (or "torch_dtype") is the type that the model is saved in
 * @param[in]  options    NULL for the defaults
 * @param[in]  seed       of the random numbers
 *
 * @return as clora_model_load()
 */
CLORA_API clora_status clora_model_create(clora_model **out, clora_context *context, const char *directory,
                                          const clora_model_options *options, uint64_t seed);

/**
 * Free a model. Sessions, adapters and trainers made from it keep it until they are freed.
 *
 * @param[in] model  NULL is allowed
 */
CLORA_API void clora_model_free(clora_model *model);

/**
 * Sizes of a model.
 *
 * @param[in] model  NULL: zeros
 *
 * @return borrowed; lives as long as the model
 */
CLORA_API const clora_model_info *clora_model_get_info(const clora_model *model);

/**
 * The context that a model lives on.
 *
 * @param[in] model  NULL: NULL
 *
 * @return borrowed
 */
CLORA_API clora_context *clora_model_context(const clora_model *model);

/**
 * Number of linear layers, the head included.
 *
 * @param[in] model  NULL: 0
 *
 * @return the number, at least 1
 */
CLORA_API int clora_model_module_count(const clora_model *model);

/**
 * One linear layer.
 *
 * @param[in] model  NULL: zeros
 * @param[in] i      0 to clora_model_module_count() - 1; another: zeros
 *
 * @return borrowed; lives as long as the model
 */
CLORA_API const clora_module_info *clora_model_module(const clora_model *model, int i);

/**
 * Read the weight of one linear layer as it is now: while an adapter is merged (clora_adapter_merge()), with it. Waits.
 *
 * @param[out] out    (N, K) floats, row major, overwritten: the values that the stored ones stand for
 * @param[in]  model  not changed
 * @param[in]  i      0 to clora_model_module_count() - 1
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT for another i; CLORA_ERROR_MEMORY
 */
CLORA_API clora_status clora_model_read_module(float *out, const clora_model *model, int i);

/** What training computes again in the backward pass instead of keeping it: the same bits in less memory and more time
 * (Chen et al. 2016, Training Deep Nets with Sublinear Memory Cost). */
typedef enum clora_recompute {
    CLORA_RECOMPUTE_NONE = 0,     /**< norms, the gated activation and attention's weights, which no run keeps */
    CLORA_RECOMPUTE_LAYER = 1,    /**< all of a layer but its input */
    CLORA_RECOMPUTE_ATTENTION = 2 /**< queries, keys, values and attention's output: a quarter of a layer for a fifth of
                                       its forward pass */
} clora_recompute;

/**
 * Make a model that has all sizes and no weights, from config.json and the heads of the weights' files: for plans.
 *
 * Adapters are made on it as on a loaded model, and clora_train_plan() says what training them would take. Nothing of
 * it is on the device, whose memory may be too small for it; its context is one of its own that counts what would be
 * (clora_model_context(), clora_context_memory()). What is computed with it has no meaning.
 *
 * @param[out] out        yours to free with clora_model_free()
 * @param[in]  context    whose device would run it; kept until the model is freed
 * @param[in]  directory  as for clora_model_load()
 * @param[in]  options    NULL for the defaults
 *
 * @return as clora_model_load()
 */
CLORA_API clora_status clora_model_outline(clora_model **out, clora_context *context, const char *directory,
                                           const clora_model_options *options);

/** Device memory of a run, in bytes. */
typedef struct clora_memory_plan {
    size_t size;        /**< of this struct, as the caller knows it */
    size_t weights;     /**< the model's weights */
    size_t adapter;     /**< what is attached to it: A and B */
    size_t gradients;   /**< of all that trains */
    size_t optimizer;   /**< what the optimizer keeps from update to update */
    size_t activations; /**< the arena of one (batch, length) step */
    size_t evaluation;  /**< that of a validation beside it, where there is one */
    size_t scratch;     /**< one slice of a weight that products widen or sum first */
    size_t total;       /**< of all these */
} clora_memory_plan;

/** A clora_memory_plan to fill. */
#define CLORA_MEMORY_PLAN_INIT \
    { sizeof(clora_memory_plan), 0, 0, 0, 0, 0, 0, 0, 0 }

/** A training run to plan. */
typedef struct clora_model_plan_options {
    size_t size;    /**< of this struct, as the caller knows it */
    int dtype;      /**< as in clora_model_options (default -1) */
    int rank;       /**< of an adapter on all linear layers but the head, at least 1 (default 8) */
    int batch_size; /**< sequences in a step, at least 1 (default 4) */
    int max_length; /**< tokens in a sequence, at least 1 (default 512) */
} clora_model_plan_options;

/** The defaults of clora_model_plan_options. */
#define CLORA_MODEL_PLAN_OPTIONS_INIT \
    { sizeof(clora_model_plan_options), -1, 8, 4, 512 }

/**
 * What a training run would take, from config.json and the heads of the weights' files: nothing is loaded.
 *
 * @param[out] out        overwritten
 * @param[out] info       overwritten: the model's sizes; NULL is allowed
 * @param[in]  context    whose device would run it; used during the call
 * @param[in]  directory  as for clora_model_load()
 * @param[in]  options    NULL for the defaults
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT for a number below 1, and as clora_model_load()
 */
CLORA_API clora_status clora_model_plan(clora_memory_plan *out, clora_model_info *info, clora_context *context,
                                        const char *directory, const clora_model_plan_options *options);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
