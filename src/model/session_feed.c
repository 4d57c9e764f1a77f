/* Tokens through the model: each call appends some to sequences of a session. */

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/ints.h"
#include "model/family.h"
#include "model/head.h"
#include "model/layer_types.h"
#include "model/session_pages.h"
#include "model/session_share.h"
#include "ops/ops.h"

/* Some sequences of the session, what adapts them, and the ids (B, T) to append to them. */
typedef struct piece {
    const selection *select;
    int first, B;
    const int32_t *ids;
    int T;
    bool begins;    /* empty ones begin with what their adapter, the same for all, has before their tokens */
    bool shares;    /* one that is empty may begin with what another has of its tokens */
    bool idles;     /* of a sequence whose id is SESSION_IDLE nothing is wanted */
    bool is_prompt; /* the ids are those of its prompt */
} piece;

/* As the position of a sequence's tokens: they are not kept, and see nothing. */
enum { NOWHERE = -1 };

static bool is_idle(const piece *p, int b) {
    return p->idles && p->ids[b] == SESSION_IDLE;
}

/* A number for what a selection has on a tape: its adapter's, or that of its tables, which count down. */
static uint64_t taped_of(const selection *select) {
    if (select->terms)
        return UINT64_MAX - select->terms->version;
    return select->adapter ? select->adapter->number : 0;
}

/* The tape holds steps with one adapter, or one for each sequence, which may be gone before it is turned, or merged. */
static void turn_tape(clora_session *s, const selection *select) {
    const uint64_t number = taped_of(select);
    const unsigned changes = s->model->merged.changes;

    if (number != s->taped || changes != s->taped_changes)
        tape_forget(s->tape);
    s->taped = number;
    s->taped_changes = changes;
}

