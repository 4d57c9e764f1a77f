/**
 * @file clora/model.h
 * @brief Tier 3: a base model on the device, its weights frozen.
 *
 * A model is read from a Hugging Face directory (config.json and safetensors, docs/formats.md) and never changes, so
 * that any number of sessions and adapters share it. Its weights are on the device once, in their file's type.
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

/** A loaded model. Thread-safe to share; the work of all its sessions goes through one queue. */
typedef struct clora_model clora_model;

/** How to load. */
typedef struct clora_model_options {
    int dtype; /**< storage of the weights on the device: a clora_dtype, or -1 for the file's own (default -1) */
} clora_model_options;

#define CLORA_MODEL_OPTIONS_INIT \
    { -1 }

/** Sizes of a model, from its config.json and the heads of its files. */
typedef struct clora_model_info {
    const char *model_type; /**< "llama" */
    int layers, hidden, ffn, heads, kv_heads, head_dim, vocab, max_positions;
    int tied;            /**< 1 when the output head is the embedding table */
    int own_head;        /**< 1 when the files hold a head that differs from the embedding, although config.json ties
                              the two: it is used, as transformers 5 does */
    const char *dtype;   /**< storage type of the matrices on the device: "f32", "f16", "bf16" or "mixed" */
    int64_t parameters;  /**< scalars in the files */
    size_t device_bytes; /**< device memory of the weights */
    int eos_count;       /**< ids that end a generation: generation_config.json's, else config.json's; besides them the
                              tokenizer's eos does (clora_generate()) */
    int32_t eos[8];
    int eos_ignored; /**< ids in those files that are outside the vocabulary and passed over */
} clora_model_info;

/** One linear layer that an adapter may target. */
typedef struct clora_module_info {
    const char *name; /**< Hugging Face path, such as "model.layers.0.self_attn.q_proj" */
    int out, in;      /**< W0 is (out, in) */
    int is_head;      /**< 1 for the output head, which "all-linear" leaves out */
} clora_module_info;

/**
 * Read a model directory and put its weights on the device.
 *
 * @param[out] out        yours to free
 * @param[in]  directory  holds config.json and model.safetensors, or model.safetensors.index.json with shards
 *
 * Every tensor of the files must be used and every tensor that the model needs must be there, of the right shape,
 * finite.
 *
 * @return CLORA_ERROR_UNSUPPORTED for a model_type, activation or rope scaling that clora does not know (the message
 * names it) and for quantized weights, CLORA_ERROR_FORMAT for a file that is not what it says, CLORA_ERROR_NOT_FOUND
 * for a missing file or tensor
 */
CLORA_API clora_status clora_model_load(clora_model **out, clora_context *context, const char *directory,
                                        const clora_model_options *options);

/** Free a model. NULL is allowed. Sessions, adapters and trainers made from it keep it until they are freed. */
CLORA_API void clora_model_free(clora_model *model);

/** Sizes; lives as long as the model. */
CLORA_API const clora_model_info *clora_model_get_info(const clora_model *model);

/** The context that the model lives on; borrowed. */
CLORA_API clora_context *clora_model_context(const clora_model *model);

/** Number of linear layers, the head included, and the i-th of them. */
CLORA_API int clora_model_module_count(const clora_model *model);
CLORA_API clora_module_info clora_model_module(const clora_model *model, int i);

/** One line of a model's memory: what it is and its bytes. */
typedef struct clora_memory_plan {
    size_t weights;     /**< frozen weights */
    size_t adapter;     /**< A, B, their gradients and AdamW's moments */
    size_t activations; /**< the arena of one (batch, length) step */
    size_t cache;       /**< keys and values of a session */
    size_t scratch;     /**< one slice of a weight that products widen or sum first */
    size_t total;
} clora_memory_plan;

/**
 * What a training run would take, from config.json and the heads of the weights' files: nothing is loaded.
 *
 * @param[in] rank    of an adapter on all linear layers
 * @param[in] batch   sequences in a step
 * @param[in] length  tokens in a sequence
 */
CLORA_API clora_status clora_model_plan(clora_memory_plan *out, clora_model_info *info, clora_context *context,
                                        const char *directory, const clora_model_options *options, int rank, int batch,
                                        int length);

#ifdef __cplusplus
}
#endif
#endif
