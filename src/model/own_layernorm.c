#include "model/own.h"

#include "ops/ops.h"

/* The two as an adapter has them. */
static own_layernorm of(const clora_adapter *adapter, const own_layernorm *norm) {
    return (own_layernorm){adapter_gain(adapter, norm->gain), adapter_gain(adapter, norm->bias)};
}

clora_status own_layernorm_forward(workspace *ws, const selection *s, clora_tensor *y, clora_tensor *moments,
                                   const clora_tensor *x, const own_layernorm *norm) {
    const float eps = ws->model->config.norm_eps;
    own_layernorm used = of(s->adapter, norm);
    clora_status status = CLORA_OK;

    TRY(op_layernorm(y, moments, x, used.gain, used.bias, eps));
    for (int b = 0, n; s->each && b < ws->B; b += n) {
        const int rows = (int)tensor_rows(x) / ws->B; /* of a sequence */
        used = of(s->each[b], norm);
        n = selection_run(s, b, ws->B);
        if (used.gain == norm->gain && used.bias == norm->bias)
            continue;
        clora_tensor out = tensor_view(y, b * rows, n * rows, 0, tensor_cols(y));
        const clora_tensor in = tensor_view(x, b * rows, n * rows, 0, tensor_cols(x));
        TRY(op_layernorm(&out, NULL, &in, used.gain, used.bias, eps));
    }
done:
    return status;
}

clora_status own_layernorm_again(const selection *s, clora_tensor *y, const clora_tensor *x,
                                 const clora_tensor *moments, const own_layernorm *norm) {
    const own_layernorm used = of(s->adapter, norm);

    return op_layernorm_apply(y, x, moments, used.gain, used.bias);
}

clora_status own_layernorm_gradients(const selection *s, const clora_tensor *dy, const clora_tensor *x,
                                     const clora_tensor *moments, const own_layernorm *norm) {
    const own_layernorm used = of(s->adapter, norm);
    clora_tensor dg = parameters_gradient(s->trains, used.gain), db = parameters_gradient(s->trains, used.bias);
    clora_status status = CLORA_OK;

    if (dg.buffer)
        TRY(op_layernorm_dg(&dg, dy, x, moments));
    if (db.buffer)
        TRY(op_matmul_dbias(&db, dy));
done:
    return status;
}

clora_status own_layernorm_backward(const selection *s, clora_tensor *dx, const clora_tensor *dy, const clora_tensor *x,
                                    const clora_tensor *moments, const own_layernorm *norm) {
    return op_layernorm_backward(dx, dy, x, moments, of(s->adapter, norm).gain);
}
