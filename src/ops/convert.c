#include "ops/launch.h"
#include "ops/ops.h"
#include "ops/tape_note.h"

clora_status op_widen(clora_tensor *y, const clora_tensor *rows, const storage *type) {
    const size_t n = clora_tensor_count(y);
    launch l;

    if (n > INT32_MAX || clora_tensor_count(rows) != storage_row_elements(type, (int)n) ||
        rows->dtype != type->element || y->dtype != CLORA_DTYPE_F32 || !tensor_is_dense(y) || !tensor_is_dense(rows))
        return clora_fail(CLORA_ERROR_SHAPE, "widen: y%s rows%s of %s", tensor_shape_text(y), tensor_shape_text(rows),
                          type->name);
    do {
        launch_begin(&l, y->context, "widen", (kernel_key){.dtype = type->id, .M = (int)n});
        launch_define(&l, "NR", 1);
        launch_define(&l, "STORAGE", (int)type->id);
    } while (launch_again(&l));
    const size_t group = (size_t)launch_parameter(&l, "WG"), block = (size_t)launch_parameter(&l, "BLOCK");
    launch_tensor(&l, y);
    launch_tensor(&l, rows);
    launch_ulong(&l, n);
    return launch_run(&l, divide_up_size(n, block), 1, 1, group, 1, 1);
}

clora_status op_add(clora_tensor *y, const clora_tensor *x) {
    const size_t M = tensor_rows(x);
    const int C = tensor_cols(x);
    launch l;

    if (tensor_rows(y) != M || tensor_cols(y) != C)
        return clora_fail(CLORA_ERROR_SHAPE, "add: y%s x%s", tensor_shape_text(y), tensor_shape_text(x));
    if (tape_note_add(y, x))
        return CLORA_OK;
    do {
        launch_begin(&l, y->context, "add", (kernel_key){.M = (int)M, .K = C});
    } while (launch_again(&l));
    const size_t group = (size_t)launch_parameter(&l, "WG"), block = (size_t)launch_parameter(&l, "BLOCK");
    launch_matrix(&l, y);
    launch_matrix(&l, x);
    launch_int(&l, C);
    return launch_run(&l, divide_up_size((size_t)C, block), M, 1, group, 1, 1);
}

clora_status op_scale(clora_tensor *x, float factor) {
    const size_t M = tensor_rows(x);
    const int C = tensor_cols(x);
    launch l;

    if (factor == 1.0f || tape_note_scale(x, factor))
        return CLORA_OK;
    do {
        launch_begin(&l, x->context, "scale", (kernel_key){.M = (int)M, .K = C});
    } while (launch_again(&l));
    const size_t group = (size_t)launch_parameter(&l, "WG"), block = (size_t)launch_parameter(&l, "BLOCK");
    launch_matrix(&l, x);
    launch_int(&l, C);
    launch_float(&l, factor);
    return launch_run(&l, divide_up_size((size_t)C, block), M, 1, group, 1, 1);
}

clora_status op_scale_rows(clora_tensor *x, const clora_tensor *factors) {
    const size_t M = tensor_rows(x);
    const int C = tensor_cols(x);
    launch l;

    if (clora_tensor_count(factors) != M || !tensor_is_dense(factors))
        return clora_fail(CLORA_ERROR_SHAPE, "scale_rows: x%s factors%s", tensor_shape_text(x),
                          tensor_shape_text(factors));
    do {
        launch_begin(&l, x->context, "scale_rows", (kernel_key){.M = (int)M, .K = C});
    } while (launch_again(&l));
    const size_t group = (size_t)launch_parameter(&l, "WG"), block = (size_t)launch_parameter(&l, "BLOCK");
    launch_matrix(&l, x);
    launch_tensor(&l, factors);
    launch_int(&l, C);
    return launch_run(&l, divide_up_size((size_t)C, block), M, 1, group, 1, 1);
}

static bool fits_columns(const clora_tensor *vector, int C) {
    return clora_tensor_count(vector) == (size_t)C && tensor_is_dense(vector);
}

clora_status op_scale_columns(clora_tensor *y, const clora_tensor *x, const clora_tensor *residual,
                              const clora_tensor *bias, const clora_tensor *factors) {
    enum { RESIDUAL = 2, BIAS = 4 }; /* as in kernels/common.cl */
    const size_t M = tensor_rows(x);
    const int C = tensor_cols(x);
    launch l;

    if (tensor_rows(y) != M || tensor_cols(y) != C || !fits_columns(factors, C) || (bias && !fits_columns(bias, C)) ||
        (residual && (tensor_rows(residual) != M || tensor_cols(residual) != C)))
        return clora_fail(CLORA_ERROR_SHAPE, "scale_columns: y%s x%s residual%s factors%s", tensor_shape_text(y),
                          tensor_shape_text(x), tensor_shape_text(residual), tensor_shape_text(factors));
    do {
        launch_begin(&l, y->context, "scale_columns", (kernel_key){.M = (int)M, .K = C});
    } while (launch_again(&l));
    const size_t group = (size_t)launch_parameter(&l, "WG"), block = (size_t)launch_parameter(&l, "BLOCK");
    launch_matrix(&l, y);
    launch_matrix(&l, x);
    launch_matrix(&l, residual ? residual : x);
    launch_tensor(&l, bias ? bias : factors);
    launch_tensor(&l, factors);
    launch_int(&l, C);
    launch_int(&l, (residual ? RESIDUAL : 0) | (bias ? BIAS : 0));
    return launch_run(&l, divide_up_size((size_t)C, block), M, 1, group, 1, 1);
}
