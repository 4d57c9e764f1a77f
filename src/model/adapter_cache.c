#include <clora/adapter_cache.h>

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/options.h"
#include "files/safetensors.h"
#include "model/model.h"

typedef struct entry {
    char *name;
    clora_adapter *adapter;
    size_t bytes;
    uint64_t asked; /* when, in calls */
} entry;

struct clora_adapter_cache {
    clora_model *model; /* held */
    char *directory;
    uint64_t most;
    entry *entry; /* in no order */
    size_t count, room;
    uint64_t calls;
    uint64_t bytes, peak_bytes, loads, evictions;
    clora_adapter_cache_info info; /* as it was last asked for */
};

clora_status clora_adapter_cache_create(clora_adapter_cache **out, clora_model *model, const char *directory,
                                        const clora_adapter_cache_options *options) {
    clora_adapter_cache_options all = CLORA_ADAPTER_CACHE_OPTIONS_INIT;
    clora_status status = CLORA_OK;
    clora_adapter_cache *cache = NULL;

    NEED(out);
    *out = NULL;
    NEED(model);
    NEED(directory);
    TRY(OPTIONS_TAKE(all, options));
    if (!file_is_directory(directory))
        TRY(clora_fail(CLORA_ERROR_NOT_FOUND, "%s: no such directory; it is to hold a directory for each adapter",
                       directory));
    cache = calloc(1, sizeof(*cache));
    if (!cache || !(cache->directory = alloc_string(directory)))
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a cache of adapters"));
    cache->most = all.memory ? all.memory : UINT64_MAX;
    shared_hold(&model->shared);
    cache->model = model;
    *out = cache;
    cache = NULL;
done:
    free(cache);
    return clora_keep_cause(status);
}

/* The cache's hold on the i-th ends; the last takes its place. */
static void drop(clora_adapter_cache *cache, size_t i) {
    entry *e = &cache->entry[i];

    cache->bytes -= e->bytes;
    clora_adapter_free(e->adapter);
    free(e->name);
    *e = cache->entry[--cache->count];
}

void clora_adapter_cache_free(clora_adapter_cache *cache) {
    if (!cache)
        return;
    while (cache->count > 0)
        drop(cache, cache->count - 1);
    free(cache->entry);
    free(cache->directory);
    shared_let_go(&cache->model->shared);
    free(cache);
}

/* By others than the cache. */
static bool is_in_use(const entry *e) {
    return shared_holders(&e->adapter->shared) > 1;
}

/* Of those that nobody uses, the one that was asked for the longest ago; count when there is none. */
static size_t oldest_idle(const clora_adapter_cache *cache) {
    size_t oldest = cache->count;

    for (size_t i = 0; i < cache->count; i++)
        if (!is_in_use(&cache->entry[i]) &&
            (oldest == cache->count || cache->entry[i].asked < cache->entry[oldest].asked))
            oldest = i;
    return oldest;
}

/* Let idle ones go until so many bytes more are free. */
static clora_status make_room(clora_adapter_cache *cache, const char *name, size_t bytes) {
    if (bytes > cache->most)
        return clora_fail(CLORA_ERROR_MEMORY, "adapter %s takes %zu bytes of device memory; all may take %llu", name,
                          bytes, (unsigned long long)cache->most);
    while (cache->bytes > cache->most - bytes) {
        const size_t oldest = oldest_idle(cache);
        if (oldest == cache->count)
            return clora_fail(CLORA_ERROR_MEMORY,
                              "adapter %s takes %zu bytes of device memory; those in use have %llu of %llu", name,
                              bytes, (unsigned long long)cache->bytes, (unsigned long long)cache->most);
        drop(cache, oldest);
        cache->evictions++;
    }
    return CLORA_OK;
}

/* What the tensors of a directory take as floats: nearly what the adapter will take, whose factors are padded. 0 where
 * there is nothing to read, of which loading says what is wrong. */
static clora_status measure(size_t *bytes, const char *directory) {
    static const char *const names[] = {"adapter_model.safetensors", "adapter.safetensors"};
    clora_status status = CLORA_OK;
    safetensors *file = NULL;
    char *path = NULL;

    *bytes = 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !file; i++) {
        free(path);
        path = file_join(directory, names[i]);
        if (!path)
            TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", directory));
        if (file_exists(path))
            TRY(safetensors_open(&file, path));
    }
    for (size_t i = 0; file && i < file->count; i++)
        *bytes += stored_elements(&file->tensors[i]) * sizeof(float);
done:
    safetensors_close(file);
    free(path);
    return status;
}

static clora_status load(clora_adapter_cache *cache, const char *name) {
    entry new = {.name = alloc_string(name)};
    char *path = file_join(cache->directory, name);
    clora_status status = CLORA_OK;
    size_t expected;

    if (!new.name || !path)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for adapter %s", name));
    TRY(alloc_grow((void **)&cache->entry, &cache->room, cache->count + 1, sizeof(*cache->entry)));
    TRY(measure(&expected, path));
    TRY(make_room(cache, name, expected));
    TRY(clora_adapter_load(&new.adapter, cache->model, path));
    new.bytes = adapter_bytes(new.adapter);
    TRY(make_room(cache, name, new.bytes));
    cache->entry[cache->count++] = new;
    cache->bytes += new.bytes;
    cache->peak_bytes = cache->bytes > cache->peak_bytes ? cache->bytes : cache->peak_bytes;
    cache->loads++;
    new = (entry){.name = NULL};
done:
    clora_adapter_free(new.adapter);
    free(new.name);
    free(path);
    return status;
}

static bool is_name(const char *name) {
    return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static entry *find(const clora_adapter_cache *cache, const char *name) {
    for (size_t i = 0; i < cache->count; i++)
        if (strcmp(cache->entry[i].name, name) == 0)
            return &cache->entry[i];
    return NULL;
}

clora_status clora_adapter_cache_get(clora_adapter **out, clora_adapter_cache *cache, const char *name) {
    clora_status status = CLORA_OK;

    NEED(out);
    *out = NULL;
    NEED(cache);
    NEED(name);
    if (!is_name(name))
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "adapter '%s': the name of a directory in %s is needed, not a path", name,
                       cache->directory));
    if (!find(cache, name))
        TRY(load(cache, name));
    entry *e = find(cache, name);
    e->asked = ++cache->calls;
    shared_hold(&e->adapter->shared);
    *out = e->adapter;
done:
    return clora_keep_cause(status);
}

const clora_adapter_cache_info *clora_adapter_cache_get_info(clora_adapter_cache *cache) {
    static const clora_adapter_cache_info none;
    size_t in_use = 0;

    if (!cache)
        return &none;
    for (size_t i = 0; i < cache->count; i++)
        in_use += is_in_use(&cache->entry[i]);
    cache->info = (clora_adapter_cache_info){.adapters = cache->count,
                                             .in_use = in_use,
                                             .bytes = cache->bytes,
                                             .peak_bytes = cache->peak_bytes,
                                             .loads = cache->loads,
                                             .evictions = cache->evictions};
    return &cache->info;
}
