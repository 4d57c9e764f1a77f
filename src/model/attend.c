#include "model/attend.h"

#include "model/decoder.h"
#include "model/own.h"
#include "ops/ops.h"

/* The column ranges of a fused q,k,v matrix, and neighbours in one. */
typedef struct qkv_views {
    clora_tensor q, k, v, qk, kv;
} qkv_views;

static qkv_views split_qkv(const clora_tensor *qkv, const model_config *c) {
    const int M = qkv->shape[0], q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;

    return (qkv_views){tensor_view(qkv, 0, M, 0, q), tensor_view(qkv, 0, M, q, kv), tensor_view(qkv, 0, M, q + kv, kv),
                       tensor_view(qkv, 0, M, 0, q + kv), tensor_view(qkv, 0, M, q, 2 * kv)};
}

/* Keys, then values of a matrix of both. */
static clora_tensor half_of(const clora_tensor *kv, int half) {
    const int width = tensor_cols(kv) / 2;
    return tensor_view(kv, 0, kv->shape[0], half * width, width);
}

/* The keys that the rows of a step see in a layer, and how far they are seen. */
static const clora_tensor *first_of(const workspace *ws, int l) {
    return model_window(&ws->model->config, l) > 0 ? &ws->window_first : &ws->first;
}

static const clora_tensor *last_of(const workspace *ws, int l) {
    return model_window(&ws->model->config, l) > 0 ? &ws->window_last : &ws->last;
}

static attention_shape shape_of(const workspace *ws, int S, int l) {
    const model_config *c = &ws->model->config;
    const bool partial = ws->prefix > 0 && model_window(c, l) > 0;

    return (attention_shape){.B = ws->B,
                             .T = ws->T,
                             .S = S,
                             .H = c->heads,
                             .G = c->kv_heads,
                             .D = c->head_dim,
                             .forked = ws->forked,
                             .partial = partial,
                             .scale = c->attention_scale,
                             .cap = c->attention_cap};
}

/* The rotations of layer l. */
static const clora_tensor *rope_of(const workspace *ws, int l) {
    return &ws->rope[ws->model->config.layer_rope[l]];
}

/* ---- normalisations of queries and keys, where the family has them: before the rotation ---- */

static bool is_normed(const workspace *ws, int l) {
    return ws->model->layer[l].norm[DECODER_NORM_QUERIES] != NULL;
}

/* Where queries and keys stand normalised: a backward pass wants what they were besides. */
static qkv_views normed_views(const workspace *ws, const qkv_views *p) {
    const clora_tensor *qk = &ws->qk;
    const int M = ws->M, q = tensor_cols(&p->q), k = tensor_cols(&p->k);

    if (!ws->train)
        return *p;
    return (qkv_views){.q = tensor_view(qk, 0, M, 0, q),
                       .k = tensor_view(qk, 0, M, q, k),
                       .v = p->v,
                       .qk = tensor_view(qk, 0, M, 0, q + k)};
}

/* *p: what the layer's projection made becomes what attention reads, but for the rotation. */
static clora_status norm_heads(workspace *ws, const selection *s, qkv_views *p, int l) {
    const model_layer *layer = &ws->model->layer[l];
    qkv_views normed = normed_views(ws, p);
    clora_status status = CLORA_OK;

    TRY(own_norm(ws, s, &normed.q, ws->train ? &ws->rstd_queries : NULL, &p->q, layer->norm[DECODER_NORM_QUERIES]));
    TRY(own_norm(ws, s, &normed.k, ws->train ? &ws->rstd_keys : NULL, &p->k, layer->norm[DECODER_NORM_KEYS]));
    *p = normed;
done:
    return status;
}

/* d: the gradient of what norm_heads made of x becomes that of x. */
static clora_status norm_heads_backward(workspace *ws, const selection *s, qkv_views *d, const qkv_views *x, int l) {
    const model_layer *layer = &ws->model->layer[l];
    clora_status status = CLORA_OK;

    TRY(own_norm_backward(ws, s, &d->q, &d->q, &x->q, &ws->rstd_queries, layer->norm[DECODER_NORM_QUERIES]));
    TRY(own_norm_backward(ws, s, &d->k, &d->k, &x->k, &ws->rstd_keys, layer->norm[DECODER_NORM_KEYS]));
done:
    return status;
}

/* ---- with a cache ---- */

static clora_status attend_cached(workspace *ws, const selection *s, attention_activations *a, qkv_views *p,
                                  kv_cache *cache, int l) {
    clora_tensor *kv = &cache->kv[l];
    const clora_tensor k = half_of(kv, 0), v = half_of(kv, 1), pages = kv_table(cache, l, ws->B);
    attention_shape shape = shape_of(ws, kv_rows(cache, l), l);
    clora_status status = CLORA_OK;

    shape.pages = &pages;
    shape.page = cache->page;

    if (is_normed(ws, l))
        TRY(norm_heads(ws, s, p, l));
    TRY(op_rope_store(kv, &a->qkv, &ws->positions, rope_of(ws, l), &ws->past, shape));
    TRY(op_attention(workspace_att(ws, l), NULL, &p->q, &k, &v, &ws->past, first_of(ws, l), NULL, shape));
done:
    return status;
}

/* ---- without ---- */

/* What the queries of a step see. */
typedef struct keys {
    clora_tensor k, v;
    const clora_tensor *past;
    attention_shape shape;
} keys;

