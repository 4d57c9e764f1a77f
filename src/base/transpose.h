#ifndef CLORA_BASE_TRANSPOSE_H
#define CLORA_BASE_TRANSPOSE_H

#include <stddef.h>
#include <string.h>

/* out (cols, rows) = in (rows, cols)^T */
static inline void transpose_rows(float *out, const float *in, int rows, int cols) {
    for (size_t i = 0; i < (size_t)rows; i++)
        for (size_t j = 0; j < (size_t)cols; j++)
            out[j * (size_t)rows + i] = in[i * (size_t)cols + j];
}

/* The same of elements of so many bytes. */
static inline void transpose_elements(void *out, const void *in, size_t rows, size_t cols, size_t size) {
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++)
            memcpy((char *)out + (j * rows + i) * size, (const char *)in + (i * cols + j) * size, size);
}

#endif
