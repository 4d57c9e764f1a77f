#ifndef CLORA_OPS_WEIGHT_PACK_H
#define CLORA_OPS_WEIGHT_PACK_H

#include "ops/weight.h"

/* Units (panels, or rows of the plain layout) of one module in host memory, to be packed from rows or unpacked to rows.
 */
typedef struct weight_image {
    bool pack;        /* else unpack */
    bool plain;       /* the units are rows */
    void *units;      /* of the weight's own type */
    int first, count; /* which of the module's units */
    int N, K, NR;     /* of the module */
    const storage *storage;
    int first_row; /* the module's row that comes first in host memory */

    const void *source; /* pack: row major (N, K), or (K, N) when transposed */
    clora_dtype source_dtype;
    bool transposed;

    void *rows; /* unpack: row major (N, K), plain rows of the storage type */
} weight_image;

/* On all cores. Packing a value that is not finite is CLORA_ERROR_FORMAT. */
clora_status weight_image_run(const weight_image *image);

#endif
