#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "infer/output.h"
#include "infer/sampler.h"
#include "model/session.h"

/* One text in the making. */
typedef struct generation {
    int prompt; /* its number */
    sampler sampler;
    output output;
    clora_decoder *decoder;
    int32_t *ids;
    int count;
    const char *stop; /* NULL: goes on */
    double start, prefilled;
} generation;

/* Prompts to continue in the sequences of a session: a sequence whose text has ended takes the next prompt. */
typedef struct run {
    clora_session *session;
    const clora_tokenizer *tokenizer;
    const clora_generate_options *options;
    const clora_prompt *prompts;
    int count, next; /* prompts, and those begun */
    clora_generation *out;
    clora_text_callback on_text; /* of a single prompt */
    clora_generation_callback on_end;
    void *user;
    bool cancelled;
    generation *sequence; /* one for each of the session's */
    float *logits;        /* (sequences, V) */
    int32_t *last;        /* the last id of each sequence */
} run;

static double seconds_now(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Training ends texts with the tokenizer's eos, whatever the model's files name. */
static bool is_eos(const run *r, int32_t id) {
    const clora_model_info *info = clora_model_get_info(r->session->model);

    for (int i = 0; i < info->eos_count; i++)
        if (info->eos[i] == id)
            return true;
    return id == clora_tokenizer_eos(r->tokenizer);
}

static clora_status check(const run *r) {
    const int capacity = r->session->cache.capacity;

    if (r->options->max_tokens < 0)
        return clora_fail(CLORA_ERROR_ARGUMENT, "%d tokens to generate", r->options->max_tokens);
    for (int i = 0; i < r->count; i++) {
        if (r->prompts[i].count < 1 || !r->prompts[i].ids)
            return clora_fail(CLORA_ERROR_ARGUMENT, "a prompt needs at least one token");
        if (r->prompts[i].count > capacity)
            return clora_fail(CLORA_ERROR_ARGUMENT, "the prompt has %d tokens; the session holds %d",
                              r->prompts[i].count, capacity);
    }
    return CLORA_OK;
}

static void generation_finish(generation *g) {
    clora_decoder_free(g->decoder);
    sampler_finish(&g->sampler);
    output_finish(&g->output);
    free(g->ids);
    *g = (generation){.prompt = -1};
}

/* Take one id; g->stop is set when it was the last. */
static clora_status take(const run *r, generation *g, int32_t id) {
    clora_status status = CLORA_OK;
    const bool eos = is_eos(r, id);
    const char *piece;
    size_t size;

    g->ids[g->count++] = id;
    sampler_see(&g->sampler, id);
    if (eos || clora_tokenizer_is_special(r->tokenizer, id)) { /* no part of the text, but stop texts may name it */
        piece = clora_tokenizer_token(r->tokenizer, id, &size);
        TRY(output_add_special(&g->output, piece, size));
    } else {
        TRY(clora_decoder_push(g->decoder, id, &piece, &size));
        TRY(output_add(&g->output, piece, size));
    }
    if (eos || g->output.stopped)
        g->stop = eos ? "eos" : "text";
done:
    return status;
}

/* What is left in the decoder (half a character) and in the output (half a stop text). */
static clora_status flush(generation *g) {
    clora_status status = CLORA_OK;
    const char *piece;
    size_t size;

    TRY(clora_decoder_flush(g->decoder, &piece, &size));
    TRY(output_add(&g->output, piece, size));
    TRY(output_flush(&g->output));
done:
    return status;
}

/* A text has ended: its result is the caller's, its sequence is free. */
static clora_status end(run *r, generation *g) {
    clora_generation *out = &r->out[g->prompt];
    clora_status status = CLORA_OK;

    TRY(flush(g));
    *out = (clora_generation){.text = g->output.text,
                              .size = g->output.size,
                              .ids = g->ids,
                              .count = g->count,
                              .stop = g->stop,
                              .prefill_seconds = g->prefilled - g->start,
                              .decode_seconds = seconds_now() - g->prefilled};
    g->output.text = NULL;
    g->ids = NULL;
    if (r->on_end && r->on_end(r->user, g->prompt, out))
        r->cancelled = true;
    generation_finish(g);
done:
    return status;
}

/* The next id of a sequence from its logits. */
static clora_status advance(run *r, int sequence) {
    const clora_session *s = r->session;
    const clora_model_info *info = clora_model_get_info(s->model);
    generation *g = &r->sequence[sequence];
    clora_status status = CLORA_OK;
    int32_t id;

    if (g->count < r->options->max_tokens) {
        TRY(sampler_next(&g->sampler, &id, r->logits + (size_t)sequence * (size_t)info->vocab));
        TRY(take(r, g, id));
        r->last[sequence] = id;
    }
    if (!g->stop &&
        (g->output.cancelled || g->count >= r->options->max_tokens || s->length[sequence] == s->cache.capacity))
        g->stop = "length";
    if (g->stop)
        TRY(end(r, g));
done:
    return status;
}

/* Give the next prompt to a free sequence. */
static clora_status begin(run *r, int sequence) {
    clora_session *s = r->session;
    const int vocab = clora_model_get_info(s->model)->vocab;
    generation *g = &r->sequence[sequence];
    const clora_prompt *p = &r->prompts[r->next];
    clora_status status = CLORA_OK;

    *g = (generation){.prompt = r->next++, .start = seconds_now()};
    g->output = (output){.stop = r->options->stop, .callback = r->on_text, .user = r->user};
    TRY(sampler_init(&g->sampler, &r->options->sample, vocab));
    for (int i = 0; i < p->count; i++)
        sampler_see(&g->sampler, p->ids[i]);
    TRY(clora_decoder_create(&g->decoder, r->tokenizer, p->ids, (size_t)p->count));
    g->ids = alloc_array((size_t)r->options->max_tokens, sizeof(*g->ids));
    if (!g->ids)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a generation"));
    session_forget(s, sequence);
    TRY(session_prefill(s, sequence, r->logits + (size_t)sequence * (size_t)vocab, p->ids, p->count));
    g->prefilled = seconds_now();
    TRY(advance(r, sequence));
done:
    return status;
}

/* One more id for every text in the making: all sequences up to the last of them take part, the free ones idly. */
static clora_status step(run *r) {
    clora_session *s = r->session;
    int B = s->cache.B;
    clora_status status = CLORA_OK;

    while (B > 0 && r->sequence[B - 1].prompt < 0)
        B--;
    if (B == 0)
        return CLORA_OK;
    for (int i = 0; i < B; i++)
        if (r->sequence[i].prompt < 0) {
            session_forget(s, i);
            r->last[i] = 0;
        }
    TRY(session_step(s, r->logits, r->last, B));
    for (int i = 0; i < B && !r->cancelled; i++)
        if (r->sequence[i].prompt >= 0)
            TRY(advance(r, i));
done:
    return status;
}

static bool is_going(const run *r) {
    bool going = r->next < r->count;

    for (int i = 0; i < r->session->cache.B; i++)
        going = going || r->sequence[i].prompt >= 0;
    return going && !r->cancelled;
}

static clora_status run_all(run *r) {
    const size_t B = (size_t)r->session->cache.B, vocab = (size_t)clora_model_get_info(r->session->model)->vocab;
    clora_status status = CLORA_OK;

    memset(r->out, 0, (size_t)r->count * sizeof(*r->out));
    TRY(check(r));
    r->sequence = alloc_array(B, sizeof(*r->sequence));
    r->logits = alloc_array(B * vocab, sizeof(*r->logits));
    r->last = alloc_array(B, sizeof(*r->last));
    if (!r->sequence || !r->logits || !r->last)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a generation"));
    for (size_t i = 0; i < B; i++)
        r->sequence[i].prompt = -1;
    clora_session_reset(r->session);
    while (is_going(r)) {
        for (size_t i = 0; i < B && r->next < r->count && !r->cancelled; i++)
            if (r->sequence[i].prompt < 0)
                TRY(begin(r, (int)i));
        if (!r->cancelled)
            TRY(step(r));
    }
done:
    for (size_t i = 0; r->sequence && i < B; i++)
        generation_finish(&r->sequence[i]);
    for (int i = 0; status != CLORA_OK && i < r->count; i++)
        clora_generation_free(&r->out[i]);
    free(r->sequence);
    free(r->logits);
    free(r->last);
    return status;
}

static const clora_generate_options defaults = CLORA_GENERATE_OPTIONS_INIT;

clora_status clora_generate(clora_generation *out, clora_session *session, const clora_tokenizer *tokenizer,
                            const int32_t *prompt, int count, const clora_generate_options *options,
                            clora_text_callback callback, void *user) {
    const clora_prompt one = {prompt, count};
    run r = {.session = session,
             .tokenizer = tokenizer,
             .options = options ? options : &defaults,
             .prompts = &one,
             .count = 1,
             .out = out,
             .on_text = callback,
             .user = user};

    NEED(out);
    NEED(session);
    NEED(tokenizer);
    NEED(prompt);
    return run_all(&r);
}

clora_status clora_generate_batch(clora_generation *out, clora_session *session, const clora_tokenizer *tokenizer,
                                  const clora_prompt *prompts, int count, const clora_generate_options *options,
                                  clora_generation_callback callback, void *user) {
    run r = {.session = session,
             .tokenizer = tokenizer,
             .options = options ? options : &defaults,
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
    return run_all(&r);
}

void clora_generation_free(clora_generation *generation) {
    if (!generation)
        return;
    free(generation->text);
    free(generation->ids);
    *generation = (clora_generation){0};
}
