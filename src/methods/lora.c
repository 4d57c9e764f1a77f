#include "methods/lora.h"

clora_status lora_drop(clora_tensor *out, const clora_tensor *x, const lora_dropout *drop) {
    if (drop->p == 0.0f) {
        *out = *x;
        return CLORA_OK;
    }
    *out = tensor_slice(&drop->scratch, 0, (int)tensor_rows(x), tensor_cols(x));
    return op_dropout(out, x, drop->p, drop->seed, drop->stream);
}

clora_status lora_forward(clora_tensor *y, const clora_tensor *x, const weight *w, const clora_tensor *residual,
                          const lowrank *lr, clora_tensor *u, const lora_dropout *drop) {
    clora_status status = CLORA_OK;
    clora_tensor xd;

    if (!lr)
        return op_matmul(y, x, w, residual, NULL, NULL, false);
    TRY(lora_drop(&xd, x, drop));
    TRY(op_lowrank_down(u, &xd, lr));
    if (y)
        TRY(op_matmul(y, x, w, residual, lr, u, drop->p > 0.0f));
done:
    return status;
}

clora_status lora_add(clora_tensor *y, const clora_tensor *x, const lowrank *lr, clora_tensor *u) {
    clora_status status = CLORA_OK;

    TRY(op_lowrank_down(u, x, lr));
    TRY(op_lowrank_up(y, u, lr));
done:
    return status;
}

/* dx += mask * (du A) / (1 - p) */
static clora_status add_dropped(clora_tensor *dx, const clora_tensor *du, const lowrank *lr, const lora_dropout *drop) {
    clora_tensor term = tensor_slice(&drop->scratch, 0, (int)tensor_rows(dx), tensor_cols(dx));
    clora_status status = CLORA_OK;

    TRY(op_lowrank_dx(&term, du, lr, false));
    TRY(op_dropout_add(dx, &term, drop->p, drop->seed, drop->stream));
done:
    return status;
}

clora_status lora_backward(clora_tensor *dx, clora_tensor *db, const clora_tensor *dy, const weight *w,
                           const lowrank *lr, const clora_tensor *u, clora_tensor *du, const lora_dropout *drop) {
    clora_status status = CLORA_OK;

    if (!lr)
        return dx ? op_matmul_dx(dx, dy, w, NULL, NULL, false) : CLORA_OK;
    TRY(op_lowrank_down_grad(du, dy, lr));
    TRY(op_lowrank_grad_b(db, dy, u, lr));
    if (!dx)
        return CLORA_OK;
    if (drop->p == 0.0f)
        return op_matmul_dx(dx, dy, w, lr, du, false);
    TRY(op_matmul_dx(dx, dy, w, NULL, NULL, false));
    TRY(add_dropped(dx, du, lr, drop));
done:
    return status;
}

clora_status lora_gradient_a(clora_tensor *da, const clora_tensor *du, const clora_tensor *x, const lowrank *lr,
                             const lora_dropout *drop) {
    clora_status status = CLORA_OK;
    clora_tensor xd;

    TRY(lora_drop(&xd, x, drop));
    TRY(op_lowrank_grad_a(da, du, &xd, lr));
done:
    return status;
}
