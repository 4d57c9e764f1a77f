#include "model/decoder.h"

#include "model/attend.h"
#include "model/first_trained.h"
#include "model/linear.h"
#include "model/own.h"
#include "model/sublayer.h"
#include "ops/ops.h"

_Static_assert((int)DECODER_NORMS <= (int)LAYER_NORMS && (int)DECODER_PROJECTIONS <= (int)LAYER_PROJECTIONS,
               "a layer has room for these");

static const layer_order order = {
    .before = {[DECODER_NORM_ATTENTION] = DECODER_QKV - 1,
               [DECODER_NORM_MLP] = DECODER_OUT,
               [DECODER_NORM_QUERIES] = DECODER_QKV,
               [DECODER_NORM_KEYS] = DECODER_QKV,
               [DECODER_NORM_AFTER_ATTENTION] = DECODER_OUT,
               [DECODER_NORM_AFTER_MLP] = DECODER_DOWN},
    .ends = {[SUBLAYER_ATTENTION] = DECODER_OUT, [SUBLAYER_MLP] = DECODER_DOWN},
};

/* The number of a layer's sublayer among all. */
static int sublayer_of(int l, int kind) {
    return l * SUBLAYERS + kind;
}

/* What the backward pass needs of a layer's attention. */
static clora_status layer_attention(workspace *ws, const selection *s, kv_cache *cache, int l) {
    layer_activations *a = workspace_layer(ws, l);
    attention_activations *t = workspace_attention(ws, l);
    clora_status status = CLORA_OK;

    TRY(linear_forward_normed(ws, s, l * DECODER_PROJECTIONS + DECODER_QKV, &t->qkv, NULL, workspace_stream(ws, l),
                              ws->model->layer[l].norm[DECODER_NORM_ATTENTION], &a->rstd_attention,
                              &a->u[DECODER_QKV]));
    TRY(attend(ws, s, t, cache, l));
done:
    return status;
}

/* The stream after it. */
static clora_status layer_middle(workspace *ws, const selection *s, int l) {
    return sublayer_forward(ws, s, sublayer_of(l, SUBLAYER_ATTENTION), l * DECODER_PROJECTIONS + DECODER_OUT,
                            workspace_mid(ws, l), workspace_att(ws, l), workspace_stream(ws, l),
                            &workspace_layer(ws, l)->u[DECODER_OUT]);
}

/* All that a layer keeps for its backward pass, and the activation before its last product. */
static clora_status layer_inside(workspace *ws, const selection *s, kv_cache *cache, int l) {
    const model_layer *w = &ws->model->layer[l];
    const int at = l * DECODER_PROJECTIONS;
    layer_activations *a = workspace_layer(ws, l);
    clora_status status = CLORA_OK;

    TRY(layer_attention(ws, s, cache, l));
    TRY(layer_middle(ws, s, l));
    TRY(linear_forward_normed(ws, s, at + DECODER_GATE_UP, &a->gu, &ws->act, workspace_mid(ws, l),
                              w->norm[DECODER_NORM_MLP], &a->rstd_mlp, &a->u[DECODER_GATE_UP]));
done:
    return status;
}

static clora_status layer_end(workspace *ws, const selection *s, int l) {
    layer_activations *a = workspace_layer(ws, l);

    return sublayer_forward(ws, s, sublayer_of(l, SUBLAYER_MLP), l * DECODER_PROJECTIONS + DECODER_DOWN,
                            workspace_stream(ws, l + 1), &ws->act, workspace_mid(ws, l), &a->u[DECODER_DOWN]);
}

