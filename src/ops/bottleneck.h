#ifndef CLORA_OPS_BOTTLENECK_H
#define CLORA_OPS_BOTTLENECK_H

#include "device/tensor.h"

/*
 * One bottleneck adapter of width C and R columns between:  y = x + act(x * down^T + bias) * up^T + the bias of up.
 *
 * Its factors are panels of NR columns, as those of a low-rank term (ops/lowrank.h) and for its kernels:
 *     down (R, C): element (r, c) at (c / NR * R + r) * NR + c % NR
 *     up   (C, R + 1) transposed: element (c, r) at (c / NR * (R + 1) + r) * NR + c % NR; row R of it is up's bias, for
 *          activations have a column of ones at their end
 * Lanes past the last column, and floats past the bias, are zero and stay zero (gradients there are zero).
 */
typedef struct bottleneck_values {
    clora_tensor down, bias, up; /* f32, dense; without buffer in gradients: not wanted */
} bottleneck_values;

typedef struct bottleneck {
    clora_context *context;
    int C, R;
    bool swish;        /* x * sigmoid(x), else relu */
    float dropout;     /* of what it adds, in training */
    bool reads_stream; /* x is the residual stream after the sublayer (Pfeiffer et al. 2021), else what the sublayer
                          adds to it (Houlsby et al. 2019) */
    size_t down_count, bias_count, up_count; /* elements, padding included */
    bottleneck_values values;                /* views that the owner sets */
    clora_tensor *ones;                      /* f32 (R + 1): the kernels' scales of a low-rank term */
} bottleneck;

clora_status bottleneck_create(bottleneck **out, clora_context *context, int C, int R);
void bottleneck_free(bottleneck *b);

/* The same without any memory: what follows from the sizes alone. */
clora_status bottleneck_describe(bottleneck *b, clora_context *context, int C, int R);

/* Elements of all values, which lie side by side in a flat buffer: down, bias, up. */
size_t bottleneck_count(const bottleneck *b);

/* The views of them from an element of a buffer on. */
bottleneck_values bottleneck_slice(const bottleneck *b, const clora_tensor *flat, size_t offset);

/* The row-major form of files: down (R,C), down_bias (R), up (C,R), up_bias (C). */
typedef struct bottleneck_rows {
    float *down, *down_bias, *up, *up_bias;
} bottleneck_rows;

/* Zeroed room for them. Free all with bottleneck_rows_free. */
clora_status bottleneck_rows_create(bottleneck_rows *out, const bottleneck *b);
void bottleneck_rows_free(bottleneck_rows *rows);

/* To and from a host image of bottleneck_count() floats; pack sets what is padding to zero. */
void bottleneck_pack(const bottleneck *b, float *image, const bottleneck_rows *rows);
void bottleneck_unpack(const bottleneck *b, const bottleneck_rows *rows, const float *image);

#endif
