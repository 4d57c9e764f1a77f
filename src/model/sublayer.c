#include "model/sublayer.h"

#include "model/decoder.h"
#include "model/linear.h"
#include "model/own.h"

/* What a bottleneck keeps, in its room of the workspace. */
typedef struct kept {
    clora_tensor x, z, a; /* (M,C) what it reads, (M,R) and (M, R+1) */
} kept;

static kept kept_in(const clora_tensor *room, const bottleneck *b, int M) {
    const size_t z = (size_t)M * (size_t)b->C, a = z + (size_t)M * (size_t)b->R;

    return (kept){tensor_slice(room, 0, M, b->C), tensor_slice(room, z, M, b->R), tensor_slice(room, a, M, b->R + 1)};
}

/* ---- the normalisation of what a sublayer adds ---- */

/* Its gain, or NULL. */
static const clora_tensor *norm_after(const workspace *ws, int sublayer) {
    return ws->model->layer[sublayer / SUBLAYERS].norm[DECODER_NORM_AFTER_ATTENTION + sublayer % SUBLAYERS];
}

/* y = [residual] + f of the rows of x */
static clora_status add_branch(workspace *ws, const selection *s, int sublayer, int p, clora_tensor *y,
                               const clora_tensor *x, const clora_tensor *residual, clora_tensor *u) {
    const clora_tensor *gain = norm_after(ws, sublayer);
    layer_activations *a = workspace_layer(ws, sublayer / SUBLAYERS);
    clora_status status = CLORA_OK;

    if (!gain)
        return linear_forward(ws, s, p, y, x, residual, u);
    clora_tensor f = tensor_slice(&a->f[sublayer % SUBLAYERS], 0, (int)tensor_rows(x), tensor_cols(y));
    TRY(linear_forward(ws, s, p, &f, x, NULL, u));
    TRY(own_norm(ws, s, y, ws->train ? &a->rstd_f[sublayer % SUBLAYERS] : NULL, &f, gain));
    if (residual)
        TRY(op_add(y, residual));
done:
    return status;
}

/* *df: the gradient of f becomes that of the projection's output. */
static clora_status norm_backward(workspace *ws, const selection *s, int sublayer, clora_tensor *df) {
    const clora_tensor *gain = norm_after(ws, sublayer);
    const layer_activations *a = workspace_layer(ws, sublayer / SUBLAYERS);
    clora_status status = CLORA_OK;

    if (!gain)
        return CLORA_OK;
    TRY(own_norm_backward(ws, s, &ws->df, df, &a->f[sublayer % SUBLAYERS], &a->rstd_f[sublayer % SUBLAYERS], gain));
    *df = ws->df;
done:
    return status;
}

/* ---- and its bottleneck, which sees the stream as it is, not as it is kept (config.h) ---- */

/* What it adds is dropped out in training alone: apart from others that draw, by a number of its own. */
static float dropout_of(const selection *s, const bottleneck *b) {
    return s->trains ? b->dropout : 0.0f;
}

static uint32_t dropout_stream(int sublayer) {
    return 0x42000000u + (uint32_t)sublayer;
}

/* y = x with what the bottleneck adds */
static clora_status add_bottleneck(workspace *ws, const selection *s, int sublayer, clora_tensor *y, kept *k,
                                   const bottleneck *b) {
    const float p = dropout_of(s, b);
    clora_status status = CLORA_OK;

    if (p == 0.0f)
        return op_bottleneck(y, &k->z, &k->a, &k->x, &k->x, b);
    clora_tensor added = tensor_slice(&ws->dropped, 0, ws->M, b->C);
    TRY(op_bottleneck(&added, &k->z, &k->a, NULL, &k->x, b));
    TRY(op_dropout(y, &added, p, s->dropout_seed, dropout_stream(sublayer)));
    TRY(op_add(y, &k->x));
done:
    return status;
}

/* *dadded: the gradient of what it adds, in which what was dropped out has no part. */
static clora_status drop_gradient(clora_tensor *dadded, workspace *ws, const selection *s, int sublayer,
                                  const bottleneck *b) {
    const float p = dropout_of(s, b);

    *dadded = ws->dstream;
    if (p == 0.0f)
        return CLORA_OK;
    *dadded = tensor_slice(&ws->dropped, 0, ws->M, b->C);
    return op_dropout(dadded, &ws->dstream, p, s->dropout_seed, dropout_stream(sublayer));
}

