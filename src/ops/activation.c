#include "ops/launch.h"
#include "ops/ops.h"
#include "ops/tape_note.h"

static clora_status run_blocks(launch *l, size_t M, int F) {
    const size_t block = (size_t)launch_parameter(l, "BLOCK"), group = (size_t)launch_parameter(l, "WG");

    return launch_run(l, divide_up_size((size_t)F, block), M, 1, group, 1, 1);
}

static void define_activation(launch *l, bool gelu) {
    if (gelu)
        launch_define(l, "GELU", 1);
}

clora_status op_swiglu(clora_tensor *y, const clora_tensor *gu, bool gelu) {
    const int F = tensor_cols(y);
    launch l;

    if (tensor_rows(y) != tensor_rows(gu) || tensor_cols(gu) != 2 * F)
        return clora_fail(CLORA_ERROR_SHAPE, "swiglu: y%s gu%s", tensor_shape_text(y), tensor_shape_text(gu));
    if (tape_note_swiglu(y, gu, gelu))
        return CLORA_OK;
    do {
        launch_begin(&l, y->context, "swiglu", (kernel_key){.M = (int)tensor_rows(y), .K = F});
        define_activation(&l, gelu);
    } while (launch_again(&l));
    launch_matrix(&l, y);
    launch_matrix(&l, gu);
    launch_int(&l, F);
    return run_blocks(&l, tensor_rows(y), F);
}

clora_status op_swiglu_backward(clora_tensor *dgu, clora_tensor *y, const clora_tensor *dy, const clora_tensor *gu,
                                bool gelu) {
    const int F = tensor_cols(dy);
    launch l;

    if (tensor_rows(dy) != tensor_rows(gu) || tensor_rows(dgu) != tensor_rows(gu) || tensor_cols(gu) != 2 * F ||
        tensor_cols(dgu) != 2 * F || (y && (tensor_rows(y) != tensor_rows(dy) || tensor_cols(y) != F)))
        return clora_fail(CLORA_ERROR_SHAPE, "swiglu_backward: dgu%s y%s dy%s gu%s", tensor_shape_text(dgu),
                          y ? tensor_shape_text(y) : "()", tensor_shape_text(dy), tensor_shape_text(gu));
    do {
        launch_begin(&l, dy->context, "swiglu_backward", (kernel_key){.M = (int)tensor_rows(dy), .K = F});
        define_activation(&l, gelu);
    } while (launch_again(&l));
    launch_matrix(&l, dgu);
    launch_matrix(&l, y ? y : dgu);
    launch_matrix(&l, dy);
    launch_matrix(&l, gu);
    launch_int(&l, F);
    launch_int(&l, y != NULL);
    return run_blocks(&l, tensor_rows(dy), F);
}

static bool same_size(const clora_tensor *a, const clora_tensor *b) {
    return tensor_rows(a) == tensor_rows(b) && tensor_cols(a) == tensor_cols(b);
}

/* softcap or softcap_backward: y of x, element by element. */
static clora_status run_softcap(const char *kernel, clora_tensor *y, const clora_tensor *x, float cap) {
    launch l;

    if (!same_size(y, x))
        return clora_fail(CLORA_ERROR_SHAPE, "%s: %s %s", kernel, tensor_shape_text(y), tensor_shape_text(x));
    do {
        launch_begin(&l, y->context, kernel, (kernel_key){.M = (int)tensor_rows(y), .K = tensor_cols(y)});
    } while (launch_again(&l));
    launch_matrix(&l, y);
    launch_matrix(&l, x);
    launch_int(&l, tensor_cols(y));
    launch_float(&l, cap);
    return run_blocks(&l, tensor_rows(y), tensor_cols(y));
}

clora_status op_softcap(clora_tensor *y, const clora_tensor *x, float cap) {
    return run_softcap("softcap", y, x, cap);
}

clora_status op_softcap_backward(clora_tensor *dx, const clora_tensor *x, float cap) {
    return run_softcap("softcap_backward", dx, x, cap);
}

clora_status op_gelu(clora_tensor *y, const clora_tensor *x) {
    launch l;

    if (!same_size(y, x))
        return clora_fail(CLORA_ERROR_SHAPE, "gelu: y%s x%s", tensor_shape_text(y), tensor_shape_text(x));
    if (tape_note_gelu(y, x))
        return CLORA_OK;
    do {
        launch_begin(&l, y->context, "gelu", (kernel_key){.M = (int)tensor_rows(y), .K = tensor_cols(y)});
    } while (launch_again(&l));
    launch_matrix(&l, y);
    launch_matrix(&l, x);
    launch_int(&l, tensor_cols(y));
    return run_blocks(&l, tensor_rows(y), tensor_cols(y));
}

clora_status op_gelu_backward(clora_tensor *dx, clora_tensor *y, const clora_tensor *dy, const clora_tensor *x) {
    launch l;

    if (!same_size(dx, x) || !same_size(dy, x) || (y && !same_size(y, x)))
        return clora_fail(CLORA_ERROR_SHAPE, "gelu_backward: dx%s y%s dy%s x%s", tensor_shape_text(dx),
                          y ? tensor_shape_text(y) : "()", tensor_shape_text(dy), tensor_shape_text(x));
    do {
        launch_begin(&l, dy->context, "gelu_backward", (kernel_key){.M = (int)tensor_rows(dy), .K = tensor_cols(dy)});
    } while (launch_again(&l));
    launch_matrix(&l, dx);
    launch_matrix(&l, y ? y : dx);
    launch_matrix(&l, dy);
    launch_matrix(&l, x);
    launch_int(&l, tensor_cols(dy));
    launch_int(&l, y != NULL);
    return run_blocks(&l, tensor_rows(dy), tensor_cols(dy));
}
