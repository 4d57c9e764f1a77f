#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/file_error.h"
#include "base/json.h"
#include "base/transpose.h"
#include "files/safetensors.h"
#include "methods/full.h"
#include "methods/full_others.h"
#include "methods/merge_files.h"

enum { CONFIG_BYTES = 16 << 20, STAGED = 1 << 17 /* values */ };
static const size_t SHARD_BYTES = 5000000000u; /* as transformers does */

/* The tensors from `first` to before `last` are one file's. */
typedef struct shard {
    int first, last;
    char name[64];
} shard;

static size_t elements_of(const own_tensor *t) {
    return t->weight ? (size_t)t->weight->module[t->module].N * (size_t)t->weight->K : clora_tensor_count(&t->vector);
}

static size_t bytes_of(const own_tensor *t) {
    return elements_of(t) * dtype_size(t->file);
}

/* ---- values, some rows at a time ---- */

static int rows_of(const own_tensor *t) {
    return t->weight ? t->weight->module[t->module].N : 1;
}

/* Rows that are staged at once: whole units of a weight, all of one that has to be turned. */
static int rows_at_once(const own_tensor *t) {
    if (!t->weight)
        return 1;
    if (t->turned)
        return rows_of(t);
    const int step = weight_row_step(t->weight), units = STAGED / t->weight->K / step;
    return step * (units > 0 ? units : 1);
}

static clora_dtype type_of(const own_tensor *t) {
    return t->weight ? t->weight->storage->element : CLORA_DTYPE_F32;
}

/* n values from the device, which become the type of the file in place; both rooms are for f32. */
static clora_status read_rows(void *values, float *wide, const own_tensor *t, int row, int rows, size_t n) {
    const clora_dtype type = type_of(t);
    clora_status status = CLORA_OK;

    TRY(t->weight ? weight_unpack_rows(t->weight, t->module, row, rows, values)
                  : clora_tensor_read(&t->vector, values));
    if (type != t->file) {
        dtype_to_f32(wide, values, type, n);
        dtype_from_f32(values, t->file, wide, n);
    }
    if (!dtype_all_finite(values, t->file, n))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "a value of %s is not finite in %s; a smaller learning rate may help",
                       t->name, dtype_name(t->file)));
done:
    return status;
}

static clora_status write_tensor(safetensors_writer *writer, const own_tensor *t) {
    const int all = rows_of(t), most = rows_at_once(t) < all ? rows_at_once(t) : all;
    const size_t width = elements_of(t) / (size_t)all;
    float *values = alloc_array((size_t)most * width, sizeof(*values));
    float *wide = alloc_array((size_t)most * width, sizeof(*wide));
    clora_status status = CLORA_OK;

    if (!values || !wide)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to save %s", t->name));
    for (int row = 0; row < all; row += most) {
        const int rows = all - row < most ? all - row : most;
        const size_t n = (size_t)rows * width;
        TRY(read_rows(values, wide, t, row, rows, n));
        if (t->turned)
            transpose_elements(wide, values, (size_t)rows, width, dtype_size(t->file));
        TRY(safetensors_writer_tensor(writer, t->turned ? wide : values, n * dtype_size(t->file)));
    }
done:
    free(wide);
    free(values);
    return status;
}

/* ---- files ---- */

static clora_status write_tensors(safetensors_writer *writer, const own_tensor *tensors) {
    clora_status status = CLORA_OK;

    while (writer->next < writer->count)
        TRY(write_tensor(writer, &tensors[writer->order[writer->next]]));
done:
    return status;
}

static safetensors_entry entry_of(const own_tensor *t) {
    safetensors_entry e = {.name = t->name, .dtype = t->file, .ndim = t->weight || t->rows ? 2 : 1};
    const int n = t->weight ? 0 : tensor_cols(&t->vector), rows = t->rows ? t->rows : n;
    const int N = t->weight ? t->weight->module[t->module].N : rows, K = t->weight ? t->weight->K : n / rows;

    e.shape[0] = t->turned ? K : N;
    if (e.ndim == 2)
        e.shape[1] = t->turned ? N : K;
    return e;
}

static clora_status write_shard(outdir *out, const base_model *base, const shard *s) {
    const size_t count = (size_t)(s->last - s->first);
    safetensors_entry *entries = alloc_array(count, sizeof(*entries));
    safetensors_writer writer = {.count = 0};
    clora_status status = CLORA_OK;
    char *path = NULL;

    if (!entries)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to write %s", s->name));
    for (size_t i = 0; i < count; i++)
        entries[i] = entry_of(&base->tensor[(size_t)s->first + i]);
    TRY(outdir_path(&path, out, s->name));
    TRY(safetensors_writer_begin(&writer, path, entries, count, NULL));
    TRY(write_tensors(&writer, base->tensor + s->first));
    TRY(safetensors_writer_finish(&writer));
done:
    safetensors_writer_abandon(&writer);
    free(entries);
    free(path);
    return status;
}

