#include "model/own.h"

#include "ops/ops.h"

/* Rows of n sequences from b on. */
static clora_tensor rows_of(const workspace *ws, const clora_tensor *x, int b, int n) {
    const int rows = (int)tensor_rows(x) / ws->B;

    return tensor_view(x, b * rows, n * rows, 0, tensor_cols(x));
}

/* The rows of ids with an adapter, in the place of the model's own. */
static clora_status embed(workspace *ws, const clora_adapter *adapter, clora_tensor *y, const clora_tensor *ids) {
    const embedding_term *term = adapter_embedding_term(adapter);
    clora_status status = CLORA_OK;

    TRY(op_embedding(y, ids, adapter_embedding(adapter, ws->model->embedding), ws->model->config.embedding_scale));
    if (term)
        TRY(embedding_term_forward(y, &ws->normed, ids, term)); /* which has no values yet */
done:
    return status;
}

clora_status own_embedding(workspace *ws, const selection *s, clora_tensor *y) {
    const weight *own = ws->model->embedding;
    clora_status status = CLORA_OK;

    TRY(embed(ws, s->adapter, y, &ws->ids));
    for (int b = 0, n; s->each && b < ws->B; b += n) {
        const clora_adapter *adapter = s->each[b];
        n = selection_run(s, b, ws->B);
        if (adapter_embedding(adapter, own) == own && !adapter_embedding_term(adapter))
            continue;
        clora_tensor out = rows_of(ws, y, b, n);
        const clora_tensor ids = rows_of(ws, &ws->ids, b, n);
        TRY(embed(ws, adapter, &out, &ids));
    }
done:
    return status;
}

clora_status own_norm(workspace *ws, const selection *s, clora_tensor *y, clora_tensor *rstd, const clora_tensor *x,
                      const clora_tensor *gain) {
    const model_config *c = &ws->model->config;
    clora_status status = CLORA_OK;

    TRY(op_rmsnorm(y, rstd, x, adapter_gain(s->adapter, gain), c->norm_eps, c->norm_plus_one));
    for (int b = 0, n; s->each && b < ws->B; b += n) {
        const clora_tensor *copy = adapter_gain(s->each[b], gain);
        n = selection_run(s, b, ws->B);
        if (copy == gain)
            continue;
        clora_tensor out = rows_of(ws, y, b, n);
        const clora_tensor in = rows_of(ws, x, b, n);
        TRY(op_rmsnorm(&out, NULL, &in, copy, c->norm_eps, c->norm_plus_one));
    }
done:
    return status;
}

clora_status own_norm_backward(const workspace *ws, const selection *s, clora_tensor *dx, const clora_tensor *dy,
                               const clora_tensor *x, const clora_tensor *rstd, const clora_tensor *gain) {
    const clora_tensor *g = adapter_gain(s->adapter, gain);
    clora_tensor dg = parameters_gradient(s->trains, g);
    clora_status status = CLORA_OK;

    if (dg.buffer)
        TRY(op_rmsnorm_dg(&dg, dy, x, rstd));
    TRY(op_rmsnorm_backward(dx, dy, x, rstd, g, ws->model->config.norm_plus_one, false));
done:
    return status;
}
