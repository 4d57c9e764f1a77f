#ifndef CLORA_FILES_MODEL_FILES_H
#define CLORA_FILES_MODEL_FILES_H

#include "base/json.h"
#include "base/status.h"
#include "files/stored_tensor.h"

/*
 * The weights of a model directory, whatever the format of its files. A new format is a file of files/ with a
 * model_reader, and its row in model_files.c.
 */
typedef struct model_files model_files;

typedef struct model_reader {
    bool (*holds)(const char *directory); /* are its files there? */
    /* Checks all that the files say of themselves; *handle is what the others are given. */
    clora_status (*open)(void **handle, const char *directory);
    void (*close)(void *handle);
    size_t (*count)(const void *handle); /* of tensors, which are sorted by name */
    const stored_tensor *(*tensor)(const void *handle, size_t i);
    clora_status (*read)(void *out, const void *handle, const stored_tensor *tensor, size_t at, size_t size);
    size_t (*file_count)(const void *handle);
    const char *(*file_path)(const void *handle, size_t file);
    const stored_tensor *(*file_tensors)(size_t *count, const void *handle, size_t file);
    const json_t *(*metadata)(const void *handle, size_t file);
} model_reader;

/* An error says what of a model is missing in the directory, or what is wrong with a file. */
clora_status model_files_open(model_files **out, const char *directory);
void model_files_close(model_files *files); /* NULL is allowed */

size_t model_files_count(const model_files *files);
const stored_tensor *model_files_tensor(const model_files *files, size_t i);       /* i-th by name */
const stored_tensor *model_files_find(const model_files *files, const char *name); /* NULL when there is none */

/* size bytes of a tensor from byte `at` on. An error that names the file when it has become shorter since. */
clora_status model_files_read(void *out, const model_files *files, const stored_tensor *tensor, size_t at, size_t size);

/* The files, by name: how many, the path of one, the tensors in one by name. */
size_t model_files_file_count(const model_files *files);
const char *model_files_path(const model_files *files, size_t file);
const stored_tensor *model_files_file_tensors(size_t *count, const model_files *files, size_t file);

/* Strings to strings that a copy of the file should have too, or NULL. */
const json_t *model_files_metadata(const model_files *files, size_t file);

#endif
