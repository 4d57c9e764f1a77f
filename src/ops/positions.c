#include "ops/launch.h"
#include "ops/tape_note.h"

clora_status op_add_positions(clora_tensor *x, const clora_tensor *table, const clora_tensor *positions, int first) {
    const size_t M = tensor_rows(x);
    launch l;

    if (tensor_cols(table) != tensor_cols(x) || clora_tensor_count(positions) != M ||
        positions->dtype != CLORA_DTYPE_I32 || !tensor_is_dense(positions))
        return clora_fail(CLORA_ERROR_SHAPE, "add_positions: x%s table%s positions%s", tensor_shape_text(x),
                          tensor_shape_text(table), tensor_shape_text(positions));
    if (tape_note_add_positions(x, table, positions, first))
        return CLORA_OK;
    do {
        launch_begin(&l, x->context, "add_positions", (kernel_key){.M = (int)M, .K = tensor_cols(x)});
    } while (launch_again(&l));
    const size_t group = (size_t)launch_parameter(&l, "WG");
    launch_matrix(&l, x);
    launch_matrix(&l, table);
    launch_tensor(&l, positions);
    launch_int(&l, first);
    launch_int(&l, (int)tensor_rows(table));
    launch_int(&l, tensor_cols(x));
    return launch_run(&l, M * group, 1, 1, group, 1, 1);
}
