#include "exchange/factor_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/transpose.h"
#include "files/safetensors.h"

const factor_layout peft_factors = {"base_model.model.", {".lora_A.weight", ".lora_B.weight"}, false};
const factor_layout mlx_factors = {"", {".lora_a", ".lora_b"}, true};

clora_status factor_narrow(void **out, const float *values, size_t n, clora_dtype dtype, const char *what) {
    *out = alloc_array(n, dtype_size(dtype));
    if (!*out)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for %s", what);
    dtype_from_f32(*out, dtype, values, n);
    if (dtype_all_finite(*out, dtype, n))
        return CLORA_OK;
    free(*out);
    *out = NULL;
    return clora_fail(CLORA_ERROR_ARGUMENT, "%s has a value that is too large for %s%s", what, dtype_name(dtype),
                      dtype == CLORA_DTYPE_F16 ? ": write bf16 or f32" : "");
}

static void free_entries(safetensors_entry *entries, size_t n) {
    for (size_t i = 0; entries && i < n; i++)
        free((void *)(uintptr_t)entries[i].name);
    free(entries);
}

/* Entries 2i and 2i + 1 are A and B of the i-th term. */
static clora_status describe(safetensors_entry *entries, const term_list *list, const factor_layout *layout,
                             clora_dtype dtype) {
    for (size_t i = 0; i < 2 * list->count; i++) {
        const lowrank_term *t = &list->term[i / 2];
        const bool is_b = i % 2 == 1;
        const int64_t rows = is_b ? t->N : t->R, cols = is_b ? t->R : t->K;
        entries[i] = (safetensors_entry){
            .name = alloc_format("%s%s%s", layout->prefix, t->module, layout->ending[is_b]),
            .dtype = dtype,
            .ndim = 2,
            .shape = {layout->transposed ? cols : rows, layout->transposed ? rows : cols},
        };
        if (!entries[i].name)
            return clora_fail(CLORA_ERROR_MEMORY, "no memory for the list of an adapter's tensors");
    }
    return CLORA_OK;
}

static clora_status write_factor(safetensors_writer *writer, const lowrank_term *t, bool is_b, const char *name,
                                 bool transposed, clora_dtype dtype) {
    const int rows = is_b ? t->N : t->R, cols = is_b ? t->R : t->K;
    const size_t n = (size_t)rows * (size_t)cols;
    const float *values = is_b ? t->b : t->a;
    clora_status status = CLORA_OK;
    float *turned = NULL;
    void *bytes = NULL;

    if (transposed) {
        turned = alloc_array(n, sizeof(*turned));
        if (!turned)
            TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for %s", name));
        transpose_rows(turned, values, rows, cols);
    }
    TRY(factor_narrow(&bytes, turned ? turned : values, n, dtype, name));
    TRY(safetensors_writer_tensor(writer, bytes, n * dtype_size(dtype)));
done:
    free(turned);
    free(bytes);
    return status;
}

clora_status factor_file_write(const char *path, const term_list *list, const factor_layout *layout,
                               clora_dtype dtype) {
    clora_status status = CLORA_OK;
    safetensors_entry *entries = alloc_array(2 * list->count + 1, sizeof(*entries));
    safetensors_writer writer = {.count = 0};

    if (!entries)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to write %s", path));
    TRY(describe(entries, list, layout, dtype));
    TRY(safetensors_writer_begin(&writer, path, entries, 2 * list->count, NULL));
    while (writer.next < writer.count) {
        const size_t i = writer.order[writer.next];
        TRY(write_factor(&writer, &list->term[i / 2], i % 2 == 1, entries[i].name, layout->transposed, dtype));
    }
    TRY(safetensors_writer_finish(&writer));
done:
    safetensors_writer_abandon(&writer);
    free_entries(entries, 2 * list->count);
    return status;
}
