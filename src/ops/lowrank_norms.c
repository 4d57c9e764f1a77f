#include "base/ints.h"
#include "ops/matmul.h"

static bool is_vector(const clora_tensor *t, const weight *w) {
    return matmul_is_factor(t, (size_t)w->N);
}

static clora_status run_part(clora_tensor *scale, clora_tensor *inverse, clora_tensor *magnitude, const lowrank *lr,
                             const weight_part *part, bool begin) {
    const weight *w = lr->base;
    const bool plain = w->layout == WEIGHT_PLAIN;
    launch l;

    do {
        launch_begin(&l, w->context, "lowrank_norms",
                     (kernel_key){.dtype = w->storage->id, .N = w->N, .K = w->K, .R = lr->R});
        launch_define(&l, "NR", plain ? 1 : w->NR);
        launch_define(&l, "PANEL", w->NR);
        launch_define(&l, "STORAGE", (int)w->storage->id);
    } while (launch_again(&l));
    const size_t items = (size_t)(w->NR / (launch_parameter(&l, "VW") * launch_parameter(&l, "NV")));
    const size_t slices = (size_t)launch_parameter(&l, "SLICES");
    launch_tensor(&l, scale);
    launch_tensor(&l, inverse);
    launch_tensor(&l, magnitude);
    launch_tensor(&l, part->data);
    launch_tensor(&l, &lr->a);
    launch_tensor(&l, &lr->b);
    launch_tensor(&l, lr->table);
    launch_tensor(&l, lr->scales);
    launch_tensor(&l, w->columns);
    launch_int(&l, w->K);
    launch_int(&l, lr->R);
    launch_int(&l, plain ? 0 : part->panel); /* plain rows need not begin where a panel does: all panels look */
    launch_int(&l, plain ? part->panel : 0);
    launch_int(&l, plain ? part->panel + part->panels : w->N);
    launch_int(&l, begin);
    return launch_run(&l, (size_t)(plain ? w->panels : part->panels) * items, slices, 1, items, slices, 1);
}

clora_status op_lowrank_norms(clora_tensor *scale, clora_tensor *inverse, clora_tensor *magnitude, const lowrank *lr,
                              bool begin) {
    const weight *w = lr->base;
    clora_status status = CLORA_OK;

    if (!is_vector(scale, w) || !is_vector(inverse, w) || !is_vector(magnitude, w) ||
        !matmul_is_factor(&lr->a, lr->a_count) || !matmul_is_factor(&lr->b, lr->b_count))
        return clora_fail(CLORA_ERROR_SHAPE, "lowrank_norms: scale%s inverse%s magnitude%s of w(%d,%d)",
                          tensor_shape_text(scale), tensor_shape_text(inverse), tensor_shape_text(magnitude), w->N,
                          w->K);
    for (int i = 0; i < w->parts; i++)
        TRY(run_part(scale, inverse, magnitude, lr, &w->part[i], begin));
done:
    return status;
}
