#include "files/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "files/model_names.h"

/* The files of a model directory as one. */
typedef struct safetensors_set {
    safetensors **files; /* model.safetensors, or the shards sorted by name */
    size_t file_count;
    const stored_tensor **tensors; /* of all files, sorted by name */
    size_t count;
} safetensors_set;

static const char SINGLE_NAME[] = "model.safetensors";
static const char INDEX_NAME[] = "model.safetensors.index.json";

static int compare_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int compare_tensors(const void *a, const void *b) {
    const stored_tensor *x = *(stored_tensor *const *)a, *y = *(stored_tensor *const *)b;

    return strcmp(x->name, y->name);
}

static bool is_plain_name(const json_t *value) {
    const char *name = json_string_value(value);

    return name && *name && strlen(name) == json_string_length(value) && !strchr(name, '/') && !strchr(name, '\\') &&
           strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* The distinct shard names of a weight_map, sorted; the strings are borrowed from it. */
static clora_status list_shards(const char ***out, size_t *count, json_t *map, const char *index) {
    const char **names = alloc_array(json_object_size(map), sizeof(*names));
    const char *tensor;
    json_t *shard;
    size_t n = 0, kept = 0;

    if (!names)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", index);
    json_object_foreach (map, tensor, shard) {
        if (!is_plain_name(shard)) {
            free(names);
            return clora_fail(CLORA_ERROR_FORMAT,
                              "%s: tensor %.200s must lie in a file of the same directory, not in \"%.200s\"", index,
                              tensor, json_is_string(shard) ? json_string_value(shard) : "(not a name)");
        }
        names[n++] = json_string_value(shard);
    }
    qsort(names, n, sizeof(*names), compare_text);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || strcmp(names[kept - 1], names[i]) != 0)
            names[kept++] = names[i];
    *out = names;
    *count = kept;
    return CLORA_OK;
}

/* index: the file that names it, or NULL */
static clora_status open_file(safetensors_set *set, const char *dir, const char *name, const char *index) {
    char *path = file_join(dir, name);

    if (!path)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", name);
    clora_status status = safetensors_open(&set->files[set->file_count], path);
    if (status == CLORA_OK)
        set->file_count++;
    else if (index && !file_exists(path))
        status = clora_fail(status, "%s names the file %s, which is missing: download it too", index, name);
    free(path);
    return status;
}

static clora_status open_shards(safetensors_set *set, const char *dir, const char *index, const char **names,
                                size_t n) {
    clora_status status = CLORA_OK;

    set->files = alloc_array(n, sizeof(*set->files));
    if (!set->files)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", index);
    for (size_t i = 0; i < n; i++)
        TRY(open_file(set, dir, names[i], index));
done:
    return status;
}

static const char *file_path(const void *handle, size_t file) {
    return ((const safetensors_set *)handle)->files[file]->path;
}

/* Collect the tensors of all files in one sorted list; a name that occurs twice has no meaning. */
static clora_status collect(safetensors_set *set) {
    size_t total = 0;

    for (size_t f = 0; f < set->file_count; f++)
        total += set->files[f]->count;
    set->tensors = alloc_array(total, sizeof(*set->tensors));
    if (!set->tensors)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a list of %zu tensors", total);
    for (size_t f = 0; f < set->file_count; f++)
        for (size_t i = 0; i < set->files[f]->count; i++) {
            stored_tensor *t = &set->files[f]->tensors[i];
            t->file = f;
            set->tensors[set->count++] = t;
        }
    qsort(set->tensors, set->count, sizeof(*set->tensors), compare_tensors);
    for (size_t i = 1; i < set->count; i++)
        if (strcmp(set->tensors[i - 1]->name, set->tensors[i]->name) == 0)
            return clora_fail(CLORA_ERROR_FORMAT, "tensor %.200s is in two files: %s and %s", set->tensors[i]->name,
                              file_path(set, set->tensors[i - 1]->file), file_path(set, set->tensors[i]->file));
    return CLORA_OK;
}

static const safetensors *file_named(const safetensors_set *set, const char **names, const char *name) {
    const char **found = bsearch(&name, names, set->file_count, sizeof(*names), compare_text);

    return set->files[found - names];
}

/* Savers of tied models may list a head that lies in no file; whoever needs it says that it is missing. */
static clora_status check_map(const safetensors_set *set, json_t *map, const char **names, const char *index) {
    const char *tensor;
    json_t *shard;

    json_object_foreach (map, tensor, shard) {
        const safetensors *file = file_named(set, names, json_string_value(shard));
        if (safetensors_find(file, tensor))
            continue;
        if (strcmp(tensor, "lm_head.weight") != 0)
            return clora_fail(CLORA_ERROR_FORMAT, "%s says that tensor %.200s is in %s, which does not hold it", index,
                              tensor, file->path);
    }
    return CLORA_OK;
}

