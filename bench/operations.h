#ifndef CLORA_OPERATIONS_H
#define CLORA_OPERATIONS_H

#include <stdbool.h>

#include "cases/case.h"

/* The program clora-bench: operations.c reads the command line, bench_shapes.c lists realistic shapes, bench_time.c
 * measures, bench_roof.c finds the device's limits, bench_limit.c adds up a training step's products, bench_print.c
 * prints. The program clora-tables is tables.c. */

/* The sizes of a model that shapes follow from. */
typedef struct bench_model {
    int layers, hidden, ffn, heads, kv_heads, head_dim, vocab;
} bench_model;

/* SmolLM2-135M */
#define BENCH_MODEL_INIT \
    { 30, 576, 1536, 9, 3, 64, 49152 }

enum { BENCH_LIST = 16, BENCH_LOGITS_ROWS = 256 /* the head works through the rows in chunks, as in training */ };

/* Numbers of an option such as --rows 1024,64,1. */
typedef struct bench_list {
    int count, item[BENCH_LIST];
} bench_list;

/* Seconds of one launch. */
typedef struct bench_time {
    double best, median;
} bench_time;

/* One measurement: a case at a shape. */
typedef struct bench_item {
    const op_case *op;
    op_shape shape;
    bench_time time;
} bench_item;

typedef struct bench_items {
    bench_item *item;
    size_t count, capacity;
} bench_items;

/* What the device can do at most, in floating point operations and bytes a second. */
typedef struct bench_roof {
    double flops; /* of a loop of fused multiply-adds */
    double copy;  /* bytes read and written by a copy */
    double read;  /* bytes read by a sum */
} bench_roof;

/* A training step of which only the W0 products take time. */
typedef struct bench_limit {
    int batch, length;
    clora_storage dtype;
    double flops;
    bench_time time;
} bench_limit;

clora_status bench_items_add(bench_items *items, const op_case *op, op_shape shape);
void bench_items_finish(bench_items *items);

/* Add a case at every shape that it has in a model, for these rows, ranks and storage types. A case that is not known
 * here runs at the shapes of its test. */
clora_status bench_shapes_add(bench_items *items, const op_case *op, const bench_model *model, const bench_list *rows,
                              const bench_list *ranks, const bench_list *dtypes);

/* The W0 products of a model without adapters: M rows of every weight of a layer, and of the head. */
enum { BENCH_PROJECTIONS = 5 /* q,k,v; o; gate,up; down; head */ };
op_shape bench_projection_shape(const bench_model *model, int p, int M, int R, clora_storage dtype);

/* Measure all items, several side by side in turns, so that a busy moment falls on all of them. */
clora_status bench_measure(clora_context *context, bench_items *items, int rounds);

/* Raises what is in *out: measured before and after the rest, a busy moment does not pass for the device's limit. */
clora_status bench_measure_roof(bench_roof *out, clora_context *context);

clora_status bench_measure_limit(bench_limit *out, clora_context *context, const bench_model *model, int batch,
                                 int length, clora_storage dtype, int rounds);

/* The share of what the device allows: the time that flops or bytes need there, over the best time. */
double bench_share(const bench_item *item, const bench_roof *roof);

int bench_by_size(const void *a, const void *b); /* doubles, for qsort */

/* Tables for people, or one JSON object; limits may be none. */
void bench_print(const clora_context *context, const bench_roof *roof, const bench_items *items,
                 const bench_limit *limits, int limits_count);
bool bench_print_json(const clora_context *context, const bench_roof *roof, const bench_items *items,
                      const bench_limit *limits, int limits_count);

#endif
