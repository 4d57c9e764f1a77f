/* What attention with a cache has on a tape. */

#include "ops/attention.h"
#include "ops/tape_note.h"
#include "ops/tape_private.h"

typedef struct rope_store_call {
    const clora_tensor *cache, *qkv, *positions, *table, *past;
    attention_shape s;
} rope_store_call;

static void fill_rope_store(tape *t, tape_launch *l, tape_phase *phase, const void *data) {
    const rope_store_call *c = data;
    const page_arguments pages = attention_pages(c->s);

    (void)t;
    tape_need(l, &l->program.head_dim, c->s.D);
    tape_need(l, &l->program.rotated, tensor_cols(c->table));
    phase->kind = TAPE_ROPE_STORE;
    phase->end = c->s.B * c->s.T;
    phase->call.rope_store = (tape_rope_store){.cache = tape_place_of(l, c->cache),
                                               .qkv = tape_place_of(l, c->qkv),
                                               .positions = tape_place_of(l, c->positions),
                                               .table = tape_place_of(l, c->table),
                                               .past = tape_place_of(l, c->past),
                                               .pages = tape_place_of(l, c->s.pages),
                                               .cache_stride = c->cache->stride,
                                               .qkv_stride = c->qkv->stride,
                                               .T = c->s.T,
                                               .S = c->s.S,
                                               .H = c->s.H,
                                               .G = c->s.G,
                                               .page_count = pages.count,
                                               .page_bits = pages.bits};
}

bool tape_note_rope_store(clora_tensor *cache, clora_tensor *qkv, const clora_tensor *positions,
                          const clora_tensor *table, const clora_tensor *past, attention_shape s) {
    tape *t = tape_open();

    if (!t)
        return false;
    tape_append(t, fill_rope_store, &(rope_store_call){cache, qkv, positions, table, past, s});
    return true;
}

typedef struct attention_call {
    const clora_tensor *y, *lse, *q, *k, *v, *past, *first;
    attention_shape s;
    attention_blocks blocks;
} attention_call;

static void fill_attention(tape *t, tape_launch *l, tape_phase *phase, const void *data) {
    const attention_call *c = data;
    const attention_shape s = c->s;
    const page_arguments pages = attention_pages(s);
    tape_program *program = &l->program;

    (void)t;
    tape_need(l, &program->head_dim, s.D);
    tape_need(l, &program->heads, c->blocks.heads);
    tape_need(l, &program->keys, c->blocks.keys);
    tape_need(l, &program->columns, c->blocks.columns);
    tape_need(l, &program->capped, s.cap > 0.0f ? 2 : 1);
    phase->kind = TAPE_ATTENTION;
    phase->end = s.B * s.T * (s.H / c->blocks.heads);
    phase->call.attention = (tape_attention){.y = tape_place_of(l, c->y),
                                             .lse = tape_place_of(l, c->lse),
                                             .q = tape_place_of(l, c->q),
                                             .k = tape_place_of(l, c->k),
                                             .v = tape_place_of(l, c->v),
                                             .past = tape_place_of(l, c->past),
                                             .first = tape_place_of(l, c->first),
                                             .pages = tape_place_of(l, s.pages),
                                             .y_stride = c->y->stride,
                                             .q_stride = c->q->stride,
                                             .k_stride = c->k->stride,
                                             .v_stride = c->v->stride,
                                             .T = s.T,
                                             .S = s.S,
                                             .H = s.H,
                                             .G = s.G,
                                             .page_count = pages.count,
                                             .page_bits = pages.bits,
                                             .scale = attention_scale(s),
                                             .cap = s.cap};
}

bool tape_note_attention(clora_tensor *y, clora_tensor *lse, const clora_tensor *q, const clora_tensor *k,
                         const clora_tensor *v, const clora_tensor *past, const clora_tensor *first, attention_shape s,
                         attention_blocks blocks) {
    tape *t = tape_open();

    if (!t)
        return false;
    tape_append(t, fill_attention, &(attention_call){y, lse, q, k, v, past, first, s, blocks});
    return true;
}
