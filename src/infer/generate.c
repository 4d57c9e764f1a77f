#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/options.h"
#include "infer/beam.h"
#include "infer/request.h"

/* Prompts to continue in the slots of an engine: a slot whose text has ended takes the next prompt. */
typedef struct run {
    clora_engine engine;
    clora_generate_options options;
    clora_sample_options sample; /* of options */
    const clora_prompt *prompts;
    int count, next; /* prompts, and those begun */
    int *prompt;     /* of each slot: its number */
    clora_generation *out;
    clora_text_callback on_text; /* of a single prompt */
    clora_generation_callback on_end;
    void *user;
    bool stopped; /* by on_text or on_end */
} run;

/* What fits into a sequence of the session after what its adapter has before it. */
static clora_status check(const run *r, const clora_session *session) {
    const int capacity = session->cache.capacity - adapter_past(session->select.adapter);

    if (r->options.max_tokens < 0)
        return clora_fail(CLORA_ERROR_ARGUMENT, "%d tokens to generate", r->options.max_tokens);
    for (int i = 0; i < r->count; i++) {
        if (r->prompts[i].count < 1 || !r->prompts[i].ids)
            return clora_fail(CLORA_ERROR_ARGUMENT, "a prompt needs at least one token");
        if (r->prompts[i].count > capacity)
            return clora_fail(CLORA_ERROR_ARGUMENT, "the prompt has %d tokens; the session holds %d",
                              r->prompts[i].count, capacity);
    }
    return beam_check(session, &r->options);
}

static void cancel_all(run *r) {
    for (int i = 0; i < r->engine.slots; i++)
        clora_request_free(r->engine.slot[i]);
}

static const char *finish_name(clora_finish finish) {
    switch (finish) {
    case CLORA_FINISH_EOS: return "eos";
    case CLORA_FINISH_TEXT: return "text";
    case CLORA_FINISH_CANCELLED: return "cancelled";
    default: return "length";
    }
}

/* A text and its ids become the caller's. */
static clora_generation result_of(clora_request *r) {
    const clora_generation result = {.text = r->output.text,
                                     .size = r->output.size,
                                     .ids = r->ids,
                                     .count = (int)r->count,
                                     .stop = finish_name(r->finish),
                                     .prefill_seconds = r->prefilled - r->begun,
                                     .decode_seconds = r->ended - r->prefilled};

    r->output.text = NULL;
    r->ids = NULL;
    return result;
}

static int hear(void *user, clora_request *request, const char *text, size_t size) {
    run *r = user;

    if (size > 0) {
        if (r->on_text && r->on_text(r->user, text, size))
            r->stopped = true;
        return r->stopped;
    }
    if (request->finish != CLORA_FINISH_FAILED) {
        const int prompt = r->prompt[request->slot];
        r->out[prompt] = result_of(request);
        if (r->on_end && r->on_end(r->user, prompt, &r->out[prompt])) {
            r->stopped = true;
            cancel_all(r);
        }
    }
    clora_request_free(request);
    return 0;
}

/* Give prompts to the slots that are free. */
static clora_status admit(run *r) {
    const clora_generate_options *o = &r->options;
    const clora_request_options options = {.size = sizeof(options),
                                           .max_tokens = (size_t)o->max_tokens,
                                           .sample = o->sample,
                                           .stop = o->stop,
                                           .adapter = r->engine.session->select.adapter,
                                           .callback = hear,
                                           .user = r,
                                           .scale = 1.0f};
    clora_status status = CLORA_OK;

    while (r->next < r->count && clora_engine_free_slots(&r->engine) > 0) {
        const clora_prompt *p = &r->prompts[r->next];
        clora_request *request;
        TRY(engine_admit(&request, &r->engine, p->ids, (size_t)p->count, &options));
        r->prompt[request->slot] = r->next++;
    }
done:
    return status;
}

/* One prompt after the other. */
static clora_status run_beams(run *r, clora_session *session, const clora_tokenizer *tokenizer) {
    clora_status status = CLORA_OK;

    for (int i = 0; i < r->count && !r->stopped; i++) {
        clora_generation *result = &r->out[i];
        TRY(beam_generate(result, session, tokenizer, &r->prompts[i], &r->options));
        if (r->on_text && result->size > 0)
            r->stopped = r->on_text(r->user, result->text, result->size);
        if (r->on_end && r->on_end(r->user, i, result))
            r->stopped = true;
    }
done:
    return status;
}

/* In the slots of an engine. */
static clora_status run_engine(run *r, clora_session *session, const clora_tokenizer *tokenizer) {
    clora_status status = CLORA_OK;

    TRY(engine_init(&r->engine, session, tokenizer));
    r->prompt = alloc_array((size_t)r->engine.slots, sizeof(*r->prompt));
    if (!r->prompt)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a generation"));
    clora_session_reset(session);
    while (!r->stopped && (r->next < r->count || clora_engine_running(&r->engine) > 0)) {
        TRY(admit(r));
        TRY(clora_engine_step(&r->engine));
    }
done:
    cancel_all(r);
    engine_finish(&r->engine);
    free(r->prompt);
    return status;
}

static clora_status run_all(run *r, const clora_generate_options *options, clora_session *session,
                            const clora_tokenizer *tokenizer) {
    clora_status status = CLORA_OK;

    memset(r->out, 0, (size_t)r->count * sizeof(*r->out));
    TRY(OPTIONS_TAKE(r->options, options));
    TRY(OPTIONS_TAKE(r->sample, r->options.sample));
    r->options.sample = &r->sample;
    TRY(check(r, session));
    TRY(r->options.beams > 1 ? run_beams(r, session, tokenizer) : run_engine(r, session, tokenizer));
done:
    for (int i = 0; status != CLORA_OK && i < r->count; i++)
        clora_generation_free(&r->out[i]);
    return status == CLORA_OK && r->stopped ? clora_fail(CLORA_CANCELLED, "generation was stopped") : status;
}

clora_status clora_generate(clora_generation *out, clora_session *session, const clora_tokenizer *tokenizer,
                            const int32_t *prompt, int count, const clora_generate_options *options,
                            clora_text_callback callback, void *user) {
    const clora_prompt one = {prompt, count};
    run r = {.options = CLORA_GENERATE_OPTIONS_INIT,
             .sample = CLORA_SAMPLE_OPTIONS_INIT,
             .prompts = &one,
             .count = 1,
             .out = out,
             .on_text = callback,
             .user = user};

    NEED(out);
    NEED(session);
    NEED(tokenizer);
    NEED(prompt);
    return run_all(&r, options, session, tokenizer);
}

clora_status clora_generate_batch(clora_generation *out, clora_session *session, const clora_tokenizer *tokenizer,
                                  const clora_prompt *prompts, int count, const clora_generate_options *options,
                                  clora_generation_callback callback, void *user) {
    run r = {.options = CLORA_GENERATE_OPTIONS_INIT,
             .sample = CLORA_SAMPLE_OPTIONS_INIT,
             .prompts = prompts,
             .count = count,
             .out = out,
             .on_end = callback,
             .user = user};

    NEED(out);
    NEED(session);
    NEED(tokenizer);
    NEED(prompts);
    if (count < 0)
        return clora_fail(CLORA_ERROR_ARGUMENT, "%d prompts to continue", count);
    return run_all(&r, options, session, tokenizer);
}

void clora_generation_free(clora_generation *generation) {
    if (!generation)
        return;
    free(generation->text);
    free(generation->ids);
    *generation = (clora_generation){0};
}
