#include "model/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/ints.h"
#include "device/self_check.h"
#include "model/family.h"
#include "model/head.h"
#include "model/layer_types.h"
#include "ops/ops.h"

/* More tokens than these, of all sequences together, are fed in pieces. */
enum { PREFILL = 512, LOGITS_ROWS = 64 };

/* What goes to the device with each step. */
enum { UPLOADS = 4 };

static clora_status plan_cache(clora_session *s, int batch, int capacity) {
    const model_config *c = &s->model->config;
    clora_status status = CLORA_OK;
    int rows;

    if (__builtin_mul_overflow(batch, capacity, &rows))
        return clora_fail(CLORA_ERROR_ARGUMENT, "a session of %d x %d tokens is too large", batch, capacity);
    s->kv = alloc_array((size_t)c->layers, sizeof(*s->kv));
    s->host = alloc_array((size_t)rows, sizeof(*s->host) * UPLOADS);
    s->length = alloc_array((size_t)batch, sizeof(*s->length));
    s->before = alloc_array((size_t)batch, sizeof(*s->before));
    if (!s->kv || !s->host || !s->length || !s->before)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a session");
    arena_init(&s->memory, s->model->context);
    for (int l = 0; l < c->layers; l++)
        TRY(arena_add(&s->memory, &s->kv[l], CLORA_DTYPE_F32, rows, 2 * c->kv_heads * c->head_dim));
    TRY(arena_add(&s->memory, &s->logits, CLORA_DTYPE_F32, batch > LOGITS_ROWS ? batch : LOGITS_ROWS, c->vocab));
    TRY(arena_commit(&s->memory));
    s->cache = (kv_cache){batch, capacity, 0, s->kv};
    clora_session_reset(s);
done:
    return status;
}

/* A text that becomes longer goes through the model again, by other rotations. */
static clora_status keep_texts(clora_session *s) {
    const size_t batch = (size_t)s->cache.B, capacity = (size_t)s->cache.capacity;

    if (!s->ws->longer)
        return CLORA_OK;
    s->text = alloc_array(batch, sizeof(*s->text));
    s->text_ids = alloc_array(batch * capacity, sizeof(*s->text_ids));
    if (!s->text || !s->text_ids)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a session");
    for (size_t b = 0; b < batch; b++)
        s->text[b].ids = s->text_ids + b * capacity;
    return CLORA_OK;
}

