#include "methods/dora.h"

clora_status dora_derive(lowrank *lr, bool begin) {
    if (dora_is(lr))
        return op_lowrank_norms(&lr->applied, &lr->slope, &lr->magnitude, lr, begin);
    return lr->bias.buffer ? op_scale_columns(&lr->applied, &lr->bias, NULL, lr->base->bias, &lr->slope) : CLORA_OK;
}

clora_status dora_forward(clora_tensor *y, const clora_tensor *x, const weight *w, const clora_tensor *residual,
                          const lowrank *lr, clora_tensor *u, clora_tensor *z, const lora_dropout *drop) {
    clora_status status = CLORA_OK;
    clora_tensor xd;

    TRY(lora_drop(&xd, x, drop));
    TRY(op_lowrank_down(u, &xd, lr));
    TRY(op_matmul(z, &xd, w, NULL, lr, u, false));
    if (!y)
        return CLORA_OK;
    if (drop->p == 0.0f)
        return op_scale_columns(y, z, residual, w->bias, &lr->applied);
    TRY(op_dropout_rest(&xd, x, drop->p, drop->seed, drop->stream));
    TRY(op_matmul(y, &xd, w, residual, NULL, NULL, false));
    TRY(op_scale_columns(y, z, y, NULL, &lr->applied));
done:
    return status;
}

clora_status dora_scale_backward(clora_tensor *dz, clora_tensor *dm, const clora_tensor *dy, const clora_tensor *z,
                                 const lowrank *lr) {
    clora_status status = CLORA_OK;

    if (dm->buffer)
        TRY(op_column_dots(dm, dy, z, &lr->slope));
    TRY(op_scale_columns(dz, dy, NULL, NULL, &lr->applied));
done:
    return status;
}

clora_status dora_backward(clora_tensor *dx, clora_tensor *db, const clora_tensor *dy, const clora_tensor *dz,
                           const lowrank *lr, const clora_tensor *u, clora_tensor *du, const lora_dropout *drop) {
    clora_status status = CLORA_OK;

    if (drop->p == 0.0f || !dx)
        return lora_backward(dx, db, dz, lr->base, lr, u, du, drop);
    clora_tensor term = tensor_slice(&drop->scratch, 0, (int)tensor_rows(dx), tensor_cols(dx));
    TRY(lora_backward(&term, db, dz, lr->base, lr, u, du, &(lora_dropout){0}));
    TRY(op_matmul_dx(dx, dy, lr->base, NULL, NULL, false));
    TRY(op_dropout_rest(dx, dx, drop->p, drop->seed, drop->stream));
    TRY(op_dropout_add(dx, &term, drop->p, drop->seed, drop->stream));
done:
    return status;
}
