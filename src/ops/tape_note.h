#ifndef CLORA_OPS_TAPE_NOTE_H
#define CLORA_OPS_TAPE_NOTE_H

#include "ops/lowrank_each.h"
#include "ops/matmul.h"
#include "ops/tape.h"

/*
 * For the operations that a tape can hold: each notes a phase, with the arguments of its launch, where this thread
 * records a tape. False: it does not, launch. Operations without such a function launch always, which a recording takes
 * as a step that cannot be held, as it does whatever else asks something of the device (device/withhold.h).
 */
bool tape_note_embedding(clora_tensor *y, const clora_tensor *ids, const weight *w, int part, float scale);

/* By the GEMV kernel: `streams` panels side by side, asked for `ahead` lines in advance. part: NULL without a
 * weight. */
bool tape_note_product(const forward_product *p, const weight_part *part, int streams, int ahead);

/* Of a factor a, with the scales of a low-rank term, or NULL: all 1. */
bool tape_note_down(clora_tensor *u, const clora_tensor *x, const clora_tensor *a, const lowrank *lr);
bool tape_note_rmsnorm(clora_tensor *y, clora_tensor *rstd, const clora_tensor *x, const clora_tensor *g, float eps,
                       bool plus_one);
bool tape_note_layernorm(clora_tensor *y, clora_tensor *moments, const clora_tensor *x, const clora_tensor *g,
                         const clora_tensor *b, float eps);
bool tape_note_gelu(clora_tensor *y, const clora_tensor *x);
bool tape_note_add_positions(clora_tensor *x, const clora_tensor *table, const clora_tensor *positions, int first);
bool tape_note_swiglu(clora_tensor *y, const clora_tensor *gu, bool gelu);
bool tape_note_activate(clora_tensor *a, const clora_tensor *z, const bottleneck *b);
bool tape_note_add(clora_tensor *y, const clora_tensor *x);
bool tape_note_scale(clora_tensor *x, float factor);
bool tape_note_rope_store(clora_tensor *cache, clora_tensor *qkv, const clora_tensor *positions,
                          const clora_tensor *table, const clora_tensor *past, attention_shape s);

/* Terms of rows that have one each: `ranks` of a row's u, and `share` panels of W0, in a task. */
bool tape_note_each_down(clora_tensor *u, const clora_tensor *x, const clora_tensor *table, const each_buffers *buffers,
                         int ranks);
bool tape_note_each_up(clora_tensor *y, const clora_tensor *u, const weight *w, const clora_tensor *table,
                       const each_buffers *buffers, int share);

/* By rows, in blocks as the kernel attention_row has them. */
typedef struct attention_blocks {
    int heads, keys, columns;
} attention_blocks;

bool tape_note_attention(clora_tensor *y, clora_tensor *lse, const clora_tensor *q, const clora_tensor *k,
                         const clora_tensor *v, const clora_tensor *past, const clora_tensor *first, attention_shape s,
                         attention_blocks blocks);

#endif
