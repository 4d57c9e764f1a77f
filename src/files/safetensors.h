#ifndef CLORA_FILES_SAFETENSORS_H
#define CLORA_FILES_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"
#include "base/file.h"
#include "base/json.h"
#include "base/status.h"

enum { SAFETENSORS_MAX_DIMS = 8, SAFETENSORS_MAX_HEADER = 100000000 };

/* One tensor in a mapped file; every pointer is borrowed from the file. */
typedef struct safetensors_tensor {
    const char *name;
    const char *dtype_text; /* as in the file: "F32", "BF16", "I64", ... */
    bool supported;         /* F32, F16 or BF16: dtype is valid and the values are of use to clora */
    clora_dtype dtype;
    int ndim; /* 0 for a scalar */
    int64_t shape[SAFETENSORS_MAX_DIMS];
    const void *data; /* NULL when size is 0; may lie at an odd address. For a look; whole tensors: safetensors_read */
    size_t offset;    /* in the file */
    size_t size;      /* bytes */
} safetensors_tensor;

typedef struct safetensors {
    file_map map;
    int fd;
    char *path;
    json_t *header;
    const json_t *metadata;      /* "__metadata__", strings to strings; NULL when absent */
    safetensors_tensor *tensors; /* sorted by name */
    size_t count;
} safetensors;

/* Map a file and check all of its header: nothing that is reached through the tensors lies outside of the file. */
clora_status safetensors_open(safetensors **out, const char *path);
void safetensors_close(safetensors *file); /* NULL is allowed */

/* NULL when there is none. */
const safetensors_tensor *safetensors_find(const safetensors *file, const char *name);
const char *safetensors_metadata(const safetensors *file, const char *key);

/* size bytes of a tensor from byte `at` on. An error that names the file when it has become shorter since it was
 * opened. */
clora_status safetensors_read(void *out, const safetensors *file, const safetensors_tensor *tensor, size_t at,
                              size_t size);

/* Product of the shape; it was checked to fit when the file was opened. */
size_t safetensors_elements(const safetensors_tensor *tensor);

/* "(4, 16)" into text, for messages; returns text. */
enum { SAFETENSORS_SHAPE_TEXT = 192 };
const char *safetensors_shape_text(char text[SAFETENSORS_SHAPE_TEXT], int ndim, const int64_t *shape);

/* ---- The files of a model directory as one ---- */

typedef struct safetensors_set {
    safetensors **files; /* model.safetensors, or the shards sorted by name */
    size_t file_count;
    const safetensors_tensor **tensors; /* of all files, sorted by name */
    size_t count;
} safetensors_set;

/* dir/model.safetensors, else the shards that dir/model.safetensors.index.json names. */
clora_status safetensors_set_open(safetensors_set **out, const char *dir);
void safetensors_set_close(safetensors_set *set); /* NULL is allowed */

size_t safetensors_set_count(const safetensors_set *set);
const safetensors_tensor *safetensors_set_tensor(const safetensors_set *set, size_t i); /* i-th by name */
const safetensors_tensor *safetensors_set_find(const safetensors_set *set, const char *name);

/* The file that a tensor of the set lies in. */
const safetensors *safetensors_set_file(const safetensors_set *set, const safetensors_tensor *tensor);

/* safetensors_read of the file that the tensor lies in. */
clora_status safetensors_set_read(void *out, const safetensors_set *set, const safetensors_tensor *tensor, size_t at,
                                  size_t size);

/* This tensor's pages need not stay in memory; they are read again from the file when touched. */
void safetensors_set_release(const safetensors_set *set, const safetensors_tensor *tensor);

/* ---- Writing ---- */

typedef struct safetensors_entry {
    const char *name;
    clora_dtype dtype;
    const char *dtype_text; /* where not NULL, instead of dtype: to copy a tensor that clora has no type for */
    int ndim;
    int64_t shape[SAFETENSORS_MAX_DIMS];
} safetensors_entry;

typedef struct safetensors_writer {
    file_writer file;
    size_t *order;    /* the i-th tensor in the file is entries[order[i]] of the caller */
    size_t *bytes;    /* of the i-th tensor in the file */
    size_t count;     /* tensors */
    size_t next;      /* position in order of the tensor that is being written; count when all are */
    size_t remaining; /* bytes that this tensor still lacks */
} safetensors_writer;

/*
 * Start a file: header first, tensors by element type (the reference writer's order, wide types first), then name.
 * metadata maps strings to strings, NULL stands for {"format":"pt"}; entries and metadata are not kept.
 */
clora_status safetensors_writer_begin(safetensors_writer *out, const char *path, const safetensors_entry *entries,
                                      size_t count, const json_t *metadata);

/* The next bytes of tensor `next`: all of it or a piece, so that no tensor needs to be in memory whole. */
clora_status safetensors_writer_tensor(safetensors_writer *writer, const void *data, size_t size);

/* The file appears under its name now, complete; an error when bytes are missing. Frees the writer either way. */
clora_status safetensors_writer_finish(safetensors_writer *writer);

/* Nothing appears. Safe after finish and on a zeroed writer. */
void safetensors_writer_abandon(safetensors_writer *writer);

#endif
