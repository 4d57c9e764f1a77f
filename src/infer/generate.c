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
    size_t count, next; /* prompts, and those begun */
    size_t *prompt;     /* of each slot: its number */
    clora_generation **out;
    bool is_single; /* options.callback hears its text; of a batch options.ended hears of each text */
    bool stopped;   /* by either */
} run;

/* What fits into a sequence of the session after what its adapter has before it. */
static clora_status check(const run *r, const clora_session *session) {
    const int capacity = session->cache.capacity - adapter_past(session->select.adapter);

    if (r->options.max_tokens < 0)
        return clora_fail(CLORA_ERROR_ARGUMENT, "%d tokens to generate", r->options.max_tokens);
    for (size_t i = 0; i < r->count; i++) {
        if (r->prompts[i].count < 1 || !r->prompts[i].ids)
            return clora_fail(CLORA_ERROR_ARGUMENT, "a prompt needs at least one token");
        if (capacity < 0 || r->prompts[i].count > (size_t)capacity)
            return clora_fail(CLORA_ERROR_ARGUMENT, "the prompt has %zu tokens; the session holds %d",
                              r->prompts[i].count, capacity);
    }
    return beam_check(session, &r->options);
}

static void cancel_all(run *r) {
    for (int i = 0; i < r->engine.slots; i++)
        clora_request_free(r->engine.slot[i]);
}

/* A text and its ids become the caller's. */
static void take_result(clora_generation *out, clora_request *r) {
    *out = (clora_generation){.text = r->output.text,
                              .size = r->output.size,
                              .ids = r->ids,
                              .count = r->count,
                              .stop = r->finish,
                              .prefill_seconds = r->prefilled - r->begun,
                              .decode_seconds = r->ended - r->prefilled};
    r->output.text = NULL;
    r->ids = NULL;
}

static bool tell_text(const run *r, const char *text, size_t size) {
    return r->is_single && r->options.callback && r->options.callback(r->options.user, text, size);
}

static bool tell_end(const run *r, size_t i) {
    return !r->is_single && r->options.ended && r->options.ended(r->options.user, i, r->out[i]);
}

static int hear(void *user, clora_request *request, const char *text, size_t size) {
    run *r = user;

    if (size > 0) {
        if (tell_text(r, text, size))
            r->stopped = true;
        return r->stopped;
    }
    if (request->finish != CLORA_STOP_FAILED) {
        const size_t prompt = r->prompt[request->slot];
        take_result(r->out[prompt], request);
        if (tell_end(r, prompt)) {
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
        TRY(engine_admit(&request, &r->engine, p->ids, p->count, &options));
        r->prompt[request->slot] = r->next++;
    }
done:
    return status;
}

/* One prompt after the other. */
static clora_status run_beams(run *r, clora_session *session, const clora_tokenizer *tokenizer) {
    clora_status status = CLORA_OK;

    for (size_t i = 0; i < r->count && !r->stopped; i++) {
        clora_generation *result = r->out[i];
        TRY(beam_generate(result, session, tokenizer, &r->prompts[i], &r->options));
        r->stopped = (result->size > 0 && tell_text(r, result->text, result->size)) || tell_end(r, i);
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

/* Nothing in them yet. */
static clora_status make_results(run *r) {
    for (size_t i = 0; i < r->count; i++)
        if (!(r->out[i] = calloc(1, sizeof(*r->out[i]))))
            return clora_fail(CLORA_ERROR_MEMORY, "no memory for a generation");
    return CLORA_OK;
}

static void drop_results(run *r, bool all) {
    for (size_t i = 0; i < r->count; i++)
        if (all || r->out[i]->stop == CLORA_STOP_NONE) {
            clora_generation_free(r->out[i]);
            r->out[i] = NULL;
        }
}

static clora_status run_all(run *r, const clora_generate_options *options, clora_session *session,
                            const clora_tokenizer *tokenizer) {
    clora_status status = CLORA_OK;

    TRY(OPTIONS_TAKE(r->options, options));
    TRY(OPTIONS_TAKE(r->sample, r->options.sample));
    r->options.sample = &r->sample;
    TRY(check(r, session));
    TRY(make_results(r));
    TRY(r->options.beams > 1 ? run_beams(r, session, tokenizer) : run_engine(r, session, tokenizer));
done:
    if (status != CLORA_OK || r->stopped)
        drop_results(r, status != CLORA_OK);
    return status == CLORA_OK && r->stopped ? clora_fail(CLORA_CANCELLED, "generation was stopped") : status;
}

clora_status clora_generate(clora_generation **out, clora_session *session, const clora_tokenizer *tokenizer,
                            const int32_t *prompt, size_t count, const clora_generate_options *options) {
    const clora_prompt one = {prompt, count};
    run r = {.options = CLORA_GENERATE_OPTIONS_INIT,
             .sample = CLORA_SAMPLE_OPTIONS_INIT,
             .prompts = &one,
             .count = 1,
             .out = out,
             .is_single = true};

    NEED(out);
    *out = NULL;
    NEED(session);
    NEED(tokenizer);
    NEED(prompt);
    return run_all(&r, options, session, tokenizer);
}

clora_status clora_generate_batch(clora_generation **out, clora_session *session, const clora_tokenizer *tokenizer,
                                  const clora_prompt *prompts, size_t count, const clora_generate_options *options) {
    run r = {.options = CLORA_GENERATE_OPTIONS_INIT,
             .sample = CLORA_SAMPLE_OPTIONS_INIT,
             .prompts = prompts,
             .count = count,
             .out = out};

    NEED(out);
    memset(out, 0, count * sizeof(*out));
    NEED(session);
    NEED(tokenizer);
    NEED(prompts);
    return run_all(&r, options, session, tokenizer);
}

void clora_generation_free(clora_generation *generation) {
    if (!generation)
        return;
    free(generation->text);
    free(generation->ids);
    free(generation);
}
