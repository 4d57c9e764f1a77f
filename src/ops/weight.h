#ifndef CLORA_OPS_WEIGHT_H
#define CLORA_OPS_WEIGHT_H

#include "device/kernels.h"
#include "device/tensor.h"
#include "ops/storage.h"

/*
 * A frozen weight W0 (N, K), packed once. It owns its storage type and its layout; forward, backward, merge and the
 * embedding look-up all read this one copy.
 *
 * Layout panel: panels of NR rows (kernel_panel_width), each a list of units along K (ops/storage.h). Of a unit in
 * pieces of c_p bytes, piece p of row n lies (c_0 + ... + c_(p-1)) * NR + n % NR * c_p bytes after the start of the
 * panel's unit. So f32 and f16 have the NR values of one k side by side, bf16 the pairs of two k. Each module (q, k, v
 * of one fused weight) starts on a panel boundary; padding is zero.
 * Layout plain: rows of blocks, modules one after the other. f32 is what CLBlast reads.
 *
 * A weight larger than the device's largest allocation is split by panels (rows) into parts.
 */
enum { WEIGHT_MODULES = 4 };

typedef enum weight_layout { WEIGHT_PANEL = LAYOUT_PANEL, WEIGHT_PLAIN = LAYOUT_PLAIN } weight_layout;

typedef struct weight_module {
    int N;     /* rows */
    int col;   /* first column of this module in the product y (M, N total): modules are dense there */
    int panel; /* first panel */
} weight_module;

typedef struct weight_part {
    clora_tensor *data;
    int panel, panels; /* panel layout: which panels; plain: first row and rows */
} weight_part;

typedef struct weight {
    clora_context *context;
    const storage *storage;
    weight_layout layout;
    int N, K;   /* N counts real rows, all modules */
    int NR;     /* panel width */
    int panels; /* of the whole weight */
    int modules;
    weight_module module[WEIGHT_MODULES];
    int parts;
    weight_part *part;
    clora_tensor *columns; /* i32 (panels, 2): first column in y and number of valid lanes of each panel */
    clora_tensor *bias;    /* f32 (N) or NULL */
    bool uses_scratch;     /* counted among the users of the context's scratch */
} weight;

/* The layout of a weight of N rows in all: what CLORA_GEMM says, else what the tuned parameters do. */
weight_layout weight_layout_of(clora_context *context, clora_storage type, int N, int K);

/* Elements of one panel, and of a plain row. */
size_t weight_panel_elements(const weight *w);
size_t weight_row_elements(const weight *w);

/* Space for a weight made of `modules` row blocks of N[i] rows each, K columns, in the layout chosen for it, which is
 * noted like a launch; or in a given one. */
clora_status weight_create(weight **out, clora_context *context, clora_storage type, int K, int modules, const int *N);
clora_status weight_create_as(weight **out, clora_context *context, weight_layout layout, clora_storage type, int K,
                              int modules, const int *N);
void weight_free(weight *w);

/*
 * Room in one buffer for `count` equal weights, those of a model's layers, where one launch can walk through them
 * (kernel_runs_tapes). The first weight says of what size. Others, and all where the buffer would be too large, have
 * buffers of their own. The buffer lives as long as one of its weights; none is freed before weight_pool_finish.
 */
typedef struct weight_pool {
    int count, taken;
    clora_tensor *data; /* (count, elements), or NULL */
    clora_tensor *last; /* taken */
} weight_pool;

clora_status weight_create_in(weight **out, weight_pool *pool, clora_context *context, clora_storage type, int K,
                              int modules, const int *N);
void weight_pool_finish(weight_pool *pool);

/* What `columns` holds: where each panel begins in y, and how many of its lanes are real. The caller frees; NULL
 * without memory. */
int32_t *weight_list_columns(const weight *w);

/* The same without any memory: what follows from the sizes alone. */
clora_status weight_describe(weight *w, clora_context *context, clora_storage type, int K, int modules, const int *N);

/* Bytes of device memory weight_create would take. */
size_t weight_bytes(const clora_context *context, clora_storage type, int K, int modules, const int *N);

/* Of these, what its table of columns takes. */
size_t weight_table_bytes(const weight *w);

/* Bytes of the context's scratch (device/scratch.h) that a weight is widened into on the CLBlast path: the
 * largest answer of any weight counts. Zero on the other paths and for f32. */
size_t weight_scratch_bytes(const clora_context *context, clora_storage type, int K, int modules, const int *N);

/*
 * Fill one module from host memory: row major (N, K) of any float type, converted to the weight's; transposed: (K, N)
 * as GPT-2 stores it. A value that is not finite is CLORA_ERROR_FORMAT (the caller puts the name in
 * front).
 */
clora_status weight_pack(weight *w, int module, const void *data, clora_dtype dtype, bool transposed);

/*
 * Pack rows [row, row + rows) of a module, to which data points; the values are those of the whole matrix packed at
 * once. row is a multiple of weight_row_step(), and so is rows but at the end of the module.
 */
clora_status weight_pack_rows(weight *w, int module, int row, int rows, const void *data, clora_dtype dtype);
int weight_row_step(const weight *w);

/* Read one module back, or as many rows of it as weight_pack_rows takes: its plain rows, the bytes that were packed
 * where the types are the same. */
clora_status weight_unpack(const weight *w, int module, void *data);
clora_status weight_unpack_rows(const weight *w, int module, int row, int rows, void *data);

/*
 * Consecutive panels (or plain rows) of one part, such as those of a module there. What a weight that trains has
 * besides, a gradient or an optimizer's state, are its values: f32, dense, in the layout that an f32 weight of this
 * shape has; padding is zero. (weight_span.c)
 */
typedef struct weight_span {
    int part, first, count; /* first: of the whole weight */
} weight_span;

/* Of a module in a part; count 0: it has nothing there. */
weight_span weight_module_span(const weight *w, int module, int part);

/* Its elements as they are stored, a dense view (1, n); how many values they are, whether a tensor has so many. */
clora_tensor weight_span_view(const weight *w, weight_span s);
size_t weight_span_values(const weight *w, weight_span s);
bool weight_are_values(const clora_tensor *values, const weight *w, weight_span s);

/* Set the bias of one module: N floats. Modules without one have zeros once any has. */
clora_status weight_set_bias(weight *w, int module, const float *bias);

#endif