static clora_status layer_forward(workspace *ws, const selection *s, kv_cache *cache, int l) {
    clora_status status = CLORA_OK;

    TRY(layer_inside(ws, s, cache, l));
    TRY(layer_end(ws, s, l));
done:
    return status;
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
    const int at = l * DECODER_PROJECTIONS + DECODER_DOWN;
    clora_status status = CLORA_OK;

    if (ws->recompute == CLORA_RECOMPUTE_NONE)
        return ws->lean ? sums_again(ws, s, l) : CLORA_OK;
    if (ws->recompute == CLORA_RECOMPUTE_ATTENTION)
        return layer_attention(ws, s, NULL, l);
    TRY(layer_inside(ws, s, NULL, l));
    if (selection_sublayer(s, sublayer_of(l, SUBLAYER_MLP)) || ws->model->layer[l].norm[DECODER_NORM_AFTER_MLP])
        TRY(layer_end(ws, s, l));
    else if (selection_term(s, at)) /* of the last product only u is wanted */
        TRY(linear_forward(ws, s, at, NULL, &ws->act, NULL, &workspace_layer(ws, l)->u[DECODER_DOWN]));
done:
    return status;
}

clora_status decoder_forward(workspace *ws, const selection *select, kv_cache *cache) {
    const clora_model *m = ws->model;
    clora_status status = CLORA_OK;

    TRY(own_embedding(ws, select, workspace_stream(ws, 0)));
    if (ws->has_prompt)
        TRY(op_past_embed(workspace_stream(ws, 0), select->adapter->prompt, &ws->ids, m->config.vocab));
    TRY(op_scale(workspace_stream(ws, 0), m->config.input_scale));
    for (int l = 0; l < m->config.layers; l++)
        TRY(layer_forward(ws, select, cache, l));
    TRY(own_norm(ws, select, &ws->normed, &ws->rstd_final, workspace_stream(ws, m->config.layers), m->norm));
done:
    return status;
}

/* The gain of a normalisation, where it trains: before rmsnorm's own gradient is taken. */
static clora_status gain_gradient(const workspace *ws, const selection *s, const clora_tensor *gain,
                                  const clora_tensor *x, const clora_tensor *rstd) {
    clora_tensor dg = parameters_gradient(s->trains, gain);

    return dg.buffer ? op_rmsnorm_dg(&dg, &ws->dnorm, x, rstd) : CLORA_OK;
}

/* What a sublayer began with, x normalised, once more; x itself where nothing normalises it. */
static clora_status input_again(workspace *ws, const clora_tensor **out, const clora_tensor *x,
                                const clora_tensor *rstd, const clora_tensor *gain) {
    *out = gain ? &ws->normed : x;
    return gain ? op_rmsnorm_apply(&ws->normed, x, rstd, gain, ws->model->config.norm_plus_one) : CLORA_OK;
}

/* Its gradient, in dnorm, joins that of the stream. */
static clora_status input_backward(workspace *ws, const selection *s, const clora_tensor *x, const clora_tensor *rstd,
                                   const clora_tensor *gain) {
    clora_status status = CLORA_OK;

    if (!gain)
        return op_add(&ws->dstream, &ws->dnorm);
    TRY(gain_gradient(ws, s, gain, x, rstd));
    TRY(op_rmsnorm_backward(&ws->dstream, &ws->dnorm, x, rstd, gain, ws->model->config.norm_plus_one, true));
done:
    return status;
}

/* The gradient of a layer's output stands in dstream; afterwards that of its input does, unless `first` lies in the
 * layer. */
