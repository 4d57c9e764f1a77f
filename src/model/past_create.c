#include <clora/generate.h>
#include <clora/prefix.h>

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/options.h"
#include "base/rng.h"
#include "device/self_check.h"
#include "methods/past_adapter.h"
#include "model/session.h"

/* Streams of random numbers, apart from the small numbers that other users of a seed count from. */
static const uint32_t IDS_STREAM = 0x50000000u, VALUES_STREAM = 0x50000001u;

static clora_status check(const clora_model *m, const clora_prefix_options *o) {
    if (o->tokens < 1 || o->tokens >= m->config.max_positions)
        return clora_fail(CLORA_ERROR_ARGUMENT,
                          "%d positions before every sequence: at least 1, and fewer than the model's %d", o->tokens,
                          m->config.max_positions);
    if ((int)o->init < CLORA_PREFIX_INIT_VOCABULARY || o->init > CLORA_PREFIX_INIT_RANDOM)
        return clora_fail(CLORA_ERROR_ARGUMENT, "there is no initialisation of a prefix with number %d", (int)o->init);
    if (o->ids && o->id_count < 1)
        return clora_fail(CLORA_ERROR_ARGUMENT, "a text of no tokens to begin a prefix or a prompt as");
    for (size_t i = 0; o->ids && i < o->id_count; i++)
        if (o->ids[i] < 0 || o->ids[i] >= m->config.vocab)
            return clora_fail(CLORA_ERROR_ARGUMENT, "token id %d: the vocabulary has %d", o->ids[i], m->config.vocab);
    return CLORA_OK;
}

/* The tokens that it begins as. */
static void choose_ids(int32_t *ids, const clora_model *m, const clora_prefix_options *o) {
    for (int i = 0; i < o->tokens; i++)
        ids[i] = o->ids ? o->ids[(size_t)i % o->id_count]
                        : (int32_t)(rng_bits(o->seed, IDS_STREAM, (uint64_t)i) % (uint32_t)m->config.vocab);
}

static void fill_random(float *values, size_t n, uint64_t seed) {
    for (size_t i = 0; i < n; i++)
        values[i] = rng_normal(seed, VALUES_STREAM, i);
}

/* values (P, L * W) = the keys and values of P tokens in a session's cache, a matrix (P, W) for each layer. Those that
 * a layer with a window has let go nobody would see: they stay zero. */
static clora_status read_cache(float *values, const clora_session *s, int P) {
    const int L = s->model->config.layers, W = tensor_cols(&s->cache.kv[0]);
    float *layer = alloc_array((size_t)P, (size_t)W * sizeof(*layer));
    clora_status status = CLORA_OK;

    if (!layer)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a prefix"));
    for (int l = 0; l < L; l++) {
        const int first = kv_first(&s->cache, l, 0);
        for (int p = first, n; p < P; p += n) {
            const clora_tensor kv = kv_span(&s->cache, l, 0, p, P - p);
            n = kv.shape[0];
            TRY(clora_tensor_read(&kv, layer + (size_t)p * (size_t)W));
        }
        for (int p = first; p < P; p++)
            memcpy(values + ((size_t)p * (size_t)L + (size_t)l) * (size_t)W, layer + (size_t)p * (size_t)W,
                   (size_t)W * sizeof(*layer));
    }
done:
    free(layer);
    return status;
}

/* What the model makes of the ids in every layer. */
static clora_status run_ids(float *values, clora_model *m, const int32_t *ids, int P) {
    float *logits = alloc_array((size_t)m->config.vocab, sizeof(*logits));
    clora_session *session = NULL;
    clora_status status = CLORA_OK;

    if (!logits)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a prefix"));
    TRY(clora_session_create(&session, m, 1, P));
    TRY(clora_session_forward(session, logits, ids, P, 0));
    TRY(read_cache(values, session, P));
done:
    clora_session_free(session);
    free(logits);
    return status;
}

/* Their embeddings. */
static clora_status embed_ids(float *values, clora_model *m, const int32_t *ids, int P) {
    clora_tensor *places = NULL, *rows = NULL;
    clora_status status = CLORA_OK;

    TRY(tensor_new(&places, m->context, CLORA_DTYPE_I32, P, 1));
    TRY(tensor_new(&rows, m->context, CLORA_DTYPE_F32, P, m->config.hidden));
    TRY(clora_tensor_write(places, ids));
    TRY(op_embedding(rows, places, m->embedding, m->config.embedding_scale));
    TRY(clora_tensor_read(rows, values));
done:
    clora_tensor_free(places);
    clora_tensor_free(rows);
    return status;
}

