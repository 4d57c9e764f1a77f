#include "model/own.h"

#include "ops/ops.h"

/* Rows of n sequences from b on. */
static clora_tensor rows_of(const workspace *ws, const clora_tensor *x, int b, int n) {
    const int rows = (int)tensor_rows(x) / ws->B;

    return tensor_view(x, b * rows, n * rows, 0, tensor_cols(x));
}

clora_status own_embedding(workspace *ws, const selection *s, clora_tensor *y) {
    const weight *own = ws->model->embedding;
    clora_status status = CLORA_OK;

    TRY(op_embedding(y, &ws->ids, adapter_embedding(s->adapter, own)));
    for (int b = 0, n; s->each && b < ws->B; b += n) {
        const weight *copy = adapter_embedding(s->each[b], own);
        n = selection_run(s, b, ws->B);
        if (copy == own)
            continue;
        clora_tensor out = rows_of(ws, y, b, n);
        const clora_tensor ids = rows_of(ws, &ws->ids, b, n);
        TRY(op_embedding(&out, &ids, copy));
    }
done:
    return status;
}

clora_status own_norm(workspace *ws, const selection *s, clora_tensor *y, clora_tensor *rstd, const clora_tensor *x,
                      const clora_tensor *gain) {
    const float eps = ws->model->config.norm_eps;
    clora_status status = CLORA_OK;

    TRY(op_rmsnorm(y, rstd, x, adapter_gain(s->adapter, gain), eps));
    for (int b = 0, n; s->each && b < ws->B; b += n) {
        const clora_tensor *copy = adapter_gain(s->each[b], gain);
        n = selection_run(s, b, ws->B);
        if (copy == gain)
            continue;
        clora_tensor out = rows_of(ws, y, b, n);
        const clora_tensor in = rows_of(ws, x, b, n);
        TRY(op_rmsnorm(&out, NULL, &in, copy, eps));
    }
done:
    return status;
}
