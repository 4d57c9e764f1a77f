#include "model/sublayer.h"

#include "model/linear.h"

/* What a bottleneck keeps, in its room of the workspace. */
typedef struct kept {
    clora_tensor x, z, a; /* (M,C) what it reads, (M,R) and (M, R+1) */
} kept;

static kept kept_in(const clora_tensor *room, const bottleneck *b, int M) {
    const size_t z = (size_t)M * (size_t)b->C, a = z + (size_t)M * (size_t)b->R;

    return (kept){tensor_slice(room, 0, M, b->C), tensor_slice(room, z, M, b->R), tensor_slice(room, a, M, b->R + 1)};
}

/* y of the rows of x with a bottleneck. */
static clora_status forward_adapted(workspace *ws, const selection *s, const bottleneck *b, int p, clora_tensor *room,
                                    clora_tensor *y, const clora_tensor *x, const clora_tensor *residual,
                                    clora_tensor *u) {
    kept k = kept_in(room, b, (int)tensor_rows(x));
    clora_status status = CLORA_OK;

    TRY(linear_forward(ws, s, p, &k.x, x, b->reads_stream ? residual : NULL, u));
    TRY(op_bottleneck(y, &k.z, &k.a, &k.x, b));
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
        TRY(forward_adapted(ws, &one, b, p, room, &out, &in, &before, u));
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
        return forward_adapted(ws, s, b, p, room, y, x, residual, u);
    TRY(linear_forward(ws, s, p, y, x, residual, u));
    if (s->each)
        TRY(forward_each(ws, s, sublayer, p, room, y, x, residual, u));
done:
    return status;
}

clora_status sublayer_backward(workspace *ws, const selection *s, int sublayer, clora_tensor *df) {
    const bottleneck *b = selection_sublayer(s, sublayer);

    *df = ws->dstream;
    if (!b)
        return CLORA_OK;
    kept k = kept_in(workspace_sublayer(ws, sublayer), b, ws->M), d = kept_in(&ws->dsublayer, b, ws->M);
    const bottleneck_values gradients = {.down = parameters_gradient(s->trains, &b->values.down),
                                         .bias = parameters_gradient(s->trains, &b->values.bias),
                                         .up = parameters_gradient(s->trains, &b->values.up)};
    clora_tensor *dx = b->reads_stream ? &ws->dstream : &d.x;
    const clora_status status = op_bottleneck_backward(dx, &gradients, &k.z, &d.a, &ws->dstream, &k.x, &k.a, b);

    *df = *dx;
    return status;
}
