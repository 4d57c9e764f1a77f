#include "infer/request.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "model/session_pages.h"

bool text_ends(const clora_model *model, const clora_tokenizer *tokenizer, int32_t id) {
    const clora_model_info *info = clora_model_get_info(model);

    for (int i = 0; i < info->eos_count; i++)
        if (info->eos[i] == id)
            return true;
    return id == clora_tokenizer_eos(tokenizer);
}

/* What only a running request needs. */
static void release(clora_request *r) {
    if (r->adapter)
        shared_let_go(&r->adapter->shared);
    r->adapter = NULL;
    sampler_finish(&r->sampler);
    clora_decoder_free(r->decoder);
    r->decoder = NULL;
    for (char **s = r->stop; s && *s; s++)
        free(*s);
    free(r->stop);
    free(r->stop_ids);
    free(r->prompt);
    r->output.stop = NULL;
    r->stop = NULL;
    r->stop_ids = NULL;
    r->prompt = NULL;
}

/* What is left in the decoder (half a character) and in the output (half a stop text). */
static clora_status flush(clora_request *r) {
    clora_status status = CLORA_OK;
    const char *piece;
    size_t size;

    TRY(clora_decoder_flush(r->decoder, &piece, &size));
    TRY(output_add(&r->output, piece, size));
    TRY(output_flush(&r->output));
done:
    return status;
}

/* It has no slot any more, and what there is of a text is all there will be. */
static clora_status finish(clora_request *r, clora_stop_reason how) {
    const clora_status status = how == CLORA_STOP_FAILED ? CLORA_OK : flush(r);

    r->finish = status == CLORA_OK ? how : CLORA_STOP_FAILED;
    r->engine->slot[r->slot] = NULL;
    session_end(r->engine->session, r->slot);
    r->engine = NULL;
    release(r);
    r->ended = clock_seconds();
    return status;
}

/* The same, and its callback hears of it, which may free it. */
static clora_status finish_and_tell(clora_request *r, clora_stop_reason how) {
    const clora_status status = finish(r, how);

    if (r->callback)
        r->callback(r->user, r, "", 0);
    return status;
}

static int tell(void *user, const char *text, size_t size) {
    clora_request *r = user;
    return r->callback(r->user, r, text, size);
}

static clora_status copy_stops(clora_request *r, const clora_request_options *o) {
    size_t count = 0;

    while (o->stop && o->stop[count])
        count++;
    r->stop = alloc_array(count + 1, sizeof(*r->stop));
    r->stop_ids = alloc_array(o->stop_id_count, sizeof(*r->stop_ids));
    if (!r->stop || !r->stop_ids)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a request");
    for (size_t i = 0; i < count; i++)
        if (!(r->stop[i] = alloc_string(o->stop[i])))
            return clora_fail(CLORA_ERROR_MEMORY, "no memory for a stop text");
    if (o->stop_id_count > 0)
        memcpy(r->stop_ids, o->stop_ids, o->stop_id_count * sizeof(*r->stop_ids));
    r->stop_id_count = o->stop_id_count;
    return CLORA_OK;
}

/* Its own copy of the prompt, and room for the ids that may follow: a last one needs no place in the cache. */
static clora_status copy_prompt(clora_request *r, const int32_t *prompt, size_t count, int capacity) {
    r->room = (size_t)capacity - count + 1;
    r->prompt = alloc_array(count, sizeof(*r->prompt));
    r->ids = alloc_array(r->max_tokens < r->room ? r->max_tokens : r->room, sizeof(*r->ids));
    if (!r->prompt || !r->ids)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a request");
    memcpy(r->prompt, prompt, count * sizeof(*prompt));
    r->prompt_count = (int)count;
    return CLORA_OK;
}

/* Held while it runs; at a strength of its own it is an adapter of its own. */
static clora_status take_adapter(clora_request *r, const clora_request_options *o) {
    clora_adapter *adapter = (clora_adapter *)(uintptr_t)o->adapter;
    clora_adapter *scaled = adapter;
    clora_status status = CLORA_OK;

    if (adapter && o->scale != 1.0f)
        TRY(clora_adapter_scale(&scaled, adapter, o->scale));
    else if (adapter)
        shared_hold(&adapter->shared);
    r->adapter = scaled;
done:
    return status;
}

