#include "files/model_files.h"

#include <stdlib.h>
#include <string.h>

#include "files/directory.h"
#include "files/safetensors.h"

static const model_reader *const readers[] = {&safetensors_reader};

struct model_files {
    const model_reader *reader;
    void *handle;
};

/* NULL when no format's files are there. */
static const model_reader *reader_for(const char *directory) {
    for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++)
        if (readers[i]->holds(directory))
            return readers[i];
    return NULL;
}

clora_status model_files_open(model_files **out, const char *directory) {
    model_files *files = calloc(1, sizeof(*files));
    clora_status status = CLORA_OK;

    *out = NULL;
    if (!files)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", directory);
    files->reader = reader_for(directory);
    if (!files->reader)
        TRY(directory_without_weights(directory));
    TRY(files->reader->open(&files->handle, directory));
    *out = files;
    files = NULL;
done:
    free(files);
    return status;
}

void model_files_close(model_files *files) {
    if (!files)
        return;
    files->reader->close(files->handle);
    free(files);
}

size_t model_files_count(const model_files *files) {
    return files->reader->count(files->handle);
}

const stored_tensor *model_files_tensor(const model_files *files, size_t i) {
    return files->reader->tensor(files->handle, i);
}

const stored_tensor *model_files_find(const model_files *files, const char *name) {
    size_t low = 0, high = model_files_count(files);

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const stored_tensor *t = model_files_tensor(files, middle);
        const int order = strcmp(name, t->name);
        if (order == 0)
            return t;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

clora_status model_files_read(void *out, const model_files *files, const stored_tensor *tensor, size_t at,
                              size_t size) {
    return files->reader->read(out, files->handle, tensor, at, size);
}

size_t model_files_file_count(const model_files *files) {
    return files->reader->file_count(files->handle);
}

const char *model_files_path(const model_files *files, size_t file) {
    return files->reader->file_path(files->handle, file);
}

const stored_tensor *model_files_file_tensors(size_t *count, const model_files *files, size_t file) {
    return files->reader->file_tensors(count, files->handle, file);
}

const json_t *model_files_metadata(const model_files *files, size_t file) {
    return files->reader->metadata(files->handle, file);
}
