#ifndef CLORA_DEVICE_TENSOR_H
#define CLORA_DEVICE_TENSOR_H

#include <clora/tensor.h>

#include "device/context.h"

/* A view is a tensor by value that borrows its buffer: cheap, made by the functions below, never freed. */
struct clora_tensor {
    clora_context *context; /* held, but by views */
    cl_mem buffer;
    size_t offset; /* elements from the buffer's start */
    clora_dtype dtype;
    int ndim;
    int shape[4];
    int stride;   /* elements between rows, where a row is the last dimension */
    size_t owned; /* bytes of the buffer when this tensor owns it, else 0 */
};

int tensor_cols(const clora_tensor *t);    /* the last dimension */
size_t tensor_rows(const clora_tensor *t); /* the product of the others */
bool tensor_is_dense(const clora_tensor *t);

/* As a (rows, cols) matrix: rows from row0, columns from col0; the stride stays. */
clora_tensor tensor_view(const clora_tensor *t, int row0, int rows, int col0, int cols);

/* rows x cols elements of a dense tensor from element `offset` on, as a matrix of its own. */
clora_tensor tensor_slice(const clora_tensor *t, size_t offset, int rows, int cols);

/* "(4,8)" for messages; one of four static buffers per thread. */
const char *tensor_shape_text(const clora_tensor *t);

/* Create a tensor of 1 or 2 dimensions by value's pointer: shorthand inside the library. */
clora_status tensor_new(clora_tensor **out, clora_context *context, clora_dtype dtype, int rows, int cols);

/* A dense (rows, cols) tensor of elements from `offset` on of another, in the same buffer, which lives as long as
 * either. The memory counts as the new tensor's from now on. */
clora_status tensor_split(clora_tensor **out, clora_tensor *from, size_t offset, int rows, int cols);

/* Host access without a copy where the device allows (CPU): the whole dense tensor, to be read, or all of it to be
 * written (what it held need not come down from a device with memory of its own). Waits. */
clora_status tensor_map(void **out, const clora_tensor *t, bool write);
clora_status tensor_unmap(const clora_tensor *t, void *mapped);

/* Write n elements from `offset` on of a dense tensor. Waits. */
clora_status tensor_write_part(clora_tensor *t, size_t offset, size_t n, const void *data);

/* to overwritten = from: dense, of one size and type, in buffers or parts of buffers that do not overlap. Enqueued. */
clora_status tensor_copy(clora_tensor *to, const clora_tensor *from);

/* The first n elements. Enqueued: `data` must stay as it is until the queue has come past (clora_context_finish). */
clora_status tensor_send(clora_tensor *t, size_t n, const void *data);

#endif
