/* What rows with a low-rank term each have on a tape. */

#include "base/ints.h"
#include "ops/tape_note.h"
#include "ops/tape_private.h"

typedef struct each_call {
    const clora_tensor *to, *from, *table;
    const each_buffers *buffers;
    const weight *w;
    int share; /* of a task */
} each_call;

/* The buffers' slots. */
static tape_place slots_of(tape *t, tape_launch *l, const each_buffers *buffers) {
    int32_t slot[EACH_BUFFERS];

    for (int i = 0; i < buffers->count; i++)
        slot[i] = (int32_t)(tape_place_of(l, &(clora_tensor){.buffer = buffers->buffer[i]}) >> TAPE_INDEX_BITS);
    return tape_constant(t, l, slot, (size_t)buffers->count);
}

/* Neighbouring rows that have the same term. */
static int rows_of(const each_call *c) {
    return (int)(tensor_rows(c->to) / tensor_rows(c->table));
}

static void fill_down(tape *t, tape_launch *l, tape_phase *phase, const void *data) {
    const each_call *c = data;
    const int M = (int)tensor_rows(c->to), parts = divide_up(tensor_cols(c->to), c->share);

    tape_need(l, &l->program.rows, matmul_program_rows(M));
    tape_need(l, &l->program.each_ranks, c->share);
    phase->kind = TAPE_EACH_DOWN;
    phase->end = M * parts;
    phase->call.each_down = (tape_each_down){.u = tape_place_of(l, c->to),
                                             .x = tape_place_of(l, c->from),
                                             .table = tape_place_of(l, c->table),
                                             .slots = slots_of(t, l, c->buffers),
                                             .u_stride = c->to->stride,
                                             .x_stride = c->from->stride,
                                             .T = rows_of(c),
                                             .K = tensor_cols(c->from),
                                             .parts = parts};
}

bool tape_note_each_down(clora_tensor *u, const clora_tensor *x, const clora_tensor *table, const each_buffers *buffers,
                         int ranks) {
    tape *t = tape_open();

    if (!t)
        return false;
    tape_append(t, fill_down, &(each_call){.to = u, .from = x, .table = table, .buffers = buffers, .share = ranks});
    return true;
}

static void fill_up(tape *t, tape_launch *l, tape_phase *phase, const void *data) {
    const each_call *c = data;
    const weight *w = c->w;

    phase->kind = TAPE_EACH_UP;
    phase->end = (int)tensor_rows(c->to) * divide_up(w->panels, c->share);
    phase->call.each_up = (tape_each_up){.y = tape_place_of(l, c->to),
                                         .u = tape_place_of(l, c->from),
                                         .table = tape_place_of(l, c->table),
                                         .columns = tape_columns(t, l, w),
                                         .slots = slots_of(t, l, c->buffers),
                                         .y_stride = c->to->stride,
                                         .u_stride = c->from->stride,
                                         .T = rows_of(c),
                                         .panels = w->panels,
                                         .share = c->share,
                                         .begin1 = lowrank_each_begin(w, 1),
                                         .begin2 = lowrank_each_begin(w, 2),
                                         .begin3 = lowrank_each_begin(w, 3)};
}

bool tape_note_each_up(clora_tensor *y, const clora_tensor *u, const weight *w, const clora_tensor *table,
                       const each_buffers *buffers, int share) {
    tape *t = tape_open();

    if (!t)
        return false;
    tape_append(t, fill_up, &(each_call){y, u, table, buffers, w, share});
    return true;
}
