#include "ops/launch.h"
#include "ops/tape_note.h"

static clora_status check(const char *op, const clora_tensor *y, const clora_tensor *x, const clora_tensor *moments,
                          const clora_tensor *g, const clora_tensor *b) {
    const size_t C = (size_t)tensor_cols(x);

    if (tensor_rows(y) != tensor_rows(x) || tensor_cols(y) != tensor_cols(x) || clora_tensor_count(g) != C ||
        clora_tensor_count(b) != C ||
        (moments && (clora_tensor_count(moments) != 2 * tensor_rows(x) || !tensor_is_dense(moments))))
        return clora_fail(CLORA_ERROR_SHAPE, "%s: y%s x%s moments%s g%s b%s", op, tensor_shape_text(y),
                          tensor_shape_text(x), moments ? tensor_shape_text(moments) : "()", tensor_shape_text(g),
                          tensor_shape_text(b));
    return CLORA_OK;
}

/* One group a row. */
static kernel_key key_of(const clora_tensor *x) {
    return (kernel_key){.M = (int)tensor_rows(x), .K = tensor_cols(x)};
}

static clora_status run_rows(launch *l, const clora_tensor *x) {
    const size_t group = (size_t)launch_parameter(l, "WG");

    return launch_run(l, tensor_rows(x) * group, 1, 1, group, 1, 1);
}

clora_status op_layernorm(clora_tensor *y, clora_tensor *moments, const clora_tensor *x, const clora_tensor *g,
                          const clora_tensor *b, float eps) {
    const clora_status status = check("layernorm", y, x, moments, g, b);
    launch l;

    if (status != CLORA_OK || tape_note_layernorm(y, moments, x, g, b, eps))
        return status;
    do {
        launch_begin(&l, y->context, "layernorm", key_of(x));
    } while (launch_again(&l));
    launch_matrix(&l, y);
    launch_tensor(&l, moments ? moments : y);
    launch_matrix(&l, x);
    launch_tensor(&l, g);
    launch_tensor(&l, b);
    launch_int(&l, tensor_cols(x));
    launch_float(&l, eps);
    launch_int(&l, moments != NULL);
    return run_rows(&l, x);
}

clora_status op_layernorm_apply(clora_tensor *y, const clora_tensor *x, const clora_tensor *moments,
                                const clora_tensor *g, const clora_tensor *b) {
    const clora_status status = check("layernorm_apply", y, x, moments, g, b);
    launch l;

    if (status != CLORA_OK)
        return status;
    do {
        launch_begin(&l, y->context, "layernorm_apply", key_of(x));
    } while (launch_again(&l));
    launch_matrix(&l, y);
    launch_matrix(&l, x);
    launch_tensor(&l, moments);
    launch_tensor(&l, g);
    launch_tensor(&l, b);
    launch_int(&l, tensor_cols(x));
    return run_rows(&l, x);
}

clora_status op_layernorm_backward(clora_tensor *dx, const clora_tensor *dy, const clora_tensor *x,
                                   const clora_tensor *moments, const clora_tensor *g) {
    clora_status status = CLORA_OK;
    launch l;

    TRY(check("layernorm_backward", dx, x, moments, g, g));
    TRY(check("layernorm_backward", dy, x, moments, g, g));
    do {
        launch_begin(&l, dx->context, "layernorm_backward", key_of(x));
    } while (launch_again(&l));
    launch_matrix(&l, dx);
    launch_matrix(&l, dy);
    launch_matrix(&l, x);
    launch_tensor(&l, moments);
    launch_tensor(&l, g);
    launch_int(&l, tensor_cols(x));
    return run_rows(&l, x);
done:
    return status;
}
