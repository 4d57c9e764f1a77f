#include "train/likelihood.h"

#include "ops/ops.h"

static clora_status chunk(void *user, clora_tensor *logits, int row, bool gradient) {
    workspace *ws = user;
    const int n = logits->shape[0];
    clora_tensor nll = tensor_view(&ws->nll, row, n, 0, 1), hit = tensor_view(&ws->hit, row, n, 0, 1);
    clora_tensor targets = tensor_view(&ws->targets, row, n, 0, 1);

    return op_cross_entropy(&nll, &hit, logits, &targets, NULL, gradient);
}

clora_status likelihood(workspace *ws, const selection *select, bool gradient) {
    return head_chunks(ws, select, chunk, ws, gradient);
}
