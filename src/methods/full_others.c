#include "methods/full_others.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "files/model_tables.h"
#include "files/safetensors.h"

enum { PIECE = 1 << 20 };

clora_status full_others_init(full_others *out, const base_model *base) {
    clora_status status = CLORA_OK;

    *out = (full_others){.count = 0};
    if (!base->names->others[0])
        return CLORA_OK;
    TRY(model_files_open(&out->files, base->directory));
    out->tensor = alloc_array(model_files_count(out->files) + 1, sizeof(*out->tensor));
    if (!out->tensor)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a list of tensors"));
    for (size_t i = 0; i < model_files_count(out->files); i++) {
        const stored_tensor *t = model_files_tensor(out->files, i);
        if (model_is_other(base->names, t->name))
            out->tensor[out->count++] = t;
    }
done:
    return status;
}

void full_others_finish(full_others *others) {
    free(others->tensor);
    model_files_close(others->files);
    *others = (full_others){.count = 0};
}

static clora_status copy_tensor(safetensors_writer *writer, const full_others *others, const stored_tensor *t,
                                void *piece) {
    clora_status status = CLORA_OK;

    for (size_t at = 0, n; at < t->size; at += n) {
        n = t->size - at < PIECE ? t->size - at : PIECE;
        TRY(model_files_read(piece, others->files, t, at, n));
        TRY(safetensors_writer_tensor(writer, piece, n));
    }
done:
    return status;
}

clora_status full_others_write(const full_others *others, const char *path) {
    safetensors_entry *entries = alloc_array(others->count + 1, sizeof(*entries));
    void *piece = alloc_array(PIECE, 1);
    safetensors_writer writer = {.count = 0};
    clora_status status = CLORA_OK;

    if (!entries || !piece)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to write %s", path));
    for (size_t i = 0; i < others->count; i++) {
        const stored_tensor *t = others->tensor[i];
        entries[i] = (safetensors_entry){.name = t->written, .dtype_text = t->dtype_text, .ndim = t->ndim};
        memcpy(entries[i].shape, t->shape, sizeof(entries[i].shape));
    }
    TRY(safetensors_writer_begin(&writer, path, entries, others->count, NULL));
    while (writer.next < writer.count)
        TRY(copy_tensor(&writer, others, others->tensor[writer.order[writer.next]], piece));
    TRY(safetensors_writer_finish(&writer));
done:
    safetensors_writer_abandon(&writer);
    free(entries);
    free(piece);
    return status;
}
