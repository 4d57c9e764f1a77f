#include "model/linear.h"

#include "methods/dora.h"
#include "model/each_terms.h"
#include "model/own.h"
#include "model/own_gradients.h"

static lora_dropout dropout(const workspace *ws, const selection *s, int p) {
    return (lora_dropout){s->dropout, s->dropout_seed, (uint32_t)p, ws->dropped};
}

static bool is_head(const workspace *ws, int p) {
    return p == ws->model->projections - 1;
}

/* W0: the model's own, or of the head a copy that all sequences have in its place. */
static const weight *weight_of(const workspace *ws, const selection *s, int p) {
    const weight *own = ws->model->projection[p].weight;

    return is_head(ws, p) ? adapter_head(s->adapter, own) : own;
}

/* A row of u for each of x: the views that layers share may be wider than this term. */
static clora_tensor columns_of(const clora_tensor *u_space, const clora_tensor *x, const lowrank *lr) {
    return lr ? tensor_slice(u_space, 0, (int)tensor_rows(x), lr->R) : (clora_tensor){0};
}

/* y += the term that does not train. Training keeps u for the backward pass: there du is room. */
static clora_status add_origin(workspace *ws, const clora_adapter *adapter, int p, clora_tensor *y,
                               const clora_tensor *x, const clora_tensor *u_space) {
    const lowrank *origin = adapter_origin(adapter, p);
    clora_tensor u = columns_of(ws->train ? &ws->du : u_space, x, origin);

    return origin && y ? lora_add(y, x, origin, &u) : CLORA_OK;
}

/* Its part of dx, once u has been used. */
static clora_status add_origin_backward(const selection *s, int p, clora_tensor *dx, const clora_tensor *dy,
                                        const clora_tensor *u_space) {
    const lowrank *origin = adapter_origin(s->adapter, p);
    clora_tensor du = columns_of(u_space, dy, origin);
    clora_status status = CLORA_OK;

    if (!origin || !dx)
        return CLORA_OK;
    TRY(op_lowrank_down_grad(&du, dy, origin));
    TRY(op_lowrank_dx(dx, &du, origin, true));
done:
    return status;
}

/* y += the terms of sequences that have an adapter each, all at once. */
static clora_status add_each_term(const each_terms *t, int p, clora_tensor *y, const clora_tensor *x, const weight *w,
                                  const clora_tensor *u_space) {
    if (t->ranks[p] == 0)
        return CLORA_OK;
    clora_tensor u = tensor_slice(u_space, 0, (int)tensor_rows(x), t->ranks[p]);
    const clora_tensor table = each_terms_table(t, p);
    return op_lowrank_each(y, x, &u, w, &table, &t->buffers);
}

/* What sequences have that have an adapter each: y of those with a head of their own, y += the terms. Those side by
 * side that share one go together. */
static clora_status add_each(workspace *ws, const selection *s, int p, clora_tensor *y, const clora_tensor *x,
                             clora_tensor *u_space) {
    const int rows = (int)tensor_rows(x) / ws->B; /* of a sequence */
    clora_status status = CLORA_OK;

    for (int b = 0, n; b < ws->B; b += n) {
        const lowrank *lr = adapter_term(s->each[b], p);
        const weight *own = ws->model->projection[p].weight;
        const weight *w = is_head(ws, p) ? adapter_head(s->each[b], own) : own;
        n = selection_run(s, b, ws->B);
        if (!lr && w == own)
            continue;
        clora_tensor out = tensor_view(y, b * rows, n * rows, 0, tensor_cols(y));
        const clora_tensor in = tensor_view(x, b * rows, n * rows, 0, tensor_cols(x));
        clora_tensor u = columns_of(u_space, &in, lr);
        if (w != own)
            TRY(op_matmul(&out, &in, w, NULL, NULL, NULL, false));
        if (lr)
            TRY(lora_add(&out, &in, lr, &u));
        TRY(add_origin(ws, s->each[b], p, &out, &in, u_space));
    }
done:
    return status;
}

/* Has a sequence a term that is more than something to add to W0's product? */
static bool any_columns(const workspace *ws, const selection *s, int p) {
    for (int b = 0; s->each && b < ws->B; b++) {
        const lowrank *lr = adapter_term(s->each[b], p);
        if (dora_is(lr) || (lr && lr->bias.buffer))
            return true;
    }
    return false;
}

