#include "model/gpt2.h"

#include "model/attend.h"
#include "model/first_trained.h"
#include "model/linear.h"
#include "model/own.h"
#include "model/sublayer.h"
#include "ops/ops.h"

_Static_assert((int)GPT2_NORMS <= (int)LAYER_NORMS && (int)GPT2_PROJECTIONS <= (int)LAYER_PROJECTIONS,
               "a layer has room for these");

static const layer_order order = {
    .before = {[GPT2_NORM_ATTENTION] = GPT2_QKV - 1, [GPT2_NORM_MLP] = GPT2_OUT},
    .ends = {[SUBLAYER_ATTENTION] = GPT2_OUT, [SUBLAYER_MLP] = GPT2_DOWN},
};

/* The number of a layer's sublayer among all. */
static int sublayer_of(int l, int kind) {
    return l * SUBLAYERS + kind;
}

static own_layernorm layer_norm(const workspace *ws, int l, int i) {
    const model_layer *w = &ws->model->layer[l];
    return (own_layernorm){w->norm[i], w->norm_bias[i]};
}

static own_layernorm last_norm(const workspace *ws) {
    return (own_layernorm){ws->model->norm, ws->model->norm_bias};
}

/* What the backward pass needs of a layer's attention. */
static clora_status layer_attention(workspace *ws, const selection *s, kv_cache *cache, int l) {
    const own_layernorm norm = layer_norm(ws, l, GPT2_NORM_ATTENTION);
    layer_activations *a = workspace_layer(ws, l);
    attention_activations *t = workspace_attention(ws, l);
    clora_status status = CLORA_OK;

    TRY(own_layernorm_forward(ws, s, &ws->normed, &a->rstd_attention, workspace_stream(ws, l), &norm));
    TRY(linear_forward(ws, s, l * GPT2_PROJECTIONS + GPT2_QKV, &t->qkv, &ws->normed, NULL, &a->u[GPT2_QKV]));
    TRY(attend(ws, s, t, cache, l));
done:
    return status;
}

/* The stream after it. */
static clora_status layer_middle(workspace *ws, const selection *s, int l) {
    return sublayer_forward(ws, s, sublayer_of(l, SUBLAYER_ATTENTION), l * GPT2_PROJECTIONS + GPT2_OUT,
                            workspace_mid(ws, l), workspace_att(ws, l), workspace_stream(ws, l),
                            &workspace_layer(ws, l)->u[GPT2_OUT]);
}

/* All that a layer keeps for its backward pass, and the activation before its last product. */
static clora_status layer_inside(workspace *ws, const selection *s, kv_cache *cache, int l) {
    const own_layernorm norm = layer_norm(ws, l, GPT2_NORM_MLP);
    const int at = l * GPT2_PROJECTIONS;
    layer_activations *a = workspace_layer(ws, l);
    clora_status status = CLORA_OK;

    TRY(layer_attention(ws, s, cache, l));
    TRY(layer_middle(ws, s, l));
    TRY(own_layernorm_forward(ws, s, &ws->normed, &a->rstd_mlp, workspace_mid(ws, l), &norm));
    TRY(linear_forward(ws, s, at + GPT2_UP, &a->gu, &ws->normed, NULL, &a->u[GPT2_UP]));
    TRY(op_gelu(&ws->act, &a->gu));
done:
    return status;
}

static clora_status layer_end(workspace *ws, const selection *s, int l) {
    layer_activations *a = workspace_layer(ws, l);

    return sublayer_forward(ws, s, sublayer_of(l, SUBLAYER_MLP), l * GPT2_PROJECTIONS + GPT2_DOWN,
                            workspace_stream(ws, l + 1), &ws->act, workspace_mid(ws, l), &a->u[GPT2_DOWN]);
}

static clora_status sums_again(workspace *ws, const selection *s, int l) {
    clora_status status = CLORA_OK;

    TRY(attend_again(ws, s, workspace_attention(ws, l), l));
    TRY(layer_middle(ws, s, l));
done:
    return status;
}

/* What was not kept, the same bits again, from the layer's input. */
static clora_status layer_again(workspace *ws, const selection *s, int l) {
    const int at = l * GPT2_PROJECTIONS + GPT2_DOWN;
    clora_status status = CLORA_OK;

    if (ws->recompute == CLORA_RECOMPUTE_NONE)
        return ws->lean ? sums_again(ws, s, l) : CLORA_OK;
    if (ws->recompute == CLORA_RECOMPUTE_ATTENTION)
        return layer_attention(ws, s, NULL, l);
    TRY(layer_inside(ws, s, NULL, l));
    if (selection_sublayer(s, sublayer_of(l, SUBLAYER_MLP)))
        TRY(layer_end(ws, s, l));
    else if (selection_term(s, at)) /* of the last product only u is wanted */
        TRY(linear_forward(ws, s, at, NULL, &ws->act, NULL, &workspace_layer(ws, l)->u[GPT2_DOWN]));
done:
    return status;
}

/* The position of a sequence's first token without a cache: after a prefix. */
static int first_position(const selection *s) {
    return adapter_prefix_length(s->adapter);
}

clora_status gpt2_forward(workspace *ws, const selection *select, kv_cache *cache) {
    const clora_model *m = ws->model;
    const own_layernorm norm = last_norm(ws);
    clora_tensor *stream = workspace_stream(ws, 0);
    clora_status status = CLORA_OK;

    TRY(own_embedding(ws, select, stream));
    if (ws->has_prompt)
        TRY(op_past_embed(stream, select->adapter->prompt, &ws->ids, m->config.vocab));
    TRY(op_add_positions(stream, m->positions, &ws->positions, cache ? 0 : first_position(select)));
    for (int l = 0; l < m->config.layers; l++) {
        TRY(layer_inside(ws, select, cache, l));
        TRY(layer_end(ws, select, l));
    }
    TRY(own_layernorm_forward(ws, select, &ws->normed, &ws->rstd_final, workspace_stream(ws, m->config.layers), &norm));
done:
    return status;
}

