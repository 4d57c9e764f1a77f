#include <assert.h>

#include "ops/launch.h"
#include "ops/ops.h"

static clora_status run(const char *kernel, const clora_tensor *to, const clora_tensor *from, const weight *w,
                        weight_span span) {
    const size_t n = weight_span_values(w, span);
    const bool panels = w->layout == WEIGHT_PANEL;
    launch l;

    do {
        launch_begin(&l, w->context, kernel,
                     (kernel_key){.dtype = w->storage->id, .M = (int)(n > INT32_MAX ? INT32_MAX : n), .K = w->K});
        launch_define(&l, "NR", panels ? w->NR : 1);
        launch_define(&l, "STORAGE", (int)w->storage->id);
    } while (launch_again(&l));
    const size_t group = (size_t)launch_parameter(&l, "WG"), block = (size_t)launch_parameter(&l, "BLOCK");
    launch_tensor(&l, to);
    launch_tensor(&l, from);
    launch_ulong(&l, n);
    launch_int(&l, w->K);
    return launch_run(&l, divide_up_size(n, block), 1, 1, group, 1, 1);
}

static clora_status check(const char *op, const clora_tensor *values, const weight *w, weight_span span) {
    if (weight_are_values(values, w, span))
        return CLORA_OK;
    return clora_fail(CLORA_ERROR_SHAPE, "%s: values%s, %d units of w(%d,%d)", op, tensor_shape_text(values),
                      span.count, w->N, w->K);
}

clora_status op_weight_values(clora_tensor *values, const weight *w, weight_span span) {
    const clora_status status = check("weight_values", values, w, span);
    const clora_tensor stored = weight_span_view(w, span);

    return status == CLORA_OK ? run("weight_values", values, &stored, w, span) : status;
}

clora_status op_weight_round(const weight *w, weight_span span, const clora_tensor *values) {
    const clora_status status = check("weight_round", values, w, span);
    const clora_tensor stored = weight_span_view(w, span);

    assert(w->storage->id == CLORA_STORAGE_F16 || w->storage->id == CLORA_STORAGE_BF16);
    return status == CLORA_OK ? run("weight_round", &stored, values, w, span) : status;
}
