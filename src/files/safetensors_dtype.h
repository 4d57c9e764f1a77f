#ifndef CLORA_FILES_SAFETENSORS_DTYPE_H
#define CLORA_FILES_SAFETENSORS_DTYPE_H

#include <stdbool.h>

#include <clora/dtype.h>

typedef struct safetensors_dtype {
    const char *text;
    int bits; /* of one element */
    bool supported;
    clora_dtype dtype;
} safetensors_dtype;

/*
 * The format's types, in the order by which the reference writer sorts (the last comes first in a file); so the
 * difference of two pointers compares two types.
 */
const safetensors_dtype *safetensors_dtype_find(const char *text); /* NULL when unknown */
const char *safetensors_dtype_text(clora_dtype dtype);

#endif
