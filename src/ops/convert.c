#include "ops/launch.h"
#include "ops/ops.h"

static size_t blocks(size_t n, size_t size) {
    return (n + size - 1) / size;
}

clora_status op_widen(clora_tensor *y, const clora_tensor *x) {
    const size_t n = clora_tensor_count(x);
    launch l;

    if (clora_tensor_count(y) != n || y->dtype != CLORA_DTYPE_F32 || x->dtype == CLORA_DTYPE_I32 ||
        !tensor_is_dense(y) || !tensor_is_dense(x))
        return clora_fail(CLORA_ERROR_SHAPE, "widen: y%s x%s", tensor_shape_text(y), tensor_shape_text(x));
    do {
        launch_begin(&l, y->context, "widen", (kernel_key){.dtype = x->dtype, .M = (int)n});
        launch_define(&l, "X_TYPE", (int)x->dtype);
    } while (launch_again(&l));
    const size_t group = (size_t)launch_parameter(&l, "WG"), block = (size_t)launch_parameter(&l, "BLOCK");
    launch_tensor(&l, y);
    launch_tensor(&l, x);
    launch_ulong(&l, n);
    return launch_run(&l, blocks(n, block), 1, 1, group, 1, 1);
}

clora_status op_add(clora_tensor *y, const clora_tensor *x) {
    const size_t M = tensor_rows(x);
    const int C = tensor_cols(x);
    launch l;

    if (tensor_rows(y) != M || tensor_cols(y) != C)
        return clora_fail(CLORA_ERROR_SHAPE, "add: y%s x%s", tensor_shape_text(y), tensor_shape_text(x));
    do {
        launch_begin(&l, y->context, "add", (kernel_key){.M = (int)M, .K = C});
    } while (launch_again(&l));
    const size_t group = (size_t)launch_parameter(&l, "WG"), block = (size_t)launch_parameter(&l, "BLOCK");
    launch_matrix(&l, y);
    launch_matrix(&l, x);
    launch_int(&l, C);
    return launch_run(&l, blocks((size_t)C, block), M, 1, group, 1, 1);
}