/* In order, as many as fit: what transformers does. Returns how many shards there are, without names. */
static int share_out(shard *shards, const base_model *base, size_t most) {
    size_t used = 0;
    int n = 1;

    shards[0] = (shard){0};
    for (int i = 0; i < base->tensors; i++) {
        const size_t bytes = bytes_of(&base->tensor[i]);
        if (used > 0 && used + bytes > most) {
            shards[n++] = (shard){.first = i};
            used = 0;
        }
        used += bytes;
        shards[n - 1].last = i + 1;
    }
    return n;
}

static void name_shards(shard *shards, int n) {
    for (int i = 0; i < n; i++)
        if (n == 1)
            snprintf(shards[i].name, sizeof(shards[i].name), "model.safetensors");
        else
            snprintf(shards[i].name, sizeof(shards[i].name), "model-%05d-of-%05d.safetensors", i + 1, n);
}

/* others: in the file after the n shards */
static clora_status write_index(outdir *out, const base_model *base, const shard *shards, int n,
                                const full_others *others) {
    json_t *map = json_object(), *index = NULL;
    clora_status status = CLORA_OK;
    json_int_t bytes = 0;
    char *path = NULL;
    bool ok = map != NULL;

    for (int s = 0; s < n; s++)
        for (int i = shards[s].first; i < shards[s].last; i++) {
            ok = ok && json_object_set_new(map, base->tensor[i].name, json_string(shards[s].name)) == 0;
            bytes += (json_int_t)bytes_of(&base->tensor[i]);
        }
    for (size_t i = 0; i < others->count; i++) {
        const stored_tensor *t = others->tensor[i];
        ok = ok && json_object_set_new(map, t->written, json_string(shards[n].name)) == 0;
        bytes += (json_int_t)t->size;
    }
    index = json_pack("{s:{s:I}, s:O}", "metadata", "total_size", bytes, "weight_map", map);
    if (!ok || !index)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for an index"));
    TRY(outdir_path(&path, out, "model.safetensors.index.json"));
    TRY(json_save_path(index, path));
done:
    json_decref(map);
    json_decref(index);
    free(path);
    return status;
}

static clora_status write_others(outdir *out, const full_others *others, const char *name) {
    clora_status status = CLORA_OK;
    char *path = NULL;

    TRY(outdir_path(&path, out, name));
    TRY(full_others_write(others, path));
done:
    free(path);
    return status;
}

clora_status full_save_weights(outdir *out, const base_model *base, size_t most) {
    shard *shards = alloc_array((size_t)base->tensors + 1, sizeof(*shards));
    full_others others = {.count = 0};
    clora_status status = CLORA_OK;

    if (!shards)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to save a model"));
    TRY(full_others_init(&others, base));
    const int n = share_out(shards, base, most), all = n + (others.count > 0);
    name_shards(shards, all);
    for (int i = 0; i < n; i++)
        TRY(write_shard(out, base, &shards[i]));
    if (all > n)
        TRY(write_others(out, &others, shards[n].name));
    if (all > 1)
        TRY(write_index(out, base, shards, n, &others));
done:
    full_others_finish(&others);
    free(shards);
    return status;
}

/* As it was, but for a head that the files have although it says that the embedding is the head. */
static clora_status write_config(outdir *out, const base_model *base) {
    char *from = file_join(base->directory, "config.json"), *to = NULL;
    json_t *config = NULL;
    clora_status status = CLORA_OK;

    if (!from)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for config.json"));
    TRY(outdir_path(&to, out, "config.json"));
    if (!base->own_head) {
        TRY(file_copy(to, from));
    } else {
        TRY(json_load_path(&config, from, CONFIG_BYTES));
        if (json_object_set_new(config, "tie_word_embeddings", json_false()) != 0)
            TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for config.json"));
        TRY(json_save_path(config, to));
    }
done:
    json_decref(config);
    free(from);
    free(to);
    return status;
}

/* An earlier state of the model is none any more once its weights begin to go. */
static clora_status begin_again(const char *directory) {
    char *path = file_join(directory, "config.json");
    clora_status status = CLORA_OK;

    if (!path)
        status = clora_fail(CLORA_ERROR_MEMORY, "no memory to write %s", directory);
    else if (unlink(path) != 0 && errno != ENOENT)
        status = file_error_write(path, errno);
    free(path);
    return status;
}

clora_status full_save(const base_model *base, const char *directory, bool overwrite) {
    clora_status status = CLORA_OK;
    outdir out = {.claim = NULL};

    if (base->merged->any)
        return clora_fail(CLORA_ERROR_ARGUMENT,
                          "%s: an adapter is merged into the model's weights: "
                          "clora_adapter_unmerge() before they are saved",
                          directory);
    TRY(merge_output_open(&out, directory, base->directory, overwrite));
    if (overwrite)
        TRY(begin_again(directory));
    TRY(full_save_weights(&out, base, SHARD_BYTES));
    TRY(merge_copy_others(&out, base->directory));
    TRY(write_config(&out, base)); /* last: a directory without it is no model */
done:
    outdir_close(&out, status == CLORA_OK);
    return status;
}
