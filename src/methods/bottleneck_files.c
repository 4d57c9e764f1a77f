#include "methods/bottleneck_files.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/outdir.h"
#include "methods/bottleneck_config.h"
#include "methods/peft.h"

static const char CONFIG_NAME[] = "adapter_config.json";
static const char TENSORS_NAME[] = "adapter.safetensors";
static const char PICKLE_NAME[] = "pytorch_adapter.bin";

static const char *const places[SUBLAYERS] = {"attention_adapters", "output_adapters"};

/* The tensors of a bottleneck, in the order of bottleneck_rows. */
enum { PARTS = 4 };
static const char *const parts[PARTS] = {"adapter_down.0.weight", "adapter_down.0.bias", "adapter_up.weight",
                                         "adapter_up.bias"};

static float *part_of(const bottleneck_rows *rows, int part) {
    return (float *const[PARTS]){rows->down, rows->down_bias, rows->up, rows->up_bias}[part];
}

/* The shape of a part; the second number is 0 for a vector. */
static void shape_of(int64_t shape[2], const bottleneck *b, int part) {
    const bool is_up = part >= 2, is_bias = part % 2 == 1;

    shape[0] = is_up ? b->C : b->R;
    shape[1] = is_bias ? 0 : is_up ? b->R : b->C;
}

static char *tensor_name(const char *layers, const char *name, int sublayer, int part) {
    return alloc_format("%s.%d.%s.adapters.%s.%s", layers, sublayer / SUBLAYERS, places[sublayer % SUBLAYERS], name,
                        parts[part]);
}

/* ---- reading ---- */

clora_status bottleneck_files_open(safetensors **out, const char *directory) {
    char *path = file_join(directory, TENSORS_NAME), *pickle = file_join(directory, PICKLE_NAME);
    clora_status status = CLORA_OK;

    *out = NULL;
    if (!path || !pickle)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", directory));
    if (!file_exists(path) && file_exists(pickle))
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED,
                       "%s is a Python pickle, which clora does not run; load the adapter in AdapterHub's adapters and "
                       "save it again with use_safetensors=True",
                       pickle));
    TRY(safetensors_open(out, path));
done:
    free(path);
    free(pickle);
    return status;
}

static clora_status check_tensor(const safetensors *file, const stored_tensor *t, const bottleneck *b, int part) {
    char text[STORED_SHAPE_TEXT], wanted[STORED_SHAPE_TEXT];
    int64_t shape[2];

    shape_of(shape, b, part);
    const int ndim = shape[1] ? 2 : 1;
    if (!t->supported)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: tensor %s has type %s; F32, F16 and BF16 are supported",
                          file->path, t->name, t->dtype_text);
    if (t->ndim != ndim || t->shape[0] != shape[0] || (ndim == 2 && t->shape[1] != shape[1]))
        return clora_fail(CLORA_ERROR_FORMAT,
                          "%s: tensor %s is %s; the base and \"reduction_factor\" in adapter_config.json make it %s",
                          file->path, t->name, stored_shape_text(text, t->ndim, t->shape),
                          stored_shape_text(wanted, ndim, shape));
    return CLORA_OK;
}

/* Of a model without a head the names have no "model.". */
static clora_status find_tensor(const stored_tensor **out, const safetensors *file, const char *layers,
                                const char *name, int sublayer, int part) {
    char *full = tensor_name(layers, name, sublayer, part);
    clora_status status = CLORA_OK;

    *out = NULL;
    if (!full)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", file->path);
    *out = safetensors_find(file, full);
    if (!*out)
        *out = safetensors_find(file, strchr(full, '.') + 1);
    if (!*out)
        status =
            clora_fail(CLORA_ERROR_FORMAT,
                       "%s: tensor %s is missing, although adapter_config.json has an adapter there", file->path, full);
    free(full);
    return status;
}

/* One bottleneck to its image; the tensors it was made of are marked. */
static clora_status read_bottleneck(float *image, bool *used, const safetensors *file, const char *name,
                                    const bottleneck_list *list, int sublayer) {
    const bottleneck *b = list->sublayer[sublayer];
    bottleneck_rows rows;
    clora_status status = bottleneck_rows_create(&rows, b);

    for (int part = 0; part < PARTS && status == CLORA_OK; part++) {
        const stored_tensor *t;
        TRY(find_tensor(&t, file, list->layers, name, sublayer, part));
        TRY(check_tensor(file, t, b, part));
        TRY(peft_read_tensor(part_of(&rows, part), file, t));
        used[t - file->tensors] = true;
    }
    if (status == CLORA_OK)
        bottleneck_pack(b, image, &rows);
done:
    bottleneck_rows_free(&rows);
    return status;
}