static clora_status open_index(safetensors_set *set, const char *dir, const char *index) {
    clora_status status = CLORA_OK;
    const char **names = NULL;
    json_t *root = NULL;
    size_t n = 0;

    TRY(json_load_path(&root, index, SAFETENSORS_MAX_HEADER));
    json_t *map = json_object_get(root, "weight_map");
    if (!json_is_object(map) || json_object_size(map) == 0) {
        status = clora_fail(CLORA_ERROR_FORMAT, "%s: \"weight_map\" must be an object that names files", index);
        goto done;
    }
    TRY(list_shards(&names, &n, map, index));
    TRY(open_shards(set, dir, index, names, n));
    TRY(check_map(set, map, names, index));
done:
    free(names);
    json_decref(root);
    return status;
}

static clora_status open_one(safetensors_set *set, const char *dir) {
    set->files = alloc_array(1, sizeof(*set->files));
    if (!set->files)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", dir);
    return open_file(set, dir, SINGLE_NAME, NULL);
}

/* One file goes before an index, as in Hugging Face's loaders. */
static clora_status open_files(safetensors_set *set, const char *dir) {
    char *single = file_join(dir, SINGLE_NAME), *index = file_join(dir, INDEX_NAME);
    clora_status status;

    if (!single || !index)
        status = clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", dir);
    else if (file_exists(single))
        status = open_one(set, dir);
    else
        status = open_index(set, dir, index);
    free(single);
    free(index);
    return status;
}

static bool holds(const char *dir) {
    char *single = file_join(dir, SINGLE_NAME), *index = file_join(dir, INDEX_NAME);
    const bool found = (single && file_exists(single)) || (index && file_exists(index));

    free(single);
    free(index);
    return found;
}

static void close_set(void *handle) {
    safetensors_set *set = handle;

    if (!set)
        return;
    for (size_t f = 0; f < set->file_count; f++)
        safetensors_close(set->files[f]);
    free(set->files);
    free(set->tensors);
    free(set);
}

/* Files whose tensors are not named as their family has them, told by one that each of them holds. */
typedef struct other_names {
    const char *sign;
    name_beginning beginnings[2];
} other_names;

static const other_names all_names[] = {
    /* GPT-2's published ones are of a model without a head. */
    {"wte.weight", {{MODEL_HEAD, MODEL_HEAD, false}, {"", "transformer.", false}}},
    /* Gemma 3's are of a whole model of texts within one of texts and images. */
    {"language_model.model.norm.weight",
     {{"language_model.model.", "model.language_model.", true}, {"language_model.lm_head.", "lm_head.", true}}},
};

static const other_names *find_names(const safetensors_set *set) {
    for (size_t i = 0; i < sizeof(all_names) / sizeof(all_names[0]); i++)
        for (size_t f = 0; f < set->file_count; f++)
            if (safetensors_find(set->files[f], all_names[i].sign))
                return &all_names[i];
    return NULL;
}

static clora_status complete_names(safetensors_set *set) {
    const other_names *names = find_names(set);
    clora_status status = CLORA_OK;

    for (size_t f = 0; names && f < set->file_count; f++)
        TRY(safetensors_rename(set->files[f], names->beginnings, 2));
done:
    return status;
}

static clora_status open_set(void **out, const char *dir) {
    clora_status status = CLORA_OK;
    safetensors_set *set = calloc(1, sizeof(*set));

    *out = NULL;
    if (!set)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", dir);
    TRY(open_files(set, dir));
    TRY(complete_names(set));
    TRY(collect(set));
    *out = set;
    set = NULL;
done:
    close_set(set);
    return status;
}

static size_t count(const void *handle) {
    return ((const safetensors_set *)handle)->count;
}

static const stored_tensor *tensor_at(const void *handle, size_t i) {
    return ((const safetensors_set *)handle)->tensors[i];
}

static size_t file_count(const void *handle) {
    return ((const safetensors_set *)handle)->file_count;
}

static const stored_tensor *file_tensors(size_t *n, const void *handle, size_t file) {
    const safetensors *f = ((const safetensors_set *)handle)->files[file];

    *n = f->count;
    return f->tensors;
}

static clora_status read_tensor(void *out, const void *handle, const stored_tensor *tensor, size_t at, size_t size) {
    const safetensors_set *set = handle;

    return safetensors_read(out, set->files[tensor->file], tensor, at, size);
}

/* What names the format belongs to a copy; without it, all is of this file alone. */
static const json_t *metadata(const void *handle, size_t file) {
    const safetensors *f = ((const safetensors_set *)handle)->files[file];

    return safetensors_metadata(f, "format") ? f->metadata : NULL;
}

const model_reader safetensors_reader = {.holds = holds,
                                         .open = open_set,
                                         .close = close_set,
                                         .count = count,
                                         .tensor = tensor_at,
                                         .read = read_tensor,
                                         .file_count = file_count,
                                         .file_path = file_path,
                                         .file_tensors = file_tensors,
                                         .metadata = metadata};
