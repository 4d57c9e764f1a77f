#include "base/ints.h"
#include "ops/matmul.h"

int lowrank_merged_panels(const weight *w) {
    /* On CPUs what the next launch finds in the last cache; on GPUs enough to keep all of one busy. */
    enum { MOST_CPU = 4 << 20, MOST_GPU = 64 << 20 };
    const clora_context *context = w->context;
    const size_t wanted = kernel_explicit_vectors(context) ? MOST_CPU : MOST_GPU;
    const size_t allowed = context->info.max_allocation < wanted ? context->info.max_allocation : wanted;
    const size_t most = allowed / sizeof(float) / ((size_t)w->K * (size_t)w->NR);
    const int slices = most ? (int)divide_up_size((size_t)w->panels, most) : w->panels;

    return divide_up(w->panels, slices); /* slices of one size, so that the last does not leave the device idle */
}

size_t lowrank_merged_elements(const weight *w) {
    return (size_t)lowrank_merged_panels(w) * (size_t)w->K * (size_t)w->NR;
}

size_t lowrank_scratch_elements(const weight *w, int R) {
    const kernel_key key = {.dtype = w->storage->id, .N = w->N, .K = w->K, .R = R};
    const bool merges = w->layout == WEIGHT_PANEL && (tuning_may_choose(w->context, "path_term", TERM_MERGED, &key) ||
                                                      tuning_may_choose(w->context, "path_dx_term", TERM_MERGED, &key));
    return merges ? lowrank_merged_elements(w) : 0;
}

clora_status op_lowrank_merge(clora_tensor *merged, const lowrank *lr, int part, int panel) {
    const weight *w = lr->base;
    const int panels = (int)tensor_rows(merged);
    launch l;

    if (w->layout != WEIGHT_PANEL || part < 0 || part >= w->parts || panel < 0 ||
        panel > w->part[part].panels - panels || !matmul_is_factor(&lr->a, lr->a_count) ||
        !matmul_is_factor(&lr->b, lr->b_count) || merged->dtype != CLORA_DTYPE_F32 || !tensor_is_dense(merged) ||
        (size_t)tensor_cols(merged) != (size_t)w->K * (size_t)w->NR)
        return clora_fail(CLORA_ERROR_SHAPE, "lowrank_merge: merged%s, panel %d of part %d of w(%d,%d)",
                          tensor_shape_text(merged), panel, part, w->N, w->K);
    const clora_tensor from = tensor_slice(w->part[part].data, (size_t)panel * weight_panel_elements(w), 1, 1);
    do {
        launch_begin(&l, w->context, "lowrank_merge",
                     (kernel_key){.dtype = w->storage->id, .N = w->N, .K = w->K, .R = lr->R});
        launch_define(&l, "NR", w->NR);
        launch_define(&l, "STORAGE", (int)w->storage->id);
    } while (launch_again(&l));
    const size_t items = (size_t)(w->NR / (launch_parameter(&l, "VW") * launch_parameter(&l, "NV")));
    launch_tensor(&l, merged);
    launch_tensor(&l, &from);
    launch_tensor(&l, &lr->a);
    launch_tensor(&l, &lr->b);
    launch_tensor(&l, lr->table);
    launch_tensor(&l, lr->scales);
    launch_int(&l, w->K);
    launch_int(&l, lr->R);
    launch_int(&l, w->part[part].panel + panel);
    return launch_run(&l, (size_t)divide_up(w->K, launch_parameter(&l, "BLOCK")) * items, (size_t)panels, 1, items, 1,
                      1);
}
