#ifndef CLORA_OPS_TAPE_PRIVATE_H
#define CLORA_OPS_TAPE_PRIVATE_H

#include "kernels/tape_phase.h"
#include "ops/tape.h"
#include "ops/weight.h"

/* What a launch's program is made for, 0 where nothing asked yet. */
typedef struct tape_program {
    int storage;    /* a clora_storage, counted from 1 */
    int rows;       /* matmul_program_rows */
    int gain, gate; /* 1, or 2: a gain's with 1 (PLUS_ONE), gelu's (GELU) */
    int head_dim, rotated, heads, keys, columns;
    int capped; /* scores of attention are 1: as they are, 2: capped */
    int ahead;
    int each_ranks; /* of a row's u in a task, where rows have terms of their own */
    size_t longest; /* elements of the weight that `ahead` is of */
    int product[TAPE_VARIANTS], products, down[TAPE_VARIANTS], downs;
    int phases; /* of other kinds, a TAPE_BIT each */
} tape_program;

/* Phases that one program can make, of buffers that it has arguments for. */
typedef struct tape_launch {
    size_t first, count; /* phases of the tape */
    int tickets;
    tape_program program;
    cl_mem slot[TAPE_SLOTS]; /* the first is the tape's own */
    int slots;
    bool full; /* the last phase found no room */
} tape_launch;

/* Make a phase of a call, and ask the launch for what it takes; or leave the launch marked full. */
typedef void (*tape_fill)(tape *t, tape_launch *l, tape_phase *phase, const void *call);

/* The tape that this thread records, or NULL. */
tape *tape_open(void);
clora_context *tape_context(const tape *t);

/* Append a phase of so many tasks as fill says in phase->end, in the last launch or in one more. */
void tape_append(tape *t, tape_fill fill, const void *call);

/* The phase before the one that is made for a launch, or NULL. */
const tape_phase *tape_last(const tape *t, const tape_launch *l);

/* A tensor's first element; 0 for NULL. */
tape_place tape_place_of(tape_launch *l, const clora_tensor *t);

/* The table of a weight's columns, which the tape has. */
tape_place tape_columns(tape *t, tape_launch *l, const weight *w);

/* Numbers that the tape keeps a copy of, once for all equal ones. */
tape_place tape_constant(tape *t, tape_launch *l, const int32_t *values, size_t count);

/* The launch's program has the value that a phase needs, or takes it on. */
void tape_need(tape_launch *l, int *have, int value);

/* The place of a variant among the program's: this one's, or where all are taken, that of one with the same flags (the
 * lowest bit), for how work is shared changes no bits. */
int tape_variant(tape_launch *l, int *have, int *count, int variant);

#endif
