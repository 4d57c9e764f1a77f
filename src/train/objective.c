#include "train/objective.h"

#include "ops/ops.h"

typedef struct run {
    objective objective;
    workspace *ws;
    const clora_tensor *weights;
} run;

static clora_status all_rows(void *user, clora_tensor *logits, int row, bool gradient) {
    const run *r = user;
    const int n = logits->shape[0];
    clora_tensor weights;
    objective_rows rows = {.row = row,
                           .logits = *logits,
                           .targets = tensor_view(&r->ws->targets, row, n, 0, 1),
                           .loss = tensor_view(&r->ws->nll, row, n, 0, 1),
                           .hit = tensor_view(&r->ws->hit, row, n, 0, 1)};

    if (r->weights) {
        weights = tensor_view(r->weights, row, n, 0, 1);
        rows.weights = &weights;
    }
    return r->objective.run(r->objective.options, &rows, gradient);
}

static clora_status learnt_rows(void *user, clora_tensor *logits, int row, bool gradient) {
    const run *r = user;
    workspace *ws = r->ws;
    const int n = logits->shape[0];
    const clora_tensor which = tensor_view(&ws->learnt, row, n, 0, 1);
    clora_tensor weights = tensor_slice(&ws->picked.weights, 0, n, 1);
    objective_rows rows = {.logits = *logits,
                           .targets = tensor_slice(&ws->picked.targets, 0, n, 1),
                           .weights = r->weights ? &weights : NULL,
                           .loss = tensor_slice(&ws->picked.loss, 0, n, 1),
                           .hit = tensor_slice(&ws->picked.hit, 0, n, 1)};
    clora_status status = CLORA_OK;

    TRY(op_gather_rows(&rows.targets, &ws->targets, &which));
    if (r->weights)
        TRY(op_gather_rows(&weights, r->weights, &which));
    TRY(r->objective.run(r->objective.options, &rows, gradient));
    TRY(op_scatter_rows(&ws->nll, &rows.loss, &which));
    TRY(op_scatter_rows(&ws->hit, &rows.hit, &which));
done:
    return status;
}

/* Logits of rows without a target are the dearest part of a step that nobody reads. */
static bool leaves_rows_out(const workspace *ws, const selection *s, const objective *objective) {
    return ws->learnt_rows < ws->M && !objective->all_rows && !adapter_classifier(s->adapter) && !head_trains(ws, s);
}

clora_status objective_run(objective objective, workspace *ws, const selection *select, const clora_tensor *weights,
                           bool gradient) {
    run r = {objective, ws, weights};
    clora_status status = CLORA_OK;

    if (!leaves_rows_out(ws, select, &objective))
        return head_chunks(ws, select, HEAD_ALL, all_rows, &r, gradient);
    TRY(clora_tensor_zero(&ws->nll));
    TRY(clora_tensor_zero(&ws->hit));
    TRY(head_chunks(ws, select, HEAD_LEARNT, learnt_rows, &r, gradient));
done:
    return status;
}
