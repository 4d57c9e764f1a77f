#ifndef CLORA_FILES_SAFETENSORS_H
#define CLORA_FILES_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"
#include "base/file.h"
#include "base/json.h"
#include "base/status.h"
#include "files/model_files.h"

enum { SAFETENSORS_MAX_HEADER = 100000000 };

typedef struct safetensors {
    file_map map;
    int fd;
    char *path;
    json_t *header;
    const json_t *metadata; /* "__metadata__", strings to strings; NULL when absent */
    stored_tensor *tensors; /* sorted by name */
    char *names;            /* those that are not the header's */
    size_t count;
} safetensors;

/* Map a file and check all of its header: nothing that is reached through the tensors lies outside of the file. */
clora_status safetensors_open(safetensors **out, const char *path);
void safetensors_close(safetensors *file); /* NULL is allowed */

/* What names of tensors begin with, and with what in its place; copies of the file keep what it has, or they do not. */
typedef struct name_beginning {
    const char *from, *to;
    bool kept;
} name_beginning;

/* Each tensor's name by the first of n that fits. Once a file. */
clora_status safetensors_rename(safetensors *file, const name_beginning *beginnings, size_t n);

/* NULL when there is none. */
const stored_tensor *safetensors_find(const safetensors *file, const char *name);
const char *safetensors_metadata(const safetensors *file, const char *key);

/* size bytes of a tensor from byte `at` on. An error that names the file when it has become shorter since it was
 * opened. */
clora_status safetensors_read(void *out, const safetensors *file, const stored_tensor *tensor, size_t at, size_t size);

/* dir/model.safetensors, else the shards that dir/model.safetensors.index.json names, as one. */
extern const model_reader safetensors_reader;

/* ---- Writing ---- */

typedef struct safetensors_entry {
    const char *name;
    clora_dtype dtype;
    const char *dtype_text; /* where not NULL, instead of dtype: to copy a tensor that clora has no type for */
    int ndim;
    int64_t shape[STORED_DIMS];
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
