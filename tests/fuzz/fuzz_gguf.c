/* A GGUF file: all that its head leads to, what of it can be written, written and opened again; and as an adapter. */

#include <string.h>

#include "base/dtype.h"
#include "exchange/adapter_format.h"
#include "files/gguf.h"
#include "fuzz/fuzz.h"

static volatile unsigned sum; /* so that reading is not in vain */

static void read_tensor(const gguf *file, const stored_tensor *t) {
    char text[STORED_SHAPE_TEXT];

    FUZZ_CHECK(gguf_find(file, t->name) == t);
    FUZZ_CHECK(strlen(t->name) < GGUF_NAME_SIZE);
    FUZZ_CHECK(strlen(stored_shape_text(text, t->ndim, t->shape)) < sizeof(text));
    FUZZ_CHECK(t->offset <= file->map.size && t->size <= file->map.size - t->offset);
    for (size_t i = 0; i < t->size; i++)
        sum += ((const uint8_t *)t->data)[i];
    if (t->supported)
        FUZZ_CHECK(stored_elements(t) * dtype_size(t->dtype) == t->size);
}

static void read_value(const gguf *file, const gguf_value *v) {
    const char *text;
    double number;

    FUZZ_CHECK(gguf_find_value(file, v->key) == v);
    FUZZ_CHECK((gguf_get_text(&text, file, v->key, NULL) == CLORA_OK) == (v->kind == GGUF_TEXT));
    (void)gguf_get_number(&number, file, v->key, 0);
    if (v->kind == GGUF_ARRAY)
        FUZZ_CHECK(v->offset <= file->map.size && v->count <= file->map.size - v->offset);
}

static void write_again(const gguf *file) {
    gguf_entry *entries = calloc(file->count + 1, sizeof(*entries));
    const stored_tensor **from = calloc(file->count + 1, sizeof(*from));
    size_t count = 0;
    gguf_writer writer;
    gguf *again;

    FUZZ_CHECK(entries && from);
    for (size_t i = 0; i < file->count; i++) {
        const stored_tensor *t = &file->tensors[i];
        if (!t->supported || t->size == 0)
            continue;
        entries[count] = (gguf_entry){.name = t->name, .dtype = t->dtype, .ndim = t->ndim};
        memcpy(entries[count].shape, t->shape, sizeof(t->shape));
        from[count++] = t;
    }
    FUZZ_CHECK(gguf_writer_begin(&writer, fuzz_path("again"), NULL, 0, entries, count) == CLORA_OK);
    while (writer.next < writer.count)
        FUZZ_CHECK(gguf_writer_tensor(&writer, from[writer.next]->data, from[writer.next]->size) == CLORA_OK);
    FUZZ_CHECK(gguf_writer_finish(&writer) == CLORA_OK);
    FUZZ_CHECK(gguf_open(&again, fuzz_path("again")) == CLORA_OK);
    FUZZ_CHECK(again->count == count);
    for (size_t i = 0; i < count; i++) {
        const stored_tensor *t = gguf_find(again, from[i]->name);
        FUZZ_CHECK(t && t->size == from[i]->size && memcmp(t->data, from[i]->data, t->size) == 0);
    }
    gguf_close(again);
    free(entries);
    free(from);
}

static void read_adapter(void) {
    const base_shape base = {"base", "llama", 2, 4, 2, true}, none = {NULL, NULL, 0, 0, 0, false};
    term_list list;

    if (gguf_format.read(&list, fuzz_path("file"), &base) == CLORA_OK)
        FUZZ_CHECK(list.count > 0 && term_list_find(&list, list.term[0].module) == &list.term[0]);
    term_list_finish(&list);
    (void)gguf_format.read(&list, fuzz_path("file"), &none);
    term_list_finish(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    gguf *file;

    fuzz_write("file", (fuzz_part){data, size});
    read_adapter();
    if (gguf_open(&file, fuzz_path("file")) != CLORA_OK)
        return 0;
    for (size_t i = 0; i < file->count; i++)
        read_tensor(file, &file->tensors[i]);
    for (size_t i = 0; i < file->values; i++)
        read_value(file, &file->value[i]);
    write_again(file);
    gguf_close(file);
    return 0;
}