/* The whole projection for sequences that have an adapter each, by those side by side that share one. */
static clora_status forward_runs(workspace *ws, const selection *s, int p, clora_tensor *y, const clora_tensor *x,
                                 const clora_tensor *residual, clora_tensor *u_space) {
    const int rows = (int)tensor_rows(x) / ws->B; /* of a sequence */
    clora_status status = CLORA_OK;

    for (int b = 0, n; b < ws->B; b += n) {
        const selection one = {.adapter = s->each[b]};
        n = selection_run(s, b, ws->B);
        clora_tensor out = tensor_view(y, b * rows, n * rows, 0, tensor_cols(y)), before;
        const clora_tensor in = tensor_view(x, b * rows, n * rows, 0, tensor_cols(x));
        if (residual)
            before = tensor_view(residual, b * rows, n * rows, 0, tensor_cols(residual));
        TRY(linear_forward(ws, &one, p, &out, &in, residual ? &before : NULL, u_space));
    }
done:
    return status;
}

/* With magnitudes. What is scaled is kept where the workspace has room for it: for a backward pass. */
static clora_status forward_scaled(workspace *ws, const selection *s, int p, clora_tensor *y, const clora_tensor *x,
                                   const clora_tensor *residual, clora_tensor *u) {
    const lora_dropout drop = dropout(ws, s, p);
    clora_tensor z = workspace_scaled(ws, p, (int)tensor_rows(x));

    return dora_forward(y, x, weight_of(ws, s, p), residual, selection_term(s, p), u, z.buffer ? &z : y, &drop);
}

clora_status linear_forward(workspace *ws, const selection *s, int p, clora_tensor *y, const clora_tensor *x,
                            const clora_tensor *residual, clora_tensor *u_space) {
    const lowrank *lr = selection_term(s, p);
    const lora_dropout drop = dropout(ws, s, p);
    clora_tensor u = columns_of(u_space, x, lr);
    clora_status status = CLORA_OK;

    if (dora_is(lr))
        return forward_scaled(ws, s, p, y, x, residual, &u);
    if (any_columns(ws, s, p))
        return forward_runs(ws, s, p, y, x, residual, u_space);
    TRY(lora_forward(y, x, weight_of(ws, s, p), residual, lr, &u, &drop));
    TRY(add_origin(ws, s->adapter, p, y, x, u_space));
    if (s->each && s->terms && !is_head(ws, p))
        TRY(add_each_term(s->terms, p, y, x, ws->model->projection[p].weight, u_space));
    else if (s->each)
        TRY(add_each(ws, s, p, y, x, u_space));
done:
    return status;
}

clora_status linear_forward_normed(workspace *ws, const selection *s, int p, clora_tensor *y, clora_tensor *act,
                                   const clora_tensor *x, const clora_tensor *gain, clora_tensor *rstd,
                                   clora_tensor *u_space) {
    const lowrank *lr = selection_term(s, p);
    const bool apart = ws->train || s->dropout > 0.0f || s->each || adapter_origin(s->adapter, p) || dora_is(lr);
    const matmul_fusion fusion = {.gain = adapter_gain(s->adapter, gain),
                                  .eps = ws->model->config.norm_eps,
                                  .plus_one = ws->model->config.norm_plus_one,
                                  .gelu = ws->model->config.gelu,
                                  .normed = &ws->normed,
                                  .gu = act ? y : NULL};
    clora_tensor u = columns_of(u_space, x, lr);
    clora_status status = CLORA_OK;

    if (apart) {
        if (gain)
            TRY(own_norm(ws, s, &ws->normed, rstd, x, gain));
        TRY(linear_forward(ws, s, p, y, gain ? &ws->normed : x, NULL, u_space));
        return act ? op_swiglu(act, y, ws->model->config.gelu) : CLORA_OK;
    }
    if (lr && !gain)
        TRY(op_lowrank_down(&u, x, lr));
    TRY(op_matmul_fused(act ? act : y, x, ws->model->projection[p].weight, lr, lr ? &u : NULL, &fusion));
done:
    return status;
}

