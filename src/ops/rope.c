#include "ops/attention.h"
#include "ops/tape_note.h"

/* A table for columns of heads of size D. */
static bool rotates(const clora_tensor *table, int D) {
    const int W = tensor_cols(table);

    return W % 2 == 0 && W > 0 && W <= D && tensor_is_dense(table);
}

/* Of heads of size D the first W columns are rotated. */
static void define_heads(launch *l, int D, int W) {
    launch_define(l, "D", D);
    if (W < D)
        launch_define(l, "ROTATED", W);
}

clora_status op_rope(clora_tensor *x, const clora_tensor *positions, const clora_tensor *table, int heads,
                     bool inverse) {
    const int W = tensor_cols(table), D = heads < 1 ? 0 : tensor_cols(x) / heads;
    launch l;

    if (!rotates(table, D) || tensor_cols(x) != heads * D || clora_tensor_count(positions) != tensor_rows(x))
        return clora_fail(CLORA_ERROR_SHAPE, "rope: x%s positions%s table%s, %d heads", tensor_shape_text(x),
                          tensor_shape_text(positions), tensor_shape_text(table), heads);
    do {
        launch_begin(&l, x->context, "rope", (kernel_key){.M = (int)tensor_rows(x), .K = tensor_cols(x)});
        define_heads(&l, D, W);
    } while (launch_again(&l));
    const size_t group = (size_t)launch_parameter(&l, "WG");
    launch_matrix(&l, x);
    launch_tensor(&l, positions);
    launch_tensor(&l, table);
    launch_int(&l, heads);
    launch_float(&l, inverse ? -1.0f : 1.0f);
    return launch_run(&l, tensor_rows(x) * group, 1, 1, group, 1, 1);
}

clora_status op_rope_store(clora_tensor *cache, clora_tensor *qkv, const clora_tensor *positions,
                           const clora_tensor *table, const clora_tensor *past, attention_shape s) {
    const size_t M = (size_t)s.B * (size_t)s.T;
    launch l;

    if (s.H < 1 || s.G < 1 || !rotates(table, s.D) || tensor_rows(qkv) != M ||
        tensor_cols(qkv) != (s.H + 2 * s.G) * s.D || !attention_has_rows(cache, s) ||
        tensor_cols(cache) != 2 * s.G * s.D || clora_tensor_count(positions) != M ||
        clora_tensor_count(past) < (size_t)s.B)
        return clora_fail(CLORA_ERROR_SHAPE,
                          "rope_store: cache%s qkv%s positions%s table%s for B %d T %d S %d H %d G %d D %d",
                          tensor_shape_text(cache), tensor_shape_text(qkv), tensor_shape_text(positions),
                          tensor_shape_text(table), s.B, s.T, s.S, s.H, s.G, s.D);
    if (tape_note_rope_store(cache, qkv, positions, table, past, s))
        return CLORA_OK;
    do {
        launch_begin(&l, qkv->context, "rope_store", (kernel_key){.M = (int)M, .head_dim = s.D, .heads = s.H / s.G});
        define_heads(&l, s.D, tensor_cols(table));
    } while (launch_again(&l));
    const size_t group = (size_t)launch_parameter(&l, "WG");
    launch_matrix(&l, cache);
    launch_matrix(&l, qkv);
    launch_tensor(&l, positions);
    launch_tensor(&l, table);
    launch_tensor(&l, past);
    launch_int(&l, s.T);
    launch_int(&l, s.S);
    launch_int(&l, s.H);
    launch_int(&l, s.G);
    launch_pages(&l, s, past);
    return launch_run(&l, (size_t)s.T * group, (size_t)s.B, 1, group, 1, 1);
}
