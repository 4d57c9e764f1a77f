#include "files/gguf.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/dtype.h"
#include "base/ints.h"

/* The beginning of a file, put together in memory. */
typedef struct head {
    unsigned char *bytes;
    size_t size, capacity;
} head;

static clora_status put(head *h, const void *bytes, size_t size) {
    const clora_status status = alloc_grow((void **)&h->bytes, &h->capacity, h->size + size + 1, 1);

    if (status == CLORA_OK)
        memcpy(h->bytes + h->size, bytes, size);
    h->size += size;
    return status;
}

static clora_status put_integer(head *h, uint64_t value, size_t size) {
    unsigned char bytes[8];

    for (size_t i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(value >> (8 * i));
    return put(h, bytes, size);
}

static clora_status put_text(head *h, const char *text) {
    const clora_status status = put_integer(h, strlen(text), 8);

    return status == CLORA_OK ? put(h, text, strlen(text)) : status;
}

static clora_status put_setting(head *h, const gguf_setting *s) {
    clora_status status = CLORA_OK;
    uint32_t bits;

    memcpy(&bits, &s->number, sizeof(bits));
    TRY(put_text(h, s->key));
    TRY(put_integer(h, s->text ? GGUF_TEXT : GGUF_F32, 4));
    TRY(s->text ? put_text(h, s->text) : put_integer(h, bits, 4));
done:
    return status;
}

static clora_status put_entry(head *h, const gguf_entry *e, size_t offset) {
    clora_status status = CLORA_OK;

    if (strlen(e->name) >= GGUF_NAME_SIZE)
        return clora_fail(CLORA_ERROR_ARGUMENT, "the tensor's name %s has more than the %d bytes that GGUF allows",
                          e->name, GGUF_NAME_SIZE - 1);
    TRY(put_text(h, e->name));
    TRY(put_integer(h, (uint64_t)e->ndim, 4));
    for (int d = e->ndim; d-- > 0;)
        TRY(put_integer(h, (uint64_t)e->shape[d], 8));
    TRY(put_integer(h, gguf_type_of(e->dtype)->number, 4));
    TRY(put_integer(h, offset, 8));
done:
    return status;
}

static clora_status pad(file_writer *file, size_t size) {
    static const char zeros[GGUF_ALIGNMENT];

    return file_writer_write(file, zeros, round_up(size, GGUF_ALIGNMENT) - size);
}

static size_t entry_bytes(const gguf_entry *e) {
    size_t size = dtype_size(e->dtype);

    for (int d = 0; d < e->ndim; d++)
        size *= (size_t)e->shape[d];
    return size;
}

static clora_status put_head(head *h, gguf_writer *writer, const gguf_setting *settings, size_t setting_count,
                             const gguf_entry *entries) {
    enum { VERSION = 3 };
    clora_status status = CLORA_OK;
    size_t offset = 0;

    TRY(put(h, "GGUF", 4));
    TRY(put_integer(h, VERSION, 4));
    TRY(put_integer(h, writer->count, 8));
    TRY(put_integer(h, setting_count, 8));
    for (size_t i = 0; i < setting_count; i++)
        TRY(put_setting(h, &settings[i]));
    for (size_t i = 0; i < writer->count; i++) {
        writer->bytes[i] = entry_bytes(&entries[i]);
        TRY(put_entry(h, &entries[i], offset));
        offset = round_up(offset + writer->bytes[i], GGUF_ALIGNMENT);
    }
done:
    return status;
}

clora_status gguf_writer_begin(gguf_writer *out, const char *path, const gguf_setting *settings, size_t setting_count,
                               const gguf_entry *entries, size_t count) {
    clora_status status = CLORA_OK;
    head h = {.bytes = NULL};

    *out = (gguf_writer){.bytes = alloc_array(count + 1, sizeof(*out->bytes)), .count = count};
    if (!out->bytes)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to write %s", path));
    TRY(put_head(&h, out, settings, setting_count, entries));
    TRY(file_writer_open(&out->file, path));
    TRY(file_writer_write(&out->file, h.bytes, h.size));
    TRY(pad(&out->file, h.size));
    out->remaining = out->bytes[0];
done:
    free(h.bytes);
    if (status != CLORA_OK)
        gguf_writer_abandon(out);
    return status;
}

clora_status gguf_writer_tensor(gguf_writer *writer, const void *data, size_t size) {
    clora_status status = CLORA_OK;

    if (writer->next == writer->count || size > writer->remaining)
        return clora_fail(CLORA_ERROR_ARGUMENT, "more bytes than the tensors of a GGUF file have");
    TRY(file_writer_write(&writer->file, data, size));
    writer->remaining -= size;
    if (writer->remaining == 0) {
        TRY(pad(&writer->file, writer->bytes[writer->next]));
        writer->remaining = writer->bytes[++writer->next];
    }
done:
    return status;
}

clora_status gguf_writer_finish(gguf_writer *writer) {
    clora_status status = CLORA_OK;

    if (writer->next < writer->count)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "tensor %zu of a GGUF file lacks bytes", writer->next));
    TRY(file_writer_commit(&writer->file));
done:
    gguf_writer_abandon(writer);
    return status;
}

void gguf_writer_abandon(gguf_writer *writer) {
    file_writer_abandon(&writer->file);
    free(writer->bytes);
    *writer = (gguf_writer){.count = 0};
}
