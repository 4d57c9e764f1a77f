/**
 * @file clora/engine.h
 * @brief Tier 4: texts side by side that begin and end at any time, as a server needs them.
 *
 * An engine has slots on one model. A request is a text in the making: it takes a free slot, and every step gives each
 * running text one more token while the weights are read once for all of them. clora_generate() and
 * clora_generate_batch() are loops around an engine; this is the loop itself:
 *
 *     clora_engine_create(&engine, model, tokenizer, NULL);
 *     clora_engine_admit(&request, engine, ids, count, NULL);
 *     while (clora_engine_running(engine) > 0)
 *         clora_engine_step(engine);
 *     puts(clora_request_text(request, NULL));
 *
 * An engine and its running requests are for one thread at a time; a request that has ended stands alone.
 */
#ifndef CLORA_ENGINE_H
#define CLORA_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#include <clora/generate.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @addtogroup tier4
 * @{
 */

/** Slots that work side by side on one model. */
typedef struct clora_engine clora_engine;

/** A text in the making, later its result. */
typedef struct clora_request clora_request;

/** How to make an engine. */
typedef struct clora_engine_options {
    size_t size;         /**< of this struct, as the caller knows it */
    size_t slots;        /**< texts side by side, at least 1 (default 8) */
    size_t capacity;     /**< tokens that a text may have, prompt and clora_adapter_past() included: 1 to the model's
                          max_positions (default 0: 2048, or max_positions where they are fewer) */
    size_t cache_tokens; /**< that the cache has room for, of all texts together: at least the capacity (default 0:
                              slots * capacity) */
} clora_engine_options;

/** The defaults of clora_engine_options. */
#define CLORA_ENGINE_OPTIONS_INIT \
    { sizeof(clora_engine_options), 8, 0, 0 }

/**
 * Make an engine, all of its slots free.
 *
 * The cache takes 2 * cache_tokens * layers * kv_heads * head_dim floats of device memory, in pages of 64 tokens; a
 * layer with a sliding window has room for the window and about 700 tokens a slot, if the capacity is more. With fewer
 * cache_tokens than slots * capacity a request waits in its slot until there is room for its prompt and max_tokens (or
 * the capacity): texts that run are never short of it, and none passes one that waits. Prompts that begin alike are in
 * the cache once.
 *
 * @param[out] out        yours to free with clora_engine_free()
 * @param[in]  model      kept until the engine is freed
 * @param[in]  tokenizer  the model's; kept too
 * @param[in]  options    NULL for the defaults
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT for slots, a capacity or cache_tokens outside their limits,
 * CLORA_ERROR_MEMORY when the device has not enough memory
 */
CLORA_API clora_status clora_engine_create(clora_engine **out, clora_model *model, const clora_tokenizer *tokenizer,
                                           const clora_engine_options *options);

/**
 * Free an engine. Requests that run end as #CLORA_STOP_CANCELLED and call nobody back; they stay yours to free. Waits
 * for what has been enqueued.
 *
 * @param[in] engine  NULL is allowed
 */
CLORA_API void clora_engine_free(clora_engine *engine);

/**
 * Requests in slots: those that run and those that wait for their first step.
 *
 * @param[in] engine  NULL is allowed
 *
 * @return their number
 */
CLORA_API size_t clora_engine_running(const clora_engine *engine);

/**
 * Slots without a request.
 *
 * @param[in] engine  NULL is allowed
 *
 * @return how many requests clora_engine_admit() takes now
 */
CLORA_API size_t clora_engine_free_slots(const clora_engine *engine);

/**
 * Tokens of prompts that needed no computing, as of clora_session_reused(): a request whose prompt begins like that of
 * another that runs, or that had a slot which is still free, takes its keys and values.
 *
 * @param[in] engine  NULL is allowed
 *
 * @return how many since the engine was made
 */
CLORA_API size_t clora_engine_reused(const clora_engine *engine);

/**
 * Told of each piece of new text, and once more when the text has ended: with a size of 0. That last call is not made
 * when clora_request_cancel(), clora_request_free() or clora_engine_free() ended it.
 *
 * A callback may look at its request, admit requests and cancel others; it may free its own in the last call. It must
 * neither step nor free the engine.
 *
 * @param[in] user     the options' user
 * @param[in] request  whose text it is
 * @param[in] text     whole UTF-8 characters, not zero-terminated; borrowed during the call
 * @param[in] size     bytes of text; 0: it has ended (clora_request_stop_reason())
 *
 * @return 0 to go on; anything else ends the request with what there is. In the last call it is of no account
 */
typedef int (*clora_request_callback)(void *user, clora_request *request, const char *text, size_t size);

/** What to do with a prompt. Sampling, stop texts and stop ids are copied when a request is admitted. */
typedef struct clora_request_options {
    size_t size;                        /**< of this struct, as the caller knows it */
    size_t max_tokens;                  /**< new ids at most (default 128) */
    const clora_sample_options *sample; /**< how to choose tokens (default NULL: greedy) */
    const char *const *stop;            /**< texts that end it, NULL-terminated, as in clora_generate_options (default
                                             NULL: none) */
    const int32_t *stop_ids;            /**< ids that end it, besides the end tokens (default NULL) */
    size_t stop_id_count;               /**< of stop_ids (default 0) */
    const clora_adapter *adapter;       /**< applied to this text alone; kept while it runs (default NULL: the base
                                             model) */
    clora_request_callback callback;    /**< told of the text as it comes (default NULL) */
    void *user;                         /**< handed to the callback; borrowed (default NULL) */
    float scale;                        /**< the adapter's strength, as of clora_adapter_scale() (default 1) */
} clora_request_options;

/** The defaults of clora_request_options. */
#define CLORA_REQUEST_OPTIONS_INIT \
    { sizeof(clora_request_options), 128, NULL, NULL, NULL, 0, NULL, NULL, NULL, 1.0f }

/**
 * Give a prompt to a free slot. Nothing is computed before the next step. When it fails, the engine is as before.
 *
 * @param[out]    out      yours to free with clora_request_free(), before or after the engine
 * @param[in,out] engine   has a free slot: clora_engine_free_slots()
 * @param[in]     prompt   (count) ids; copied
 * @param[in]     count    1 to the engine's capacity (bos for an empty prompt)
 * @param[in]     options  NULL for the defaults
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT when no slot is free, for a prompt that does not fit, an id outside the
 * vocabulary, an adapter of another model, a scale that it cannot have or impossible options; CLORA_ERROR_MEMORY
 */
CLORA_API clora_status clora_engine_admit(clora_request **out, clora_engine *engine, const int32_t *prompt,
                                          size_t count, const clora_request_options *options);

/**
 * Compute the prompts of new requests that the cache has room for, each of which gives its first token, then one more
 * token for each request that runs. Waits. Without requests it does nothing.
 *
 * Where the texts of neighbouring slots have different adapters, or one of them none, the weights are still read once
 * for all; the low-rank terms come in two launches more for each weight, whatever their ranks (on the kernels for GPUs
 * and for more than 32 adapters at once: in two for each run of neighbours with the same).
 *
 * On the kernels for CPUs a request's logits and tokens depend bit by bit on its prompt, its options, its seed and the
 * capacity alone, whatever runs beside it: a step adds up each row in one order. Two exceptions: bf16 weights where the
 * processor multiplies pairs of bf16, in steps of more than 16 texts (CLORA_BF16_DOT=off has none), and parameters
 * tuned for some numbers of rows. On the kernels for GPUs few rows are added up in another order than many: the same
 * requests admitted and cancelled between the same steps give the same bits.
 *
 * @param[in,out] engine  its requests go on
 *
 * @return CLORA_OK; CLORA_ERROR_FORMAT (a logit is not finite) or CLORA_ERROR_MEMORY when a request's own token could
 * not be chosen: that request is #CLORA_STOP_FAILED, and the engine can go on. After any other failure each request
 * has the tokens that were computed so far, and the step may be tried again
 */
CLORA_API clora_status clora_engine_step(clora_engine *engine);

/**
 * End a request that runs, with what there is; its slot is free. One that has ended stays as it is.
 *
 * @param[in,out] request  NULL is allowed
 */
CLORA_API void clora_request_cancel(clora_request *request);

/**
 * Free a request; one that runs is cancelled first.
 *
 * @param[in] request  NULL is allowed
 */
CLORA_API void clora_request_free(clora_request *request);

/**
 * Why a text has ended.
 *
 * @param[in] request  NULL is allowed
 *
 * @return #CLORA_STOP_NONE while it has a slot; #CLORA_STOP_FAILED for NULL
 */
CLORA_API clora_stop_reason clora_request_stop_reason(const clora_request *request);

/**
 * The new text so far: decode(prompt + new) without decode(prompt), and without what could become a stop text.
 *
 * @param[in]  request  NULL is allowed
 * @param[out] size     bytes of text; NULL is allowed
 *
 * @return zero-terminated; borrowed until the next step or the request is freed. NULL for NULL
 */
CLORA_API const char *clora_request_text(const clora_request *request, size_t *size);

/**
 * The new ids so far, a final end token included.
 *
 * @param[in]  request  NULL is allowed
 * @param[out] count    of the ids; NULL is allowed
 *
 * @return (count) ids; borrowed until the request is freed. NULL for NULL
 */
CLORA_API const int32_t *clora_request_ids(const clora_request *request, size_t *count);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
