#ifndef CLORA_DEVICE_KERNELS_H
#define CLORA_DEVICE_KERNELS_H

#include "device/kernel_family.h"

enum { KERNEL_PARAMETERS = 8, KERNEL_VALUES = 8 };

/* The shape that a kernel's parameters are chosen for; 0 where it has no such size. Products have the letters of ops.h,
 * attention has names of its own for the same places. */
typedef struct kernel_key {
    int dtype; /* storage of the weight: a clora_storage */
    int M;     /* rows */
    union {
        int N;    /* outputs */
        int keys; /* in the cache, a bucket */
    };
    union {
        int K; /* inputs */
        int head_dim;
    };
    union {
        int R;     /* rank */
        int heads; /* of queries that share one of keys */
    };
} kernel_key;

/* What the parameters of a kernel are chosen by. */
typedef struct kernel_at {
    const clora_context *context;
    const kernel_key *key;
    size_t most_items; /* in a group of this kernel */
} kernel_at;

/* How a parameter takes effect: as -DNAME=value, which makes another program (so does a choice between kernels); or in
 * the launch alone, which runs the same program otherwise. */
typedef enum kernel_effect { COMPILED, LAUNCHED } kernel_effect;

/* A parameter of a kernel. The rule gives its default. */
typedef struct kernel_parameter {
    const char *name;
    int (*rule)(const kernel_at *at); /* NULL: values[0] */
    int values[KERNEL_VALUES];        /* what may be chosen besides; zero-terminated */
    kernel_effect effect;
    bool (*allows)(const kernel_at *at, int value); /* which of the values may be chosen; NULL: all */
    bool (*tries)(const kernel_at *at, int value);  /* which of these are worth measuring; NULL: all */
} kernel_parameter;

/* THE REGISTRY: one row a kernel. A new variant is one .cl file and one row. A row without a source is a choice between
 * kernels, or between ways to use them, that is measured like a parameter. */
typedef struct kernel_row {
    const char *name;   /* the kernel function */
    const char *source; /* stem of its .cl file, after the stem of what it shares with others: "panel matmul_panel" */
    kernel_parameter parameters[KERNEL_PARAMETERS];
} kernel_row;

/* What the choices stand for: a weight in panels for our kernels, or row major for CLBlast; products by the kernels for
 * GEMV (of few rows) or for GEMM; the low-rank term in the product's own accumulators, as a second product onto its
 * result, or in the weight, which is merged anew before the product; the calls of a step that decodes in a launch each
 * or in one. */
enum { PATH_GEMV = 1, PATH_GEMM = 2, TERM_FUSED = 1, TERM_APART = 2, TERM_MERGED = 3 };
enum { LAYOUT_PANEL = 1, LAYOUT_PLAIN = 2, TAPE_APART = 1, TAPE_TOGETHER = 2 };
enum { GEMV_MOST_ROWS = 16 /* that the kernels for it may be given */ };

extern const kernel_row kernel_rows[];
extern const size_t kernel_rows_count;

const kernel_row *kernel_find(const char *name);

bool kernel_key_is(const kernel_key *a, const kernel_key *b);

/* The analytic default of a parameter, and of all of a row; 0 where it has no more. */
int kernel_default(const kernel_at *at, const kernel_parameter *parameter);
void kernel_defaults(int values[KERNEL_PARAMETERS], const kernel_at *at, const kernel_row *row);

/* Is this value of its list one to measure here? */
bool kernel_tries(const kernel_at *at, const kernel_parameter *parameter, int value);

/* May this value be chosen here, by the tuner of some device? One of the list that is allowed, or the default. */
bool kernel_allows(const kernel_at *at, const kernel_parameter *parameter, int value);

/* The parameter's place in the row; both must exist. */
int kernel_parameter_index(const kernel_row *row, const char *parameter);

#endif
