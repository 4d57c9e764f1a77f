#include "ops/launch.h"
#include "ops/tape_note.h"

static clora_status check(const char *op, const clora_tensor *y, const clora_tensor *x, const clora_tensor *rstd,
                          const clora_tensor *g) {
    if (tensor_rows(y) != tensor_rows(x) || tensor_cols(y) != tensor_cols(x) ||
        (rstd && clora_tensor_count(rstd) != tensor_rows(x)) || clora_tensor_count(g) != (size_t)tensor_cols(x))
        return clora_fail(CLORA_ERROR_SHAPE, "%s: y%s x%s rstd%s g%s", op, tensor_shape_text(y), tensor_shape_text(x),
                          rstd ? tensor_shape_text(rstd) : "()", tensor_shape_text(g));
    return CLORA_OK;
}

/* A program of its own, so that a plain gain costs nothing. */
static void define_gain(launch *l, bool plus_one) {
    if (plus_one)
        launch_define(l, "PLUS_ONE", 1);
}

/* One group a row. */
static kernel_key key_of(const clora_tensor *x) {
    return (kernel_key){.M = (int)tensor_rows(x), .K = tensor_cols(x)};
}

static clora_status run_rows(launch *l, const clora_tensor *x) {
    const size_t group = (size_t)launch_parameter(l, "WG");

    return launch_run(l, tensor_rows(x) * group, 1, 1, group, 1, 1);
}

clora_status op_rmsnorm(clora_tensor *y, clora_tensor *rstd, const clora_tensor *x, const clora_tensor *g, float eps,
                        bool plus_one) {
    const clora_status status = check("rmsnorm", y, x, rstd, g);
    launch l;

    if (status != CLORA_OK || tape_note_rmsnorm(y, rstd, x, g, eps, plus_one))
        return status;
    do {
        launch_begin(&l, y->context, "rmsnorm", key_of(x));
        define_gain(&l, plus_one);
    } while (launch_again(&l));
    launch_matrix(&l, y);
    launch_tensor(&l, rstd ? rstd : y);
    launch_matrix(&l, x);
    launch_tensor(&l, g);
    launch_int(&l, tensor_cols(x));
    launch_float(&l, eps);
    launch_int(&l, rstd != NULL);
    return run_rows(&l, x);
}

clora_status op_rmsnorm_apply(clora_tensor *y, const clora_tensor *x, const clora_tensor *rstd, const clora_tensor *g,
                              bool plus_one) {
    const clora_status status = check("rmsnorm_apply", y, x, rstd, g);
    launch l;

    if (status != CLORA_OK)
        return status;
    do {
        launch_begin(&l, y->context, "rmsnorm_apply", key_of(x));
        define_gain(&l, plus_one);
    } while (launch_again(&l));
    launch_matrix(&l, y);
    launch_matrix(&l, x);
    launch_tensor(&l, rstd);
    launch_tensor(&l, g);
    launch_int(&l, tensor_cols(x));
    return run_rows(&l, x);
}

clora_status op_rmsnorm_backward(clora_tensor *dx, const clora_tensor *dy, const clora_tensor *x,
                                 const clora_tensor *rstd, const clora_tensor *g, bool plus_one) {
    clora_status status = CLORA_OK;
    launch l;

    TRY(check("rmsnorm_backward", dx, x, rstd, g));
    TRY(check("rmsnorm_backward", dy, x, rstd, g));
    do {
        launch_begin(&l, dx->context, "rmsnorm_backward", key_of(x));
        define_gain(&l, plus_one);
    } while (launch_again(&l));
    launch_matrix(&l, dx);
    launch_matrix(&l, dy);
    launch_matrix(&l, x);
    launch_tensor(&l, rstd);
    launch_tensor(&l, g);
    launch_int(&l, tensor_cols(x));
    return run_rows(&l, x);
done:
    return status;
}
