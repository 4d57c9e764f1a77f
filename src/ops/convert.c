#include "device/launch.h"
#include "ops/ops.h"

clora_status op_widen(clora_tensor *y, const clora_tensor *x) {
    const size_t n = clora_tensor_count(x);
    launch l;

    if (clora_tensor_count(y) != n || y->dtype != CLORA_DTYPE_F32 || x->dtype == CLORA_DTYPE_I32)
        return clora_fail(CLORA_ERROR_SHAPE, "widen: y%s x%s", tensor_shape_text(y), tensor_shape_text(x));
    launch_begin(&l, y->context, "widen");
    launch_define(&l, "X_TYPE", (int)x->dtype);
    const size_t group = (size_t)launch_parameter(&l, "WG");
    launch_tensor(&l, y);
    launch_tensor(&l, x);
    launch_ulong(&l, n);
    return launch_run(&l, n, 1, 1, group, 1, 1);
}

clora_status op_add(clora_tensor *y, const clora_tensor *x) {
    const int M = (int)tensor_rows(x), C = tensor_cols(x);
    launch l;

    if ((int)tensor_rows(y) != M || tensor_cols(y) != C)
        return clora_fail(CLORA_ERROR_SHAPE, "add: y%s x%s", tensor_shape_text(y), tensor_shape_text(x));
    launch_begin(&l, y->context, "add");
    const size_t group = (size_t)launch_parameter(&l, "WG");
    launch_tensor(&l, y);
    launch_int(&l, y->stride);
    launch_tensor(&l, x);
    launch_int(&l, x->stride);
    launch_int(&l, C);
    return launch_run(&l, (size_t)C, (size_t)M, 1, group, 1, 1);
}
