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

/**
 * @addtogroup tier4
 * @{
 */

/** Sequences of one model: workspace, cache and the choice of adapter. One thread at a time. */
typedef struct clora_session clora_session;

/**
 * Make a session without tokens and without an adapter.
 *
 * The cache takes 2 * batch * capacity * layers * kv_heads * head_dim floats of device memory, the capacity rounded up
 * to whole pages of 64 tokens; a layer with a sliding window has room for the window and about 700 tokens, if the
 * capacity is more.
 *
 * @param[out] out       yours to free with clora_session_free()
 * @param[in]  model     kept until the session is freed
 * @param[in]  batch     sequences side by side, at least 1
 * @param[in]  capacity  tokens that a sequence may have, prompt and clora_adapter_past() included: 1 to the model's
 *                       max_positions
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT for a batch or capacity outside these limits, CLORA_ERROR_MEMORY when the
 * device has not enough memory
 */
CLORA_API clora_status clora_session_create(clora_session **out, clora_model *model, int batch, int capacity);

/**
 * Free a session. Waits for what it has enqueued.
 *
 * @param[in] session  NULL is allowed
 */
CLORA_API void clora_session_free(clora_session *session);

/**
 * Apply an adapter from now on. The tokens in the cache stay as they are; a prefix or a prompt stands before sequences
 * that begin while it is selected.
 *
 * Cheap enough to do for every request: nothing is copied or merged. Memory is allocated only for a rank larger than
 * any selected before.
 *
 * @param[in,out] session  its adapter is replaced
 * @param[in]     adapter  kept until another is selected or the session is freed; NULL: the base model alone
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT for an adapter of another model: the selection stays as it was
 */
CLORA_API clora_status clora_session_set_adapter(clora_session *session, clora_adapter *adapter);

/**
 * Forget all tokens. The adapter stays selected.
 *
 * @param[in,out] session  NULL is allowed
 */
CLORA_API void clora_session_reset(clora_session *session);

/**
 * Tokens in the cache, with the positions that the adapter takes before them.
 *
 * @param[in] session  NULL is allowed
 *
 * @return the tokens of the longest sequence; after clora_session_forward() all are equally long
 */
CLORA_API int clora_session_length(const clora_session *session);

/**
 * Tokens of prompts that needed no computing, in all calls so far. clora_generate() and clora_generate_batch() take the
 * keys and values of a prompt's beginning from a sequence that has them, of a text that runs or has ended, if it had
 * the same adapter and nothing was trained, merged or unmerged since: what a conversation said before is not read
 * again. On the kernels for CPUs texts are the same bit by bit as without.
 *
 * @param[in] session  NULL is allowed
 *
 * @return how many
 */
CLORA_API size_t clora_session_reused(const clora_session *session);

/**
 * Append T tokens to every sequence and compute logits. Waits.
 *
 * @param[in,out] session  T tokens longer; unchanged when the call fails. In a model with sliding windows, what came
 *                         before several hundred tokens may be lost then: later calls are refused until
 *                         clora_session_reset()
 * @param[out]    logits   host floats, overwritten: (batch, V) for the last token, or (batch, T, V) when `all`
 * @param[in]     ids      (batch, T)  token ids
 * @param[in]     T        tokens to append to each sequence, at least 1
 * @param[in]     all      1: logits of all T positions
 *
 * @return CLORA_OK; CLORA_ERROR_SHAPE when the capacity would be passed, CLORA_ERROR_ARGUMENT for an id outside the
 * vocabulary
 */
CLORA_API clora_status clora_session_forward(clora_session *session, float *logits, const int32_t *ids, int T, int all);

