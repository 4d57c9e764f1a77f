#include "files/stored_tensor.h"

#include <inttypes.h>
#include <stdio.h>

size_t stored_elements(const stored_tensor *tensor) {
    size_t n = 1;

    for (int d = 0; d < tensor->ndim; d++)
        if (tensor->shape[d] == 0)
            return 0;
    for (int d = 0; d < tensor->ndim; d++)
        n *= (size_t)tensor->shape[d];
    return n;
}

const char *stored_shape_text(char text[STORED_SHAPE_TEXT], int ndim, const int64_t *shape) {
    size_t used = (size_t)snprintf(text, STORED_SHAPE_TEXT, "(");

    for (int d = 0; d < ndim; d++)
        used += (size_t)snprintf(text + used, STORED_SHAPE_TEXT - used, "%s%" PRId64, d ? ", " : "", shape[d]);
    snprintf(text + used, STORED_SHAPE_TEXT - used, ")");
    return text;
}
