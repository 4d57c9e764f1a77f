#ifndef CLORA_OPS_STORAGE_H
#define CLORA_OPS_STORAGE_H

#include <stdbool.h>
#include <stddef.h>

#include <clora/dtype.h>

/*
 * A STORAGE TYPE of frozen weights is one row of storage.c and one block of kernels/storage.cl, which must agree.
 *
 * A row of W0 is a list of blocks along K: single values, or several values that share a scale. Plain rows are just
 * that. In a panel the rows' units lie side by side: what NR rows have of one stretch of K, cut into pieces so that the
 * kernels load the same piece of neighbouring rows as one vector. See ops/weight.h for both layouts.
 */
enum { STORAGE_PIECES = 4 };

typedef struct storage_piece {
    int bytes, count;
} storage_piece;

typedef struct storage {
    clora_storage id;
    const char *name;
    clora_dtype element;                 /* of the tensors that hold it: a block is one or several of these */
    int block;                           /* values of one block */
    int unit;                            /* values of one unit: a block or several */
    int steps;                           /* values of a row that one load of the kernels gives */
    bool pairs;                          /* of bf16 along K, which kernels/dot.cl multiplies as they lie */
    storage_piece piece[STORAGE_PIECES]; /* of a unit, in order; ended by one of no bytes */

    /* n values, whole blocks, to blocks and back; NULL: blocks are single elements. pack returns whether all of them
     * are finite in this type. */
    bool (*pack)(void *blocks, const float *values, size_t n);
    void (*unpack)(float *values, const void *blocks, size_t n);
} storage;

/* The row of a type, NULL when there is none. */
const storage *storage_of(clora_storage id);

/* What a model's matrices are stored as. */
typedef struct storage_choice {
    int asked;        /* a clora_storage, or -1: as in the files */
    clora_dtype file; /* the files' type */
} storage_choice;

/* Of a matrix of K columns: the type asked for where rows are whole blocks of it, else the files'. */
clora_storage storage_choose(storage_choice c, int K);

size_t storage_unit_bytes(const storage *s); /* of one row of W0 */
size_t storage_block_bytes(const storage *s);

/* Elements of a plain row of K values, and of a panel of NR rows, whose last unit may be filled up with zeros. */
size_t storage_row_elements(const storage *s, int K);
size_t storage_panel_elements(const storage *s, int K, int NR);

/* n values of a float type, whole blocks, to blocks. Returns whether all of them are finite in this type. */
bool storage_pack(const storage *s, void *blocks, const void *values, clora_dtype dtype, size_t n);

/* The values that blocks stand for, exactly. */
void storage_unpack(const storage *s, float *values, const void *blocks, size_t n);

#endif