/** How to choose the next token, applied in this order: n-grams, penalty, temperature, top-k, top-p, min-p. */
typedef struct clora_sample_options {
    size_t size;              /**< of this struct, as the caller knows it */
    float temperature;        /**< 0: greedy, the largest logit, the lowest id of equals (default 0) */
    int top_k;                /**< keep the k largest; 0 = off (default 0) */
    float top_p;              /**< keep the smallest set with this much probability, in (0, 1]; 1 = off (default 1) */
    float min_p;              /**< drop what is less likely than min_p times the likeliest; 0 = off (default 0) */
    float repetition_penalty; /**< divide positive logits of ids already present, multiply negative; 1 = off (default 1)
                               */
    uint64_t seed;            /**< same seed, same text (default 0) */
    int no_repeat_ngram;      /**< no n ids in a row come twice, in prompt and text together; 0 = off (default 0) */
} clora_sample_options;

/** The defaults of clora_sample_options. */
#define CLORA_SAMPLE_OPTIONS_INIT \
    { sizeof(clora_sample_options), 0.0f, 0, 1.0f, 0.0f, 1.0f, 0, 0 }

/** Chooses ids from logits of the program's own. One thread at a time. */
typedef struct clora_sampler clora_sampler;

/**
 * Make a sampler, for programs with a loop of their own: clora_session_forward() and this choose as clora_generate()
 * does. Needs no device.
 *
 * @param[out] out      yours to free with clora_sampler_free()
 * @param[in]  vocab    V, at least 1
 * @param[in]  options  NULL for the defaults
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT for an option or a vocabulary outside its limits
 */
CLORA_API clora_status clora_sampler_create(clora_sampler **out, int vocab, const clora_sample_options *options);

/**
 * Free a sampler.
 *
 * @param[in] sampler  NULL is allowed
 */
CLORA_API void clora_sampler_free(clora_sampler *sampler);

/**
 * Say which ids the text has, for the repetition penalty and the n-grams: those of the prompt, then each that was
 * chosen.
 *
 * @param[in,out] sampler  remembers them
 * @param[in]     ids      (count)  in the text's order; copied
 * @param[in]     count    number of ids
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT for an id outside the vocabulary: none is taken then
 */
CLORA_API clora_status clora_sampler_see(clora_sampler *sampler, const int32_t *ids, size_t count);

/**
 * Choose the next id.
 *
 * @param[out]    id       overwritten
 * @param[in,out] sampler  one random number further, where the temperature is above 0
 * @param[in]     logits   (V) floats of one position; not changed
 *
 * @return CLORA_OK; CLORA_ERROR_FORMAT when a logit is not finite
 */
CLORA_API clora_status clora_sampler_next(int32_t *id, clora_sampler *sampler, const float *logits);

/** What a generation gave. Free with clora_generation_free(). */
typedef struct clora_generation {
    char *text;             /**< the new text, zero-terminated: decode(prompt + new) without decode(prompt) */
    size_t size;            /**< bytes of text */
    int32_t *ids;           /**< (count)  new ids, a final eos included */
    size_t count;           /**< number of new ids */
    clora_stop_reason stop; /**< why it ended */
    double prefill_seconds; /**< to read the prompt */
    double decode_seconds;  /**< for the new ids */
} clora_generation;

/**
 * Called with each piece of new text.
 *
 * @param[in] user  of clora_generate_options
 * @param[in] text  size bytes of whole UTF-8 characters; borrowed during the call
 * @param[in] size  bytes of text
 *
 * @return non-zero to stop
 */
typedef int (*clora_text_callback)(void *user, const char *text, size_t size);

/**
 * Called when a text of a batch has ended.
 *
 * @param[in] user    of clora_generate_options
 * @param[in] prompt  its index
 * @param[in] result  borrowed during the call
 *
 * @return non-zero to stop
 */
typedef int (*clora_generation_callback)(void *user, size_t prompt, const clora_generation *result);

