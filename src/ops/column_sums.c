#include "ops/launch.h"
#include "ops/ops.h"

static kernel_key key_of(const clora_tensor *dy) {
    return (kernel_key){.M = (int)tensor_rows(dy), .K = tensor_cols(dy)};
}

/* A group takes up to 32 vectors of columns: LANES of kernels/column_sums.cl. */
static clora_status run_columns(launch *l, int C) {
    enum { MOST_LANES = 32 };
    const int group = launch_parameter(l, "WG"), lanes = least(group, MOST_LANES);

    return launch_run(l, (size_t)divide_up(C, lanes * launch_parameter(l, "VW")) * (size_t)group, 1, 1, (size_t)group,
                      1, 1);
}

static bool is_sum_of(const clora_tensor *sums, const clora_tensor *dy) {
    return clora_tensor_count(sums) == (size_t)tensor_cols(dy) && tensor_is_dense(sums);
}

clora_status op_matmul_dbias(clora_tensor *dbias, const clora_tensor *dy) {
    launch l;

    if (!is_sum_of(dbias, dy))
        return clora_fail(CLORA_ERROR_SHAPE, "matmul_dbias: dbias%s dy%s", tensor_shape_text(dbias),
                          tensor_shape_text(dy));
    do {
        launch_begin(&l, dy->context, "matmul_dbias", key_of(dy));
    } while (launch_again(&l));
    launch_tensor(&l, dbias);
    launch_matrix(&l, dy);
    launch_int(&l, (int)tensor_rows(dy));
    launch_int(&l, tensor_cols(dy));
    return run_columns(&l, tensor_cols(dy));
}

clora_status op_rmsnorm_dg(clora_tensor *dg, const clora_tensor *dy, const clora_tensor *x, const clora_tensor *rstd) {
    const int C = (int)clora_tensor_count(dg), parts = tensor_cols(dy) / C;
    launch l;

    if (parts * C != tensor_cols(dy) || !tensor_is_dense(dg) || tensor_rows(x) != tensor_rows(dy) ||
        tensor_cols(x) != tensor_cols(dy) || clora_tensor_count(rstd) != tensor_rows(x) * (size_t)parts)
        return clora_fail(CLORA_ERROR_SHAPE, "rmsnorm_dg: dg%s dy%s x%s rstd%s", tensor_shape_text(dg),
                          tensor_shape_text(dy), tensor_shape_text(x), tensor_shape_text(rstd));
    do {
        launch_begin(&l, dy->context, "rmsnorm_dg", (kernel_key){.M = (int)tensor_rows(dy), .K = C});
    } while (launch_again(&l));
    launch_tensor(&l, dg);
    launch_matrix(&l, dy);
    launch_matrix(&l, x);
    launch_tensor(&l, rstd);
    launch_int(&l, (int)tensor_rows(dy));
    launch_int(&l, C);
    launch_int(&l, parts);
    return run_columns(&l, C);
}

clora_status op_layernorm_dg(clora_tensor *dg, const clora_tensor *dy, const clora_tensor *x,
                             const clora_tensor *moments) {
    launch l;

    if (!is_sum_of(dg, dy) || tensor_rows(x) != tensor_rows(dy) || tensor_cols(x) != tensor_cols(dy) ||
        clora_tensor_count(moments) != 2 * tensor_rows(x) || !tensor_is_dense(moments))
        return clora_fail(CLORA_ERROR_SHAPE, "layernorm_dg: dg%s dy%s x%s moments%s", tensor_shape_text(dg),
                          tensor_shape_text(dy), tensor_shape_text(x), tensor_shape_text(moments));
    do {
        launch_begin(&l, dy->context, "layernorm_dg", key_of(dy));
    } while (launch_again(&l));
    launch_tensor(&l, dg);
    launch_matrix(&l, dy);
    launch_matrix(&l, x);
    launch_tensor(&l, moments);
    launch_int(&l, (int)tensor_rows(dy));
    launch_int(&l, tensor_cols(dy));
    return run_columns(&l, tensor_cols(dy));
}

clora_status op_column_dots(clora_tensor *d, const clora_tensor *dy, const clora_tensor *x,
                            const clora_tensor *factors) {
    launch l;

    if (!is_sum_of(d, dy) || !is_sum_of(factors, dy) ||
        (x && (tensor_rows(x) != tensor_rows(dy) || tensor_cols(x) != tensor_cols(dy))))
        return clora_fail(CLORA_ERROR_SHAPE, "column_dots: d%s dy%s x%s factors%s", tensor_shape_text(d),
                          tensor_shape_text(dy), tensor_shape_text(x), tensor_shape_text(factors));
    do {
        launch_begin(&l, dy->context, "column_dots", key_of(dy));
    } while (launch_again(&l));
    launch_tensor(&l, d);
    launch_matrix(&l, dy);
    launch_matrix(&l, x ? x : dy);
    launch_tensor(&l, factors);
    launch_int(&l, (int)tensor_rows(dy));
    launch_int(&l, tensor_cols(dy));
    launch_int(&l, x != NULL);
    return run_columns(&l, tensor_cols(dy));
}
