#include "infer/engine.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/options.h"
#include "infer/request.h"
#include "model/session_pages.h"
#include "tokenizer/tokenizer.h"

/* Most tokens of a text where nobody says. */
enum { USUAL_CAPACITY = 2048 };

clora_status engine_init(clora_engine *e, clora_session *session, const clora_tokenizer *tokenizer) {
    const size_t slots = (size_t)session->cache.B, vocab = (size_t)clora_model_get_info(session->model)->vocab;

    *e = (clora_engine){.session = session, .tokenizer = tokenizer, .slots = session->cache.B};
    e->slot = alloc_array(slots, sizeof(*e->slot));
    e->logits = alloc_array(slots * vocab, sizeof(*e->logits));
    e->last = alloc_array(slots, sizeof(*e->last));
    e->adapter = alloc_array(slots, sizeof(*e->adapter));
    if (!e->slot || !e->logits || !e->last || !e->adapter) {
        engine_finish(e);
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for an engine of %zu slots", slots);
    }
    return CLORA_OK;
}

void engine_finish(clora_engine *e) {
    for (int i = 0; e->slot && i < e->slots; i++)
        clora_request_cancel(e->slot[i]);
    free(e->slot);
    free(e->logits);
    free(e->last);
    free(e->adapter);
    *e = (clora_engine){0};
}

static clora_status create_session(clora_session **out, clora_model *model, const clora_engine_options *o) {
    const size_t positions = (size_t)clora_model_get_info(model)->max_positions;
    const size_t usual = positions < USUAL_CAPACITY ? positions : USUAL_CAPACITY;
    const size_t capacity = o->capacity ? o->capacity : usual;

    if (o->slots < 1 || o->slots > INT_MAX)
        return clora_fail(CLORA_ERROR_ARGUMENT, "an engine of %zu slots; the least is 1", o->slots);
    if (capacity > positions)
        return clora_fail(CLORA_ERROR_ARGUMENT, "slots of %zu tokens; the model has positions for 1 to %zu", capacity,
                          positions);
    if (o->cache_tokens > 0 && o->cache_tokens < capacity)
        return clora_fail(CLORA_ERROR_ARGUMENT, "a cache of %zu tokens for slots of up to %zu", o->cache_tokens,
                          capacity);
    return session_create(out, model, (int)o->slots, (int)capacity, o->cache_tokens);
}

clora_status clora_engine_create(clora_engine **out, clora_model *model, const clora_tokenizer *tokenizer,
                                 const clora_engine_options *options) {
    clora_engine_options all = CLORA_ENGINE_OPTIONS_INIT;
    clora_session *session = NULL;
    clora_engine *e = NULL;
    clora_status status = CLORA_OK;

    NEED(out);
    *out = NULL;
    NEED(model);
    NEED(tokenizer);
    TRY(OPTIONS_TAKE(all, options));
    e = calloc(1, sizeof(*e));
    if (!e)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for an engine"));
    TRY(create_session(&session, model, &all));
    TRY(engine_init(e, session, tokenizer));
    shared_hold(&tokenizer->shared);
    *out = e;
    e = NULL;
    session = NULL;
done:
    clora_session_free(session);
    free(e);
    return clora_keep_cause(status);
}

void clora_engine_free(clora_engine *engine) {
    if (!engine)
        return;
    clora_session *session = engine->session;
    const clora_tokenizer *tokenizer = engine->tokenizer;
    engine_finish(engine);
    free(engine);
    clora_session_free(session);
    shared_let_go(&tokenizer->shared);
}

size_t clora_engine_running(const clora_engine *engine) {
    size_t count = 0;

    for (int i = 0; engine && i < engine->slots; i++)
        count += engine->slot[i] != NULL;
    return count;
}

size_t clora_engine_free_slots(const clora_engine *engine) {
    return engine ? (size_t)engine->slots - clora_engine_running(engine) : 0;
}

size_t clora_engine_reused(const clora_engine *engine) {
    return engine ? clora_session_reused(engine->session) : 0;
}

static clora_status check(const clora_engine *e, const int32_t *prompt, size_t count, const clora_request_options *o) {
    const int64_t capacity = (int64_t)e->session->cache.capacity - adapter_past(o->adapter);

    if (count < 1)
        return clora_fail(CLORA_ERROR_ARGUMENT, "a prompt needs at least one token");
    if (capacity < 1 || count > (size_t)capacity)
        return clora_fail(CLORA_ERROR_ARGUMENT, "the prompt has %zu tokens; a slot holds %lld", count,
                          (long long)capacity);
    if (o->stop_id_count > 0 && !o->stop_ids)
        return clora_fail(CLORA_ERROR_ARGUMENT, "%zu stop_ids, which are NULL", o->stop_id_count);
    return session_check_ids(e->session, prompt, count);
}

