#include <string.h>

#include "ref/ref.h"

void ref_gather_rows(float *y, const float *x, const int32_t *rows, int n, int W) {
    const size_t width = (size_t)W;

    for (size_t i = 0; i < (size_t)n; i++)
        memcpy(y + i * width, x + (size_t)rows[i] * width, width * sizeof(*y));
}

void ref_scatter_rows(float *y, const float *x, const int32_t *rows, int n, int W) {
    const size_t width = (size_t)W;

    for (size_t i = 0; i < (size_t)n; i++)
        memcpy(y + (size_t)rows[i] * width, x + i * width, width * sizeof(*y));
}