clora_status linear_backward_input(workspace *ws, const selection *s, int p, clora_tensor *dx, const clora_tensor *dy,
                                   const clora_tensor *u_space) {
    const lowrank *lr = selection_term(s, p);
    const weight *w = weight_of(ws, s, p);
    const lora_dropout drop = dropout(ws, s, p);

    if (!lr)
        return lora_backward(dx, NULL, dy, w, NULL, NULL, NULL, &drop);
    clora_tensor u = columns_of(u_space, dy, lr), du = columns_of(&ws->du, dy, lr);
    clora_tensor db = parameters_gradient(s->trains, &lr->b), dvector;
    clora_status status = CLORA_OK;

    if (dora_is(lr)) {
        const clora_tensor z = workspace_scaled(ws, p, (int)tensor_rows(dy));
        clora_tensor dz = workspace_scaled_gradient(ws, p, (int)tensor_rows(dy));
        dvector = parameters_gradient(s->trains, &lr->magnitude);
        TRY(dora_scale_backward(&dz, &dvector, dy, &z, lr));
        return dora_backward(dx, &db, dy, &dz, lr, &u, &du, &drop);
    }
    dvector = parameters_gradient(s->trains, &lr->bias);
    if (dvector.buffer)
        TRY(op_column_dots(&dvector, dy, NULL, &lr->slope));
    TRY(lora_backward(dx, &db, dy, w, lr, &u, &du, &drop));
    TRY(add_origin_backward(s, p, dx, dy, u_space));
done:
    return status;
}

static clora_status span_gradient(const weight *w, weight_span span, const selection *s, const clora_tensor *dy,
                                  const clora_tensor *x) {
    const clora_tensor stored = span.count > 0 ? weight_span_view(w, span) : (clora_tensor){0};
    clora_tensor dw = span.count > 0 ? parameters_gradient(s->trains, &stored) : stored;
    clora_status status = CLORA_OK;

    if (!dw.buffer)
        return CLORA_OK;
    TRY(parameters_begin_gradient(s->trains, &stored));
    TRY(op_matmul_dw(&dw, dy, x, w, span));
    TRY(parameters_end_gradient(s->trains, &stored));
done:
    return status;
}

/* Those of W0's modules that train, and of their biases. */
static clora_status own_gradients(const weight *w, const selection *s, const clora_tensor *dy, const clora_tensor *x) {
    clora_status status = CLORA_OK;

    for (int i = 0; i < w->modules; i++) {
        for (int part = 0; part < w->parts; part++)
            TRY(span_gradient(w, weight_module_span(w, i, part), s, dy, x));
        clora_tensor dbias = bias_gradient(s->trains, w, i);
        const clora_tensor columns = tensor_view(dy, 0, (int)tensor_rows(dy), w->module[i].col, w->module[i].N);
        if (dbias.buffer)
            TRY(op_matmul_dbias(&dbias, &columns));
    }
done:
    return status;
}

bool linear_needs_input(const workspace *ws, const selection *s, int p) {
    return selection_term(s, p) || weight_trains(s->trains, weight_of(ws, s, p));
}

clora_status linear_backward_parameters(workspace *ws, const selection *s, int p, const clora_tensor *dy,
                                        const clora_tensor *x) {
    const lowrank *lr = selection_term(s, p);
    const lora_dropout drop = dropout(ws, s, p);
    clora_status status = CLORA_OK;

    if (s->trains)
        TRY(own_gradients(weight_of(ws, s, p), s, dy, x));
    if (!lr)
        return CLORA_OK;
    const clora_tensor du = columns_of(&ws->du, x, lr);
    clora_tensor da = parameters_gradient(s->trains, &lr->a);
    TRY(lora_gradient_a(&da, &du, x, lr, &drop));
done:
    return status;
}

clora_status linear_backward(workspace *ws, const selection *s, int p, clora_tensor *dx, const clora_tensor *dy,
                             const clora_tensor *x, const clora_tensor *u_space) {
    clora_status status = CLORA_OK;

    TRY(linear_backward_input(ws, s, p, dx, dy, u_space));
    TRY(linear_backward_parameters(ws, s, p, dy, x));
done:
    return status;
}
