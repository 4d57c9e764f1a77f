#include "train/objective.h"

typedef struct run {
    objective objective;
    workspace *ws;
    const clora_tensor *weights;
} run;

static clora_status chunk(void *user, clora_tensor *logits, int row, bool gradient) {
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

clora_status objective_run(objective objective, workspace *ws, const selection *select, const clora_tensor *weights,
                           bool gradient) {
    return head_chunks(ws, select, chunk, &(run){objective, ws, weights}, gradient);
}