/* Keys and values behind those of the prefix. */
static clora_status join(workspace *ws, const clora_tensor *prefix, const qkv_views *p) {
    const clora_tensor before[] = {half_of(prefix, 0), half_of(prefix, 1)};
    clora_tensor to[] = {half_of(&ws->kv, 0), half_of(&ws->kv, 1)};
    clora_status status = CLORA_OK;

    if (p->kv.buffer)
        return op_past_join(&ws->kv, prefix, &p->kv, ws->B);
    TRY(op_past_join(&to[0], &before[0], &p->k, ws->B));
    TRY(op_past_join(&to[1], &before[1], &p->v, ws->B));
done:
    return status;
}

/* The sequences' own, after those of the prefix, which are the same for all. */
static clora_status find_keys(keys *out, workspace *ws, const clora_tensor *prefix, const qkv_views *p, int l) {
    *out = (keys){p->k, p->v, &ws->past, shape_of(ws, ws->T, l)};
    if (!prefix->buffer)
        return CLORA_OK;
    *out = (keys){half_of(&ws->kv, 0), half_of(&ws->kv, 1), &ws->past_prefix, shape_of(ws, ws->prefix + ws->T, l)};
    out->shape.prefix = ws->prefix;
    return join(ws, prefix, p);
}

/* q and k of layer l by their positions, or back: by those after the prefix. */
static clora_status rotate(clora_tensor *qk, const workspace *ws, const clora_tensor *prefix, int l, bool inverse) {
    const model_config *c = &ws->model->config;
    const clora_tensor *all = rope_of(ws, l);
    const int P = prefix->buffer ? ws->prefix : 0;
    const clora_tensor rope = tensor_view(all, P, all->shape[0] - P, 0, tensor_cols(all));

    if (c->layer_rope[l] == ROPE_NONE)
        return CLORA_OK;
    return op_rope(qk, &ws->positions, &rope, c->heads + c->kv_heads, inverse);
}

static clora_status attend_to(workspace *ws, attention_activations *a, const qkv_views *p, const keys *in, int l) {
    return op_attention(workspace_att(ws, l), ws->train ? &a->lse : NULL, &p->q, &in->k, &in->v, in->past,
                        first_of(ws, l), last_of(ws, l), in->shape);
}

clora_status attend(workspace *ws, const selection *s, attention_activations *a, kv_cache *cache, int l) {
    const model_config *c = &ws->model->config;
    qkv_views p = split_qkv(&a->qkv, c);
    clora_status status = CLORA_OK;
    keys in;

    if (cache)
        return attend_cached(ws, s, a, &p, cache, l);
    const clora_tensor prefix = adapter_prefix_of(s->adapter, l);
    if (is_normed(ws, l))
        TRY(norm_heads(ws, s, &p, l));
    TRY(rotate(&p.qk, ws, &prefix, l, false));
    TRY(find_keys(&in, ws, &prefix, &p, l));
    TRY(attend_to(ws, a, &p, &in, l));
done:
    return status;
}

/* What queries see, from the layer's products as they were left: normalised ones are made again, not kept. */
static clora_status find_keys_again(keys *out, qkv_views *p, workspace *ws, const selection *s,
                                    const clora_tensor *prefix, int l) {
    clora_status status = CLORA_OK;

    if (is_normed(ws, l)) {
        TRY(norm_heads(ws, s, p, l));
        TRY(rotate(&p->qk, ws, prefix, l, false));
    }
    TRY(find_keys(out, ws, prefix, p, l));
done:
    return status;
}

clora_status attend_again(workspace *ws, const selection *s, attention_activations *a, int l) {
    const clora_tensor prefix = adapter_prefix_of(s->adapter, l);
    qkv_views p = split_qkv(&a->qkv, &ws->model->config);
    clora_status status = CLORA_OK;
    keys in;

    TRY(find_keys_again(&in, &p, ws, s, &prefix, l));
    TRY(attend_to(ws, a, &p, &in, l));
done:
    return status;
}

clora_status attend_backward(workspace *ws, const selection *s, const attention_activations *a, int l) {
    const model_config *c = &ws->model->config;
    const qkv_views made = split_qkv(&a->qkv, c);
    qkv_views p = made, d = split_qkv(&ws->dqkv, c);
    const clora_tensor prefix = adapter_prefix_of(s->adapter, l);
    clora_tensor dprefix = prefix.buffer ? parameters_gradient(s->trains, &prefix) : prefix;
    clora_tensor dk = prefix.buffer ? half_of(&ws->dkv, 0) : d.k, dv = prefix.buffer ? half_of(&ws->dkv, 1) : d.v;
    clora_status status = CLORA_OK;
    keys in;

    TRY(find_keys_again(&in, &p, ws, s, &prefix, l));
    TRY(op_attention_backward(&d.q, &dk, &dv, &ws->delta, &ws->dq_parts, &ws->datt, workspace_att(ws, l), &p.q, &in.k,
                              &in.v, &a->lse, in.past, first_of(ws, l), last_of(ws, l), in.shape));
    if (prefix.buffer)
        TRY(op_past_split(dprefix.buffer ? &dprefix : NULL, &d.kv, &ws->dkv, ws->prefix, ws->B));
    TRY(rotate(&d.qk, ws, &prefix, l, true));
    if (is_normed(ws, l))
        TRY(norm_heads_backward(ws, s, &d, &made, l));
done:
    return status;
}
