#ifndef CLORA_FILES_GGUF_H
#define CLORA_FILES_GGUF_H

#include "base/file.h"
#include "files/stored_tensor.h"

/*
 * GGUF, version 3 (2 is laid out alike): settings, then tensors. Names, types and places of all tensors are read and
 * checked; values of quantized types are for whoever knows how they are packed.
 */

typedef enum gguf_kind {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_TEXT,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_KINDS
} gguf_kind;

typedef struct gguf_value {
    char *key;
    gguf_kind kind;
    double number;  /* of a number or a truth value */
    char *text;     /* of a text */
    gguf_kind item; /* of an array, whose items stay in the file */
    uint64_t count;
    size_t offset;
} gguf_value;

typedef struct gguf {
    file_map map;
    int fd;
    char *path;
    gguf_value *value; /* sorted by key */
    size_t values;
    stored_tensor *tensors; /* sorted by name; shapes as other formats have them: the longest step first */
    size_t count;
} gguf;

/* Nothing that is reached through the tensors lies outside of the file; what is allocated is in proportion to it. */
clora_status gguf_open(gguf **out, const char *path);
void gguf_close(gguf *file); /* NULL is allowed */

/* NULL when there is none. */
const gguf_value *gguf_find_value(const gguf *file, const char *key);
const stored_tensor *gguf_find(const gguf *file, const char *name);

/* A setting by its kind; the fallback without one, an error for one of another kind. */
clora_status gguf_get_text(const char **out, const gguf *file, const char *key, const char *fallback);
clora_status gguf_get_number(double *out, const gguf *file, const char *key, double fallback);

/* size bytes of a tensor from byte `at` on. */
clora_status gguf_read(void *out, const gguf *file, const stored_tensor *tensor, size_t at, size_t size);

/* ---- Tensors' types ---- */

typedef struct gguf_type {
    uint32_t number;
    const char *text;
    int block, bytes; /* so many values in so many bytes */
    bool supported;   /* dtype is valid */
    clora_dtype dtype;
} gguf_type;

const gguf_type *gguf_type_find(uint32_t number); /* NULL when unknown */
const gguf_type *gguf_type_of(clora_dtype dtype); /* f32, f16 and bf16 only */

/* ---- Writing ---- */

enum { GGUF_ALIGNMENT = 32, GGUF_NAME_SIZE = 64 /* with a zero at its end */ };

typedef struct gguf_setting {
    const char *key;
    const char *text; /* NULL: the number, as an f32 */
    float number;
} gguf_setting;

typedef struct gguf_entry {
    const char *name;
    clora_dtype dtype; /* f32, f16 or bf16 */
    int ndim;          /* 4 at most */
    int64_t shape[STORED_DIMS];
} gguf_entry;

typedef struct gguf_writer {
    file_writer file;
    size_t *bytes;    /* of each tensor */
    size_t count;     /* tensors */
    size_t next;      /* that is being written; count when all are */
    size_t remaining; /* bytes that this tensor still lacks */
} gguf_writer;

/* Start a file: settings and a description of all tensors, which follow in their order. Nothing is kept. */
clora_status gguf_writer_begin(gguf_writer *out, const char *path, const gguf_setting *settings, size_t setting_count,
                               const gguf_entry *entries, size_t count);

/* The next bytes of tensor `next`: all of it or a piece. */
clora_status gguf_writer_tensor(gguf_writer *writer, const void *data, size_t size);

/* The file appears under its name now, complete; an error when bytes are missing. Frees the writer either way. */
clora_status gguf_writer_finish(gguf_writer *writer);

/* Nothing appears. Safe after finish and on a zeroed writer. */
void gguf_writer_abandon(gguf_writer *writer);

#endif
