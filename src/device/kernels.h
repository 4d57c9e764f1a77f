#ifndef CLORA_DEVICE_KERNELS_H
#define CLORA_DEVICE_KERNELS_H

#include "device/context.h"

enum { KERNEL_PARAMETERS = 8 };

/* The shape that a kernel's parameters are chosen for, in the letters of ops.h; 0 where a kernel has no such size. */
typedef struct kernel_key {
    int dtype;   /* storage of the weight: a clora_dtype */
    int M;       /* rows */
    int N, K, R; /* outputs, inputs, rank */
} kernel_key;

/* A compile-time parameter of a kernel: -DNAME=value. The rule gives the default on a device; the first of values that
 * is allowed otherwise. */
typedef struct kernel_parameter {
    const char *name;
    int (*rule)(const clora_context *context); /* analytic default; NULL: values[0] */
    int values[8];                             /* what the tuner may try; zero-terminated */
} kernel_parameter;

/* THE REGISTRY: one row a kernel. A new variant is one .cl file and one row. A row without a source is a choice between
 * kernels, or between ways to use them, that is measured like a parameter. */
typedef struct kernel_row {
    const char *name;   /* the kernel function */
    const char *source; /* stem of its .cl file, after the stem of what it shares with others: "panel matmul_panel" */
    kernel_parameter parameters[KERNEL_PARAMETERS];
} kernel_row;

/* What the choices stand for: a weight in panels for our kernels, or row major for CLBlast; products by the kernels for
 * few rows or for many; the low-rank term in the product's own accumulators, as a second product onto its result, or in
 * the weight, as a sum that is formed in front of the product; the layers of a step that decodes in many launches or in
 * one.
 */
enum { PATH_FEW_ROWS = 1, PATH_MANY_ROWS = 2, TERM_FUSED = 1, TERM_APART = 2, TERM_SUM = 3 };
enum { LAYOUT_PANEL = 1, LAYOUT_PLAIN = 2, LAYER_APART = 1, LAYER_TOGETHER = 2 };
enum { PATH_MOST_FEW = 16 /* rows that the kernels for few may be given */ };

extern const kernel_row kernel_rows[];
extern const size_t kernel_rows_count;

const kernel_row *kernel_find(const char *name);

/* Which family of kernels runs here: explicit vectors with one work-item a group (CPUs), or one lane a work-item (GPUs,
 * and CPUs where the tile path is forced). */
bool kernel_explicit_vectors(const clora_context *context);

/* Can one launch make all layers of a step that decodes: have work-groups a way to wait for each other? OpenCL C 1.2
 * does not say in which order they see each other's writes; PoCL's compiler does, for CPUs. */
bool kernel_runs_layers(const clora_context *context);

/* Columns of a panel: the layout of every frozen weight and low-rank factor on this device, whichever path is taken. */
int kernel_panel_width(const clora_context *context);

bool kernel_key_is(const kernel_key *a, const kernel_key *b);

/* The analytic default of a parameter on a device, at a key. */
int kernel_default(const clora_context *context, const kernel_parameter *parameter, const kernel_key *key);

/* Is the value of the list (an index before its end) one to try at the key on this device? */
bool kernel_tries(const clora_context *context, const kernel_parameter *parameter, const kernel_key *key, size_t index);

/* May this value be chosen at the key, by the tuner of some device? One of the list that fits, or the default. */
bool kernel_allows(const clora_context *context, const kernel_parameter *parameter, const kernel_key *key, int value);

/* The parameter's place in the row; both must exist. */
int kernel_parameter_index(const kernel_row *row, const char *parameter);

#endif
