#include "device/launch.h"
#include "ops/ops.h"

clora_status op_rope(clora_tensor *x, const clora_tensor *positions, const clora_tensor *table, int heads,
                     bool inverse) {
    const int D = tensor_cols(table);
    launch l;

    if (heads < 1 || D % 2 != 0 || tensor_cols(x) != heads * D || clora_tensor_count(positions) != tensor_rows(x) ||
        !tensor_is_dense(table))
        return clora_fail(CLORA_ERROR_SHAPE, "rope: x%s positions%s table%s, %d heads", tensor_shape_text(x),
                          tensor_shape_text(positions), tensor_shape_text(table), heads);
    launch_begin(&l, x->context, "rope", (kernel_key){.M = (int)tensor_rows(x), .K = tensor_cols(x)});
    const size_t group = (size_t)launch_parameter(&l, "WG");
    launch_define(&l, "D", D);
    launch_matrix(&l, x);
    launch_tensor(&l, positions);
    launch_tensor(&l, table);
    launch_int(&l, heads);
    launch_float(&l, inverse ? -1.0f : 1.0f);
    return launch_run(&l, tensor_rows(x) * group, 1, 1, group, 1, 1);
}
