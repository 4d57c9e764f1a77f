#include "methods/peft.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/note.h"
#include "base/outdir.h"
#include "base/transpose.h"
#include "files/directory.h"
#include "files/model_tables.h"
#include "methods/peft_config.h"
#include "methods/peft_parts.h"

static const char CONFIG_NAME[] = "adapter_config.json";
static const char TENSORS_NAME[] = "adapter_model.safetensors";
static const char SCORE_NAME[] = "base_model.model." PEFT_SCORE;

clora_status peft_open_tensors(safetensors **out, const char *directory) {
    char *path = file_join(directory, TENSORS_NAME);
    clora_status status = CLORA_OK;

    if (!path)
        status = clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", directory);
    else
        status = file_exists(path) ? safetensors_open(out, path) : directory_without_factors(directory);
    free(path);
    return status;
}

static clora_status check_part(const safetensors *file, const stored_tensor *t, const target_module *module, int R,
                               peft_part part) {
    char text[STORED_SHAPE_TEXT];
    int rows, cols;

    peft_part_shape(&rows, &cols, module, R, part);
    if (!t->supported)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: tensor %s has type %s; F32, F16 and BF16 are supported",
                          file->path, t->name, t->dtype_text);
    if (part > PEFT_B && (t->ndim != 1 || t->shape[0] != cols))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: tensor %s is %s; the base makes it (%d)", file->path, t->name,
                          stored_shape_text(text, t->ndim, t->shape), cols);
    if (part <= PEFT_B && (t->ndim != 2 || t->shape[0] != rows || t->shape[1] != cols))
        return clora_fail(CLORA_ERROR_FORMAT,
                          "%s: tensor %s is %s; the base and rank %d of adapter_config.json make it (%d, %d)",
                          file->path, t->name, stored_shape_text(text, t->ndim, t->shape), R, rows, cols);
    return CLORA_OK;
}

static clora_status find_part(const stored_tensor **out, const safetensors *file, const peft_keys *keys,
                              const target_module *module, int R, peft_part part) {
    const bool embedding = module->kind == TARGET_EMBEDDING;

    if (embedding && part > PEFT_B)
        return clora_fail(CLORA_ERROR_UNSUPPORTED,
                          "%s: the adapter has DoRA or a bias of B on %s: clora has them on linear layers alone",
                          file->path, module->name);
    clora_status status = embedding ? peft_keys_find_embedding(out, keys, module->name, part == PEFT_A)
                                    : peft_keys_find(out, keys, module->name, part);
    if (status != CLORA_OK)
        return status;
    if (*out)
        return check_part(file, *out, module, R, part);
    char *name = peft_part_tensor(module, part);
    status =
        name ? clora_fail(CLORA_ERROR_FORMAT,
                          "%s: tensor %s is missing, although adapter_config.json targets that layer", file->path, name)
             : clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", file->path);
    free(name);
    return status;
}

/* The first tensor that is no part; NULL when all are. */
static clora_status find_left_over(const stored_tensor **out, const peft_adapter *p) {
    const stored_tensor *tensors = p->file->tensors;
    bool *used = alloc_array(p->file->count, sizeof(*used));
    size_t first = 0;

    *out = NULL;
    if (!used)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", p->file->path);
    for (int part = PEFT_A; part < PEFT_PARTS; part++)
        for (int i = 0; i < p->count; i++)
            if (p->part[part][i])
                used[p->part[part][i] - tensors] = true;
    if (p->score)
        used[p->score - tensors] = true;
    for (int i = 0; i < p->tensors; i++) {
        if (p->saved[i])
            used[p->saved[i] - tensors] = true;
        if (p->own[i])
            used[p->own[i] - tensors] = true;
    }
    while (first < p->file->count && used[first])
        first++;
    if (first < p->file->count)
        *out = &tensors[first];
    free(used);
    return CLORA_OK;
}