clora_status request_create(clora_request **out, clora_engine *e, int slot, const int32_t *prompt, size_t count,
                            const clora_request_options *o) {
    const int vocab = clora_model_get_info(e->session->model)->vocab;
    clora_status status = CLORA_OK;
    clora_request *r = calloc(1, sizeof(*r));

    *out = NULL;
    if (!r)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a request");
    r->slot = slot;
    r->max_tokens = o->max_tokens;
    r->callback = o->callback;
    r->user = o->user;
    TRY(sampler_init(&r->sampler, o->sample, vocab));
    for (size_t i = 0; i < count; i++)
        TRY(sampler_see(&r->sampler, prompt[i]));
    TRY(clora_decoder_create(&r->decoder, e->tokenizer, prompt, count));
    TRY(copy_stops(r, o));
    TRY(copy_prompt(r, prompt, count, e->session->cache.capacity - adapter_past(o->adapter)));
    r->output = (output){.stop = (const char *const *)r->stop, .callback = r->callback ? tell : NULL, .user = r};
    TRY(take_adapter(r, o));
    r->engine = e;
    *out = r;
    r = NULL;
done:
    clora_request_free(r);
    return status;
}

int request_positions(const clora_request *r) {
    const size_t ids = r->max_tokens < r->room ? r->max_tokens : r->room;

    return adapter_past(r->adapter) + r->prompt_count + (int)(ids > 0 ? ids - 1 : 0);
}

void request_begin(clora_request *r) {
    r->begun = clock_seconds();
}

void request_prefilled(clora_request *r) {
    r->prefilled = clock_seconds();
    free(r->prompt);
    r->prompt = NULL;
}

static bool is_end(const clora_request *r, int32_t id) {
    for (size_t i = 0; i < r->stop_id_count; i++)
        if (r->stop_ids[i] == id)
            return true;
    return text_ends(r->engine->session->model, r->engine->tokenizer, id);
}

/* Take one id. */
static clora_status take(clora_request *r, int32_t id, bool ends) {
    const clora_tokenizer *tokenizer = r->engine->tokenizer;
    clora_status status = CLORA_OK;
    const char *piece;
    size_t size;

    r->ids[r->count++] = id;
    TRY(sampler_see(&r->sampler, id));
    if (ends || clora_tokenizer_is_special(tokenizer, id)) { /* no part of the text, but stop texts may name it */
        piece = clora_tokenizer_token(tokenizer, id, &size);
        TRY(output_add_special(&r->output, piece, size));
    } else {
        TRY(clora_decoder_push(r->decoder, id, &piece, &size));
        TRY(output_add(&r->output, piece, size));
    }
done:
    return status;
}

static clora_stop_reason judge(const clora_request *r, bool ends) {
    if (ends)
        return CLORA_STOP_EOS;
    if (r->output.stopped)
        return CLORA_STOP_TEXT;
    if (r->output.cancelled)
        return CLORA_STOP_CANCELLED;
    if (r->count >= r->max_tokens)
        return CLORA_STOP_LENGTH;
    return r->count >= r->room ? CLORA_STOP_CAPACITY : CLORA_STOP_NONE;
}

void request_fail(clora_request *r) {
    finish_and_tell(r, CLORA_STOP_FAILED);
}

clora_status request_advance(clora_request *r, float *logits) {
    clora_status status = CLORA_OK;
    bool ends = false;
    int32_t id;

    if (r->max_tokens > 0) {
        TRY(sampler_next(&r->sampler, &id, logits));
        ends = is_end(r, id);
        TRY(take(r, id, ends));
    }
    const clora_stop_reason how = judge(r, ends);
    return how == CLORA_STOP_NONE ? CLORA_OK : finish_and_tell(r, how);
done:
    request_fail(r);
    return status;
}

void clora_request_cancel(clora_request *request) {
    if (!request || !request->engine)
        return;
    request->output.callback = NULL;
    finish(request, CLORA_STOP_CANCELLED);
}

void clora_request_free(clora_request *request) {
    if (!request)
        return;
    clora_request_cancel(request);
    release(request);
    output_finish(&request->output);
    free(request->ids);
    free(request);
}

clora_stop_reason clora_request_stop_reason(const clora_request *request) {
    return request ? request->finish : CLORA_STOP_FAILED;
}

const char *clora_request_text(const clora_request *request, size_t *size) {
    if (size)
        *size = request ? request->output.size : 0;
    return !request ? NULL : request->output.text ? request->output.text : "";
}

const int32_t *clora_request_ids(const clora_request *request, size_t *count) {
    if (count)
        *count = request ? request->count : 0;
    return request ? request->ids : NULL;
}