/* *out: a new adapter, which goes when this fails. */
static clora_status add_labels(clora_adapter **out, clora_model *m, const clora_prefix_options *o) {
    clora_status status = CLORA_OK;

    if (!o->labels)
        return CLORA_OK;
    TRY(model_self_check(m, SELF_CHECK_FACTORS));
    TRY(past_add_labels(*out, o->labels, o->seed));
    return CLORA_OK;
done:
    clora_adapter_free(*out);
    *out = NULL;
    return status;
}

/* What the two kinds differ in. */
typedef struct past_kind {
    int (*width)(const base_model *base);
    clora_status (*from_ids)(float *values, clora_model *m, const int32_t *ids, int P);
    clora_status (*create)(clora_adapter **out, const base_model *base, int tokens, const float *values);
} past_kind;

static clora_status create(clora_adapter **out, clora_model *model, const clora_prefix_options *options,
                           const past_kind *kind) {
    clora_prefix_options o = CLORA_PREFIX_OPTIONS_INIT;
    clora_status status = CLORA_OK;
    float *values = NULL;
    int32_t *ids = NULL;

    TRY(OPTIONS_TAKE(o, options));
    const base_model base = model_as_base(model);
    const size_t width = (size_t)kind->width(&base);
    TRY(check(model, &o));
    TRY(model_self_check(model, SELF_CHECK_PAST));
    values = alloc_array((size_t)o.tokens, width * sizeof(*values));
    ids = alloc_array((size_t)o.tokens, sizeof(*ids));
    if (!values || !ids)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for %d positions", o.tokens));
    choose_ids(ids, model, &o);
    if (!o.ids && o.init == CLORA_PREFIX_INIT_RANDOM)
        fill_random(values, (size_t)o.tokens * width, o.seed);
    else
        TRY(kind->from_ids(values, model, ids, o.tokens));
    TRY(kind->create(out, &base, o.tokens, values));
    TRY(add_labels(out, model, &o));
done:
    free(values);
    free(ids);
    return clora_keep_cause(status);
}

/* ---- a prefix that a projection makes ---- */

static clora_status check_projection(const clora_model *m, const clora_prefix_options *o) {
    if (o->projection < 0)
        return clora_fail(CLORA_ERROR_ARGUMENT, "a projection of %d columns; 0 (none) or more is possible",
                          o->projection);
    if (o->ids)
        return clora_fail(CLORA_ERROR_ARGUMENT, "a prefix that a projection makes begins at random, not as a text");
    return check(m, o);
}

static clora_status create_projected(clora_adapter **out, clora_model *model, const clora_prefix_options *o) {
    const base_model base = model_as_base(model);
    const int N = prefix_width(&base);
    projection_values values = {0};
    clora_status status = CLORA_OK;

    TRY(check_projection(model, o));
    TRY(model_self_check(model, SELF_CHECK_PAST | SELF_CHECK_WEIGHTS));
    TRY(projection_values_init(&values, o->tokens, prefix_token_width(&base), o->projection, N));
    projection_values_fill(&values, o->tokens, N, o->seed);
    TRY(prefix_create_projected(out, &base, o->tokens, &values));
    TRY(add_labels(out, model, o));
done:
    projection_values_finish(&values);
    return clora_keep_cause(status);
}

clora_status clora_prefix_create(clora_adapter **out, clora_model *model, const clora_prefix_options *options) {
    static const past_kind prefix = {prefix_width, run_ids, prefix_create};
    clora_prefix_options o = CLORA_PREFIX_OPTIONS_INIT;

    NEED(out);
    *out = NULL;
    NEED(model);
    const clora_status status = OPTIONS_TAKE(o, options);
    if (status != CLORA_OK)
        return clora_keep_cause(status);
    return o.projection ? create_projected(out, model, &o) : create(out, model, &o, &prefix);
}

clora_status clora_prompt_create(clora_adapter **out, clora_model *model, const clora_prefix_options *options) {
    static const past_kind prompt = {prompt_width, embed_ids, prompt_create};

    NEED(out);
    *out = NULL;
    NEED(model);
    return create(out, model, options, &prompt);
}
