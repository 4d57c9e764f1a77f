#include "files/safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "files/safetensors_dtype.h"

static clora_status bad_tensor(const safetensors *file, const char *name, const char *what) {
    return clora_fail(CLORA_ERROR_FORMAT, "%s: tensor %.200s %s", file->path, name, what);
}

/* Files of other kinds that stand under the name by mistake. */
static clora_status refuse_other_kind(const unsigned char *bytes, const char *path) {
    static const struct {
        const char *bytes, *kind;
    } kinds[] = {
        {"GGUF", "GGUF"}, {"PK\x03\x04", "PyTorch"}, {"\x80\x02", "PyTorch"}, {"\x89HDF", "HDF5"}, {"<", "web page"}};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (bytes[8] != '{' && memcmp(bytes, kinds[i].bytes, strlen(kinds[i].bytes)) == 0)
            return clora_fail(CLORA_ERROR_FORMAT,
                              "%s: not a safetensors file: it begins like a %s file; download it again or save it as "
                              "safetensors",
                              path, kinds[i].kind);
    return CLORA_OK;
}

/* *length = that of the header, which fits into the file and begins as one. */
static clora_status read_length(size_t *length, const safetensors *file) {
    unsigned char bytes[9] = {0};
    clora_status status = CLORA_OK;
    uint64_t value = 0;

    if (file->map.size < 8)
        return clora_fail(CLORA_ERROR_FORMAT, "%s: only %zu bytes, too short for a safetensors file", file->path,
                          file->map.size);
    TRY(file_read_at(bytes, file->fd, 0, file->map.size > 8 ? 9 : 8, file->path));
    TRY(refuse_other_kind(bytes, file->path));
    for (int i = 7; i >= 0; i--)
        value = value << 8 | bytes[i];
    if (value > SAFETENSORS_MAX_HEADER)
        return clora_fail(CLORA_ERROR_FORMAT, "%s: a header of %" PRIu64 " bytes is above the format's limit of %d",
                          file->path, value, SAFETENSORS_MAX_HEADER);
    if (value > file->map.size - 8)
        return clora_fail(CLORA_ERROR_FORMAT, "%s: truncated: a header of %" PRIu64 " bytes in a file of %zu",
                          file->path, value, file->map.size);
    if (value == 0 || bytes[8] != '{')
        return clora_fail(CLORA_ERROR_FORMAT, "%s: not a safetensors file: its header does not start with '{'",
                          file->path);
    *length = (size_t)value;
done:
    return status;
}

/* *begin = first byte after the header, which is parsed into file->header. */
static clora_status read_header(safetensors *file, size_t *begin) {
    clora_status status = CLORA_OK;
    char *text = NULL, *what = NULL;
    size_t length = 0;

    TRY(read_length(&length, file));
    text = alloc_array(length, 1);
    what = alloc_format("%s: the header", file->path);
    if (!text || !what)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", file->path));
    TRY(file_read_at(text, file->fd, 8, length, file->path));
    TRY(json_load_bytes(&file->header, text, length, what));
    *begin = 8 + length;
done:
    free(text);
    free(what);
    return status;
}

static clora_status read_metadata(safetensors *file) {
    const char *key;
    json_t *value;

    file->metadata = json_object_get(file->header, "__metadata__");
    if (!file->metadata)
        return CLORA_OK;
    if (!json_is_object(file->metadata))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: __metadata__ must be an object", file->path);
    json_object_foreach ((json_t *)(uintptr_t)file->metadata, key, value) {
        if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value))
            return clora_fail(CLORA_ERROR_FORMAT, "%s: __metadata__ \"%.200s\" must be a string without NUL",
                              file->path, key);
    }
    return CLORA_OK;
}

static clora_status read_dtype(stored_tensor *out, int *bits, const safetensors *file, const json_t *entry) {
    const json_t *text = json_object_get(entry, "dtype");

    if (!json_is_string(text))
        return bad_tensor(file, out->name, "has no \"dtype\"");
    const safetensors_dtype *dtype = safetensors_dtype_find(json_string_value(text));
    if (!dtype)
        return clora_fail(CLORA_ERROR_FORMAT, "%s: tensor %.200s has the unknown dtype \"%.40s\"", file->path,
                          out->name, json_string_value(text));
    out->dtype_text = dtype->text;
    out->supported = dtype->supported;
    out->dtype = dtype->dtype;
    *bits = dtype->bits;
    return CLORA_OK;
}