static clora_status refuse_left_over(const peft_adapter *p) {
    const char *reason = "adapter_config.json targets no such layer of this base";
    const stored_tensor *t;
    const clora_status status = find_left_over(&t, p);

    if (status != CLORA_OK || !t)
        return status;
    if (strstr(t->name, "lora_magnitude_vector"))
        reason = "adapter_config.json has no \"use_dora\"";
    else if (strstr(t->name, ".lora_B") && strstr(t->name, ".bias"))
        reason = "adapter_config.json has no \"lora_bias\"";
    else if (strstr(t->name, "vision_tower") || strstr(t->name, "multi_modal_projector"))
        reason = "it changes how the model sees images, and clora runs its texts alone: train without these modules, "
                 "which \"exclude_modules\": \".*(vision_tower|multi_modal_projector).*\" leaves out";
    else if (!strstr(t->name, ".lora_"))
        reason =
            "modules_to_save of adapter_config.json names no such module; what belongs to the base is not saved with "
            "save_embedding_layers=False";
    return clora_fail(CLORA_ERROR_FORMAT, "%s: tensor %s is not part of the adapter: %s", p->file->path, t->name,
                      reason);
}

/* The settings name what is saved whole; of the names that a head may have, a decoder's has the one. */
clora_status peft_find_score(const stored_tensor **out, const safetensors *file, const json_t *config) {
    const char *task = json_string_value(json_object_get(config, "task_type"));
    char text[STORED_SHAPE_TEXT];
    const stored_tensor *t = NULL;

    *out = NULL;
    if (!task || strcmp(task, "SEQ_CLS") != 0 || json_is_off(json_object_get(config, "modules_to_save")))
        return CLORA_OK;
    for (size_t i = 0; i < file->count && !t; i++)
        if (strcmp(file->tensors[i].name, SCORE_NAME) == 0)
            t = &file->tensors[i];
    if (!t)
        return clora_fail(CLORA_ERROR_FORMAT, "%s: tensor %s is missing, although adapter_config.json saves it",
                          file->path, SCORE_NAME);
    if (!t->supported)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: tensor %s has type %s; F32, F16 and BF16 are supported",
                          file->path, t->name, t->dtype_text);
    if (t->ndim != 2 || t->shape[0] < 2 || t->shape[0] > TARGET_MAX_RANK)
        return clora_fail(CLORA_ERROR_FORMAT, "%s: tensor %s is %s; its rows are the labels, from 2 to %d", file->path,
                          t->name, stored_shape_text(text, t->ndim, t->shape), TARGET_MAX_RANK);
    *out = t;
    return CLORA_OK;
}

/* A copy is of the base's shape. */
static clora_status check_copy(const safetensors *file, const stored_tensor *t, const base_tensor *of) {
    char text[STORED_SHAPE_TEXT], wanted[STORED_SHAPE_TEXT];
    const int64_t shape[2] = {of->N > 0 ? of->N : of->K, of->K};
    const int ndim = of->N > 0 ? 2 : 1;

    if (!t->supported)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: tensor %s has type %s; F32, F16 and BF16 are supported",
                          file->path, t->name, t->dtype_text);
    if (t->ndim != ndim || memcmp(t->shape, shape, (size_t)ndim * sizeof(*shape)) != 0)
        return clora_fail(CLORA_ERROR_FORMAT, "%s: tensor %s is %s; that of the base is %s", file->path, t->name,
                          stored_shape_text(text, t->ndim, t->shape), stored_shape_text(wanted, ndim, shape));
    return CLORA_OK;
}

/* The copy of a tensor of a saved module. */
static clora_status find_copy(const stored_tensor **out, const safetensors *file, const peft_keys *keys,
                              const base_tensor *of) {
    clora_status status = CLORA_OK;

    TRY(peft_keys_find_copy(out, keys, of->name));
    if (!*out)
        return clora_fail(CLORA_ERROR_FORMAT,
                          "%s: tensor base_model.model.%s is missing, although modules_to_save of adapter_config.json "
                          "names its module",
                          file->path, of->name);
    TRY(check_copy(file, *out, of));
done:
    return status;
}

