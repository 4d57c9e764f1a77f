#include "model/head.h"

#include "model/linear.h"

static int head_projection(const workspace *ws) {
    return ws->model->projections - 1;
}

bool head_trains(const workspace *ws, const selection *s) {
    return linear_needs_input(ws, s, head_projection(ws));
}

clora_status head_forward(workspace *ws, const selection *s, clora_tensor *logits, const clora_tensor *x) {
    return linear_forward(ws, s, head_projection(ws), logits, x, NULL, &ws->u_head);
}

/* Rows [row, row + n) through the head, the loss, and back. */
static clora_status one_chunk(workspace *ws, const selection *s, head_loss loss, void *user, int row, int n,
                              bool gradient) {
    const int C = ws->model->config.hidden;
    const classifier *labels = adapter_classifier(s->adapter);
    clora_tensor x = tensor_view(&ws->normed, row, n, 0, C), dx;
    clora_tensor logits = tensor_slice(&ws->logits, 0, n, labels ? labels->labels : ws->logits.shape[1]);
    clora_status status = CLORA_OK;

    TRY(labels ? classifier_forward(&logits, &x, labels) : head_forward(ws, s, &logits, &x));
    TRY(loss(user, &logits, row, gradient));
    if (!gradient)
        return CLORA_OK;
    dx = tensor_view(&ws->dnorm, row, n, 0, C);
    if (labels)
        return classifier_backward(&dx, &logits, &x, labels, s->trains);
    TRY(linear_backward(ws, s, head_projection(ws), &dx, &logits, &x, &ws->u_head));
done:
    return status;
}

clora_status head_chunks(workspace *ws, const selection *s, head_loss loss, void *user, bool gradient) {
    clora_status status = CLORA_OK;
    const int chunk = ws->logits.shape[0];

    for (int row = 0; row < ws->M; row += chunk)
        TRY(one_chunk(ws, s, loss, user, row, ws->M - row < chunk ? ws->M - row : chunk, gradient));
done:
    return status;
}