clora_status clora_session_create(clora_session **out, clora_model *model, int batch, int capacity) {
    clora_status status = CLORA_OK;
    clora_session *s;
    const int share = batch < 1 || batch > PREFILL ? 1 : divide_up(PREFILL, batch);
    const int prefill = capacity < share ? capacity : share;

    NEED(out);
    *out = NULL;
    NEED(model);
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
    TRY(plan_cache(s, batch, capacity));
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
    return clora_keep_cause(status);
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
    free(s->kv);
    free(s->host);
    free(s->length);
    free(s->before);
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

clora_status clora_session_select(clora_session *session, clora_adapter *adapter) {
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

/* Some sequences of the session, what adapts them, and the ids (B, T) to append to them. */
typedef struct piece {
    const selection *select;
    int first, B;
    const int32_t *ids;
    int T;
    bool begins;    /* empty ones begin with what their adapter, the same for all, has before their tokens */
    bool is_prompt; /* the ids are those of its prompt */
} piece;

/* The tape holds steps with one adapter, which may be gone before it is turned, or merged. */
static void turn_tape(clora_session *s, const clora_adapter *adapter) {
    const uint64_t number = adapter ? adapter->number : 0;
    const unsigned changes = s->model->merged.changes;

    if (number != s->taped || changes != s->taped_changes)
        tape_forget(s->tape);
    s->taped = number;
    s->taped_changes = changes;
}

/* The forward pass of the step in hand, in one launch where that is the way. */
static clora_status run_step(clora_session *s, const selection *select) {
    const tape_key key = {s->ws->B, s->ws->T, s->cache.first};

    if (select->each || s->ws->has_prompt)
        return model_forward(s->ws, select, &s->cache);
    turn_tape(s, select->adapter);
    if (tape_begin(s->tape, key))
        tape_end(s->tape, model_forward(s->ws, select, &s->cache));
    return tape_holds(s->tape, key) ? tape_run(s->tape) : model_forward(s->ws, select, &s->cache);
}

/* The selection of a piece, with the tables of its terms where each sequence has its own. */
static clora_status select_terms(selection *out, clora_session *s, const piece *p) {
    clora_status status = CLORA_OK;

    *out = *p->select;
    if (!out->each)
        return CLORA_OK;
    if (!s->terms)
        TRY(each_terms_create(&s->terms, s->model, s->cache.B));
    TRY(each_terms_set(s->terms, out->each, p->B));
    out->terms = s->terms->whole ? s->terms : NULL;
done:
    return status;
}

/* The first key that each row of the step sees in layers with a window. */
static clora_status send_window(clora_session *s, int32_t *first, const int *length) {
    workspace *ws = s->ws;
    const int window = model_largest_window(&s->model->config);

    if (window == 0)
        return CLORA_OK;
    for (int i = 0; i < ws->M; i++)
        first[i] = most(0, length[i / ws->T] + i % ws->T - window + 1);
    return tensor_send(&ws->window_first, (size_t)ws->M, first);
}

/* T tokens for every sequence of the piece, from column t0 of its ids. */
static clora_status feed(clora_session *s, const piece *p, int t0, int T) {
    workspace *ws = s->ws;
    const int B = p->B;
    int *length = s->length + p->first;
    int32_t *ids = s->host, *positions = ids + B * T, *past = positions + B * T;
    clora_status status = CLORA_OK;

    workspace_set_shape(ws, B, T);
    ws->has_prompt = p->is_prompt;
    s->cache.first = p->first;
    TRY(clora_context_finish(s->model->context)); /* the step before has read what the host sent */
    for (int i = 0; i < B * T; i++) {
        const int at = length[i / T] + i % T;
        ids[i] = p->ids[(size_t)(i / T) * (size_t)p->T + (size_t)(t0 + i % T)];
        positions[i] = at;
        if (s->text) {
            session_text *text = &s->text[p->first + i / T];
            text->ids[at] = ids[i];
            positions[i] = workspace_rope_row(ws, at, text->longer);
        }
    }
    for (int b = 0; b < B; b++)
        past[b] = length[b];
    TRY(tensor_send(&ws->ids, (size_t)(B * T), ids));
    TRY(tensor_send(&ws->positions, (size_t)(B * T), positions));
    TRY(tensor_send(&ws->past, (size_t)B, past));
    TRY(send_window(s, past + B, length));
    TRY(run_step(s, p->select));
    for (int b = 0; b < B; b++)
        length[b] += T;
done:
    return status;
}

/* Logits of rows of the workspace's normed stream: `rows` of them, `step` apart, from row0. */
static clora_status read_logits(clora_session *s, const piece *p, float *out, int row0, int step, int rows) {
    const int V = s->model->config.vocab;
    clora_status status = CLORA_OK;
    clora_tensor x = tensor_view(&s->ws->normed, row0, rows, 0, s->model->config.hidden);
    clora_tensor y = tensor_view(&s->logits, 0, rows, 0, V);

    x.stride *= step;
    TRY(head_forward(s->ws, p->select, &y, &x));
    TRY(clora_tensor_read(&y, out));
done:
    return status;
}

/* All rows of the step at column t0 into logits (B, T, V) of the piece. */
static clora_status read_all(clora_session *s, const piece *p, float *logits, int t0) {
    const size_t V = (size_t)s->model->config.vocab;
    const int chunk = s->logits.shape[0], T = s->ws->T;
    clora_status status = CLORA_OK;

    for (int b = 0; b < s->ws->B; b++)
        for (int t = 0; t < T; t += chunk)
            TRY(read_logits(s, p, logits + ((size_t)b * (size_t)p->T + (size_t)(t0 + t)) * V, b * T + t, 1,
                            T - t < chunk ? T - t : chunk));
done:
    return status;
}

clora_status session_check_ids(const clora_session *s, const int32_t *ids, size_t count) {
    const int vocab = s->model->config.vocab;

    for (size_t i = 0; i < count; i++)
        if (ids[i] < 0 || ids[i] >= vocab)
            return clora_fail(CLORA_ERROR_ARGUMENT, "token id %d: the vocabulary has %d", ids[i], vocab);
    return CLORA_OK;
}

/* What there is before the piece's tokens in its b-th sequence. */
static int length_before(const clora_session *s, const piece *p, int b) {
    const int length = s->length[p->first + b];

    return p->begins && length == 0 ? adapter_past(p->select->adapter) : length;
}

static clora_status check(const clora_session *s, const piece *p) {
    for (int b = 0; b < p->B; b++)
        if (p->T < 1 || p->T > s->cache.capacity - length_before(s, p, b))
            return clora_fail(CLORA_ERROR_SHAPE, "%d tokens after %d: the session holds %d", p->T,
                              length_before(s, p, b), s->cache.capacity);
    return session_check_ids(s, p->ids, (size_t)p->B * (size_t)p->T);
}

/* ---- what an adapter has before a sequence's tokens ---- */

/* The keys and values of its prefix. */
static clora_status place_prefix(clora_session *s, const clora_adapter *adapter, int sequence) {
    const int P = adapter_prefix_length(adapter);
    clora_status status = CLORA_OK;

    for (int l = 0; P > 0 && l < s->model->config.layers; l++) {
        const clora_tensor *all = &s->kv[l], prefix = adapter_prefix_of(adapter, l);
        clora_tensor kv = tensor_view(all, sequence * s->cache.capacity, P, 0, tensor_cols(all));
        TRY(op_past_join(&kv, &prefix, NULL, 1));
    }
    s->length[sequence] = P;
done:
    return status;
}

/* The rows of its prompt go through the model as ids from the vocabulary's size on. */
static clora_status feed_prompt(clora_session *s, const selection *select, int sequence) {
    const int P = adapter_prompt_length(select->adapter), longest = s->ws->max_rows;
    int32_t *ids = alloc_array((size_t)P + 1, sizeof(*ids));
    const piece prompt = {.select = select, .first = sequence, .B = 1, .ids = ids, .T = P, .is_prompt = true};
    clora_status status = CLORA_OK;

    if (!ids)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a prompt"));
    for (int i = 0; i < P; i++)
        ids[i] = s->model->config.vocab + i;
    for (int t0 = 0; t0 < P; t0 += longest)
        TRY(feed(s, &prompt, t0, P - t0 < longest ? P - t0 : longest));
done:
    free(ids);
    return status;
}

static clora_status begin(clora_session *s, const piece *p) {
    clora_status status = CLORA_OK;

    for (int i = p->first; p->begins && i < p->first + p->B; i++) {
        if (s->length[i] > 0)
            continue;
        TRY(place_prefix(s, p->select->adapter, i));
        TRY(feed_prompt(s, p->select, i));
    }
done:
    return status;
}

/* The ids of a sequence once more, from its first. When this fails the sequence is empty. */
static clora_status feed_again(clora_session *s, const clora_adapter *adapter, int sequence, bool longer) {
    session_text *text = &s->text[sequence];
    const selection select = {.adapter = adapter};
    const int longest = s->ws->max_rows, length = s->length[sequence];
    const piece again = {.select = &select,
                         .first = sequence,
                         .B = 1,
                         .ids = text->ids + text->before,
                         .T = length - text->before,
                         .begins = true};
    clora_status status = CLORA_OK;

    if (text->before != adapter_past(adapter))
        return clora_fail(CLORA_ERROR_ARGUMENT,
                          "a text that began after %d positions of an adapter cannot become longer after %d of another",
                          text->before, adapter_past(adapter));
    text->longer = longer;
    session_forget(s, sequence);
    s->before[sequence] = 0;
    TRY(begin(s, &again));
    for (int t0 = 0; t0 < again.T; t0 += longest)
        TRY(feed(s, &again, t0, least(again.T - t0, longest)));
    s->before[sequence] = length;
done:
    return status;
}

/* By what each sequence of the piece is rotated: how long it will be decides. */
static clora_status choose_rotations(clora_session *s, const piece *p) {
    clora_status status = CLORA_OK;

    for (int b = 0; s->text && b < p->B; b++) {
        const clora_adapter *adapter = p->select->each ? p->select->each[b] : p->select->adapter;
        session_text *text = &s->text[p->first + b];
        const bool longer = workspace_is_longer(s->ws, length_before(s, p, b) + p->T);
        if (s->length[p->first + b] == 0)
            text->before = p->begins ? adapter_past(adapter) : 0;
        else if (longer != text->longer)
            TRY(feed_again(s, adapter, p->first + b, longer));
        text->longer = longer;
    }
done:
    return status;
}

static clora_status forward(clora_session *s, float *logits, const piece *asked, bool all) {
    selection select;
    piece whole = *asked, *p = &whole;
    const int longest = p->B < PREFILL ? least(PREFILL, s->ws->max_rows) / p->B : 1;
    const size_t sizes = (size_t)s->cache.B * sizeof(*s->length);
    clora_status status = CLORA_OK;

    memcpy(s->before, s->length, sizes);
    TRY(merged_check_selection(&s->model->merged, p->select, p->B));
    TRY(check(s, p));
    TRY(choose_rotations(s, p));
    TRY(begin(s, p));
    TRY(select_terms(&select, s, p));
    p->select = &select;
    for (int t0 = 0; t0 < p->T; t0 += longest) {
        TRY(feed(s, p, t0, p->T - t0 < longest ? p->T - t0 : longest));
        if (all)
            TRY(read_all(s, p, logits, t0));
    }
    if (!all)
        TRY(read_logits(s, p, logits, s->ws->T - 1, s->ws->T, p->B));
done:
    if (status != CLORA_OK)
        memcpy(s->length, s->before, sizes);
    return status;
}

clora_status clora_session_forward(clora_session *session, float *logits, const int32_t *ids, int T, int all) {
    NEED(session);
    NEED(logits);
    NEED(ids);
    return forward(session, logits, &(piece){&session->select, 0, session->cache.B, ids, T, .begins = true}, all != 0);
}

clora_status session_prefill(clora_session *s, const selection *select, int sequence, float *logits, const int32_t *ids,
                             int T) {
    return forward(s, logits, &(piece){select, sequence, 1, ids, T, .begins = true}, false);
}

clora_status session_step(clora_session *s, const selection *select, float *logits, const int32_t *ids, int B) {
    return forward(s, logits, &(piece){.select = select, .B = B, .ids = ids, .T = 1}, false);
}

clora_status session_copy(clora_session *s, int to, int from) {
    const int rows = s->length[from], capacity = s->cache.capacity;
    clora_status status = CLORA_OK;

    for (int l = 0; rows > 0 && l < s->model->config.layers; l++) {
        const clora_tensor *kv = &s->kv[l];
        clora_tensor copy = tensor_view(kv, to * capacity, rows, 0, tensor_cols(kv));
        const clora_tensor original = tensor_view(kv, from * capacity, rows, 0, tensor_cols(kv));
        TRY(tensor_copy(&copy, &original));
    }
    s->length[to] = rows;
    if (s->text) {
        memcpy(s->text[to].ids, s->text[from].ids, (size_t)rows * sizeof(*s->text_ids));
        s->text[to].before = s->text[from].before;
        s->text[to].longer = s->text[from].longer;
    }
done:
    return status;
}
