#ifndef CLORA_OPS_LAUNCH_H
#define CLORA_OPS_LAUNCH_H

#include <stdint.h>

#include "base/ints.h"
#include "device/program.h"
#include "device/tensor.h"
#include "tuning/tuning.h"

/*
 * One kernel call: begin, [define], arguments in order, run. The first failure sticks and comes back from launch_run,
 * so a caller has one status to check. The context is locked from begin to run: run must always be called.
 *
 * Registry parameters become -DNAME=value, chosen for the key; launch_define adds what the caller decides (a storage
 * type, a flag). Both are part of the program's key, so keep the number of different values small. Names are literals:
 * they are kept.
 */
typedef struct launch {
    clora_context *context;
    kernel_build build;
    kernel_key key; /* its rows a bucket */
    clora_tune_source source;
    built_kernel built;
    cl_uint index;
    clora_status status;
} launch;

void launch_begin(launch *l, clora_context *context, const char *kernel, kernel_key key);
void launch_define(launch *l, const char *name, int value);

/* Build the kernel now. True where its driver allows it smaller groups than its parameters ask for, which only the
 * built kernel tells: from now on they are chosen under that limit. Begin and define again then:
 *
 *     do { launch_begin(&l, ...); launch_define(&l, ...); } while (launch_again(&l));
 */
bool launch_again(launch *l);
int launch_parameter(const launch *l, const char *name); /* the registry parameter's value here, for the grid */

/* A tensor is two arguments: its buffer and its offset in elements (ulong). NULL is allowed: a null buffer and 0. */
void launch_tensor(launch *l, const clora_tensor *t);
/* A matrix is three: as above, then its stride (int). */
void launch_matrix(launch *l, const clora_tensor *t);
/* A buffer alone, or NULL. */
void launch_buffer(launch *l, cl_mem buffer);
void launch_int(launch *l, int value);
void launch_uint(launch *l, unsigned value);
void launch_ulong(launch *l, uint64_t value);
void launch_float(launch *l, float value);

/* Is the device to stay at rest, for a recording (device/withhold.h) or a trace? Also for what is not launched here. */
bool launch_is_withheld(const clora_context *context);

/* global: work-items in each dimension, rounded up to a multiple of local here. */
clora_status launch_run(launch *l, size_t gx, size_t gy, size_t gz, size_t lx, size_t ly, size_t lz);

#endif
