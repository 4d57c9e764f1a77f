#include "model/head.h"

#include "base/ints.h"
#include "model/linear.h"
#include "ops/ops.h"

static int head_projection(const workspace *ws) {
    return ws->model->projections - 1;
}

bool head_trains(const workspace *ws, const selection *s) {
    return linear_needs_input(ws, s, head_projection(ws));
}

/* product: what the head makes, logits what the model makes of that; they may be the same. */
static clora_status make_logits(workspace *ws, const selection *s, clora_tensor *logits, clora_tensor *product,
                                const clora_tensor *x) {
    const float cap = ws->model->config.logit_cap;
    clora_status status = CLORA_OK;

    TRY(linear_forward(ws, s, head_projection(ws), product, x, NULL, &ws->u_head));
    TRY(op_scale(product, ws->model->config.logit_scale));
    if (cap > 0.0f)
        TRY(op_softcap(logits, product, cap));
done:
    return status;
}

clora_status head_forward(workspace *ws, const selection *s, clora_tensor *logits, const clora_tensor *x) {
    return make_logits(ws, s, logits, logits, x);
}

typedef struct chunk {
    int row, n;
    clora_tensor x, dx;
    clora_tensor which; /* the numbers of the step's rows, where these are picked */
} chunk;

static chunk all_rows(const workspace *ws, int row, int n, bool gradient) {
    const int C = ws->model->config.hidden;
    chunk c = {.row = row, .n = n, .x = tensor_view(&ws->normed, row, n, 0, C)};

    if (gradient)
        c.dx = tensor_view(&ws->dnorm, row, n, 0, C);
    return c;
}

static chunk learnt_rows(const workspace *ws, int row, int n, bool gradient) {
    const int C = ws->model->config.hidden;
    chunk c = {
        .row = row, .n = n, .x = tensor_slice(&ws->picked.x, 0, n, C), .which = tensor_view(&ws->learnt, row, n, 0, 1)};

    if (gradient)
        c.dx = tensor_slice(&ws->picked.dx, 0, n, C);
    return c;
}

/* Through the head, the loss, and back. */
static clora_status run_chunk(workspace *ws, const selection *s, chunk *c, head_loss loss, void *user, bool gradient) {
    const classifier *labels = adapter_classifier(s->adapter);
    clora_tensor logits = tensor_slice(&ws->logits, 0, c->n, labels ? labels->labels : ws->logits.shape[1]);
    const float cap = labels ? 0.0f : ws->model->config.logit_cap;
    const bool keeps = cap > 0.0f && gradient; /* what the cap's slope is of */
    clora_tensor product = keeps ? tensor_slice(&ws->uncapped, 0, c->n, ws->logits.shape[1]) : logits;
    clora_status status = CLORA_OK;

    TRY(labels ? classifier_forward(&logits, &c->x, labels) : make_logits(ws, s, &logits, &product, &c->x));
    TRY(loss(user, &logits, c->row, gradient));
    if (!gradient)
        return CLORA_OK;
    if (labels)
        return classifier_backward(&c->dx, &logits, &c->x, labels, s->trains);
    if (keeps)
        TRY(op_softcap_backward(&logits, &product, cap));
    TRY(op_scale(&logits, ws->model->config.logit_scale));
    TRY(linear_backward(ws, s, head_projection(ws), &c->dx, &logits, &c->x, &ws->u_head));
done:
    return status;
}

static clora_status run_picked(workspace *ws, const selection *s, chunk *c, head_loss loss, void *user, bool gradient) {
    clora_status status = CLORA_OK;

    TRY(op_gather_rows(&c->x, &ws->normed, &c->which));
    TRY(run_chunk(ws, s, c, loss, user, gradient));
    if (gradient)
        TRY(op_scatter_rows(&ws->dnorm, &c->dx, &c->which));
done:
    return status;
}

clora_status head_chunks(workspace *ws, const selection *s, head_rows rows, head_loss loss, void *user, bool gradient) {
    const bool picked = rows == HEAD_LEARNT;
    const int count = picked ? ws->learnt_rows : ws->M, most = ws->logits.shape[0];
    clora_status status = CLORA_OK;

    if (picked && gradient)
        TRY(clora_tensor_zero(&ws->dnorm));
    for (int row = 0; row < count; row += most) {
        const int n = least(count - row, most);
        chunk c = picked ? learnt_rows(ws, row, n, gradient) : all_rows(ws, row, n, gradient);
        TRY(picked ? run_picked(ws, s, &c, loss, user, gradient) : run_chunk(ws, s, &c, loss, user, gradient));
    }
done:
    return status;
}