/* *size = bytes that the shape wants. */
static clora_status read_shape(stored_tensor *out, size_t *size, int bits, const safetensors *file,
                               const json_t *entry) {
    const json_t *shape = json_object_get(entry, "shape");
    size_t total = (size_t)bits;
    bool empty = false;

    if (!json_is_array(shape))
        return bad_tensor(file, out->name, "has no \"shape\"");
    if (json_array_size(shape) > STORED_DIMS)
        return bad_tensor(file, out->name, "has more than 8 dimensions");
    out->ndim = (int)json_array_size(shape);
    for (int d = 0; d < out->ndim; d++) {
        const json_t *length = json_array_get(shape, (size_t)d);
        if (!json_is_integer(length) || json_integer_value(length) < 0)
            return bad_tensor(file, out->name, "has a shape that is not made of sizes");
        out->shape[d] = json_integer_value(length);
        empty |= out->shape[d] == 0;
    }
    for (int d = 0; d < out->ndim && !empty; d++)
        if ((uint64_t)out->shape[d] > SIZE_MAX || !size_mul(total, (size_t)out->shape[d], &total))
            return bad_tensor(file, out->name, "has a shape whose product overflows");
    if (!empty && total % 8)
        return bad_tensor(file, out->name, "does not end on a whole byte");
    *size = empty ? 0 : total / 8;
    return CLORA_OK;
}

static clora_status read_offsets(stored_tensor *out, size_t wanted, size_t begin, const safetensors *file,
                                 const json_t *entry) {
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *from = json_array_get(offsets, 0), *to = json_array_get(offsets, 1);
    const size_t available = file->map.size - begin;

    if (json_array_size(offsets) != 2 || !json_is_integer(from) || !json_is_integer(to))
        return bad_tensor(file, out->name, "has no \"data_offsets\" of two integers");
    const json_int_t first = json_integer_value(from), last = json_integer_value(to);
    if (first < 0 || last < first)
        return clora_fail(CLORA_ERROR_FORMAT, "%s: tensor %.200s has impossible offsets [%lld, %lld]", file->path,
                          out->name, (long long)first, (long long)last);
    if ((uint64_t)last > available)
        return clora_fail(CLORA_ERROR_FORMAT,
                          "%s: tensor %.200s ends at byte %lld of the data, but the file holds only %zu: truncated?",
                          file->path, out->name, (long long)last, available);
    out->size = (size_t)last - (size_t)first;
    if (out->size != wanted)
        return clora_fail(CLORA_ERROR_FORMAT, "%s: tensor %.200s has %zu bytes where its dtype and shape want %zu",
                          file->path, out->name, out->size, wanted);
    out->offset = begin + (size_t)first;
    out->data = out->size ? file->map.data + out->offset : NULL;
    return CLORA_OK;
}

static clora_status read_entry(stored_tensor *out, size_t begin, const safetensors *file, const json_t *entry) {
    clora_status status = CLORA_OK;
    size_t wanted = 0;
    int bits = 0;

    if (!json_is_object(entry))
        return bad_tensor(file, out->name, "is not described by an object");
    TRY(read_dtype(out, &bits, file, entry));
    TRY(read_shape(out, &wanted, bits, file, entry));
    TRY(read_offsets(out, wanted, begin, file, entry));
done:
    return status;
}

static int compare_offsets(const void *a, const void *b) {
    const stored_tensor *x = a, *y = b;

    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return (x->size > y->size) - (x->size < y->size);
}

static int compare_names(const void *a, const void *b) {
    return strcmp(((const stored_tensor *)a)->name, ((const stored_tensor *)b)->name);
}

