#include "ops/lowrank_each.h"

#include <string.h>

#include "ops/tape_note.h"

_Static_assert(WEIGHT_MODULES == 4, "kernels/lowrank_each.cl counts on it");

bool lowrank_each_can(const clora_context *context) {
    return !matmul_uses_tile(context);
}

static int place_buffer(each_buffers *buffers, cl_mem buffer) {
    int i = 0;

    while (i < buffers->count && buffers->buffer[i] != buffer)
        i++;
    if (i == EACH_BUFFERS)
        return -1;
    buffers->buffer[i] = buffer;
    buffers->count = i < buffers->count ? buffers->count : i + 1;
    return i;
}

static int32_t *put_place(int32_t *at, size_t place) {
    at[0] = (int32_t)(uint32_t)place;
    at[1] = (int32_t)(uint32_t)((uint64_t)place >> 32);
    return at + 2;
}

bool lowrank_each_describe(int32_t row[EACH_INTS], each_buffers *buffers, const lowrank *lr) {
    memset(row, 0, EACH_INTS * sizeof(*row));
    if (!lr)
        return true;
    row[0] = lr->R;
    row[1] = place_buffer(buffers, lr->a.buffer);
    row[2] = place_buffer(buffers, lr->b.buffer);
    if (row[1] < 0 || row[2] < 0)
        return false;
    int32_t *at = put_place(put_place(row + 3, lr->a.offset), lr->b.offset);
    for (int i = 0; i < lr->modules; i++) {
        const lowrank_module *m = &lr->module[i];
        *at++ = m->R;
        *at++ = m->row;
        memcpy(at++, &m->scale, sizeof(m->scale));
        *at++ = (int32_t)m->b;
    }
    return true;
}

/* Those that are not there are any: the table names none of them. */
static void launch_buffers(launch *l, const each_buffers *buffers) {
    for (int i = 0; i < EACH_BUFFERS; i++)
        launch_buffer(l, buffers->buffer[i < buffers->count ? i : 0]);
}

static clora_status down(clora_tensor *u, const clora_tensor *x, const clora_tensor *table,
                         const each_buffers *buffers) {
    const size_t M = tensor_rows(x);
    const kernel_key key = lowrank_key(u, x);
    launch l;

    if (tape_note_each_down(u, x, table, buffers, tuning_value(x->context, "lowrank_each_down", "RANKS", &key)))
        return CLORA_OK;
    launch_begin(&l, x->context, "lowrank_each_down", key);
    launch_define(&l, "NR", kernel_panel_width(x->context));
    launch_define(&l, "DM", 1);
    const int ranks = launch_parameter(&l, "RANKS");
    launch_matrix(&l, u);
    launch_matrix(&l, x);
    launch_tensor(&l, table);
    launch_int(&l, (int)(M / tensor_rows(table)));
    launch_int(&l, tensor_cols(x));
    launch_buffers(&l, buffers);
    return launch_run(&l, M, (size_t)divide_up(tensor_cols(u), ranks), 1, 1, 1, 1);
}

/* Panels of a work-item: so few that each core has some. */
static int panels_of_item(const clora_context *context, int panels, int M) {
    enum { ITEMS_PER_CORE = 8 };
    const int cores = context->info.compute_units > 0 ? (int)context->info.compute_units : 1;

    return divide_up(panels, least(panels, divide_up(ITEMS_PER_CORE * cores, M)));
}

static clora_status up(clora_tensor *y, const clora_tensor *u, const weight *w, const clora_tensor *table,
                       const each_buffers *buffers) {
    const size_t M = tensor_rows(y);
    const int share = panels_of_item(y->context, w->panels, (int)M);
    launch l;

    if (tape_note_each_up(y, u, w, table, buffers, share))
        return CLORA_OK;
    launch_begin(&l, y->context, "lowrank_each_up", (kernel_key){.M = (int)M, .N = w->N, .R = tensor_cols(u)});
    launch_define(&l, "NR", kernel_panel_width(y->context));
    launch_define(&l, "DM", 1);
    launch_matrix(&l, y);
    launch_matrix(&l, u);
    launch_tensor(&l, table);
    launch_tensor(&l, w->columns);
    launch_int(&l, (int)(M / tensor_rows(table)));
    launch_int(&l, w->panels);
    launch_int(&l, share);
    for (int i = 1; i < WEIGHT_MODULES; i++)
        launch_int(&l, lowrank_each_begin(w, i));
    launch_buffers(&l, buffers);
    return launch_run(&l, M, (size_t)divide_up(w->panels, share), 1, 1, 1, 1);
}

clora_status op_lowrank_each(clora_tensor *y, const clora_tensor *x, clora_tensor *u, const weight *w,
                             const clora_tensor *table, const each_buffers *buffers) {
    const size_t M = tensor_rows(y), n = tensor_rows(table);
    clora_status status = CLORA_OK;

    if (!matmul_is_shape(y, M, w->N) || !matmul_is_shape(x, M, w->K) || tensor_rows(u) != M || n == 0 || M % n != 0 ||
        tensor_cols(table) != EACH_INTS || !tensor_is_dense(table) || buffers->count < 1)
        return clora_fail(CLORA_ERROR_SHAPE, "lowrank_each: y%s x%s u%s table%s of w(%d,%d)", tensor_shape_text(y),
                          tensor_shape_text(x), tensor_shape_text(u), tensor_shape_text(table), w->N, w->K);
    TRY(down(u, x, table, buffers));
    TRY(up(y, u, w, table, buffers));
done:
    return status;
}
