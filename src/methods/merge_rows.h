#ifndef CLORA_METHODS_MERGE_ROWS_H
#define CLORA_METHODS_MERGE_ROWS_H

#include "base/dtype.h"
#include "base/status.h"

/* W' (N, K) = W + scale * B (N, R) * A (R, K), row by row; R = 0 only changes the type. With magnitudes (DoRA) each row
 * is then scaled to its own; rows of zeros stay. */
typedef struct merge_factors {
    int K, R;
    float scale;
    const float *a, *b;
    const float *magnitude; /* (N) or NULL */
} merge_factors;

typedef struct merge_change {
    double change;   /* largest |W' - W| so far, before rounding */
    double rounding; /* largest |stored - exact| so far */
} merge_change;

/*
 * out (rows, K) of type `to` from w (rows, K) of type `from`, which are rows `row` and on of W. Sums in double, rounded
 * once. All processors work. A result that is not finite is CLORA_ERROR_FORMAT without a name: the caller has it.
 */
clora_status merge_rows(void *out, merge_change *change, const void *w, clora_dtype from, clora_dtype to, int row,
                        int rows, const merge_factors *factors);

#endif
