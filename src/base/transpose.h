#ifndef CLORA_BASE_TRANSPOSE_H
#define CLORA_BASE_TRANSPOSE_H

#include <stddef.h>

/* out (cols, rows) = in (rows, cols)^T */
static inline void transpose_rows(float *out, const float *in, int rows, int cols) {
    for (size_t i = 0; i < (size_t)rows; i++)
        for (size_t j = 0; j < (size_t)cols; j++)
            out[j * (size_t)rows + i] = in[i * (size_t)cols + j];
}

#endif
