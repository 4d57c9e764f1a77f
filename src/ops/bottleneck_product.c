#include "ops/bottleneck.h"

#include "ops/matmul.h"
#include "ops/tape_note.h"

static clora_status run_blocks(launch *l, size_t M, int R) {
    const size_t block = (size_t)launch_parameter(l, "BLOCK"), group = (size_t)launch_parameter(l, "WG");

    return launch_run(l, divide_up_size((size_t)R, block), M, 1, group, 1, 1);
}

static bool has_values(const bottleneck *b) {
    const bottleneck_values *v = &b->values;
    return matmul_is_factor(&v->down, b->down_count) && matmul_is_factor(&v->bias, b->bias_count) &&
           matmul_is_factor(&v->up, b->up_count);
}

clora_status op_activate(clora_tensor *a, const clora_tensor *z, const bottleneck *b) {
    const size_t M = tensor_rows(z);
    launch l;

    if (!matmul_is_shape(a, M, b->R + 1) || !matmul_is_shape(z, M, b->R) || !has_values(b))
        return clora_fail(CLORA_ERROR_SHAPE, "activate: a%s z%s of %d columns", tensor_shape_text(a),
                          tensor_shape_text(z), b->R);
    if (tape_note_activate(a, z, b))
        return CLORA_OK;
    do {
        launch_begin(&l, a->context, "activate", (kernel_key){.M = (int)M, .K = b->R});
    } while (launch_again(&l));
    launch_matrix(&l, a);
    launch_matrix(&l, z);
    launch_tensor(&l, &b->values.bias);
    launch_int(&l, b->R);
    launch_int(&l, b->swish);
    return run_blocks(&l, M, b->R);
}

clora_status op_activate_backward(clora_tensor *dz, const clora_tensor *da, const clora_tensor *z,
                                  const bottleneck *b) {
    const size_t M = tensor_rows(z);
    launch l;

    if (!matmul_is_shape(dz, M, b->R) || !matmul_is_shape(da, M, b->R + 1) || !matmul_is_shape(z, M, b->R) ||
        !has_values(b))
        return clora_fail(CLORA_ERROR_SHAPE, "activate_backward: dz%s da%s z%s of %d columns", tensor_shape_text(dz),
                          tensor_shape_text(da), tensor_shape_text(z), b->R);
    do {
        launch_begin(&l, dz->context, "activate_backward", (kernel_key){.M = (int)M, .K = b->R});
    } while (launch_again(&l));
    launch_matrix(&l, dz);
    launch_matrix(&l, da);
    launch_matrix(&l, z);
    launch_tensor(&l, &b->values.bias);
    launch_int(&l, b->R);
    launch_int(&l, b->swish);
    return run_blocks(&l, M, b->R);
}

/* y = [start +] u * f^T of a factor of C columns */
static clora_status add_product(clora_tensor *y, const clora_tensor *start, const clora_tensor *u,
                                const clora_tensor *f, const bottleneck *b) {
    return matmul_forward(&(forward_product){.y = y,
                                             .residual = start,
                                             .u = u,
                                             .b = f,
                                             .M = (int)tensor_rows(y),
                                             .N = b->C,
                                             .R = tensor_cols(u),
                                             .panels = divide_up(b->C, kernel_panel_width(b->context))});
}

clora_status op_bottleneck(clora_tensor *y, clora_tensor *z, clora_tensor *a, const clora_tensor *start,
                           const clora_tensor *x, const bottleneck *b) {
    const size_t M = tensor_rows(x);
    clora_status status = CLORA_OK;

    if (!matmul_is_shape(y, M, b->C) || !matmul_is_shape(x, M, b->C) || !matmul_is_shape(z, M, b->R) ||
        (start && !matmul_is_shape(start, M, b->C)) || !has_values(b))
        return clora_fail(CLORA_ERROR_SHAPE, "bottleneck: y%s x%s z%s of %d columns for %d", tensor_shape_text(y),
                          tensor_shape_text(x), tensor_shape_text(z), b->R, b->C);
    if (!tape_note_down(z, x, &b->values.down, NULL))
        TRY(lowrank_factor_down(z, x, &b->values.down, b->ones));
    TRY(op_activate(a, z, b));
    TRY(add_product(y, start, a, &b->values.up, b));
done:
    return status;
}

/* The sums over rows that are the biases' gradients come from the column of ones in a. */
static clora_status gradients(const bottleneck_values *d, const clora_tensor *dy, const clora_tensor *dz,
                              const clora_tensor *x, const clora_tensor *a, const bottleneck *b) {
    const clora_tensor ones = tensor_view(a, 0, (int)tensor_rows(a), b->R, 1);
    clora_tensor down = d->down, bias = d->bias, up = d->up;
    clora_status status = CLORA_OK;

    if (up.buffer)
        TRY(lowrank_factor_grad(&up, a, dy));
    if (bias.buffer)
        TRY(lowrank_factor_grad(&bias, &ones, dz));
    if (down.buffer)
        TRY(lowrank_factor_grad(&down, dz, x));
done:
    return status;
}

clora_status op_bottleneck_backward(clora_tensor *dx, const bottleneck_values *d, clora_tensor *z, clora_tensor *da,
                                    const clora_tensor *start, const clora_tensor *dy, const clora_tensor *x,
                                    const clora_tensor *a, const bottleneck *b) {
    const size_t M = tensor_rows(x);
    clora_status status = CLORA_OK;

    if (!matmul_is_shape(dy, M, b->C) || !matmul_is_shape(x, M, b->C) || !matmul_is_shape(a, M, b->R + 1) ||
        !matmul_is_shape(z, M, b->R) || !matmul_is_shape(da, M, b->R + 1) || (dx && !matmul_is_shape(dx, M, b->C)) ||
        (start && !matmul_is_shape(start, M, b->C)) || !has_values(b))
        return clora_fail(CLORA_ERROR_SHAPE, "bottleneck_backward: dy%s x%s a%s da%s of %d columns for %d",
                          tensor_shape_text(dy), tensor_shape_text(x), tensor_shape_text(a), tensor_shape_text(da),
                          b->R, b->C);
    TRY(lowrank_factor_down(da, dy, &b->values.up, b->ones));
    TRY(op_activate_backward(z, da, z, b));
    TRY(gradients(d, dy, z, x, a, b));
    if (dx)
        TRY(add_product(dx, start, z, &b->values.down, b));
done:
    return status;
}
