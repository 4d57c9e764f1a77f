#include "ops/launch.h"
#include "ops/ops.h"

clora_status op_cross_entropy(clora_tensor *nll, clora_tensor *hit, clora_tensor *logits, const clora_tensor *targets,
                              const clora_tensor *weights, float smoothing, bool gradient) {
    const size_t M = tensor_rows(logits);
    launch l;

    if (clora_tensor_count(nll) != M || clora_tensor_count(hit) != M || clora_tensor_count(targets) != M ||
        targets->dtype != CLORA_DTYPE_I32 || !tensor_is_dense(nll) || !tensor_is_dense(hit) ||
        !tensor_is_dense(targets) || (weights && (clora_tensor_count(weights) != M || !tensor_is_dense(weights))))
        return clora_fail(CLORA_ERROR_SHAPE, "cross_entropy: nll%s hit%s logits%s targets%s", tensor_shape_text(nll),
                          tensor_shape_text(hit), tensor_shape_text(logits), tensor_shape_text(targets));
    do {
        launch_begin(&l, logits->context, "cross_entropy", (kernel_key){.M = (int)M, .N = tensor_cols(logits)});
        launch_define(&l, "GRADIENT", gradient);
        launch_define(&l, "WEIGHTED", weights != NULL);
        launch_define(&l, "SMOOTHED", smoothing > 0.0f);
    } while (launch_again(&l));
    const size_t group = (size_t)launch_parameter(&l, "WG");
    launch_tensor(&l, nll);
    launch_tensor(&l, hit);
    launch_matrix(&l, logits);
    launch_tensor(&l, targets);
    if (weights)
        launch_tensor(&l, weights);
    if (smoothing > 0.0f)
        launch_float(&l, smoothing);
    launch_int(&l, tensor_cols(logits));
    return launch_run(&l, M * group, 1, 1, group, 1, 1);
}