/* What PEFT saves of the base beside factors on its embedding or head: MODULE.base_layer.weight. */
static clora_status find_own(const stored_tensor **out, const safetensors *file, const peft_keys *keys,
                             const base_tensor *of) {
    clora_status status = CLORA_OK;
    char *name = NULL;

    if (!model_is_embedding(of->name) && strcmp(of->name, MODEL_HEAD) != 0)
        return CLORA_OK;
    name = alloc_format("%.*s.base_layer.weight", (int)(strlen(of->name) - strlen(".weight")), of->name);
    if (!name)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", file->path);
    TRY(peft_keys_find_copy(out, keys, name));
    if (*out)
        TRY(check_copy(file, *out, of));
done:
    free(name);
    return status;
}

clora_status peft_refuse_own(const peft_adapter *adapter, const stored_tensor *table) {
    return clora_fail(CLORA_ERROR_FORMAT,
                      "%s: tensor %s differs from that of the base: the adapter was made for another model",
                      adapter->file->path, table->name);
}

static clora_status find_copies(peft_adapter *p, const peft_keys *keys, const base_tensor *tensors) {
    bool *chosen = alloc_array((size_t)p->tensors + 1, sizeof(*chosen));
    clora_status status = CLORA_OK;

    if (!chosen)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", p->file->path));
    TRY(peft_saved_choose(chosen, p->config, tensors, p->tensors, false));
    for (int i = 0; i < p->tensors; i++) {
        if (chosen[i])
            TRY(find_copy(&p->saved[i], p->file, keys, &tensors[i]));
        TRY(find_own(&p->own[i], p->file, keys, &tensors[i]));
    }
done:
    free(chosen);
    return status;
}

/* A line about names that are not those on disk, of which the first factor's stands for all. */
static clora_status note_names(const peft_adapter *p, const peft_base *base) {
    int i = 0;

    while (i < p->count && p->choice[i].R == 0)
        i++;
    char *name = i < p->count ? peft_part_tensor(&base->module[i], PEFT_A) : alloc_string("");
    if (!name)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", p->file->path);
    if (i < p->count && strcmp(name, p->part[PEFT_A][i]->name) != 0)
        note("%s: its tensors have names as another trainer leaves them: %s is read as %s", p->file->path,
             p->part[PEFT_A][i]->name, name);
    free(name);
    return CLORA_OK;
}

static clora_status find_tensors(peft_adapter *p, const peft_base *base) {
    const peft_part_list parts = peft_parts_of(p->config);
    clora_status status = CLORA_OK;
    peft_keys keys;

    TRY(peft_keys_init(&keys, p->file));
    for (int i = 0; i < p->count; i++) {
        if (p->choice[i].R == 0)
            continue;
        for (const peft_part *part = parts.part; *part != PEFT_NONE; part++)
            TRY(find_part(&p->part[*part][i], p->file, &keys, &base->module[i], p->choice[i].R, *part));
    }
    TRY(peft_find_score(&p->score, p->file, p->config));
    TRY(find_copies(p, &keys, base->tensor));
    TRY(refuse_left_over(p));
    TRY(note_names(p, base));
done:
    peft_keys_finish(&keys);
    return status;
}

static bool allocate_parts(peft_adapter *out) {
    bool ok = true;

    for (int part = PEFT_A; part < PEFT_PARTS; part++) {
        out->part[part] = alloc_array((size_t)out->count + 1, sizeof(*out->part[part]));
        ok = ok && out->part[part];
    }
    return ok;
}

