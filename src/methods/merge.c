#include "methods/merge.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/options.h"
#include "files/quantized.h"
#include "files/stamp.h"
#include "methods/merge_weights.h"

static const char INDEX_NAME[] = "model.safetensors.index.json";

static clora_status add_module(merge *m, const char *name, size_t length, const stored_tensor *t, target_kind kind) {
    char *copy = alloc_string_n(name, length);

    if (!copy)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the list of layers");
    m->tensor[m->modules] = t;
    const bool turned = m->names->turned && kind == TARGET_LINEAR;
    m->module[m->modules++] = (target_module){copy, (int)t->shape[turned], (int)t->shape[!turned], kind};
    return CLORA_OK;
}

static bool is_positions(const merge *m, const stored_tensor *t) {
    return m->names->positions && strcmp(t->name, m->names->positions) == 0;
}

/* Every matrix NAME.weight is a linear layer NAME but the embeddings, of which that of tokens is the head as well when
 * the two are tied. Modules of its table come last. */
static clora_status list_modules(merge *m) {
    static const char ending[] = ".weight";
    const size_t count = model_files_count(m->set), suffix = sizeof(ending) - 1;
    clora_status status = CLORA_OK;
    bool tied;

    TRY(json_get_bool(&tied, m->config, "tie_word_embeddings", m->tied, "config.json"));
    m->module = alloc_array(count + 2, sizeof(*m->module));
    m->tensor = alloc_array(count + 2, sizeof(*m->tensor));
    if (!m->module || !m->tensor)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the list of layers"));
    TRY(model_tables_find(&m->tables, m->set, m->names, tied));
    m->own_head = tied && m->tables.head != m->tables.embedding;
    for (size_t i = 0; i < count; i++) {
        const stored_tensor *t = model_files_tensor(m->set, i);
        const size_t n = strlen(t->name);
        if (t != m->tables.embedding && t != m->tables.copy && !is_positions(m, t) &&
            !model_is_other(m->names, t->name) && merge_is_matrix(t) && n > suffix &&
            strcmp(t->name + n - suffix, ending) == 0)
            TRY(add_module(m, t->name, n - suffix, t, strcmp(t->name, MODEL_HEAD) == 0 ? TARGET_HEAD : TARGET_LINEAR));
    }
    m->sorted = m->modules;
    m->tied_head = m->embedding = -1;
    if (tied && !m->own_head && m->tables.head && merge_is_matrix(m->tables.head)) {
        m->tied_head = m->modules;
        TRY(add_module(m, "lm_head", strlen("lm_head"), m->tables.head, TARGET_HEAD));
    }
    if (m->tables.embedding && merge_is_matrix(m->tables.embedding)) {
        m->embedding = m->modules;
        TRY(add_module(m, m->names->embedding_module, strlen(m->names->embedding_module), m->tables.embedding,
                       TARGET_EMBEDDING));
    }
done:
    return status;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const base_tensor *)a)->name, ((const base_tensor *)b)->name);
}

static void add_tensor(merge *m, const char *name, const stored_tensor *t) {
    if (t->ndim == 1 && t->shape[0] > 0 && t->shape[0] <= INT_MAX)
        m->base[m->bases++] = (base_tensor){name, 0, (int)t->shape[0]};
    else if (merge_is_matrix(t))
        m->base[m->bases++] = (base_tensor){name, (int)t->shape[0], (int)t->shape[1]};
}

static clora_status list_tensors(merge *m) {
    const size_t count = model_files_count(m->set);

    m->base = alloc_array(count + 2, sizeof(*m->base));
    if (!m->base)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the list of tensors");
    for (size_t i = 0; i < count; i++)
        if (!model_is_other(m->names, model_files_tensor(m->set, i)->name))
            add_tensor(m, model_files_tensor(m->set, i)->name, model_files_tensor(m->set, i));
    if (m->tables.embedding && !model_files_find(m->set, m->names->embedding))
        add_tensor(m, m->names->embedding, m->tables.embedding);
    if (m->tables.head && !model_files_find(m->set, MODEL_HEAD))
        add_tensor(m, MODEL_HEAD, m->tables.head);
    qsort(m->base, (size_t)m->bases, sizeof(*m->base), by_name);
    return CLORA_OK;
}

