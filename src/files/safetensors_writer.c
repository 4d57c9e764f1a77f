#include "files/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "files/safetensors_dtype.h"

typedef struct planned {
    const safetensors_entry *entry;
    const safetensors_dtype *dtype;
    size_t index; /* in the caller's array */
    size_t size;
} planned;

static int compare_planned(const void *a, const void *b) {
    const planned *x = a, *y = b;

    if (x->dtype != y->dtype)
        return x->dtype > y->dtype ? -1 : 1;
    return strcmp(x->entry->name, y->entry->name);
}

static clora_status plan_entry(planned *out, const safetensors_entry *entry, size_t index, const char *path) {
    const char *text = entry->dtype_text ? entry->dtype_text : safetensors_dtype_text(entry->dtype);
    size_t bits;

    *out = (planned){entry, safetensors_dtype_find(text), index, 0};
    if (!out->dtype)
        return clora_fail(CLORA_ERROR_ARGUMENT, "cannot write %s: tensor %s has the unknown dtype %s", path,
                          entry->name, text);
    if (entry->ndim < 0 || entry->ndim > STORED_DIMS)
        return clora_fail(CLORA_ERROR_ARGUMENT, "cannot write %s: tensor %s has %d dimensions", path, entry->name,
                          entry->ndim);
    bits = (size_t)out->dtype->bits;
    for (int d = 0; d < entry->ndim; d++)
        if (entry->shape[d] < 0 || !size_mul(bits, (size_t)entry->shape[d], &bits))
            return clora_fail(CLORA_ERROR_ARGUMENT, "cannot write %s: tensor %s has an impossible shape", path,
                              entry->name);
    if (bits % 8)
        return clora_fail(CLORA_ERROR_ARGUMENT, "cannot write %s: tensor %s does not end on a whole byte", path,
                          entry->name);
    out->size = bits / 8;
    return CLORA_OK;
}

static json_t *describe(const planned *tensor, size_t begin) {
    json_t *shape = json_array();

    for (int d = 0; d < tensor->entry->ndim; d++)
        json_push(&shape, json_integer(tensor->entry->shape[d]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", tensor->dtype->text, "shape", shape, "data_offsets",
                     (json_int_t)begin, (json_int_t)(begin + tensor->size));
}

/* Adds the tensors to the header in the file's order; offsets run from 0. */
static clora_status add_tensors(json_t *header, const planned *plan, size_t count, const char *path) {
    size_t begin = 0, end;

    for (size_t i = 0; i < count; i++) {
        const char *name = plan[i].entry->name;
        if (strcmp(name, "__metadata__") == 0 || json_object_get(header, name))
            return clora_fail(CLORA_ERROR_ARGUMENT, "cannot write %s: the tensor name %s is taken", path, name);
        if (!size_add(begin, plan[i].size, &end) || end > (size_t)INT64_MAX)
            return clora_fail(CLORA_ERROR_ARGUMENT, "cannot write %s: its size overflows", path);
        if (json_object_set_new(header, name, describe(&plan[i], begin)) != 0)
            return clora_fail(CLORA_ERROR_ARGUMENT, "cannot write %s: tensor name %s is not UTF-8, or memory ran out",
                              path, name);
        begin = end;
    }
    return CLORA_OK;
}

static clora_status write_header(file_writer *file, json_t *header, const char *path) {
    clora_status status = CLORA_OK;
    char *text = json_text(header, JSON_COMPACT);
    unsigned char length[8];

    if (!text)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the header of %s", path);
    const size_t size = strlen(text), padding = (8 - size % 8) % 8; /* the data starts on a multiple of 8 */
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)((uint64_t)(size + padding) >> 8 * i);
    if (size + padding > SAFETENSORS_MAX_HEADER) {
        status = clora_fail(CLORA_ERROR_ARGUMENT, "cannot write %s: its header is above the format's limit", path);
        goto done;
    }
    TRY(file_writer_write(file, length, sizeof(length)));
    TRY(file_writer_write(file, text, size));
    TRY(file_writer_write(file, "        ", padding));
done:
    free(text);
    return status;
}

static clora_status write_plan(safetensors_writer *out, const char *path, const planned *plan, const json_t *metadata) {
    clora_status status = CLORA_OK;
    json_t *header = json_object();
    json_t *first = metadata ? json_deep_copy(metadata) : json_pack("{s:s}", "format", "pt");

    if (json_object_set_new(header, "__metadata__", first) != 0) {
        status = clora_fail(CLORA_ERROR_MEMORY, "no memory for the header of %s", path);
        goto done;
    }
    TRY(add_tensors(header, plan, out->count, path));
    TRY(file_writer_open(&out->file, path));
    TRY(write_header(&out->file, header, path));
done:
    json_decref(header);
    return status;
}

/* Step over finished tensors, empty ones included. */
static void advance(safetensors_writer *writer) {
    while (writer->remaining == 0 && writer->next < writer->count) {
        writer->next++;
        if (writer->next < writer->count)
            writer->remaining = writer->bytes[writer->next];
    }
}

clora_status safetensors_writer_begin(safetensors_writer *out, const char *path, const safetensors_entry *entries,
                                      size_t count, const json_t *metadata) {
    clora_status status = CLORA_OK;
    planned *plan = alloc_array(count, sizeof(*plan));

    *out = (safetensors_writer){
        .order = alloc_array(count, sizeof(size_t)), .bytes = alloc_array(count, sizeof(size_t)), .count = count};
    if (!plan || !out->order || !out->bytes) {
        status = clora_fail(CLORA_ERROR_MEMORY, "no memory to write %s", path);
        goto done;
    }
    for (size_t i = 0; i < count; i++)
        TRY(plan_entry(&plan[i], &entries[i], i, path));
    qsort(plan, count, sizeof(*plan), compare_planned);
    for (size_t i = 0; i < count; i++) {
        out->order[i] = plan[i].index;
        out->bytes[i] = plan[i].size;
    }
    TRY(write_plan(out, path, plan, metadata));
    out->remaining = count ? out->bytes[0] : 0;
    advance(out);
done:
    free(plan);
    if (status != CLORA_OK)
        safetensors_writer_abandon(out);
    return status;
}

clora_status safetensors_writer_tensor(safetensors_writer *writer, const void *data, size_t size) {
    clora_status status = CLORA_OK;

    if (size > writer->remaining)
        return clora_fail(CLORA_ERROR_ARGUMENT, "%s: %zu bytes too many for tensor %zu", writer->file.path,
                          size - writer->remaining, writer->next);
    TRY(file_writer_write(&writer->file, data, size));
    writer->remaining -= size;
    advance(writer);
done:
    return status;
}

clora_status safetensors_writer_finish(safetensors_writer *writer) {
    clora_status status = CLORA_OK;

    if (writer->next < writer->count)
        status = clora_fail(CLORA_ERROR_ARGUMENT, "%s: %zu of %zu tensors were written", writer->file.path,
                            writer->next, writer->count);
    else
        status = file_writer_commit(&writer->file);
    safetensors_writer_abandon(writer);
    return status;
}

void safetensors_writer_abandon(safetensors_writer *writer) {
    file_writer_abandon(&writer->file);
    free(writer->order);
    free(writer->bytes);
    *writer = (safetensors_writer){.order = NULL};
}
