#include "ops/launch.h"
#include "ops/ops.h"

static clora_status run(const char *kernel, clora_tensor *y, const clora_tensor *x, float p, uint64_t seed,
                        uint32_t stream) {
    const size_t M = tensor_rows(x);
    const int C = tensor_cols(x);
    launch l;

    if (tensor_rows(y) != M || tensor_cols(y) != C)
        return clora_fail(CLORA_ERROR_SHAPE, "%s: y%s x%s", kernel, tensor_shape_text(y), tensor_shape_text(x));
    if (!(p >= 0.0f && p < 1.0f))
        return clora_fail(CLORA_ERROR_ARGUMENT, "%s: p is %g: at least 0 and less than 1", kernel, (double)p);
    do {
        launch_begin(&l, y->context, kernel, (kernel_key){.M = (int)M, .K = C});
    } while (launch_again(&l));
    const size_t group = (size_t)launch_parameter(&l, "WG"), block = (size_t)launch_parameter(&l, "BLOCK");
    launch_matrix(&l, y);
    launch_matrix(&l, x);
    launch_int(&l, C);
    launch_float(&l, p);
    launch_float(&l, 1.0f / (1.0f - p));
    launch_uint(&l, stream);
    launch_ulong(&l, seed);
    return launch_run(&l, divide_up_size((size_t)C, block), M, 1, group, 1, 1);
}

clora_status op_dropout(clora_tensor *y, const clora_tensor *x, float p, uint64_t seed, uint32_t stream) {
    return run("dropout", y, x, p, seed, stream);
}

clora_status op_dropout_add(clora_tensor *y, const clora_tensor *x, float p, uint64_t seed, uint32_t stream) {
    return run("dropout_add", y, x, p, seed, stream);
}

clora_status op_dropout_rest(clora_tensor *y, const clora_tensor *x, float p, uint64_t seed, uint32_t stream) {
    return run("dropout_rest", y, x, p, seed, stream);
}