clora_status peft_open(peft_adapter *out, const char *directory, const peft_base *base) {
    const target_module *modules = base->module;
    const int count = base->modules;
    char *path = file_join(directory, CONFIG_NAME);
    clora_status status = CLORA_OK;

    *out = (peft_adapter){.count = count, .embedding = -1, .tensors = base->tensors};
    for (int i = 0; i < count; i++)
        out->embedding = modules[i].kind == TARGET_EMBEDDING ? i : out->embedding;
    out->choice = alloc_array((size_t)count + 1, sizeof(*out->choice));
    out->saved = alloc_array((size_t)base->tensors + 1, sizeof(*out->saved));
    out->own = alloc_array((size_t)base->tensors + 1, sizeof(*out->own));
    if (!path || !out->choice || !out->saved || !out->own || !allocate_parts(out))
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", directory));
    TRY(directory_need_adapter(directory));
    TRY(peft_config_load(&out->config, path, modules, count));
    if ((status = target_resolve(out->choice, out->config, modules, count, false)) != CLORA_OK) {
        status = clora_fail_within(status == CLORA_ERROR_ARGUMENT ? CLORA_ERROR_FORMAT : status, "%s", path);
        goto done;
    }
    TRY(peft_open_tensors(&out->file, directory));
    TRY(find_tensors(out, base));
done:
    free(path);
    if (status != CLORA_OK)
        peft_close(out);
    return status;
}

void peft_close(peft_adapter *adapter) {
    json_decref(adapter->config);
    safetensors_close(adapter->file);
    free(adapter->choice);
    for (int part = PEFT_A; part < PEFT_PARTS; part++)
        free(adapter->part[part]);
    free(adapter->saved);
    free(adapter->own);
    *adapter = (peft_adapter){.count = 0};
}

clora_status peft_read_tensor(float *out, const safetensors *file, const stored_tensor *tensor) {
    const size_t n = stored_elements(tensor);
    clora_status status = CLORA_OK;
    void *bytes = alloc_array(tensor->size, 1);

    if (!bytes)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the tensor %s", tensor->name));
    TRY(safetensors_read(bytes, file, tensor, 0, tensor->size));
    dtype_to_f32(out, bytes, tensor->dtype, n);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(out[i]))
            TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: tensor %s holds a value that is not finite", file->path,
                           tensor->name));
done:
    free(bytes);
    return status;
}

clora_status peft_read(float *out, const peft_adapter *adapter, const stored_tensor *factor) {
    return peft_read_tensor(out, adapter->file, factor);
}

clora_status peft_read_part(float *out, const peft_adapter *adapter, int module, peft_part part) {
    const stored_tensor *t = adapter->part[part][module];
    clora_status status = CLORA_OK;
    float *values = NULL;

    if (module != adapter->embedding)
        return peft_read(out, adapter, t);
    values = alloc_array(stored_elements(t), sizeof(*values));
    if (!values)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the tensor %s", t->name));
    TRY(peft_read(values, adapter, t));
    transpose_rows(out, values, (int)t->shape[0], (int)t->shape[1]);
done:
    free(values);
    return status;
}

static void free_entries(safetensors_entry *entries, size_t n) {
    for (size_t i = 0; entries && i < n; i++)
        free((void *)(uintptr_t)entries[i].name);
    free(entries);
}

/* Which tensor an entry is, as peft_source is asked for it. */
typedef struct entry_of {
    int module;
    peft_part part;
    bool transposed;
} entry_of;

/* rows 0: a vector. Takes over the name. */
static clora_status add_entry(safetensors_entry *entries, size_t *n, char *name, int rows, int cols) {
    if (!name)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the list of an adapter's tensors");
    entries[(*n)++] = rows > 0 ? (safetensors_entry){.name = name, .ndim = 2, .shape = {rows, cols}}
                               : (safetensors_entry){.name = name, .ndim = 1, .shape = {cols}};
    return CLORA_OK;
}

