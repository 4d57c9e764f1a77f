#ifndef CLORA_OPS_TAPE_H
#define CLORA_OPS_TAPE_H

#include "device/tensor.h"

/*
 * The calls of a step, recorded once and then run in one launch (kernels/tape.cl): for steps of few rows on a CPU,
 * where each operation's own launch takes as long as its work.
 *
 *     if (tape_begin(tape, key))
 *         tape_end(tape, forward());      the op_ calls are noted, nothing runs
 *     return tape_holds(tape, key) ? tape_run(tape) : forward();
 *
 * What an op_ call reads from tensors (ids, positions, the cache) may change from run to run. What it was called with
 * may not: tensors, sizes, weights, factors. A forward pass that does more than op_ calls (makes, fills or reads a
 * tensor) is not held: its steps go call by call.
 */
typedef struct tape tape;

/* What a step's calls depend on, besides what its owner answers for with tape_forget. */
typedef struct tape_key {
    int B, T;  /* sequences, tokens of each */
    int first; /* sequence of the cache */
} tape_key;

clora_status tape_create(tape **out, clora_context *context);
void tape_free(tape *t);

/* The calls are others from now on: of another adapter, with other scratch. */
void tape_forget(tape *t);

/*
 * Is a step to be recorded now? Not where it is known already, or where each operation is to have its launch: on other
 * drivers than PoCL's for CPUs, for many rows, while the tuner listens, and with path_tape 1. If true, the calls that
 * this thread makes until tape_end are noted.
 */
bool tape_begin(tape *t, tape_key key);

/* `made` is what the calls returned. */
void tape_end(tape *t, clora_status made);

/* Is this step recorded, whole, and is running it the way? */
bool tape_holds(const tape *t, tape_key key);

/* Enqueued, with the bits of the calls; as many launches as their buffers and programs need, which is one but for large
 * models. One thread at a time. */
clora_status tape_run(tape *t);

#endif
