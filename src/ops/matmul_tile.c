#include "ops/matmul.h"

/* One launch makes the columns of one part of the weight, or of all panels when there is no weight. */
static clora_status forward_part(const forward_product *p, const weight_part *part) {
    clora_context *context = p->y->context;
    const int NR = kernel_panel_width(context), panels = part ? part->panels : p->panels;
    const kernel_key key = forward_key(p);
    const bool gemv = matmul_is_gemv(p);
    launch l;

    do {
        launch_begin(&l, context, gemv ? "matvec_tile" : "matmul_tile", key);
        launch_define(&l, "NR", NR);
        launch_define(&l, "STORAGE", p->w ? (int)p->w->storage->id : 0);
        if (gemv)
            launch_define(&l, "ROWS", p->M);
    } while (launch_again(&l));
    matmul_arguments(&l, p, part, panels);
    if (gemv) {
        const size_t slices = (size_t)launch_parameter(&l, "SLICES");
        return launch_run(&l, (size_t)panels * (size_t)NR, slices, 1, (size_t)NR, slices, 1);
    }
    const size_t WX = (size_t)launch_parameter(&l, "WX"), WY = (size_t)launch_parameter(&l, "WY");
    return launch_run(&l, (size_t)divide_up(panels, launch_parameter(&l, "TN") / NR) * WX,
                      (size_t)divide_up(p->M, launch_parameter(&l, "TM")) * WY, 1, WX, WY, 1);
}

clora_status matmul_tile_forward(const forward_product *p) {
    clora_status status = p->w ? CLORA_OK : forward_part(p, NULL);

    for (int i = 0; p->w && i < p->w->parts && status == CLORA_OK; i++)
        status = forward_part(p, &p->w->part[i]);
    return status;
}

clora_status matmul_tile_dx(clora_tensor *dx, const clora_tensor *dy, const weight *w, const lowrank *lr,
                            const clora_tensor *du, bool accumulate) {
    const int M = (int)tensor_rows(dx);
    clora_status status = CLORA_OK;

    for (int i = 0; i < w->parts && status == CLORA_OK; i++) {
        launch l;

        do {
            launch_begin(&l, w->context, "matmul_tile_dx", dx_key(w, i == 0 ? lr : NULL, M));
            launch_define(&l, "NR", w->NR);
            launch_define(&l, "STORAGE", (int)w->storage->id);
        } while (launch_again(&l));
        matmul_dx_arguments(&l, dx, dy, w, i, lr, du, accumulate);
        const size_t WX = (size_t)launch_parameter(&l, "WX"), WY = (size_t)launch_parameter(&l, "WY");
        status = launch_run(&l, (size_t)divide_up(w->K, launch_parameter(&l, "TN")) * WX,
                            (size_t)divide_up(M, launch_parameter(&l, "TM")) * WY, 1, WX, WY, 1);
    }
    return status;
}

clora_status lowrank_tile_down(clora_tensor *u, const clora_tensor *x, const clora_tensor *f,
                               const clora_tensor *scales) {
    const int M = (int)tensor_rows(u), R = tensor_cols(u);
    launch l;

    do {
        launch_begin(&l, u->context, "lowrank_tile_down", lowrank_key(u, x));
        launch_define(&l, "NR", kernel_panel_width(u->context));
    } while (launch_again(&l));
    const int TR = launch_parameter(&l, "TR");
    const size_t side = (size_t)TR;
    launch_matrix(&l, u);
    launch_matrix(&l, x);
    launch_tensor(&l, f);
    launch_tensor(&l, scales);
    launch_int(&l, M);
    launch_int(&l, tensor_cols(x));
    launch_int(&l, R);
    return launch_run(&l, (size_t)divide_up(R, TR) * side, (size_t)divide_up(M, TR) * side, 1, side, side, 1);
}

clora_status lowrank_tile_grad(clora_tensor *f, const clora_tensor *d, const clora_tensor *x) {
    const int NR = kernel_panel_width(f->context), R = tensor_cols(d), C = tensor_cols(x);
    launch l;

    do {
        launch_begin(&l, f->context, "lowrank_tile_grad", lowrank_key(d, x));
        launch_define(&l, "NR", NR);
    } while (launch_again(&l));
    const size_t slices = (size_t)launch_parameter(&l, "SLICES");
    launch_tensor(&l, f);
    launch_matrix(&l, d);
    launch_matrix(&l, x);
    launch_int(&l, (int)tensor_rows(x));
    launch_int(&l, C);
    launch_int(&l, R);
    return launch_run(&l, (size_t)divide_up(C, NR) * (size_t)NR,
                      (size_t)divide_up(R, launch_parameter(&l, "GR")) * slices, 1, (size_t)NR, slices, 1);
}
