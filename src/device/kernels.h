#ifndef CLORA_DEVICE_KERNELS_H
#define CLORA_DEVICE_KERNELS_H

#include "device/context.h"

enum { KERNEL_PARAMETERS = 8 };

/* A compile-time parameter of a kernel: -DNAME=value. The rule gives the default on a device; the first of values that
 * is allowed otherwise. */
typedef struct kernel_parameter {
    const char *name;
    int (*rule)(const clora_context *context); /* analytic default; NULL: values[0] */
    int values[8];                             /* what the tuner may try; zero-terminated */
} kernel_parameter;

/* THE REGISTRY: one row a kernel. A new variant is one .cl file and one row. */
typedef struct kernel_row {
    const char *name;   /* the kernel function */
    const char *source; /* stem of its .cl file, after the stem of what it shares with others: "panel matmul_panel" */
    kernel_parameter parameters[KERNEL_PARAMETERS];
} kernel_row;

extern const kernel_row kernel_rows[];
extern const size_t kernel_rows_count;

const kernel_row *kernel_find(const char *name);

/* Which family of kernels runs here: explicit vectors with one work-item a group (CPUs), or one lane a work-item (GPUs,
 * and CPUs where the tile path is forced). */
bool kernel_explicit_vectors(const clora_context *context);

/* The value in use for a parameter of a row: from CLORA_PARAM_<KERNEL>_<NAME> in the environment, else the default. */
int kernel_parameter_value(const clora_context *context, const kernel_row *row, const kernel_parameter *parameter);

/* The same by names, for a choice between kernels before a launch; both must exist. */
int kernel_value(const clora_context *context, const char *kernel, const char *parameter);

#endif