static clora_status describe(safetensors_entry **entries, entry_of **index, size_t *n, const peft_contents *c) {
    const size_t most = PEFT_PARTS * (size_t)c->modules + (size_t)c->wholes + 1;
    const peft_part_list parts = peft_parts_of(c->config);
    clora_status status = CLORA_OK;
    int rows, cols;

    *entries = alloc_array(most, sizeof(**entries));
    *index = alloc_array(most, sizeof(**index));
    if (!*entries || !*index)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the list of an adapter's tensors");
    for (int i = 0; i < c->modules; i++)
        for (const peft_part *part = parts.part; c->choice[i].R > 0 && *part != PEFT_NONE; part++) {
            peft_part_shape(&rows, &cols, &c->module[i], c->choice[i].R, *part);
            (*index)[*n] = (entry_of){i, *part, c->module[i].kind == TARGET_EMBEDDING};
            TRY(add_entry(*entries, n, peft_part_tensor(&c->module[i], *part), rows, cols));
        }
    for (int i = 0; i < c->wholes; i++) {
        const base_tensor *t = &c->whole[i];
        (*index)[*n] = (entry_of){-1 - i, PEFT_NONE, false};
        TRY(add_entry(*entries, n, alloc_format("base_model.model.%s", t->name), t->N, t->K));
    }
done:
    return status;
}

static size_t elements_of(const safetensors_entry *entry) {
    return (size_t)entry->shape[0] * (entry->ndim > 1 ? (size_t)entry->shape[1] : 1);
}

/* One tensor's values, rounded to the entry's type. */
static clora_status write_tensor(safetensors_writer *writer, const peft_contents *c, const safetensors_entry *entry,
                                 entry_of of) {
    const size_t n = elements_of(entry);
    float *values = alloc_array(n, sizeof(*values)), *turned = of.transposed ? alloc_array(n, sizeof(*turned)) : values;
    void *stored = alloc_array(n, dtype_size(entry->dtype));
    clora_status status = CLORA_OK;

    if (!values || !turned || !stored)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to write %s", entry->name));
    TRY(c->source(c->user, turned, of.module, of.part));
    if (of.transposed)
        transpose_rows(values, turned, (int)entry->shape[1], (int)entry->shape[0]);
    dtype_from_f32(stored, entry->dtype, values, n);
    if (!dtype_all_finite(stored, entry->dtype, n))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "a value of %s is not finite in %s", entry->name, dtype_name(entry->dtype)));
    TRY(safetensors_writer_tensor(writer, stored, n * dtype_size(entry->dtype)));
done:
    if (of.transposed)
        free(turned);
    free(values);
    free(stored);
    return status;
}

static clora_status write_tensors(const char *path, const peft_contents *c, clora_dtype type) {
    clora_status status = CLORA_OK;
    safetensors_entry *entries = NULL;
    safetensors_writer writer = {.count = 0};
    entry_of *index = NULL;
    size_t n = 0;

    TRY(describe(&entries, &index, &n, c));
    for (size_t i = 0; i < n; i++)
        entries[i].dtype = type;
    TRY(safetensors_writer_begin(&writer, path, entries, n, NULL));
    while (writer.next < writer.count) {
        const size_t i = writer.order[writer.next];
        TRY(write_tensor(&writer, c, &entries[i], index[i]));
    }
    TRY(safetensors_writer_finish(&writer));
done:
    safetensors_writer_abandon(&writer);
    free_entries(entries, n);
    free(index);
    return status;
}

/* The first of some names that is in the directory; *out is NULL when none is. */
clora_status peft_write(const char *directory, const peft_contents *contents,
                        const clora_adapter_save_options *options) {
    char *tensors = NULL, *settings = NULL;
    clora_status status = CLORA_OK;
    outdir out = {.claim = NULL};

    TRY(outdir_open(&out, directory, CONFIG_NAME));
    TRY(peft_check_place(directory, options->overwrite != 0));
    TRY(outdir_path(&tensors, &out, TENSORS_NAME));
    TRY(write_tensors(tensors, contents, options->dtype));
    TRY(outdir_path(&settings, &out, CONFIG_NAME));
    TRY(peft_config_save(contents->config, settings, options->base_name));
done:
    outdir_close(&out, status == CLORA_OK);
    free(tensors);
    free(settings);
    return status;
}
