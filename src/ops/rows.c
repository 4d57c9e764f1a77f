#include "base/dtype.h"
#include "ops/launch.h"
#include "ops/ops.h"

/* `picked` are the rows that stand side by side, of y or of x. */
static clora_status run(const char *op, clora_tensor *y, const clora_tensor *x, const clora_tensor *rows,
                        const clora_tensor *picked) {
    const size_t n = tensor_rows(picked);
    const int W = tensor_cols(picked);
    launch l;

    if (clora_tensor_count(rows) != n || rows->dtype != CLORA_DTYPE_I32 || !tensor_is_dense(rows) ||
        tensor_cols(y) != tensor_cols(x) || y->dtype != x->dtype || dtype_size(y->dtype) != sizeof(int32_t))
        return clora_fail(CLORA_ERROR_SHAPE, "%s: y%s x%s rows%s", op, tensor_shape_text(y), tensor_shape_text(x),
                          tensor_shape_text(rows));
    do {
        launch_begin(&l, y->context, op, (kernel_key){.M = (int)n, .K = W});
    } while (launch_again(&l));
    const size_t group = (size_t)launch_parameter(&l, "WG");
    launch_matrix(&l, y);
    launch_matrix(&l, x);
    launch_tensor(&l, rows);
    launch_int(&l, W);
    return launch_run(&l, n * group, 1, 1, group, 1, 1);
}

clora_status op_gather_rows(clora_tensor *y, const clora_tensor *x, const clora_tensor *rows) {
    return run("gather_rows", y, x, rows, y);
}

clora_status op_scatter_rows(clora_tensor *y, const clora_tensor *x, const clora_tensor *rows) {
    return run("scatter_rows", y, x, rows, x);
}