static clora_status refuse_left_over(const safetensors *file, const bool *used) {
    for (size_t i = 0; i < file->count; i++)
        if (!used[i])
            return clora_fail(CLORA_ERROR_FORMAT,
                              "%s: tensor %s is not part of the adapter: adapter_config.json has none at such a place "
                              "of this base",
                              file->path, file->tensors[i].name);
    return CLORA_OK;
}

clora_status bottleneck_files_read(float *values, const char *directory, const char *name,
                                   const bottleneck_list *list) {
    clora_status status = CLORA_OK;
    safetensors *file = NULL;
    bool *used = NULL;

    TRY(bottleneck_files_open(&file, directory));
    used = alloc_array(file->count + 1, sizeof(*used));
    if (!used)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", file->path));
    for (int i = 0; i < list->count; i++) {
        if (!list->sublayer[i])
            continue;
        TRY(read_bottleneck(values, used, file, name, list, i));
        values += bottleneck_count(list->sublayer[i]);
    }
    TRY(refuse_left_over(file, used));
done:
    free(used);
    safetensors_close(file);
    return status;
}

/* ---- writing ---- */

/* A tensor to be written: entry i of the file is part i % PARTS of bottleneck i / PARTS of those that are there. */
typedef struct described {
    safetensors_entry *entry;
    size_t count;
    const bottleneck **of; /* of each PARTS entries */
    const float **image;
} described;

static void described_free(described *d) {
    for (size_t i = 0; d->entry && i < d->count; i++)
        free((void *)(uintptr_t)d->entry[i].name);
    free(d->entry);
    free(d->of);
    free(d->image);
}

static clora_status describe(described *d, const char *name, const bottleneck_list *list, const float *values) {
    const size_t most = (size_t)list->count + 1;

    d->entry = alloc_array(PARTS * most, sizeof(*d->entry));
    d->of = alloc_array(most, sizeof(*d->of));
    d->image = alloc_array(most, sizeof(*d->image));
    if (!d->entry || !d->of || !d->image)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the list of an adapter's tensors");
    for (int i = 0; i < list->count; i++) {
        const bottleneck *b = list->sublayer[i];
        if (!b)
            continue;
        d->of[d->count / PARTS] = b;
        d->image[d->count / PARTS] = values;
        values += bottleneck_count(b);
        for (int part = 0; part < PARTS; part++) {
            safetensors_entry *e = &d->entry[d->count++];
            *e = (safetensors_entry){.name = tensor_name(list->layers, name, i, part), .dtype = CLORA_DTYPE_F32};
            shape_of(e->shape, b, part);
            e->ndim = e->shape[1] ? 2 : 1;
            if (!e->name)
                return clora_fail(CLORA_ERROR_MEMORY, "no memory for the list of an adapter's tensors");
        }
    }
    return CLORA_OK;
}

static clora_status write_entry(safetensors_writer *writer, const described *d) {
    const size_t entry = writer->order[writer->next];
    const safetensors_entry *e = &d->entry[entry];
    const size_t elements = (size_t)e->shape[0] * (size_t)(e->ndim == 2 ? e->shape[1] : 1);
    const bottleneck *b = d->of[entry / PARTS];
    bottleneck_rows rows;
    clora_status status = bottleneck_rows_create(&rows, b);

    if (status == CLORA_OK) {
        bottleneck_unpack(b, &rows, d->image[entry / PARTS]);
        status = safetensors_writer_tensor(writer, part_of(&rows, (int)(entry % PARTS)), elements * sizeof(float));
    }
    bottleneck_rows_free(&rows);
    return status;
}

static clora_status write_tensors(const char *path, const described *d) {
    clora_status status = CLORA_OK;
    safetensors_writer writer = {.count = 0};

    TRY(safetensors_writer_begin(&writer, path, d->entry, d->count, NULL));
    while (writer.next < writer.count)
        TRY(write_entry(&writer, d));
    TRY(safetensors_writer_finish(&writer));
done:
    safetensors_writer_abandon(&writer);
    return status;
}

clora_status bottleneck_files_write(const char *directory, const clora_adapter_save_options *options,
                                    const json_t *config, const bottleneck_list *list, const float *values) {
    char *tensors = NULL, *settings = NULL;
    clora_status status = CLORA_OK;
    outdir out = {.claim = NULL};
    described d = {.count = 0};

    TRY(describe(&d, bottleneck_config_name(config), list, values));
    TRY(outdir_open(&out, directory, CONFIG_NAME));
    TRY(peft_check_place(directory, options->overwrite != 0));
    TRY(outdir_path(&tensors, &out, TENSORS_NAME));
    TRY(write_tensors(tensors, &d));
    TRY(outdir_path(&settings, &out, CONFIG_NAME));
    TRY(bottleneck_config_save(config, settings, options->base_name));
done:
    outdir_close(&out, status == CLORA_OK);
    described_free(&d);
    free(tensors);
    free(settings);
    return status;
}
