#include "ops/matmul.h"

#include "base/ints.h"

static kernel_key dw_key(const weight *w, int M) {
    return (kernel_key){.M = M, .N = w->N, .K = w->K};
}

/* Panels of an item: at most as many as pay for laying its columns of x aside, and some items for each core. */
static int panel_share(const clora_context *context, int most, int columns, int panels) {
    enum { ITEMS_PER_CORE = 4 };
    const int cores = context->info.compute_units > 0 ? context->info.compute_units : 1;
    const int shares = divide_up(ITEMS_PER_CORE * cores, columns), fewest = divide_up(panels, most);

    return divide_up(panels, shares > fewest ? shares : fewest);
}

static clora_status panel_dw(clora_tensor *dw, const clora_tensor *dy, const clora_tensor *x, const weight *w,
                             weight_span span) {
    const int M = (int)tensor_rows(x);
    launch l;

    launch_begin(&l, w->context, "matmul_panel_dw", dw_key(w, M));
    launch_define(&l, "NR", w->NR);
    launch_define(&l, "STORAGE", CLORA_STORAGE_F32);
    const int columns = divide_up(w->K, launch_parameter(&l, "KB"));
    const int each = panel_share(w->context, launch_parameter(&l, "PB"), columns, span.count);
    launch_tensor(&l, dw);
    launch_matrix(&l, dy);
    launch_matrix(&l, x);
    launch_tensor(&l, w->columns);
    launch_int(&l, M);
    launch_int(&l, w->K);
    launch_int(&l, span.first);
    launch_int(&l, span.count);
    launch_int(&l, each);
    return launch_run(&l, (size_t)columns, (size_t)divide_up(span.count, each), 1, 1, 1, 1);
}

static clora_status tile_dw(clora_tensor *dw, const clora_tensor *dy, const clora_tensor *x, const weight *w,
                            weight_span span) {
    const int M = (int)tensor_rows(x);
    launch l;

    do {
        launch_begin(&l, w->context, "matmul_tile_dw", dw_key(w, M));
        launch_define(&l, "NR", w->NR);
        launch_define(&l, "STORAGE", CLORA_STORAGE_F32);
    } while (launch_again(&l));
    const size_t WX = (size_t)launch_parameter(&l, "WX"), WY = (size_t)launch_parameter(&l, "WY");
    launch_tensor(&l, dw);
    launch_matrix(&l, dy);
    launch_matrix(&l, x);
    launch_tensor(&l, w->columns);
    launch_int(&l, M);
    launch_int(&l, w->K);
    launch_int(&l, span.first);
    launch_int(&l, span.count);
    return launch_run(&l, (size_t)divide_up(span.count, launch_parameter(&l, "TN") / w->NR) * WX,
                      (size_t)divide_up(w->K, launch_parameter(&l, "TM")) * WY, 1, WX, WY, 1);
}

clora_status op_matmul_dw(clora_tensor *dw, const clora_tensor *dy, const clora_tensor *x, const weight *w,
                          weight_span span) {
    const size_t M = tensor_rows(x);

    if (!weight_are_values(dw, w, span) || !matmul_is_shape(dy, M, w->N) || !matmul_is_shape(x, M, w->K))
        return clora_fail(CLORA_ERROR_SHAPE, "matmul_dw: dw%s dy%s x%s w(%d,%d)", tensor_shape_text(dw),
                          tensor_shape_text(dy), tensor_shape_text(x), w->N, w->K);
    if (w->layout == WEIGHT_PLAIN)
        return matmul_clblast_dw(dw, dy, x, w, span);
    return matmul_uses_tile(w->context) ? tile_dw(dw, dy, x, w, span) : panel_dw(dw, dy, x, w, span);
}
