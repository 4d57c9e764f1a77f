#include "model/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/ints.h"
#include "device/self_check.h"

enum { LOGITS_ROWS = 64 };

/* What goes to the device with each step. */
enum { UPLOADS = 4 };

static clora_status plan_cache(clora_session *s, kv_size size) {
    const model_config *c = &s->model->config;
    const int batch = size.B, capacity = size.capacity;
    clora_status status = CLORA_OK;
    int rows;

    if (__builtin_mul_overflow(batch, capacity, &rows))
        return clora_fail(CLORA_ERROR_ARGUMENT, "a session of %d x %d tokens is too large", batch, capacity);
    s->host = alloc_array((size_t)rows, sizeof(*s->host) * UPLOADS);
    s->length = alloc_array((size_t)batch, sizeof(*s->length));
    s->before = alloc_array((size_t)batch, sizeof(*s->before));
    s->lost = alloc_array((size_t)batch, sizeof(*s->lost));
    if (!s->host || !s->length || !s->before || !s->lost)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a session");
    arena_init(&s->memory, s->model->context);
    TRY(kv_plan(&s->cache, &s->memory, c, size));
    TRY(arena_add(&s->memory, &s->logits, CLORA_DTYPE_F32, batch > LOGITS_ROWS ? batch : LOGITS_ROWS, c->vocab));
    TRY(arena_commit(&s->memory));
    clora_session_reset(s);
done:
    return status;
}

/* Texts may share their beginnings, and one that becomes longer may go through the model again, by other rotations. */
static clora_status keep_texts(clora_session *s) {
    const size_t batch = (size_t)s->cache.B, capacity = (size_t)s->cache.capacity;

    s->text = alloc_array(batch, sizeof(*s->text));
    s->text_ids = alloc_array(batch * capacity, sizeof(*s->text_ids));
    if (!s->text || !s->text_ids)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a session");
    for (size_t b = 0; b < batch; b++)
        s->text[b].ids = s->text_ids + b * capacity;
    return CLORA_OK;
}

clora_status session_create(clora_session **out, clora_model *model, int batch, int capacity, size_t positions) {
    clora_status status = CLORA_OK;
    clora_session *s;
    const int share = batch < 1 || batch > SESSION_ROWS ? 1 : divide_up(SESSION_ROWS, batch);
    const int prefill = capacity < share ? capacity : share;

    s = calloc(1, sizeof(*s));
    if (!s)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a session"));
    shared_hold(&model->shared);
    s->model = model;
    if (batch < 1)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "a session of %d sequences; the least is 1", batch));
    if (capacity < 1 || capacity > model->config.max_positions)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "a session of %d tokens; the model has positions for 1 to %d", capacity,
                       model->config.max_positions));
    TRY(plan_cache(s, (kv_size){batch, capacity, batch * prefill, positions}));
    TRY(workspace_plan(&s->ws, model, &(workspace_options){.B = batch, .T = prefill, .positions = capacity}));
    TRY(workspace_commit(s->ws));
    TRY(keep_texts(s));
    TRY(model_self_check(model, SELF_CHECK_TAPE));
    TRY(tape_create(&s->tape, model->context));
    TRY(clora_tensor_zero(&s->ws->first)); /* every query sees its sequence from the start */
    *out = s;
    s = NULL;
done:
    clora_session_free(s);
    return status;
}

clora_status clora_session_create(clora_session **out, clora_model *model, int batch, int capacity) {
    NEED(out);
    *out = NULL;
    NEED(model);
    return clora_keep_cause(session_create(out, model, batch, capacity, 0));
}

/* An adapter is held while it is selected. */
static void let_go(const clora_adapter *adapter) {
    if (adapter)
        shared_let_go(&adapter->shared);
}