clora_status engine_admit(clora_request **out, clora_engine *e, const int32_t *prompt, size_t count,
                          const clora_request_options *options) {
    clora_status status = CLORA_OK;
    int slot = 0;

    while (slot < e->slots && e->slot[slot])
        slot++;
    if (slot == e->slots)
        return clora_fail(CLORA_ERROR_ARGUMENT, "no free slot: all %d of the engine are taken", e->slots);
    TRY(check(e, prompt, count, options));
    TRY(session_prepare(e->session, options->adapter));
    TRY(request_create(out, e, slot, prompt, count, options));
    (*out)->turn = ++e->turns;
    e->slot[slot] = *out;
done:
    return status;
}

clora_status clora_engine_admit(clora_request **out, clora_engine *engine, const int32_t *prompt, size_t count,
                                const clora_request_options *options) {
    clora_request_options all = CLORA_REQUEST_OPTIONS_INIT;

    NEED(out);
    *out = NULL;
    NEED(engine);
    NEED(prompt);
    if (options)
        memcpy(&all, options, options->size < sizeof(all) ? options->size : sizeof(all));
    return clora_keep_cause(engine_admit(out, engine, prompt, count, &all));
}

static float *logits_of(const clora_engine *e, int slot) {
    return e->logits + (size_t)slot * (size_t)clora_model_get_info(e->session->model)->vocab;
}

/* The prompt of a new request, whose last logits choose the first token. */
static clora_status prefill(clora_engine *e, int slot) {
    clora_request *r = e->slot[slot];
    const selection select = {.adapter = r->adapter};
    clora_status status = CLORA_OK;

    request_begin(r);
    session_forget(e->session, slot);
    TRY(session_prefill(e->session, &select, slot, logits_of(e, slot), r->prompt, r->prompt_count));
    request_prefilled(r);
    TRY(request_advance(r, logits_of(e, slot)));
done:
    return status;
}

/* The slot of the request that has waited longest for its prompt; -1: none waits. */
static int longest_waiting(const clora_engine *e) {
    int found = -1;

    for (int i = 0; i < e->slots; i++)
        if (e->slot[i] && e->slot[i]->prompt && (found < 0 || e->slot[i]->turn < e->slot[found]->turn))
            found = i;
    return found;
}

/* Requests that wait, in turn: none passes one for which the cache has no room. */
static clora_status prefill_new(clora_engine *e) {
    clora_status status = CLORA_OK;

    for (int i = longest_waiting(e); i >= 0; i = longest_waiting(e)) {
        const clora_request *r = e->slot[i];
        if (!session_promise(e->session, i, r->adapter, r->prompt, r->prompt_count, request_positions(r)))
            break;
        TRY(prefill(e, i));
    }
done:
    return status;
}

/* A request that was admitted in the middle of a step waits for the next. */
static bool runs(const clora_engine *e, int slot) {
    return e->slot[slot] && !e->slot[slot]->prompt;
}

/* The slots of a step: those up to the last that runs. Free ones among them take part idly, with the next one's
 * adapter: neighbours that share one are computed together. */
static int gather(clora_engine *e) {
    int B = e->slots;

    while (B > 0 && !runs(e, B - 1))
        B--;
    for (int i = B - 1; i >= 0; i--) {
        e->last[i] = runs(e, i) ? request_last_id(e->slot[i]) : SESSION_IDLE;
        e->adapter[i] = runs(e, i) ? e->slot[i]->adapter : e->adapter[i + 1];
    }
    return B;
}

/* Requests of which a step that failed has left nothing to go on with. */
static void fail_lost(clora_engine *e) {
    for (int i = 0; i < e->slots; i++)
        if (runs(e, i) && session_has_lost(e->session, i))
            request_fail(e->slot[i]);
}

/* One more token for each request that runs. All of them take theirs, also when one fails. */
static clora_status decode(clora_engine *e) {
    const int B = gather(e);
    clora_status status = CLORA_OK;

    if (B == 0)
        return CLORA_OK;
    const selection select = selection_of(e->adapter, B);
    TRY(session_step(e->session, &select, e->logits, e->last, B));
    for (int i = 0; i < B; i++) {
        const clora_status taken = runs(e, i) ? request_advance(e->slot[i], logits_of(e, i)) : CLORA_OK;
        status = taken == CLORA_OK ? status : taken;
    }
done:
    if (status != CLORA_OK)
        fail_lost(e);
    return status;
}

clora_status clora_engine_step(clora_engine *engine) {
    clora_status status = CLORA_OK;

    NEED(engine);
    TRY(prefill_new(engine));
    TRY(decode(engine));
done:
    return status;
}