/* y of the rows of x with a bottleneck. */
static clora_status forward_adapted(workspace *ws, const selection *s, const bottleneck *b, int sublayer, int p,
                                    clora_tensor *room, clora_tensor *y, const clora_tensor *x,
                                    const clora_tensor *residual, clora_tensor *u) {
    const float unit = ws->model->config.branch_scale;
    kept k = kept_in(room, b, (int)tensor_rows(x));
    clora_status status = CLORA_OK;

    TRY(add_branch(ws, s, sublayer, p, &k.x, x, b->reads_stream ? residual : NULL, u));
    TRY(op_scale(&k.x, unit));
    TRY(add_bottleneck(ws, s, sublayer, y, &k, b));
    TRY(op_scale(y, 1.0f / unit));
    if (!b->reads_stream)
        TRY(op_add(y, residual));
done:
    return status;
}

/* The rows of sequences that have a bottleneck, where each may have another; those side by side that share one go
 * together. */
static clora_status forward_each(workspace *ws, const selection *s, int sublayer, int p, clora_tensor *room,
                                 clora_tensor *y, const clora_tensor *x, const clora_tensor *residual,
                                 clora_tensor *u) {
    const int rows = (int)tensor_rows(x) / ws->B; /* of a sequence */
    clora_status status = CLORA_OK;

    for (int i = 0, n; i < ws->B; i += n) {
        const bottleneck *b = adapter_sublayer(s->each[i], sublayer);
        const selection one = {.adapter = s->each[i]};
        n = selection_run(s, i, ws->B);
        if (!b)
            continue;
        clora_tensor out = tensor_view(y, i * rows, n * rows, 0, tensor_cols(y));
        const clora_tensor in = tensor_view(x, i * rows, n * rows, 0, tensor_cols(x));
        const clora_tensor before = tensor_view(residual, i * rows, n * rows, 0, tensor_cols(residual));
        TRY(forward_adapted(ws, &one, b, sublayer, p, room, &out, &in, &before, u));
    }
done:
    return status;
}

clora_status sublayer_forward(workspace *ws, const selection *s, int sublayer, int p, clora_tensor *y,
                              const clora_tensor *x, const clora_tensor *residual, clora_tensor *u) {
    const bottleneck *b = selection_sublayer(s, sublayer);
    clora_tensor *room = workspace_sublayer(ws, sublayer);
    clora_status status = CLORA_OK;

    if (b)
        return forward_adapted(ws, s, b, sublayer, p, room, y, x, residual, u);
    TRY(add_branch(ws, s, sublayer, p, y, x, residual, u));
    if (s->each)
        TRY(forward_each(ws, s, sublayer, p, room, y, x, residual, u));
done:
    return status;
}

clora_status sublayer_backward(workspace *ws, const selection *s, int sublayer, clora_tensor *df) {
    const bottleneck *b = selection_sublayer(s, sublayer);
    const float unit = ws->model->config.branch_scale;
    clora_status status = CLORA_OK;

    *df = ws->dstream;
    if (!b)
        return norm_backward(ws, s, sublayer, df);
    kept k = kept_in(workspace_sublayer(ws, sublayer), b, ws->M), d = kept_in(&ws->dsublayer, b, ws->M);
    const bottleneck_values gradients = {.down = parameters_gradient(s->trains, &b->values.down),
                                         .bias = parameters_gradient(s->trains, &b->values.bias),
                                         .up = parameters_gradient(s->trains, &b->values.up)};
    clora_tensor *dx = b->reads_stream ? &ws->dstream : &d.x, dadded;
    TRY(op_scale(&ws->dstream, 1.0f / unit));
    TRY(drop_gradient(&dadded, ws, s, sublayer, b));
    TRY(op_bottleneck_backward(dx, &gradients, &k.z, &d.a, &ws->dstream, &dadded, &k.x, &k.a, b));
    TRY(op_scale(&ws->dstream, unit));
    if (dx != &ws->dstream)
        TRY(op_scale(dx, unit));
    *df = *dx;
    TRY(norm_backward(ws, s, sublayer, df));
done:
    return status;
}
