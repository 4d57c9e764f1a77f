#include "ops/launch.h"
#include "ops/tape_note.h"

/* How many parts of a row are normalised apart, each with the gain's values. */
static int parts_of(const clora_tensor *x, const clora_tensor *g) {
    return tensor_cols(x) / (int)clora_tensor_count(g);
}

static clora_status check(const char *op, const clora_tensor *y, const clora_tensor *x, const clora_tensor *rstd,
                          const clora_tensor *g) {
    if (tensor_rows(y) != tensor_rows(x) || tensor_cols(y) != tensor_cols(x) ||
        (size_t)tensor_cols(x) % clora_tensor_count(g) != 0 ||
        (rstd && clora_tensor_count(rstd) != tensor_rows(x) * (size_t)parts_of(x, g)))
        return clora_fail(CLORA_ERROR_SHAPE, "%s: y%s x%s rstd%s g%s", op, tensor_shape_text(y), tensor_shape_text(x),
                          rstd ? tensor_shape_text(rstd) : "()", tensor_shape_text(g));
    return CLORA_OK;
}

/* A program of its own, so that a plain gain costs nothing. */
static void define_gain(launch *l, bool plus_one) {
    if (plus_one)
        launch_define(l, "PLUS_ONE", 1);
}

/* One group a row, or a part of one. */
static kernel_key key_of(const clora_tensor *x, const clora_tensor *g) {
    return (kernel_key){.M = (int)tensor_rows(x), .K = (int)clora_tensor_count(g)};
}

static void define_parts(launch *l, const clora_tensor *x, const clora_tensor *g) {
    if (parts_of(x, g) > 1)
        launch_define(l, "APART", 1);
}

static clora_status run_rows(launch *l, const clora_tensor *x, const clora_tensor *g) {
    const size_t group = (size_t)launch_parameter(l, "WG");

    return launch_run(l, tensor_rows(x) * group, (size_t)parts_of(x, g), 1, group, 1, 1);
}

clora_status op_rmsnorm(clora_tensor *y, clora_tensor *rstd, const clora_tensor *x, const clora_tensor *g, float eps,
                        bool plus_one) {
    const clora_status status = check("rmsnorm", y, x, rstd, g);
    launch l;

    if (status != CLORA_OK || tape_note_rmsnorm(y, rstd, x, g, eps, plus_one))
        return status;
    do {
        launch_begin(&l, y->context, "rmsnorm", key_of(x, g));
        define_parts(&l, x, g);
        define_gain(&l, plus_one);
    } while (launch_again(&l));
    launch_matrix(&l, y);
    launch_tensor(&l, rstd ? rstd : y);
    launch_matrix(&l, x);
    launch_tensor(&l, g);
    launch_int(&l, (int)clora_tensor_count(g));
    launch_float(&l, eps);
    launch_int(&l, rstd != NULL);
    return run_rows(&l, x, g);
}

clora_status op_rmsnorm_apply(clora_tensor *y, const clora_tensor *x, const clora_tensor *rstd, const clora_tensor *g,
                              bool plus_one) {
    const clora_status status = check("rmsnorm_apply", y, x, rstd, g);
    launch l;

    if (status != CLORA_OK)
        return status;
    do {
        launch_begin(&l, y->context, "rmsnorm_apply", key_of(x, g));
        define_parts(&l, x, g);
        define_gain(&l, plus_one);
    } while (launch_again(&l));
    launch_matrix(&l, y);
    launch_matrix(&l, x);
    launch_tensor(&l, rstd);
    launch_tensor(&l, g);
    launch_int(&l, (int)clora_tensor_count(g));
    return run_rows(&l, x, g);
}

clora_status op_rmsnorm_backward(clora_tensor *dx, const clora_tensor *dy, const clora_tensor *x,
                                 const clora_tensor *rstd, const clora_tensor *g, bool plus_one, bool accumulate) {
    clora_status status = CLORA_OK;
    launch l;

    TRY(check("rmsnorm_backward", dx, x, rstd, g));
    TRY(check("rmsnorm_backward", dy, x, rstd, g));
    do {
        launch_begin(&l, dx->context, "rmsnorm_backward", key_of(x, g));
        define_parts(&l, x, g);
        if (!accumulate)
            launch_define(&l, "REPLACE", 1);
        define_gain(&l, plus_one);
    } while (launch_again(&l));
    launch_matrix(&l, dx);
    launch_matrix(&l, dy);
    launch_matrix(&l, x);
    launch_tensor(&l, rstd);
    launch_tensor(&l, g);
    launch_int(&l, (int)clora_tensor_count(g));
    return run_rows(&l, x, g);
done:
    return status;
}
