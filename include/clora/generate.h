/**
 * @file clora/generate.h
 * @brief Tier 4: sessions with a key/value cache, and text generation.
 */
#ifndef CLORA_GENERATE_H
#define CLORA_GENERATE_H

#include <clora/adapter.h>
#include <clora/tokenizer.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One timeline of tokens: workspace, cache and the choice of adapter. One thread at a time. */
typedef struct clora_session clora_session;

/**
 * Make a session.
 *
 * @param[in] batch     sequences side by side
 * @param[in] capacity  most tokens of a sequence, prompt included; at most the model's positions
 */
CLORA_API clora_status clora_session_create(clora_session **out, clora_model *model, int batch, int capacity);
CLORA_API void clora_session_free(clora_session *session);

/**
 * Apply an adapter from now on, or none (NULL). Switching costs nothing; the cache is kept.
 *
 * @return CLORA_ERROR_ARGUMENT for an adapter of another model
 */
CLORA_API clora_status clora_session_select(clora_session *session, clora_adapter *adapter);

/** Forget all tokens. */
CLORA_API void clora_session_reset(clora_session *session);

/** Tokens in the cache of each sequence. */
CLORA_API int clora_session_length(const clora_session *session);

/**
 * Append T tokens to every sequence and compute logits.
 *
 * @param[out] logits  host floats: (batch, V) of the last position, or (batch, T, V) when `all`. Not NULL.
 * @param[in]  ids     (batch, T)
 *
 * Waits. When it fails, nothing was appended.
 *
 * @return CLORA_ERROR_SHAPE when the capacity would be passed, CLORA_ERROR_ARGUMENT for an id outside the vocabulary
 */
CLORA_API clora_status clora_session_forward(clora_session *session, float *logits, const int32_t *ids, int T, int all);

/** How to choose the next token, applied in this order: penalty, temperature, top-k, top-p, min-p. */
typedef struct clora_sample_options {
    float temperature;        /**< 0: greedy, the largest logit, the lowest id of equals (default 0) */
    int top_k;                /**< keep the k largest; 0 = off (default 0) */
    float top_p;              /**< keep the smallest set with this much probability; 1 = off (default 1) */
    float min_p;              /**< drop what is less likely than min_p times the likeliest; 0 = off (default 0) */
    float repetition_penalty; /**< divide positive logits of ids already present, multiply negative; 1 = off (default 1)
                               */
    uint64_t seed;            /**< same seed, same text (default 0) */
} clora_sample_options;

#define CLORA_SAMPLE_OPTIONS_INIT \
    { 0.0f, 0, 1.0f, 0.0f, 1.0f, 0 }

/** How to generate. */
typedef struct clora_generate_options {
    int max_tokens; /**< new ids at most; never more than the session holds (default 128) */
    /** Texts that end the generation, NULL-terminated; not part of the output; NULL for none (default). Special tokens
     * are compared as they are written ("</s>"), although the output leaves them out. */
    const char *const *stop;
    clora_sample_options sample;
} clora_generate_options;

#define CLORA_GENERATE_OPTIONS_INIT \
    { 128, NULL, CLORA_SAMPLE_OPTIONS_INIT }

/** What a generation gave. Free with clora_generation_free(). */
typedef struct clora_generation {
    char *text;   /**< the new text, zero-terminated: decode(prompt + new) without decode(prompt) */
    size_t size;  /**< bytes of text */
    int32_t *ids; /**< new ids, a final eos included */
    int count;
    const char *stop; /**< "eos", "length" or "text" */
    double prefill_seconds, decode_seconds;
} clora_generation;

/** A piece of new text, whole UTF-8 characters; return non-zero to stop. */
typedef int (*clora_text_callback)(void *user, const char *text, size_t size);

/**
 * Continue a prompt, up to an end token: one of clora_model_info's eos, or clora_tokenizer_eos(), with which training
 * ends its targets.
 *
 * @param[out] out       yours to free with clora_generation_free()
 * @param[in]  session   reset first; its first sequence is used
 * @param[in]  prompt    count ids, at least one (bos for an empty prompt)
 * @param[in]  callback  may be NULL
 */
CLORA_API clora_status clora_generate(clora_generation *out, clora_session *session, const clora_tokenizer *tokenizer,
                                      const int32_t *prompt, int count, const clora_generate_options *options,
                                      clora_text_callback callback, void *user);
CLORA_API void clora_generation_free(clora_generation *generation);

/** Ids to continue: at least one. */
typedef struct clora_prompt {
    const int32_t *ids; /**< borrowed */
    int count;
} clora_prompt;

/** A text of a batch has ended; return non-zero to stop. */
typedef int (*clora_generation_callback)(void *user, int prompt, const clora_generation *result);

/**
 * Continue several prompts side by side, as many at a time as the session has sequences: each step reads the weights
 * once for all of them. Prompts may differ in length; a sequence whose text has ended takes the next prompt.
 *
 * @param[out] out       (count) results in the order of the prompts, each yours to free; zeros for those that a
 * callback's stop left out
 * @param[in]  session   reset first
 * @param[in]  callback  called when a text has ended, in the order in which they end; may be NULL
 *
 * Each text is chosen as clora_generate() would alone, from the same seed; its logits may differ in rounding, because
 * kernels for more rows add up in another order.
 */
CLORA_API clora_status clora_generate_batch(clora_generation *out, clora_session *session,
                                            const clora_tokenizer *tokenizer, const clora_prompt *prompts, int count,
                                            const clora_generate_options *options, clora_generation_callback callback,
                                            void *user);

#ifdef __cplusplus
}
#endif
#endif