static bool set_text(json_t *object, const char *key, const char *text) {
    return json_object_set_new(object, key, json_string(text)) == 0;
}

/* config.json with the type and the head as they are now. */
static clora_status change_config(merge *m) {
    static const char *const names[] = {"float32", "float16", "bfloat16"};
    const bool new_style = json_object_get(m->config, "dtype") != NULL;
    bool ok = true;

    if (m->dtype >= 0)
        ok = set_text(m->config, new_style ? "dtype" : "torch_dtype", names[m->dtype]);
    if (m->dtype >= 0 && new_style && json_object_get(m->config, "torch_dtype"))
        ok = ok && set_text(m->config, "torch_dtype", names[m->dtype]);
    if (m->splits || m->own_head)
        ok = ok && json_object_set_new(m->config, "tie_word_embeddings", json_false()) == 0;
    return ok ? CLORA_OK : clora_fail(CLORA_ERROR_MEMORY, "no memory for config.json");
}

static clora_status write_config(merge *m) {
    char *from = file_join(m->model, "config.json"), *to = NULL;
    clora_status status = CLORA_OK;

    if (!from)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for config.json"));
    TRY(outdir_path(&to, &m->output, "config.json"));
    if (m->dtype < 0 && !m->splits && !m->own_head) {
        TRY(file_copy(to, from));
    } else {
        TRY(change_config(m));
        TRY(json_save_path(m->config, to));
    }
done:
    free(from);
    free(to);
    return status;
}

/* Which file holds which tensor, when there are several. */
static clora_status write_index(merge *m) {
    const char *const tables[] = {m->names->embedding, MODEL_HEAD};
    json_t *map = json_object(), *index = NULL;
    clora_status status = CLORA_OK;
    char *path = NULL;
    bool ok = map != NULL;

    for (size_t i = 0; i < model_files_count(m->set); i++) {
        const stored_tensor *t = model_files_tensor(m->set, i);
        ok = ok && set_text(map, t->written, merge_file_name(m, t->file));
    }
    for (size_t i = 0; m->splits && i < 2; i++)
        if (!model_files_find(m->set, tables[i]))
            ok = ok && set_text(map, tables[i], merge_file_name(m, m->tables.embedding->file));
    index = json_pack("{s:{s:I}, s:O}", "metadata", "total_size", (json_int_t)m->bytes, "weight_map", map);
    if (!ok || !index)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for %s", INDEX_NAME));
    TRY(outdir_path(&path, &m->output, INDEX_NAME));
    TRY(json_save_path(index, path));
done:
    json_decref(map);
    json_decref(index);
    free(path);
    return status;
}

static clora_status write_directory(merge *m) {
    clora_status status = CLORA_OK;

    for (size_t i = 0; i < model_files_file_count(m->set); i++)
        TRY(merge_write_file(m, i));
    if (strcmp(merge_file_name(m, 0), "model.safetensors") != 0)
        TRY(write_index(m));
    TRY(merge_copy_others(&m->output, m->model));
    TRY(merge_advance(m, 0));
    TRY(write_config(m)); /* last: a directory without it is no model */
done:
    return status;
}

static clora_status check_type(const merge *m, const stored_tensor *t) {
    return !t || t->supported
               ? CLORA_OK
               : clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: tensor %s has type %s; clora merges into F32, F16 and BF16",
                            model_files_path(m->set, t->file), t->name, t->dtype_text);
}

/* That every tensor to be changed can be. */
static clora_status check_types(const merge *m) {
    clora_status status = CLORA_OK;

    for (int i = 0; i < m->modules; i++)
        if (m->adapter.choice[i].R > 0)
            TRY(check_type(m, m->tensor[i]));
    for (int i = 0; i < m->bases; i++)
        if (m->adapter.saved[i])
            TRY(check_type(m, model_files_find(m->set, m->base[i].name)));
done:
    return status;
}

static clora_status check_table(const merge *m, const stored_tensor *own, const stored_tensor *table) {
    const size_t n = stored_elements(own);
    float *given = alloc_array(n, sizeof(*given)), *values = alloc_array(n, sizeof(*values));
    void *bytes = alloc_array(table->size, 1);
    clora_status status = CLORA_OK;

    if (!given || !values || !bytes)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to look at %s", own->name));
    TRY(check_type(m, table));
    TRY(peft_read(given, &m->adapter, own));
    TRY(model_files_read(bytes, m->set, table, 0, table->size));
    dtype_to_f32(values, bytes, table->dtype, n);
    if (memcmp(given, values, n * sizeof(*values)) != 0)
        TRY(peft_refuse_own(&m->adapter, own));
done:
    free(given);
    free(values);
    free(bytes);
    return status;
}

