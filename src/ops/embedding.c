#include "ops/launch.h"
#include "ops/tape_note.h"

clora_status op_embedding(clora_tensor *y, const clora_tensor *ids, const weight *w, float scale) {
    const size_t M = tensor_rows(y);
    clora_status status = CLORA_OK;

    if (tensor_cols(y) != w->K || y->dtype != CLORA_DTYPE_F32 || clora_tensor_count(ids) != M ||
        ids->dtype != CLORA_DTYPE_I32 || !tensor_is_dense(ids) || w->modules != 1 || M > INT32_MAX)
        return clora_fail(CLORA_ERROR_SHAPE, "embedding: y%s ids%s w(%d,%d)", tensor_shape_text(y),
                          tensor_shape_text(ids), w->N, w->K);
    for (int i = 0; i < w->parts && status == CLORA_OK; i++) {
        const weight_part *part = &w->part[i];
        const int unit = w->layout == WEIGHT_PANEL ? w->NR : 1; /* rows of W0 in one unit of a part */
        launch l;

        if (tape_note_embedding(y, ids, w, i, scale))
            continue;
        do {
            launch_begin(&l, w->context, "embedding",
                         (kernel_key){.dtype = w->storage->id, .M = (int)M, .N = w->N, .K = w->K});
            launch_define(&l, "NR", unit);
            launch_define(&l, "STORAGE", (int)w->storage->id);
        } while (launch_again(&l));
        const size_t group = (size_t)launch_parameter(&l, "WG");
        launch_tensor(&l, y);
        launch_int(&l, y->stride);
        launch_tensor(&l, ids);
        launch_tensor(&l, part->data);
        launch_int(&l, w->N);
        launch_int(&l, w->K);
        launch_int(&l, part->panel * unit);
        launch_int(&l, i + 1 < w->parts ? (part->panel + part->panels) * unit : w->N);
        launch_float(&l, scale);
        status = launch_run(&l, (size_t)w->K, M, 1, group, 1, 1);
    }
    return status;
}

/* Columns of an item: neighbours lie side by side on GPUs, CPUs want some items for each core. */
static int column_share(const clora_context *context, int K) {
    enum { ITEMS_PER_CORE = 4 };
    const int cores = context->info.compute_units > 0 ? context->info.compute_units : 1;

    return kernel_explicit_vectors(context) ? divide_up(K, ITEMS_PER_CORE * cores) : 1;
}

clora_status op_embedding_dw(clora_tensor *dw, const clora_tensor *dy, const clora_tensor *ids, const weight *w,
                             weight_span span, float scale) {
    const size_t M = tensor_rows(dy);
    const int unit = w->layout == WEIGHT_PANEL ? w->NR : 1;
    launch l;

    if (!weight_are_values(dw, w, span) || tensor_cols(dy) != w->K || dy->dtype != CLORA_DTYPE_F32 ||
        clora_tensor_count(ids) != M || ids->dtype != CLORA_DTYPE_I32 || !tensor_is_dense(ids) || w->modules != 1 ||
        M > INT32_MAX)
        return clora_fail(CLORA_ERROR_SHAPE, "embedding_dw: dw%s dy%s ids%s w(%d,%d)", tensor_shape_text(dw),
                          tensor_shape_text(dy), tensor_shape_text(ids), w->N, w->K);
    const int begin = span.first * unit, end = begin + span.count * unit;
    const int share = column_share(w->context, w->K);
    do {
        launch_begin(&l, w->context, "embedding_dw", (kernel_key){.M = (int)M, .N = w->N, .K = w->K});
        launch_define(&l, "NR", unit);
    } while (launch_again(&l));
    const size_t group = (size_t)launch_parameter(&l, "WG");
    launch_tensor(&l, dw);
    launch_matrix(&l, dy);
    launch_tensor(&l, ids);
    launch_int(&l, (int)M);
    launch_int(&l, w->K);
    launch_int(&l, begin);
    launch_int(&l, least(end, w->N));
    launch_int(&l, share);
    launch_float(&l, scale);
    return launch_run(&l, (size_t)divide_up(w->K, share), 1, 1, group, 1, 1);
}
