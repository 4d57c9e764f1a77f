#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "infer/output.h"
#include "infer/sampler.h"
#include "model/session.h"

typedef struct generation {
    clora_session *session;
    sampler sampler;
    output output;
    clora_decoder *decoder;
    float *logits;
    int32_t *ids;
    int count;
    const char *stop;
} generation;

static double seconds_now(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static bool is_eos(const clora_model_info *info, int32_t id) {
    for (int i = 0; i < info->eos_count; i++)
        if (info->eos[i] == id)
            return true;
    return false;
}

static clora_status prepare(generation *g, const clora_tokenizer *tokenizer, const int32_t *prompt, int count,
                            const clora_generate_options *options) {
    const clora_model_info *info = clora_model_get_info(g->session->model);
    clora_status status = CLORA_OK;

    if (count < 1)
        return clora_fail(CLORA_ERROR_ARGUMENT, "a prompt needs at least one token");
    if (g->session->cache.B != 1)
        return clora_fail(CLORA_ERROR_ARGUMENT, "generation takes a session of one sequence, not %d",
                          g->session->cache.B);
    if (options->max_tokens < 0)
        return clora_fail(CLORA_ERROR_ARGUMENT, "%d tokens to generate", options->max_tokens);
    if (count > g->session->cache.capacity)
        return clora_fail(CLORA_ERROR_ARGUMENT, "the prompt has %d tokens; the session holds %d", count,
                          g->session->cache.capacity);
    TRY(sampler_init(&g->sampler, &options->sample, info->vocab));
    for (int i = 0; i < count; i++)
        sampler_see(&g->sampler, prompt[i]);
    TRY(clora_decoder_create(&g->decoder, tokenizer, prompt, (size_t)count));
    g->logits = alloc_array((size_t)info->vocab, sizeof(*g->logits));
    g->ids = alloc_array((size_t)options->max_tokens, sizeof(*g->ids));
    if (!g->logits || !g->ids)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a generation"));
done:
    return status;
}

/* Take one id; g->stop is set when it was the last. */
static clora_status take(generation *g, int32_t id) {
    clora_status status = CLORA_OK;
    const char *piece;
    size_t size;
    bool found;

    g->ids[g->count++] = id;
    sampler_see(&g->sampler, id);
    if (is_eos(clora_model_get_info(g->session->model), id)) {
        g->stop = "eos";
        return CLORA_OK;
    }
    TRY(clora_decoder_push(g->decoder, id, &piece, &size));
    TRY(output_add(&g->output, piece, size, &found));
    if (found)
        g->stop = "text";
done:
    return status;
}

static clora_status decode(generation *g, int max_tokens) {
    clora_status status = CLORA_OK;
    int32_t id;

    while (!g->stop && !g->output.cancelled && g->count < max_tokens) {
        TRY(sampler_next(&g->sampler, &id, g->logits));
        TRY(take(g, id));
        if (g->stop || g->count == max_tokens || clora_session_length(g->session) == g->session->cache.capacity)
            break;
        TRY(clora_session_forward(g->session, g->logits, &id, 1, 0));
    }
    if (!g->stop)
        g->stop = "length";
done:
    return status;
}

/* What is left in the decoder (half a character) and in the output (half a stop text). */
static clora_status flush(generation *g) {
    clora_status status = CLORA_OK;
    const char *piece;
    size_t size;
    bool found = strcmp(g->stop, "text") == 0;

    if (!found) {
        TRY(clora_decoder_flush(g->decoder, &piece, &size));
        TRY(output_add(&g->output, piece, size, &found));
    }
    output_flush(&g->output);
done:
    return status;
}

clora_status clora_generate(clora_generation *out, clora_session *session, const clora_tokenizer *tokenizer,
                            const int32_t *prompt, int count, const clora_generate_options *options,
                            clora_text_callback callback, void *user) {
    static const clora_generate_options defaults = CLORA_GENERATE_OPTIONS_INIT;
    clora_status status = CLORA_OK;
    generation g = {.session = session};

    *out = (clora_generation){0};
    if (!options)
        options = &defaults;
    g.output = (output){.stop = options->stop, .callback = callback, .user = user};
    TRY(prepare(&g, tokenizer, prompt, count, options));
    const double start = seconds_now();
    clora_session_reset(session);
    TRY(clora_session_forward(session, g.logits, prompt, count, 0));
    const double prefilled = seconds_now();
    TRY(decode(&g, options->max_tokens));
    TRY(flush(&g));
    *out = (clora_generation){.text = g.output.text,
                              .size = g.output.size,
                              .ids = g.ids,
                              .count = g.count,
                              .stop = g.stop,
                              .prefill_seconds = prefilled - start,
                              .decode_seconds = seconds_now() - prefilled};
    g.output.text = NULL;
    g.ids = NULL;
done:
    clora_decoder_free(g.decoder);
    sampler_finish(&g.sampler);
    output_finish(&g.output);
    free(g.logits);
    free(g.ids);
    return status;
}

void clora_generation_free(clora_generation *generation) {
    free(generation->text);
    free(generation->ids);
    *generation = (clora_generation){0};
}
