#include "ops/launch.h"
#include "ops/ops.h"

/* ---- keys and values ---- */

static kernel_key key_of(const clora_tensor *kv) {
    return (kernel_key){.M = (int)tensor_rows(kv), .K = tensor_cols(kv)};
}

clora_status op_past_join(clora_tensor *kv, const clora_tensor *past, const clora_tensor *x, int B) {
    const int P = (int)tensor_rows(past), T = x && B > 0 ? (int)tensor_rows(x) / B : 0, W = tensor_cols(kv);
    const size_t rows = tensor_rows(kv);
    launch l;

    if (B < 1 || P < 1 || rows != (size_t)B * ((size_t)P + (size_t)T) || tensor_cols(past) != W ||
        (x && (tensor_cols(x) != W || tensor_rows(x) != (size_t)B * (size_t)T)))
        return clora_fail(CLORA_ERROR_SHAPE, "past_join: kv%s past%s x%s for B %d", tensor_shape_text(kv),
                          tensor_shape_text(past), x ? tensor_shape_text(x) : "", B);
    do {
        launch_begin(&l, kv->context, "past_join", key_of(kv));
    } while (launch_again(&l));
    const size_t group = (size_t)launch_parameter(&l, "WG");
    launch_matrix(&l, kv);
    launch_matrix(&l, past);
    launch_matrix(&l, x ? x : past);
    launch_int(&l, P);
    launch_int(&l, T);
    launch_int(&l, W);
    return launch_run(&l, rows * group, 1, 1, group, 1, 1);
}

clora_status op_past_split(clora_tensor *dpast, clora_tensor *dx, const clora_tensor *dkv, int P, int B) {
    const int T = B > 0 ? (int)tensor_rows(dx) / B : 0, W = tensor_cols(dkv), sums = dpast ? P : 0;
    launch l;

    if (B < 1 || P < 1 || T < 1 || tensor_rows(dkv) != (size_t)B * ((size_t)P + (size_t)T) ||
        tensor_rows(dx) != (size_t)B * (size_t)T || tensor_cols(dx) != W ||
        (dpast && (tensor_rows(dpast) != (size_t)P || tensor_cols(dpast) != W)))
        return clora_fail(CLORA_ERROR_SHAPE, "past_split: dpast%s dx%s dkv%s for P %d B %d",
                          dpast ? tensor_shape_text(dpast) : "", tensor_shape_text(dx), tensor_shape_text(dkv), P, B);
    do {
        launch_begin(&l, dkv->context, "past_split", key_of(dkv));
    } while (launch_again(&l));
    const size_t group = (size_t)launch_parameter(&l, "WG");
    launch_matrix(&l, dpast ? dpast : dx);
    launch_matrix(&l, dx);
    launch_matrix(&l, dkv);
    launch_int(&l, B);
    launch_int(&l, P);
    launch_int(&l, T);
    launch_int(&l, W);
    launch_int(&l, sums);
    return launch_run(&l, ((size_t)sums + tensor_rows(dx)) * group, 1, 1, group, 1, 1);
}

/* ---- rows in the place of embeddings ---- */

static clora_status check_embed(const char *op, const clora_tensor *x, const clora_tensor *past,
                                const clora_tensor *ids) {
    if (clora_tensor_count(ids) != tensor_rows(x) || ids->dtype != CLORA_DTYPE_I32 || !tensor_is_dense(ids) ||
        tensor_cols(x) != tensor_cols(past))
        return clora_fail(CLORA_ERROR_SHAPE, "%s: x%s past%s ids%s", op, tensor_shape_text(x), tensor_shape_text(past),
                          tensor_shape_text(ids));
    return CLORA_OK;
}

clora_status op_past_embed(clora_tensor *x, const clora_tensor *past, const clora_tensor *ids, int N) {
    const clora_status status = check_embed("past_embed", x, past, ids);
    const size_t M = tensor_rows(x);
    launch l;

    if (status != CLORA_OK)
        return status;
    do {
        launch_begin(&l, x->context, "past_embed", (kernel_key){.M = (int)M, .K = tensor_cols(x)});
    } while (launch_again(&l));
    const size_t group = (size_t)launch_parameter(&l, "WG");
    launch_matrix(&l, x);
    launch_matrix(&l, past);
    launch_tensor(&l, ids);
    launch_int(&l, N);
    launch_int(&l, (int)tensor_rows(past));
    launch_int(&l, tensor_cols(x));
    return launch_run(&l, M * group, 1, 1, group, 1, 1);
}

clora_status op_past_embed_backward(clora_tensor *dpast, const clora_tensor *dx, const clora_tensor *ids, int N) {
    const clora_status status = check_embed("past_embed_backward", dx, dpast, ids);
    const size_t P = tensor_rows(dpast);
    launch l;

    if (status != CLORA_OK)
        return status;
    do {
        launch_begin(&l, dpast->context, "past_embed_backward", (kernel_key){.M = (int)P, .K = tensor_cols(dpast)});
    } while (launch_again(&l));
    const size_t group = (size_t)launch_parameter(&l, "WG");
    launch_matrix(&l, dpast);
    launch_matrix(&l, dx);
    launch_tensor(&l, ids);
    launch_int(&l, (int)tensor_rows(dx));
    launch_int(&l, N);
    launch_int(&l, tensor_cols(dx));
    return launch_run(&l, P * group, 1, 1, group, 1, 1);
}
