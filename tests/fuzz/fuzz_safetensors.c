/* A safetensors file: all that its header leads to, and the same tensors written and opened again. */

#include <string.h>

#include "fuzz/fuzz.h"
#include "files/safetensors.h"

static volatile unsigned sum; /* so that reading is not in vain */

/* Every byte is there: a sanitizer or the system tells when not. */
static void read_tensor(const safetensors *file, const stored_tensor *t) {
    const size_t elements = stored_elements(t);
    char text[STORED_SHAPE_TEXT];

    FUZZ_CHECK(safetensors_find(file, t->name) == t);
    FUZZ_CHECK(strlen(stored_shape_text(text, t->ndim, t->shape)) < sizeof(text));
    for (size_t i = 0; i < t->size; i++)
        sum += ((const uint8_t *)t->data)[i];
    if (!t->supported)
        return;
    FUZZ_CHECK(elements * dtype_size(t->dtype) == t->size);
    float *wide = malloc((elements + 1) * sizeof(float));
    FUZZ_CHECK(wide != NULL);
    dtype_to_f32(wide, t->data, t->dtype, elements);
    free(wide);
}

static void write_again(const safetensors *file) {
    safetensors_entry *entries = calloc(file->count + 1, sizeof(*entries));
    safetensors_writer writer;
    safetensors *again;

    FUZZ_CHECK(entries != NULL);
    for (size_t i = 0; i < file->count; i++) {
        const stored_tensor *t = &file->tensors[i];
        entries[i] = (safetensors_entry){.name = t->name, .dtype_text = t->dtype_text, .ndim = t->ndim};
        memcpy(entries[i].shape, t->shape, sizeof(t->shape));
    }
    if (safetensors_writer_begin(&writer, fuzz_path("again"), entries, file->count, file->metadata) == CLORA_OK) {
        while (writer.next < writer.count) {
            const stored_tensor *t = &file->tensors[writer.order[writer.next]];
            FUZZ_CHECK(safetensors_writer_tensor(&writer, t->data, t->size) == CLORA_OK);
        }
        FUZZ_CHECK(safetensors_writer_finish(&writer) == CLORA_OK);
        FUZZ_CHECK(safetensors_open(&again, fuzz_path("again")) == CLORA_OK);
        FUZZ_CHECK(again->count == file->count);
        safetensors_close(again);
    }
    free(entries);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    safetensors *file;

    fuzz_write_safetensors("file", (fuzz_part){data, size});
    if (safetensors_open(&file, fuzz_path("file")) != CLORA_OK)
        return 0;
    for (size_t i = 0; i < file->count; i++)
        read_tensor(file, &file->tensors[i]);
    (void)safetensors_metadata(file, "format");
    write_again(file);
    safetensors_close(file);
    return 0;
}
