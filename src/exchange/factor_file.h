#ifndef CLORA_EXCHANGE_FACTOR_FILE_H
#define CLORA_EXCHANGE_FACTOR_FILE_H

#include <clora/dtype.h>

#include "exchange/term_list.h"

/* How a safetensors file of factors names and lays them. */
typedef struct factor_layout {
    const char *prefix;    /* before the module's name */
    const char *ending[2]; /* after it, for A and B */
    bool transposed;       /* A as (K, R), B as (R, N) */
} factor_layout;

extern const factor_layout peft_factors, mlx_factors;

/* Write the factors of all terms. An error when a value is none of dtype's. */
clora_status factor_file_write(const char *path, const term_list *list, const factor_layout *layout, clora_dtype dtype);

/* values (n) in dtype, yours to free; an error that names `what` when one becomes infinite. */
clora_status factor_narrow(void **out, const float *values, size_t n, clora_dtype dtype, const char *what);

#endif
