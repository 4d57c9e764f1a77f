/**
 * @file clora/prefix.h
 * @brief Tier 3: what stands before every sequence and trains: prefixes and prompts.
 *
 * A prefix (Li and Liang 2021, "Prefix-Tuning: Optimizing Continuous Prompts for Generation") is keys and values in
 * every layer, a prompt (Lester et al. 2021, "The Power of Scale for Parameter-Efficient Prompt Tuning") rows in the
 * place of embeddings. Either takes the first positions, which every token of a sequence attends to; the sequence's own
 * tokens come after them. On disk both are PEFT directories of one tensor, prompt_embeddings (docs/formats.md).
 */
#ifndef CLORA_PREFIX_H
#define CLORA_PREFIX_H

#include <clora/adapter.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @addtogroup tier3
 * @{
 */

/** How a prefix or a prompt begins where no ids say it. */
typedef enum clora_prefix_init {
    CLORA_PREFIX_INIT_VOCABULARY = 0, /**< as ids drawn from the vocabulary */
    CLORA_PREFIX_INIT_RANDOM = 1,     /**< N(0, 1): PEFT's default */
} clora_prefix_init;

/** What to put before sequences, and how it begins. */
typedef struct clora_prefix_options {
    size_t size;            /**< of this struct, as the caller knows it */
    int tokens;             /**< positions, at least 1 and fewer than the model has (default 16) */
    clora_prefix_init init; /**< (default CLORA_PREFIX_INIT_VOCABULARY) */
    const int32_t *ids;     /**< (id_count) begin as these tokens, repeated or cut off to fill the positions; NULL: as
                                 init says (default). A prefix begins as the keys and values that the model makes of
                                 them, so that it does what the text before every sequence would do */
    size_t id_count;        /**< (default 0) */
    uint64_t seed;          /**< of random numbers (default 0) */
    int projection;         /**< of a prefix: columns of the layer between, where a projection makes it while it trains,
                                 which begins at random (Li and Liang's re-parametrisation); 0: none (default) */
    const char *const *labels; /**< names of labels, NULL-terminated: the adapter has a head on the last token that
                                  tells them apart (PEFT's SEQ_CLS); NULL: none (default) */
} clora_prefix_options;

/** The defaults of clora_prefix_options. */
#define CLORA_PREFIX_OPTIONS_INIT \
    { sizeof(clora_prefix_options), 16, CLORA_PREFIX_INIT_VOCABULARY, NULL, 0, 0, 0, NULL }

/**
 * Make a fresh prefix: keys and values in every layer, tokens * layers * 2 * kv_heads * head_dim scalars. With a
 * projection these are tanh(e * W1^T + b1) * W2^T + b2 in training, and what trains is e (tokens, kv_heads * head_dim)
 * and the two layers, which no file keeps. Waits.
 *
 * @param[out] out      yours to free with clora_adapter_free()
 * @param[in]  model    kept until the adapter is freed
 * @param[in]  options  NULL for the defaults
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT for fewer than 1 position or as many as the model has, for an id outside the
 * vocabulary, for ids that are none and for ids of a prefix with a projection; CLORA_ERROR_MEMORY, CLORA_ERROR_OPENCL
 * when the device computes wrongly
 */
CLORA_API clora_status clora_prefix_create(clora_adapter **out, clora_model *model,
                                           const clora_prefix_options *options);

/**
 * Make a fresh prompt: rows in the place of embeddings, tokens * hidden scalars. Waits.
 *
 * @param[out] out      yours to free with clora_adapter_free()
 * @param[in]  model    kept until the adapter is freed
 * @param[in]  options  NULL for the defaults
 *
 * @return as clora_prefix_create()
 */
CLORA_API clora_status clora_prompt_create(clora_adapter **out, clora_model *model,
                                           const clora_prefix_options *options);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
