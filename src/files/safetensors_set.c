#include "files/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "files/directory.h"

static const char SINGLE_NAME[] = "model.safetensors";
static const char INDEX_NAME[] = "model.safetensors.index.json";

static int compare_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int compare_tensors(const void *a, const void *b) {
    const safetensors_tensor *x = *(safetensors_tensor *const *)a, *y = *(safetensors_tensor *const *)b;

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

/* Collect the tensors of all files in one sorted list; a name that occurs twice has no meaning. */
static clora_status collect(safetensors_set *set) {
    size_t total = 0;

    for (size_t f = 0; f < set->file_count; f++)
        total += set->files[f]->count;
    set->tensors = alloc_array(total, sizeof(*set->tensors));
    if (!set->tensors)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a list of %zu tensors", total);
    for (size_t f = 0; f < set->file_count; f++)
        for (size_t i = 0; i < set->files[f]->count; i++)
            set->tensors[set->count++] = &set->files[f]->tensors[i];
    qsort(set->tensors, set->count, sizeof(*set->tensors), compare_tensors);
    for (size_t i = 1; i < set->count; i++)
        if (strcmp(set->tensors[i - 1]->name, set->tensors[i]->name) == 0)
            return clora_fail(CLORA_ERROR_FORMAT, "tensor %.200s is in two files: %s and %s", set->tensors[i]->name,
                              safetensors_set_file(set, set->tensors[i - 1])->path,
                              safetensors_set_file(set, set->tensors[i])->path);
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
    else if (file_exists(index))
        status = open_index(set, dir, index);
    else
        status = directory_without_weights(dir);
    free(single);
    free(index);
    return status;
}

clora_status safetensors_set_open(safetensors_set **out, const char *dir) {
    clora_status status = CLORA_OK;
    safetensors_set *set = calloc(1, sizeof(*set));

    *out = NULL;
    if (!set)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", dir);
    TRY(open_files(set, dir));
    TRY(collect(set));
    *out = set;
    set = NULL;
done:
    safetensors_set_close(set);
    return status;
}

void safetensors_set_close(safetensors_set *set) {
    if (!set)
        return;
    for (size_t f = 0; f < set->file_count; f++)
        safetensors_close(set->files[f]);
    free(set->files);
    free(set->tensors);
    free(set);
}

size_t safetensors_set_count(const safetensors_set *set) {
    return set->count;
}

const safetensors_tensor *safetensors_set_tensor(const safetensors_set *set, size_t i) {
    return set->tensors[i];
}

const safetensors_tensor *safetensors_set_find(const safetensors_set *set, const char *name) {
    const safetensors_tensor wanted = {.name = name}, *key = &wanted;

    if (set->count == 0)
        return NULL;
    const safetensors_tensor **found = bsearch(&key, set->tensors, set->count, sizeof(key), compare_tensors);
    return found ? *found : NULL;
}

const safetensors *safetensors_set_file(const safetensors_set *set, const safetensors_tensor *tensor) {
    for (size_t f = 0; f < set->file_count; f++) {
        const safetensors *file = set->files[f];
        if (tensor >= file->tensors && tensor < file->tensors + file->count)
            return file;
    }
    return NULL;
}

clora_status safetensors_set_read(void *out, const safetensors_set *set, const safetensors_tensor *tensor, size_t at,
                                  size_t size) {
    return safetensors_read(out, safetensors_set_file(set, tensor), tensor, at, size);
}

void safetensors_set_release(const safetensors_set *set, const safetensors_tensor *tensor) {
    const safetensors *file = safetensors_set_file(set, tensor);

    if (file)
        file_map_release(&file->map, tensor->offset, tensor->size);
}
