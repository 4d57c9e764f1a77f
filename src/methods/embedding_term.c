#include "methods/embedding_term.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/transpose.h"
#include "ops/ops.h"

/* ---- making one ---- */

static clora_status write_identity(const embedding_term *e) {
    const size_t R = (size_t)e->R;
    float *rows = alloc_array(R * R, sizeof(*rows)), *panels = alloc_array(e->term->a_count, sizeof(*panels));
    clora_status status = CLORA_OK;

    if (!rows || !panels)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the embedding's term"));
    for (size_t r = 0; r < R; r++)
        rows[r * R + r] = 1.0f;
    lowrank_pack_a(e->term, 0, panels, rows);
    TRY(clora_tensor_write(e->identity, panels));
done:
    free(rows);
    free(panels);
    return status;
}

static clora_status create_term(embedding_term *e, const base_model *base, float scale) {
    const float scales[WEIGHT_MODULES] = {scale};
    const int R[WEIGHT_MODULES] = {e->R};
    clora_status status = CLORA_OK;

    TRY(weight_create(&e->shape, base->context, CLORA_STORAGE_F32, e->R, 1, &base->hidden));
    TRY(lowrank_create(&e->term, e->shape, R, scales));
    TRY(tensor_new(&e->identity, base->context, CLORA_DTYPE_F32, 1, (int)e->term->a_count));
    TRY(tensor_new(&e->values, base->context, CLORA_DTYPE_F32, 1, (int)e->term->b_count));
    e->term->a = tensor_slice(e->identity, 0, 1, (int)e->term->a_count);
    e->term->b = tensor_slice(e->values, 0, 1, (int)e->term->b_count);
    if (!base->context->outlined)
        TRY(write_identity(e));
done:
    return status;
}

static clora_status create_rows(embedding_term *e, const base_model *base) {
    clora_status status = CLORA_OK;

    TRY(weight_create(&e->rows, base->context, CLORA_STORAGE_F32, e->R, 1, &base->vocab));
    e->parts = alloc_array((size_t)e->rows->parts, sizeof(*e->parts));
    if (!e->parts)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the embedding's term"));
    for (int i = 0; i < e->rows->parts; i++)
        e->parts[i] = weight_span_view(e->rows, weight_module_span(e->rows, 0, i));
done:
    return status;
}

clora_status embedding_term_create(embedding_term **out, const base_model *base, int R, float scale) {
    embedding_term *e = calloc(1, sizeof(*e));
    clora_status status = CLORA_OK;

    *out = NULL;
    if (!e)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the embedding's term");
    e->R = R;
    e->scale = base->embedding_scale;
    if (R > base->hidden / 2)
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED,
                       "rank %d on the embedding, whose rows have %d values: at most half as "
                       "many are possible",
                       R, base->hidden));
    TRY(create_term(e, base, scale));
    TRY(create_rows(e, base));
    *out = e;
    e = NULL;
done:
    embedding_term_free(e);
    return status;
}

void embedding_term_free(embedding_term *e) {
    if (!e)
        return;
    lowrank_free(e->term);
    weight_free(e->shape);
    weight_free(e->rows);
    clora_tensor_free(e->identity);
    clora_tensor_free(e->values);
    free(e->parts);
    free(e);
}

/* ---- values: the term's B has the rows that A has as columns ---- */

static clora_status exchange_a(float *read, const float *write, const embedding_term *e) {
    const int C = e->shape->N;
    float *turned = alloc_array((size_t)C * (size_t)e->R, sizeof(*turned));
    float *panels = alloc_array(e->term->b_count, sizeof(*panels));
    clora_status status = CLORA_OK;

    if (!turned || !panels)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the embedding's term"));
    if (write) {
        transpose_rows(turned, write, e->R, C);
        lowrank_pack_b(e->term, 0, panels, turned);
        TRY(clora_tensor_write(e->values, panels));
    } else {
        TRY(clora_tensor_read(e->values, panels));
        lowrank_unpack_b(e->term, 0, turned, panels);
        transpose_rows(read, turned, C, e->R);
    }
done:
    free(turned);
    free(panels);
    return status;
}

clora_status embedding_term_write(embedding_term *e, bool is_b, const float *values) {
    return is_b ? weight_pack(e->rows, 0, values, CLORA_DTYPE_F32, false) : exchange_a(NULL, values, e);
}

clora_status embedding_term_read(float *values, const embedding_term *e, bool is_b) {
    return is_b ? weight_unpack(e->rows, 0, values) : exchange_a(values, NULL, e);
}

clora_status embedding_term_parameters(parameters *out, const embedding_term *e, const char *module,
                                       parameter_group group) {
    clora_status status = CLORA_OK;

    TRY(parameters_add_buffer(out, e->values));
    TRY(parameters_add(out, alloc_format("%s.lora_embedding_B", module), &e->term->b, group));
    for (int i = 0; i < e->rows->parts; i++) {
        TRY(parameters_add_buffer(out, &e->parts[i]));
        TRY(parameters_add(out, alloc_format("%s.lora_embedding_A%s", module, i > 0 ? ".more" : ""), &e->parts[i],
                           group));
    }
done:
    return status;
}

size_t embedding_term_fixed_bytes(const embedding_term *e) {
    return e->term->a_count * sizeof(float) + lowrank_bytes(e->term) +
           weight_bytes(e->shape->context, CLORA_STORAGE_F32, e->R, 1, &e->shape->N) + weight_table_bytes(e->rows);
}

size_t embedding_term_bytes(const embedding_term *e) {
    size_t values = e->term->b_count;

    for (int i = 0; i < e->rows->parts; i++)
        values += clora_tensor_count(&e->parts[i]);
    return values * sizeof(float) + embedding_term_fixed_bytes(e);
}

/* ---- both passes ---- */

/* Of M rows the first R columns, or the next R. */
static clora_tensor columns(const clora_tensor *room, const clora_tensor *y, int R, int which) {
    return tensor_view(room, 0, (int)tensor_rows(y), which * R, R);
}

clora_status embedding_term_forward(clora_tensor *y, clora_tensor *room, const clora_tensor *ids,
                                    const embedding_term *e) {
    clora_tensor g = columns(room, y, e->R, 0), u = columns(room, y, e->R, 1);
    clora_status status = CLORA_OK;

    TRY(op_embedding(&g, ids, e->rows, e->scale));
    TRY(op_lowrank_down(&u, &g, e->term));
    TRY(op_lowrank_up(y, &u, e->term));
done:
    return status;
}

clora_status embedding_term_backward(const parameters *trains, clora_tensor *room, clora_tensor *room_back,
                                     const clora_tensor *dy, const clora_tensor *ids, const embedding_term *e) {
    clora_tensor g = columns(room, dy, e->R, 0), u = columns(room, dy, e->R, 1);
    clora_tensor du = columns(room_back, dy, e->R, 0), da = parameters_gradient(trains, &e->term->b);
    clora_status status = CLORA_OK;

    TRY(op_embedding(&g, ids, e->rows, e->scale)); /* again: nothing was kept */
    TRY(op_lowrank_down(&u, &g, e->term));
    TRY(op_lowrank_down_grad(&du, dy, e->term));
    TRY(op_lowrank_grad_b(&da, dy, &u, e->term));
    for (int i = 0; i < e->rows->parts; i++) {
        clora_tensor db = parameters_gradient(trains, &e->parts[i]);
        TRY(op_embedding_dw(&db, &du, ids, e->rows, weight_module_span(e->rows, 0, i), e->scale));
    }
done:
    return status;
}
