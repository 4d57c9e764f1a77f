#include "ops/launch.h"
#include "ops/tape_note.h"

clora_status op_embedding(clora_tensor *y, const clora_tensor *ids, const weight *w) {
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

        if (tape_note_embedding(y, ids, w, i))
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
        status = launch_run(&l, (size_t)w->K, M, 1, group, 1, 1);
    }
    return status;
}
