#ifndef CLORA_FILES_STORED_TENSOR_H
#define CLORA_FILES_STORED_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <clora/dtype.h>

enum { STORED_DIMS = 8, STORED_SHAPE_TEXT = 192 };

/* One tensor in a file of any format; every pointer is borrowed from the file. */
typedef struct stored_tensor {
    const char *name;       /* as its model's family has it */
    const char *written;    /* as a copy of its file has it */
    const char *dtype_text; /* as in the file: "F32", "BF16", "I64", ... */
    bool supported;         /* F32, F16 or BF16: dtype is valid and the values are of use to clora */
    clora_dtype dtype;
    int ndim; /* 0 for a scalar */
    int64_t shape[STORED_DIMS];
    const void *data; /* NULL when size is 0; may lie at an odd address. For a look: to use it, read it */
    size_t file;      /* which of a model's files */
    size_t offset;    /* in the file */
    size_t size;      /* bytes */
} stored_tensor;

/* Product of the shape; it was checked to fit when the file was opened. */
size_t stored_elements(const stored_tensor *tensor);

/* "(4, 16)" into text, for messages; returns text. */
const char *stored_shape_text(char text[STORED_SHAPE_TEXT], int ndim, const int64_t *shape);

#endif