void clora_session_free(clora_session *s) {
    if (!s)
        return;
    clora_context_finish(s->model->context);
    tape_free(s->tape);
    each_terms_free(s->terms);
    workspace_free(s->ws);
    arena_finish(&s->memory);
    clora_tensor_free(s->u);
    clora_tensor_free(s->sublayer);
    kv_finish(&s->cache);
    free(s->host);
    free(s->length);
    free(s->before);
    free(s->lost);
    free(s->text);
    free(s->text_ids);
    let_go(s->select.adapter);
    shared_let_go(&s->model->shared);
    free(s);
}

static int largest_rank(const clora_adapter *adapter) {
    int most = 0;

    for (int p = 0; adapter && p < adapter->base.projections; p++)
        most = adapter_rank(adapter, p) > most ? adapter_rank(adapter, p) : most;
    return most;
}

/* Rows of at least so many floats in *scratch. */
static clora_status grow(clora_tensor **scratch, clora_session *s, int cols) {
    clora_status status = CLORA_OK;
    clora_tensor *grown;

    if (cols == 0 || (*scratch && tensor_cols(*scratch) >= cols))
        return CLORA_OK;
    TRY(tensor_new(&grown, s->model->context, CLORA_DTYPE_F32, s->ws->max_rows, cols));
    clora_tensor_free(*scratch);
    *scratch = grown;
    tape_forget(s->tape);
done:
    return status;
}

clora_status session_prepare(clora_session *s, const clora_adapter *adapter) {
    clora_status status = CLORA_OK;

    if (adapter)
        TRY(model_check_adapter(s->model, adapter));
    TRY(merged_check_selection(&s->model->merged, &(selection){.adapter = adapter}, 1));
    if (adapter_classifier(adapter))
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "the adapter tells the labels of texts: it does not continue them"));
    TRY(grow(&s->u, s, largest_rank(adapter)));
    for (int kind = 0; kind < SUBLAYERS; kind++)
        TRY(grow(&s->sublayer, s, workspace_bottleneck_width(adapter, kind, 0, s->model->config.layers - 1)));
    for (int i = 0; s->u && i < LAYER_PROJECTIONS; i++)
        s->ws->layer[0].u[i] = *s->u;
    if (s->u)
        s->ws->u_head = *s->u;
    for (int i = 0; s->sublayer && i < SUBLAYERS; i++)
        s->ws->layer[0].sublayer[i] = *s->sublayer;
done:
    return status;
}

clora_status clora_session_set_adapter(clora_session *session, clora_adapter *adapter) {
    clora_status status = CLORA_OK;

    NEED(session);
    TRY(session_prepare(session, adapter));
    if (adapter)
        shared_hold(&adapter->shared);
    let_go(session->select.adapter);
    session->select = (selection){.adapter = adapter};
done:
    return status;
}

void session_forget(clora_session *s, int sequence) {
    s->length[sequence] = 0;
    s->lost[sequence] = false;
}

void clora_session_reset(clora_session *s) {
    for (int b = 0; s && b < s->cache.B; b++)
        session_forget(s, b);
}

int clora_session_length(const clora_session *s) {
    int most = 0;

    for (int b = 0; s && b < s->cache.B; b++)
        most = s->length[b] > most ? s->length[b] : most;
    return most;
}

clora_status session_check_ids(const clora_session *s, const int32_t *ids, size_t count) {
    const int vocab = s->model->config.vocab;

    for (size_t i = 0; i < count; i++)
        if (ids[i] < 0 || ids[i] >= vocab)
            return clora_fail(CLORA_ERROR_ARGUMENT, "token id %d: the vocabulary has %d", ids[i], vocab);
    return CLORA_OK;
}

void session_copy(clora_session *s, int to, int from) {
    const session_text *original = &s->text[from];
    const int length = s->length[from];
    session_text *text = &s->text[to];

    kv_share(&s->cache, to, from, length);
    s->length[to] = length;
    memcpy(text->ids, original->ids, (size_t)length * sizeof(*text->ids));
    text->before = original->before;
    text->longer = original->longer;
    text->prompt = least(original->prompt, length);
    text->origin = original->origin;
}

size_t clora_session_reused(const clora_session *session) {
    return session ? session->reused : 0;
}