/* That tables of the base which the adapter has beside factors are this base's. */
static clora_status check_own(const merge *m) {
    clora_status status = CLORA_OK;

    for (int i = 0; i < m->bases; i++)
        if (m->adapter.own[i])
            TRY(check_table(m, m->adapter.own[i],
                            strcmp(m->base[i].name, MODEL_HEAD) == 0 ? m->tables.head : m->tables.embedding));
done:
    return status;
}

/* Does the adapter make two of a head and an embedding that are one? */
static bool splits(const merge *m) {
    const target_choice *choice = m->adapter.choice;

    return m->tied_head >= 0 && (choice[m->tied_head].R > 0 || choice[m->embedding].R > 0 ||
                                 merge_copy_of(m, m->names->embedding) || merge_copy_of(m, MODEL_HEAD));
}

static void report_all(const merge *m, clora_merge_result *total) {
    clora_merge_result sum = {.size = sizeof(sum),
                              .own_head = m->own_head,
                              .copies = m->copies.copies,
                              .max_rounding_error = m->copies.max_rounding_error};

    for (size_t i = 0; i < m->kind_count; i++) {
        const clora_merge_result *r = &m->kinds[i].report;
        sum.modules += r->modules;
        sum.max_change = sum.max_change > r->max_change ? sum.max_change : r->max_change;
        if (r->max_rounding_error > sum.max_rounding_error)
            sum.max_rounding_error = r->max_rounding_error;
        if (m->options->callback)
            m->options->callback(m->options->user, m->kinds[i].name, r);
    }
    RESULT_GIVE(total, sum);
}

static void merge_finish(merge *m) {
    for (int i = 0; m->module && i < m->modules; i++)
        free((void *)(uintptr_t)m->module[i].name);
    free(m->module);
    free(m->tensor);
    free(m->base);
    free(m->bias);
    free(m->kinds);
    peft_close(&m->adapter);
    model_files_close(m->set);
    json_decref(m->config);
}

static int64_t count_bytes(const model_files *set) {
    int64_t bytes = 0;

    for (size_t i = 0; i < model_files_count(set); i++)
        bytes += (int64_t)model_files_tensor(set, i)->size;
    return bytes;
}

static clora_status run(merge *m, const char *adapter_directory, const char *out_directory) {
    const stamp before = stamp_adapter(adapter_directory);
    clora_status status = CLORA_OK;

    TRY(model_files_open(&m->set, m->model));
    TRY(quantized_refuse_tensors(m->set, m->model));
    TRY(list_modules(m));
    TRY(list_tensors(m));
    TRY(peft_open(&m->adapter, adapter_directory, &(peft_base){m->module, m->modules, m->base, m->bases}));
    if (m->adapter.score)
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED,
                       "%s: the adapter classifies: its head (%s) has no place in a merged model", adapter_directory,
                       m->adapter.score->name));
    TRY(check_types(m));
    TRY(check_own(m));
    TRY(merge_find_biases(m, adapter_directory));
    m->splits = splits(m);
    m->total = count_bytes(m->set) + (m->splits && !m->tables.copy ? (int64_t)m->tables.embedding->size : 0);
    TRY(merge_check_others(m->model));
    TRY(merge_output_open(&m->output, out_directory, m->model, false));
    TRY(write_directory(m));
    TRY(stamp_check(&before, adapter_directory));
done:
    outdir_close(&m->output, status == CLORA_OK);
    return status;
}

clora_status merge_directories(const merge_base *base, const char *adapter_directory, const char *out_directory,
                               const clora_merge_options *options, clora_merge_result *report) {
    merge m = {.model = base->directory,
               .config = base->config,
               .names = base->names,
               .tied = base->tied,
               .dtype = options->dtype,
               .options = options};
    const clora_status status = run(&m, adapter_directory, out_directory);

    if (status == CLORA_OK)
        report_all(&m, report);
    merge_finish(&m);
    return status;
}