/* The gradient of a layer's output stands in dstream; afterwards that of its input does, unless `first` lies in the
 * layer. */
static clora_status layer_backward(workspace *ws, const selection *s, int l, int first) {
    const own_layernorm norm_attention = layer_norm(ws, l, GPT2_NORM_ATTENTION);
    const own_layernorm norm_mlp = layer_norm(ws, l, GPT2_NORM_MLP);
    const int at = l * GPT2_PROJECTIONS;
    const clora_tensor *x = workspace_stream(ws, l);
    layer_activations *a = workspace_layer(ws, l);
    const clora_tensor *mid = workspace_mid(ws, l);
    const attention_activations *t = workspace_attention(ws, l);
    clora_status status = CLORA_OK;
    clora_tensor df; /* the gradient of what the sublayer adds to the stream */

    TRY(sublayer_backward(ws, s, sublayer_of(l, SUBLAYER_MLP), &df));
    /* act, which c_proj's A needs, is made again with the gradient, which stands in its place. */
    if (first >= at + GPT2_DOWN) {
        TRY(op_gelu(&ws->act, &a->gu));
        return linear_backward(ws, s, at + GPT2_DOWN, NULL, &df, &ws->act, &a->u[GPT2_DOWN]);
    }
    TRY(linear_backward_input(ws, s, at + GPT2_DOWN, &ws->act, &df, &a->u[GPT2_DOWN]));
    TRY(op_gelu_backward(&a->gu, linear_needs_input(ws, s, at + GPT2_DOWN) ? &ws->act : NULL, &ws->act, &a->gu));
    TRY(linear_backward_parameters(ws, s, at + GPT2_DOWN, &df, &ws->act));
    if (linear_needs_input(ws, s, at + GPT2_UP))
        TRY(own_layernorm_again(s, &ws->normed, mid, &a->rstd_mlp, &norm_mlp));
    TRY(linear_backward(ws, s, at + GPT2_UP, first < at + GPT2_UP ? &ws->dnorm : NULL, &a->gu, &ws->normed,
                        &a->u[GPT2_UP]));
    if (first >= at + GPT2_UP)
        return CLORA_OK;
    TRY(own_layernorm_gradients(s, &ws->dnorm, mid, &a->rstd_mlp, &norm_mlp));
    TRY(own_layernorm_backward(s, &ws->dstream, &ws->dnorm, mid, &a->rstd_mlp, &norm_mlp));

    workspace_place_attention(ws, l);
    TRY(sublayer_backward(ws, s, sublayer_of(l, SUBLAYER_ATTENTION), &df));
    TRY(linear_backward(ws, s, at + GPT2_OUT, first < at + GPT2_OUT ? &ws->datt : NULL, &df, workspace_att(ws, l),
                        &a->u[GPT2_OUT]));
    if (first >= at + GPT2_OUT)
        return CLORA_OK;
    TRY(attend_backward(ws, s, t, l));

    if (linear_needs_input(ws, s, at + GPT2_QKV))
        TRY(own_layernorm_again(s, &ws->normed, x, &a->rstd_attention, &norm_attention));
    TRY(linear_backward(ws, s, at + GPT2_QKV, first < at ? &ws->dnorm : NULL, &ws->dqkv, &ws->normed, &a->u[GPT2_QKV]));
    if (first >= at)
        return CLORA_OK;
    TRY(own_layernorm_gradients(s, &ws->dnorm, x, &a->rstd_attention, &norm_attention));
    TRY(own_layernorm_backward(s, &ws->dstream, &ws->dnorm, x, &a->rstd_attention, &norm_attention));
done:
    return status;
}

/* In rows of their own: a value that trains is a vector. */
static clora_status positions_gradient(workspace *ws, const selection *s) {
    const clora_tensor *positions = ws->model->positions;
    const clora_tensor d = parameters_gradient(s->trains, positions);

    if (!d.buffer)
        return CLORA_OK;
    clora_tensor rows = tensor_slice(&d, 0, (int)tensor_rows(positions), tensor_cols(positions));
    return op_past_embed_backward(&rows, &ws->dstream, &ws->positions, -first_position(s));
}

clora_status gpt2_backward(workspace *ws, const selection *select) {
    const int layers = ws->model->config.layers, first = first_trained(ws, select, &order);
    const own_layernorm norm = last_norm(ws);
    const clora_tensor *x = workspace_stream(ws, layers);
    clora_status status = CLORA_OK;

    TRY(own_layernorm_gradients(select, &ws->dnorm, x, &ws->rstd_final, &norm));
    if (first >= layers * GPT2_PROJECTIONS)
        return CLORA_OK; /* only the head or the last normalisation trains */
    TRY(clora_tensor_zero(&ws->dstream));
    TRY(own_layernorm_backward(select, &ws->dstream, &ws->dnorm, x, &ws->rstd_final, &norm));
    for (int l = layers - 1; l >= first / GPT2_PROJECTIONS; l--) {
        TRY(layer_again(ws, select, l));
        TRY(layer_backward(ws, select, l, first));
    }
    TRY(embedding_gradients(ws, select));
    TRY(positions_gradient(ws, select));
done:
    return status;
}
