#include "ops/matmul.h"

/* Rows for one work-item: as many as allowed while every core still gets several items. */
static int rows_per_item(const clora_context *context, int most, int step, int M, int panels) {
    enum { ITEMS_PER_CORE = 4 };
    const int wanted = ITEMS_PER_CORE * (context->info.compute_units > 0 ? context->info.compute_units : 1);
    const int blocks = (wanted + panels - 1) / panels;
    int rows = (M + blocks - 1) / blocks;

    if (rows > most)
        rows = (M + (M + most - 1) / most - 1) / ((M + most - 1) / most);
    return (rows + step - 1) / step * step;
}

static void define_panel(launch *l, const weight *w, clora_context *context) {
    launch_define(l, "NR", weight_panel_width(context));
    launch_define(l, "STORAGE", w ? (int)w->dtype : 0);
}

/* One launch makes the columns of one part of the weight, or of all panels when there is no weight. */
static clora_status forward_part(const forward_product *p, const weight_part *part) {
    clora_context *context = p->y->context;
    const int panels = part ? part->panels : p->panels;
    const bool accumulate = p->residual == p->y;
    const bool few = p->M <= kernel_value(context, "matvec_panel", "MOST");
    int MB = p->M;
    launch l;

    launch_begin(&l, context, few ? "matvec_panel" : "matmul_panel");
    if (few)
        launch_define(&l, "ROWS", p->M);
    else
        MB = rows_per_item(context, launch_parameter(&l, "MB"), launch_parameter(&l, "MR"), p->M, panels);
    define_panel(&l, p->w, context);
    launch_tensor(&l, p->y);
    launch_int(&l, p->y->stride);
    launch_tensor(&l, p->x);
    launch_int(&l, p->x ? p->x->stride : 0);
    launch_tensor(&l, part ? part->data : NULL);
    launch_tensor(&l, accumulate ? NULL : p->residual);
    launch_int(&l, p->residual ? p->residual->stride : 0);
    launch_tensor(&l, p->bias);
    launch_tensor(&l, p->columns);
    launch_tensor(&l, p->u);
    launch_int(&l, p->u ? p->u->stride : 0);
    launch_tensor(&l, p->b);
    launch_tensor(&l, p->table);
    launch_int(&l, p->M);
    launch_int(&l, p->N);
    launch_int(&l, p->K);
    launch_int(&l, p->R);
    launch_int(&l, MB);
    launch_int(&l, part ? part->panel : 0);
    launch_int(&l, accumulate);
    return launch_run(&l, (size_t)panels, (size_t)((p->M + MB - 1) / MB), 1, 1, 1, 1);
}

clora_status matmul_panel_forward(const forward_product *p) {
    clora_status status = p->w ? CLORA_OK : forward_part(p, NULL);

    for (int i = 0; p->w && i < p->w->parts && status == CLORA_OK; i++)
        status = forward_part(p, &p->w->part[i]);
    return status;
}

clora_status matmul_panel_dx(clora_tensor *dx, const clora_tensor *dy, const weight *w, const lowrank *lr,
                             const clora_tensor *du, bool accumulate) {
    const int M = (int)tensor_rows(dx), panels = (w->K + w->NR - 1) / w->NR;
    clora_status status = CLORA_OK;

    for (int i = 0; i < w->parts && status == CLORA_OK; i++) {
        const weight_part *part = &w->part[i];
        const bool first = i == 0;
        launch l;

        launch_begin(&l, w->context, "matmul_panel_dx");
        const int MB = rows_per_item(w->context, launch_parameter(&l, "MB"), launch_parameter(&l, "MR"), M, panels);
        define_panel(&l, w, w->context);
        launch_tensor(&l, dx);
        launch_int(&l, dx->stride);
        launch_tensor(&l, dy);
        launch_int(&l, dy->stride);
        launch_tensor(&l, part->data);
        launch_tensor(&l, w->columns);
        launch_tensor(&l, first ? du : NULL);
        launch_int(&l, du ? du->stride : 0);
        launch_tensor(&l, first && lr ? &lr->a : NULL);
        launch_int(&l, M);
        launch_int(&l, w->K);
        launch_int(&l, first && lr ? lr->R : 0);
        launch_int(&l, MB);
        launch_int(&l, part->panel);
        launch_int(&l, part->panels);
        launch_int(&l, accumulate || !first);
        status = launch_run(&l, (size_t)panels, (size_t)((M + MB - 1) / MB), 1, 1, 1, 1);
    }
    return status;
}