static clora_status layer_backward(workspace *ws, const selection *s, int l, int first) {
    const model_layer *w = &ws->model->layer[l];
    const model_config *c = &ws->model->config;
    const int at = l * DECODER_PROJECTIONS;
    const clora_tensor *x = workspace_stream(ws, l), *in = &ws->normed;
    layer_activations *a = workspace_layer(ws, l);
    const clora_tensor *mid = workspace_mid(ws, l);
    const attention_activations *t = workspace_attention(ws, l);
    const clora_tensor *gain_mlp = adapter_gain(s->adapter, w->norm[DECODER_NORM_MLP]);
    const clora_tensor *gain_attention = adapter_gain(s->adapter, w->norm[DECODER_NORM_ATTENTION]);
    clora_status status = CLORA_OK;
    clora_tensor df; /* the gradient of what the sublayer adds to the stream */

    TRY(sublayer_backward(ws, s, sublayer_of(l, SUBLAYER_MLP), &df));
    /* act, which down_proj's A needs, is made again with the gradient, which stands in its place. */
    if (first >= at + DECODER_DOWN) {
        TRY(op_swiglu(&ws->act, &a->gu, c->gelu));
        return linear_backward(ws, s, at + DECODER_DOWN, NULL, &df, &ws->act, &a->u[DECODER_DOWN]);
    }
    TRY(linear_backward_input(ws, s, at + DECODER_DOWN, &ws->act, &df, &a->u[DECODER_DOWN]));
    TRY(op_swiglu_backward(&a->gu, linear_needs_input(ws, s, at + DECODER_DOWN) ? &ws->act : NULL, &ws->act, &a->gu,
                           c->gelu));
    TRY(linear_backward_parameters(ws, s, at + DECODER_DOWN, &df, &ws->act));
    if (linear_needs_input(ws, s, at + DECODER_GATE_UP))
        TRY(input_again(ws, &in, mid, &a->rstd_mlp, gain_mlp));
    TRY(linear_backward(ws, s, at + DECODER_GATE_UP, first < at + DECODER_GATE_UP ? &ws->dnorm : NULL, &a->gu, in,
                        &a->u[DECODER_GATE_UP]));
    if (first >= at + DECODER_GATE_UP)
        return CLORA_OK;
    TRY(input_backward(ws, s, mid, &a->rstd_mlp, gain_mlp));

    workspace_place_attention(ws, l);
    TRY(sublayer_backward(ws, s, sublayer_of(l, SUBLAYER_ATTENTION), &df));
    TRY(linear_backward(ws, s, at + DECODER_OUT, first < at + DECODER_OUT ? &ws->datt : NULL, &df, workspace_att(ws, l),
                        &a->u[DECODER_OUT]));
    if (first >= at + DECODER_OUT)
        return CLORA_OK;
    TRY(attend_backward(ws, s, t, l));

    in = &ws->normed;
    if (linear_needs_input(ws, s, at + DECODER_QKV))
        TRY(input_again(ws, &in, x, &a->rstd_attention, gain_attention));
    TRY(linear_backward(ws, s, at + DECODER_QKV, first < at ? &ws->dnorm : NULL, &ws->dqkv, in, &a->u[DECODER_QKV]));
    if (first >= at)
        return CLORA_OK;
    TRY(input_backward(ws, s, x, &a->rstd_attention, gain_attention));
done:
    return status;
}

clora_status decoder_backward(workspace *ws, const selection *select) {
    const int layers = ws->model->config.layers, first = first_trained(ws, select, &order);
    const clora_tensor *norm = adapter_gain(select->adapter, ws->model->norm);
    clora_status status = CLORA_OK;

    TRY(gain_gradient(ws, select, norm, workspace_stream(ws, layers), &ws->rstd_final));
    if (first >= layers * DECODER_PROJECTIONS)
        return CLORA_OK; /* only the head or the last gain trains */
    TRY(clora_tensor_zero(&ws->dstream));
    TRY(op_rmsnorm_backward(&ws->dstream, &ws->dnorm, workspace_stream(ws, layers), &ws->rstd_final, norm,
                            ws->model->config.norm_plus_one, true));
    for (int l = layers - 1; l >= first / DECODER_PROJECTIONS; l--) {
        TRY(layer_again(ws, select, l));
        TRY(layer_backward(ws, select, l, first));
    }
    if (first < 0) {
        TRY(op_scale(&ws->dstream, ws->model->config.input_scale));
        TRY(embedding_gradients(ws, select));
    }
done:
    return status;
}
