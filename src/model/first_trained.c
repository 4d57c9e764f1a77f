#include "model/first_trained.h"

#include "base/ints.h"
#include "model/family.h"
#include "model/linear.h"
#include "model/own_gradients.h"
#include "ops/ops.h"

static bool trains(const selection *s, const clora_tensor *value) {
    return parameters_gradient(s->trains, value).buffer != NULL;
}

static bool gain_trains(const selection *s, const clora_tensor *gain) {
    return gain && trains(s, adapter_gain(s->adapter, gain));
}

/* Is there a bottleneck after the projection, which ends a sublayer? */
static bool ends_adapted(const workspace *ws, const selection *s, int p, const layer_order *order) {
    const int projections = ws->model->config.family->projections;

    for (int kind = 0; kind < SUBLAYERS; kind++)
        if (p % projections == order->ends[kind] && selection_sublayer(s, p / projections * SUBLAYERS + kind))
            return true;
    return false;
}

static bool projection_trains(const workspace *ws, const selection *s, int p, const layer_order *order) {
    return linear_needs_input(ws, s, p) || bias_trains(s->trains, ws->model->projection[p].weight) ||
           ends_adapted(ws, s, p, order);
}

static bool prompt_trains(const selection *s) {
    return s->adapter && s->adapter->prompt && trains(s, s->adapter->prompt);
}

static bool prefix_trains(const selection *s) {
    return s->adapter && s->adapter->prefix && trains(s, s->adapter->prefix);
}

static bool embedding_term_trains(const selection *s) {
    const embedding_term *term = adapter_embedding_term(s->adapter);

    return term && trains(s, &term->term->b);
}

static bool beginning_trains(const workspace *ws, const selection *s) {
    const clora_model *m = ws->model;

    return weight_trains(s->trains, adapter_embedding(s->adapter, m->embedding)) || embedding_term_trains(s) ||
           prompt_trains(s) || (m->positions && trains(s, m->positions));
}

int first_trained(const workspace *ws, const selection *s, const layer_order *order) {
    const clora_model *m = ws->model;
    const model_family *family = m->config.family;
    int first = 0;

    if (beginning_trains(ws, s))
        return -1;
    while (first < m->projections && !projection_trains(ws, s, first, order))
        first++;
    if (prefix_trains(s))
        first = 0;
    for (int l = 0; l < m->config.layers; l++)
        for (int i = 0; i < family->norms; i++)
            if (gain_trains(s, m->layer[l].norm[i]) || gain_trains(s, m->layer[l].norm_bias[i]))
                first = least(first, l * family->projections + order->before[i]);
    return first;
}

clora_status embedding_gradients(workspace *ws, const selection *s) {
    const weight *w = adapter_embedding(s->adapter, ws->model->embedding);
    clora_status status = CLORA_OK;

    for (int part = 0; part < w->parts; part++) {
        clora_tensor dw = weight_gradient(s->trains, w, 0, part);
        if (dw.buffer)
            TRY(op_embedding_dw(&dw, &ws->dstream, &ws->ids, w, weight_module_span(w, 0, part),
                                ws->model->config.embedding_scale));
    }
    if (embedding_term_trains(s)) /* normed and dnorm have done their service */
        TRY(embedding_term_backward(s->trains, &ws->normed, &ws->dnorm, &ws->dstream, &ws->ids,
                                    adapter_embedding_term(s->adapter)));
    if (prompt_trains(s)) {
        clora_tensor dprompt = parameters_gradient(s->trains, s->adapter->prompt);
        TRY(op_past_embed_backward(&dprompt, &ws->dstream, &ws->ids, ws->model->config.vocab));
    }
done:
    return status;
}