/* The forward pass of the step in hand, in one launch where that is the way. */
static clora_status run_step(clora_session *s, const selection *select) {
    const tape_key key = {s->ws->B, s->ws->T, s->cache.first};

    if ((select->each && !select->terms) || s->ws->has_prompt)
        return model_forward(s->ws, select, &s->cache);
    turn_tape(s, select);
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

/* In layers with a window: the first position that each of the step's sees. */
static clora_status send_window(clora_session *s, const piece *p, int32_t *first) {
    workspace *ws = s->ws;
    const int window = model_largest_window(&s->model->config);

    if (window == 0)
        return CLORA_OK;
    for (int i = 0; i < ws->M; i++)
        first[i] = is_idle(p, i / ws->T) ? 0 : most(0, s->length[p->first + i / ws->T] + i % ws->T - window + 1);
    return tensor_send(&ws->window_first, (size_t)ws->M, first);
}

/* Room for T tokens more in each sequence of the piece. */
static clora_status make_room(clora_session *s, const piece *p, int T) {
    clora_status status = CLORA_OK;

    for (int i = 0; i < p->B; i++) {
        const int b = p->first + i;
        if (is_idle(p, i))
            continue;
        if (s->length[b] == 0)
            kv_begin(&s->cache, b, 0);
        s->text[b].prompt = least(s->text[b].prompt, s->length[b]); /* what follows is overwritten */
        session_find_pages(s, b, T);
        TRY(kv_make_room(&s->cache, b, s->length[b], T));
    }
done:
    return status;
}

/* Row i of a step: column t of the piece's ids. */
static void place_token(clora_session *s, const piece *p, int i, int t, int32_t *id, int32_t *position) {
    const int b = i / s->ws->T, at = s->length[p->first + b] + i % s->ws->T;
    session_text *text = &s->text[p->first + b];

    *id = *position = 0;
    if (is_idle(p, b))
        return;
    *id = text->ids[at] = p->ids[(size_t)b * (size_t)p->T + (size_t)t];
    *position = workspace_rope_row(s->ws, at, text->longer);
}

/* T tokens for every sequence of the piece, from column t0 of its ids. */
static clora_status feed(clora_session *s, const piece *p, int t0, int T) {
    workspace *ws = s->ws;
    const int B = p->B;
    int *length = s->length + p->first;
    int32_t *ids = s->host, *positions = ids + B * T, *past = positions + B * T;
    clora_status status = CLORA_OK;

    TRY(make_room(s, p, T));
    workspace_set_shape(ws, B, T);
    ws->has_prompt = p->is_prompt;
    s->cache.first = p->first;
    TRY(clora_context_finish(s->model->context)); /* the step before has read what the host sent */
    for (int i = 0; i < B * T; i++)
        place_token(s, p, i, t0 + i % T, &ids[i], &positions[i]);
    for (int b = 0; b < B; b++)
        past[b] = is_idle(p, b) ? NOWHERE : length[b];
    TRY(tensor_send(&ws->ids, (size_t)(B * T), ids));
    TRY(tensor_send(&ws->positions, (size_t)(B * T), positions));
    TRY(tensor_send(&ws->past, (size_t)B, past));
    TRY(send_window(s, p, past + B));
    TRY(kv_send(&s->cache));
    TRY(run_step(s, p->select));
    for (int b = 0; b < B; b++)
        length[b] += is_idle(p, b) ? 0 : T;
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

/* What there is before the piece's tokens in its b-th sequence. */
static int length_before(const clora_session *s, const piece *p, int b) {
    const int length = s->length[p->first + b];

    return p->begins && length == 0 ? adapter_past(p->select->adapter) : length;
}

static clora_status check(const clora_session *s, const piece *p) {
    clora_status status = CLORA_OK;

    for (int b = 0; b < p->B; b++) {
        if (is_idle(p, b))
            continue;
        if (session_has_lost(s, p->first + b))
            return clora_fail(CLORA_ERROR_ARGUMENT,
                              "a call that failed has left nothing of this text: it must begin anew");
        if (p->T < 1 || p->T > s->cache.capacity - length_before(s, p, b))
            return clora_fail(CLORA_ERROR_SHAPE, "%d tokens after %d: the session holds %d", p->T,
                              length_before(s, p, b), s->cache.capacity);
        TRY(session_check_ids(s, p->ids + (size_t)b * (size_t)p->T, (size_t)p->T));
    }
done:
    return status;
}

/* ---- what an adapter has before a sequence's tokens ---- */

/* A layer's keys and values, page by page. */
static clora_status place_layer(clora_session *s, const clora_adapter *adapter, int l, int sequence) {
    const int P = adapter_prefix_length(adapter);
    const clora_tensor all = adapter_prefix_of(adapter, l);
    clora_status status = CLORA_OK;

    for (int p = kv_first(&s->cache, l, sequence), n; p < P; p += n) {
        clora_tensor kv = kv_span(&s->cache, l, sequence, p, P - p);
        n = kv.shape[0];
        const clora_tensor prefix = tensor_view(&all, p, n, 0, tensor_cols(&all));
        TRY(op_past_join(&kv, &prefix, NULL, 1));
    }
done:
    return status;
}

/* The keys and values of its prefix. */
static clora_status place_prefix(clora_session *s, const clora_adapter *adapter, int sequence) {
    const int P = adapter_prefix_length(adapter);
    clora_status status = CLORA_OK;

    kv_begin(&s->cache, sequence, P);
    session_find_pages(s, sequence, P);
    TRY(kv_make_room(&s->cache, sequence, 0, P));
    for (int l = 0; l < s->model->config.layers; l++)
        TRY(place_layer(s, adapter, l, sequence));
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

/* The ids of a sequence once more, from its first. When this fails the sequence is lost. */
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
    TRY(begin(s, &again));
    for (int t0 = 0; t0 < again.T; t0 += longest)
        TRY(feed(s, &again, t0, least(again.T - t0, longest)));
done:
    s->lost[sequence] = status != CLORA_OK;
    return status;
}

/* By what each sequence of the piece is rotated: how long it will be decides. */
static clora_status choose_rotations(clora_session *s, const piece *p) {
    clora_status status = CLORA_OK;

    for (int b = 0; b < p->B; b++) {
        const clora_adapter *adapter = p->select->each ? p->select->each[b] : p->select->adapter;
        session_text *text = &s->text[p->first + b];
        const bool longer = workspace_is_longer(s->ws, length_before(s, p, b) + p->T);
        if (is_idle(p, b))
            continue;
        if (s->length[p->first + b] == 0) {
            text->before = p->begins ? adapter_past(adapter) : 0;
            text->prompt = 0;
        } else if (longer != text->longer) {
            TRY(feed_again(s, adapter, p->first + b, longer));
        }
        text->longer = longer;
    }
done:
    return status;
}

/* The sequences are as they were before the call: all but those that it has moved too far, or not whole. */
static void restore(clora_session *s) {
    for (int b = 0; b < s->cache.B; b++) {
        s->lost[b] = s->lost[b] || !kv_reaches(&s->cache, b, s->before[b]);
        s->length[b] = s->before[b];
        if (s->lost[b])
            s->text[b].prompt = 0;
        if (s->before[b] == 0)
            session_forget(s, b);
    }
}

static clora_status forward(clora_session *s, float *logits, const piece *asked, bool all) {
    selection select;
    piece whole = *asked, *p = &whole;
    const int longest = session_longest(s, p->B);
    beginning from = {0};
    clora_status status = CLORA_OK;

    memcpy(s->before, s->length, (size_t)s->cache.B * sizeof(*s->length));
    TRY(merged_check_selection(&s->model->merged, p->select, p->B));
    TRY(check(s, p));
    p->shares = p->shares && s->length[p->first] == 0;
    if (p->shares)
        from = session_find_beginning(s, p->first, p->select->adapter, p->ids, p->T, longest);
    TRY(choose_rotations(s, p));
    if (from.tokens > 0)
        session_take_beginning(s, p->first, from);
    TRY(begin(s, p));
    TRY(select_terms(&select, s, p));
    p->select = &select;
    for (int t0 = from.tokens, T; t0 < p->T; t0 += T) {
        T = least(p->T - t0, longest - t0 % longest);
        TRY(feed(s, p, t0, T));
        if (all)
            TRY(read_all(s, p, logits, t0));
    }
    if (!all)
        TRY(read_logits(s, p, logits, s->ws->T - 1, s->ws->T, p->B));
    if (p->shares)
        session_keep_beginning(s, p->first, p->select->adapter, p->T, longest);
done:
    if (status != CLORA_OK)
        restore(s);
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
    return forward(s, logits, &(piece){select, sequence, 1, ids, T, .begins = true, .shares = true}, false);
}

clora_status session_step(clora_session *s, const selection *select, float *logits, const int32_t *ids, int B) {
    return forward(s, logits, &(piece){.select = select, .B = B, .ids = ids, .T = 1, .idles = true}, false);
}