/* The tensors, laid end to end, must be the whole of the data: no gap, no overlap, nothing left over. */
static clora_status check_coverage(safetensors *file, size_t begin) {
    size_t end = begin;

    qsort(file->tensors, file->count, sizeof(*file->tensors), compare_offsets);
    for (size_t i = 0; i < file->count; i++) {
        const stored_tensor *tensor = &file->tensors[i];
        if (tensor->offset < end)
            return bad_tensor(file, tensor->name, "overlaps the one before it");
        if (tensor->offset > end)
            return bad_tensor(file, tensor->name, "has a gap of unused bytes before it");
        end += tensor->size;
    }
    if (end != file->map.size)
        return clora_fail(CLORA_ERROR_FORMAT, "%s: %zu bytes after the last tensor belong to none", file->path,
                          file->map.size - end);
    return CLORA_OK;
}

static clora_status read_tensors(safetensors *file, size_t begin) {
    clora_status status = CLORA_OK;
    const char *name;
    json_t *entry;

    file->tensors = alloc_array(json_object_size(file->header), sizeof(*file->tensors));
    if (!file->tensors)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", file->path);
    json_object_foreach (file->header, name, entry) {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        file->tensors[file->count].name = file->tensors[file->count].written = name;
        TRY(read_entry(&file->tensors[file->count], begin, file, entry));
        file->count++;
    }
    TRY(check_coverage(file, begin));
    qsort(file->tensors, file->count, sizeof(*file->tensors), compare_names);
done:
    return status;
}

clora_status safetensors_open(safetensors **out, const char *path) {
    clora_status status = CLORA_OK;
    safetensors *file = calloc(1, sizeof(*file));
    size_t begin = 0;

    *out = NULL;
    if (!file)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", path);
    file->fd = -1;
    file->path = alloc_string(path);
    if (!file->path)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", path));
    TRY(file_map_open_keeping(&file->map, &file->fd, path));
    TRY(read_header(file, &begin));
    TRY(read_metadata(file));
    TRY(read_tensors(file, begin));
    *out = file;
    file = NULL;
done:
    safetensors_close(file);
    return status;
}

void safetensors_close(safetensors *file) {
    if (!file)
        return;
    file_map_close(&file->map);
    if (file->fd >= 0)
        close(file->fd);
    json_decref(file->header);
    free(file->tensors);
    free(file->names);
    free(file->path);
    free(file);
}

static const name_beginning *beginning_of(const char *name, const name_beginning *beginnings, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (strncmp(name, beginnings[i].from, strlen(beginnings[i].from)) == 0)
            return &beginnings[i];
    return NULL;
}

clora_status safetensors_rename(safetensors *file, const name_beginning *beginnings, size_t n) {
    size_t bytes = 1, longest = 0;

    for (size_t i = 0; i < n; i++)
        longest = strlen(beginnings[i].to) > longest ? strlen(beginnings[i].to) : longest;
    for (size_t i = 0; i < file->count; i++)
        bytes += longest + strlen(file->tensors[i].name) + 1;
    file->names = alloc_array(bytes, 1);
    if (!file->names)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", file->path);
    char *next = file->names;
    for (stored_tensor *t = file->tensors; t < file->tensors + file->count; t++) {
        const name_beginning *b = beginning_of(t->name, beginnings, n);
        if (!b)
            continue;
        const int length = sprintf(next, "%s%s", b->to, t->name + strlen(b->from));
        t->name = next;
        if (!b->kept)
            t->written = next;
        next += length + 1;
    }
    qsort(file->tensors, file->count, sizeof(*file->tensors), compare_names);
    return CLORA_OK;
}

const stored_tensor *safetensors_find(const safetensors *file, const char *name) {
    const stored_tensor key = {.name = name};

    return file->count ? bsearch(&key, file->tensors, file->count, sizeof(key), compare_names) : NULL;
}

const char *safetensors_metadata(const safetensors *file, const char *key) {
    return json_string_value(json_object_get(file->metadata, key));
}

clora_status safetensors_read(void *out, const safetensors *file, const stored_tensor *tensor, size_t at, size_t size) {
    return file_read_at(out, file->fd, tensor->offset + at, size, file->path);
}
