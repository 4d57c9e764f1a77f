#ifndef CLORA_OPS_LOWRANK_EACH_H
#define CLORA_OPS_LOWRANK_EACH_H

#include "ops/lowrank.h"

/*
 * The low-rank terms that neighbouring rows have of one weight, a term each, in two launches whatever their ranks. A
 * table on the device names each term's place in a buffer of factors, which are arguments of the kernel.
 */
enum { EACH_BUFFERS = 32 };                  /* that a launch has arguments for */
enum { EACH_INTS = 7 + 4 * WEIGHT_MODULES }; /* of a table's row: kernels/lowrank_each.cl */

typedef struct each_buffers {
    cl_mem buffer[EACH_BUFFERS];
    int count;
} each_buffers;

/* Has the device kernels for it? Others take a launch for each term. */
bool lowrank_each_can(const clora_context *context);

/* A table's row for a term (NULL: none). False where there is no place for its buffers. */
bool lowrank_each_describe(int32_t row[EACH_INTS], each_buffers *buffers, const lowrank *lr);

/* The panel that a module of W0 begins at; past all panels where there is none. */
static inline int lowrank_each_begin(const weight *w, int module) {
    return module < w->modules ? w->module[module].panel : INT32_MAX;
}

/* y (n*T, N) += the terms of x (n*T, K); table (n, EACH_INTS): T neighbouring rows have the same; u (n*T, R) is
 * scratch, of the largest rank. */
clora_status op_lowrank_each(clora_tensor *y, const clora_tensor *x, clora_tensor *u, const weight *w,
                             const clora_tensor *table, const each_buffers *buffers);

#endif
