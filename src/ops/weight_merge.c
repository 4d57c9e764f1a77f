#include "base/ints.h"
#include "ops/matmul.h"
#include "ops/ops.h"

/* Columns of a row that one item of the plain kernel makes. */
enum { PLAIN_COLUMNS = 32 };

static clora_status check(const weight *w, const clora_tensor *base, const lowrank *lr, int module, int part) {
    if (lr->base == w && module >= 0 && module < w->modules && lr->module[module].R > 0 && part >= 0 &&
        part < w->parts && base->dtype == w->storage->element && tensor_is_dense(base) &&
        clora_tensor_count(base) == clora_tensor_count(w->part[part].data) && matmul_is_factor(&lr->a, lr->a_count) &&
        matmul_is_factor(&lr->b, lr->b_count))
        return CLORA_OK;
    return clora_fail(CLORA_ERROR_SHAPE, "weight_merge: base%s, module %d in part %d of w(%d,%d)",
                      tensor_shape_text(base), module, part, w->N, w->K);
}

static void begin(launch *l, const weight *w, const lowrank *lr) {
    const bool panels = w->layout == WEIGHT_PANEL;

    do {
        launch_begin(l, w->context, panels ? "weight_merge" : "weight_merge_plain",
                     (kernel_key){.dtype = w->storage->id, .N = w->N, .K = w->K, .R = lr->R});
        launch_define(l, "NR", panels ? w->NR : 1);
        launch_define(l, "FACTOR_NR", w->NR);
        launch_define(l, "STORAGE", (int)w->storage->id);
    } while (launch_again(l));
}

static clora_status run(launch *l, const weight *w, int units) {
    if (w->layout == WEIGHT_PANEL) {
        const size_t items = (size_t)(w->NR / (launch_parameter(l, "VW") * launch_parameter(l, "NV")));
        const size_t blocks = (size_t)divide_up(w->K, launch_parameter(l, "BLOCK"));
        return launch_run(l, blocks * items, (size_t)units, 1, items, 1, 1);
    }
    return launch_run(l, (size_t)divide_up(w->K, PLAIN_COLUMNS), (size_t)units, 1, (size_t)launch_parameter(l, "WG"), 1,
                      1);
}

clora_status op_weight_merge(const weight *w, const clora_tensor *base, const lowrank *lr, int module, int part,
                             const clora_tensor *outside) {
    const weight_span span = weight_module_span(w, module, part);
    const lowrank_module *m = &lr->module[module];
    clora_status status = CLORA_OK;
    launch l;

    TRY(check(w, base, lr, module, part));
    if (span.count == 0)
        return CLORA_OK;
    const clora_tensor to = weight_span_view(w, span);
    const clora_tensor from = tensor_slice(base, to.offset - w->part[part].data->offset, 1, tensor_cols(&to));
    const clora_tensor b = tensor_slice(&lr->b, m->b, 1, (int)(lr->b_count - m->b));
    begin(&l, w, lr);
    launch_tensor(&l, &to);
    launch_tensor(&l, &from);
    launch_tensor(&l, &lr->a);
    launch_tensor(&l, &b);
    launch_tensor(&l, outside);
    launch_float(&l, m->scale);
    launch_int(&l, w->K);
    launch_int(&l, lr->R);
    launch_int(&l, m->row);
    launch_int(&l, m->R);
    launch_int(&l, span.first - (w->layout == WEIGHT_PANEL ? w->module[module].panel : w->module[module].col));
    status = run(&l, w, span.count);
done:
    return status;
}