/** How to generate. */
typedef struct clora_generate_options {
    size_t size;    /**< of this struct, as the caller knows it */
    int max_tokens; /**< new ids at most; a session that is full ends a text earlier (default 128) */
    /** Texts that end the generation, NULL-terminated; not part of the output; NULL for none (default). Special tokens
     * are compared as they are written ("</s>"), although the output leaves them out. */
    const char *const *stop;
    const clora_sample_options *sample; /**< how to choose each token; borrowed (default NULL: greedy) */
    /** Texts that are followed side by side, in as many sequences of the session, to find the most probable one; 1: the
     * next token is chosen at once (default 1). */
    int beams;
    float length_penalty; /**< the score of a text that has ended is log(probability) / count^length_penalty: above 0
                               favours long texts (default 1) */
    clora_text_callback callback;    /**< clora_generate(): told each piece of text (default NULL) */
    clora_generation_callback ended; /**< clora_generate_batch(): told of each text that has ended, in the order in
                                          which they end (default NULL) */
    void *user;                      /**< handed to either; borrowed (default NULL) */
} clora_generate_options;

/** The defaults of clora_generate_options. */
#define CLORA_GENERATE_OPTIONS_INIT \
    { sizeof(clora_generate_options), 128, NULL, NULL, 1, 1.0f, NULL, NULL, NULL }

/**
 * Continue a prompt, up to an end token: one of clora_model_info's eos, or clora_tokenizer_eos(), with which training
 * ends its targets. Waits.
 *
 * With several beams it is the text with the best score that a beam search finds, as in transformers' generate() with
 * early_stopping False: each step keeps the most probable continuations of all beams together, and ends when none of
 * them can become better than the worst of as many texts that have ended, by a stop text too. The callback then has the
 * whole text at once.
 *
 * @param[out]    out        yours to free with clora_generation_free()
 * @param[in,out] session    reset first; its first sequence is used, or as many as there are beams, with the adapter
 *                           selected
 * @param[in]     tokenizer  of the session's model; used during the call
 * @param[in]     prompt     (count)  token ids
 * @param[in]     count      ids of the prompt, at least one (bos for an empty prompt), at most the session's capacity
 * @param[in]     options    NULL for the defaults
 *
 * @return CLORA_OK; CLORA_CANCELLED when the callback stopped it: out then has the text so far; CLORA_ERROR_ARGUMENT
 * for an empty prompt, one longer than the capacity, an id outside the vocabulary, an option outside its limits, more
 * beams than the session has sequences, or beams with a temperature or a repetition penalty; CLORA_ERROR_FORMAT when
 * the logits are not finite
 */
CLORA_API clora_status clora_generate(clora_generation **out, clora_session *session, const clora_tokenizer *tokenizer,
                                      const int32_t *prompt, size_t count, const clora_generate_options *options);

/**
 * Free a generation.
 *
 * @param[in] generation  NULL is allowed
 */
CLORA_API void clora_generation_free(clora_generation *generation);

/** Ids to continue. */
typedef struct clora_prompt {
    const int32_t *ids; /**< (count)  borrowed */
    size_t count;       /**< at least one */
} clora_prompt;

/**
 * Continue several prompts side by side, as many at a time as the session has sequences: each step reads the weights
 * once for all of them. Prompts may differ in length; a sequence whose text has ended takes the next prompt. Waits.
 *
 * Each text is chosen as clora_generate() would alone, from the same seed; its logits may differ in rounding, because
 * kernels for more rows add up in another order. With several beams the prompts come one after the other.
 *
 * @param[out]    out        (count)  overwritten: results in the order of the prompts, each yours to free with
 *                           clora_generation_free(); with CLORA_CANCELLED NULL for those that had not ended
 * @param[in,out] session    reset first; the adapter selected serves all prompts
 * @param[in]     tokenizer  of the session's model; used during the call
 * @param[in]     prompts    (count)
 * @param[in]     count      number of prompts; 0 is allowed
 * @param[in]     options    for each of them; NULL for the defaults
 *
 * @return as clora_generate(); after an error all results are NULL
 */
CLORA_API clora_status clora_generate_batch(clora_generation **out, clora_session *session,
                                            const clora_tokenizer *tokenizer, const clora_prompt *prompts, size_t count,
                                            const clora_generate_options *options);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
