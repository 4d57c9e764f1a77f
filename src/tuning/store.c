#include "tuning/store.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "base/alloc.h"
#include "base/cache.h"
#include "base/file.h"
#include "base/json.h"
#include "device/source.h"
#include "tuning/environment.h"
#include "tuning/table.h"

enum { ENTRY_LIMIT = 64 << 10, TABLE_LIMIT = 16 << 20 };

static const char *const version = "tune/v1";

const char *tuning_store_directory(clora_context *context) {
    char **directory = &context->tuning->directory;

    if (*directory)
        return *directory;
    char *cache = cache_directory(), name[ENVIRONMENT_NAME];
    json_t *environment = environment_describe(context);

    if (cache && environment && environment_name(name, environment) == CLORA_OK)
        *directory = alloc_format("%s/%s/%s", cache, version, name);
    json_decref(environment);
    free(cache);
    return *directory;
}

clora_status tuning_store_prepare(clora_context *context) {
    const char *directory = tuning_store_directory(context);
    clora_status status = CLORA_OK;
    char *entries = NULL, *description = NULL;
    json_t *environment = NULL;

    if (!directory)
        return clora_fail(CLORA_ERROR_IO, "no place for a cache: set CLORA_CACHE_DIR to a directory");
    entries = file_join(directory, "entries");
    description = file_join(directory, "environment.json");
    environment = environment_describe(context);
    if (!entries || !description || !environment)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the cache"));
    TRY(file_make_directories(entries));
    if (!file_exists(description))
        TRY(json_save_path(environment, description));
done:
    json_decref(environment);
    free(description);
    free(entries);
    return status;
}

/* By the description, not by the directory's name: releases hashed it in their own ways. One that cannot be read is of
 * another environment. */
static void visit_if(clora_context *context, const char *directory, const json_t *here, environment_match match,
                     directory_visitor visit, void *user) {
    char *path = file_join(directory, "environment.json");
    json_t *environment = NULL;

    if (path && file_exists(path)) {
        (void)json_load_path(&environment, path, ENTRY_LIMIT);
        if (environment_compare(environment, here) == match)
            visit(user, context, directory, environment);
    }
    json_decref(environment);
    free(path);
}

void tuning_store_visit(clora_context *context, environment_match match, directory_visitor visit, void *user) {
    struct dirent **names = NULL;
    char *above = alloc_string(tuning_store_directory(context)), *slash = above ? strrchr(above, '/') : NULL;
    json_t *here = environment_describe(context);
    int count = 0;

    if (slash) {
        *slash = '\0';
        count = scandir(above, &names, NULL, alphasort);
    }
    for (int i = 0; i < count; i++) {
        char *directory = file_join(above, names[i]->d_name);
        if (directory && here && names[i]->d_name[0] != '.' && strcmp(names[i]->d_name, slash + 1) != 0)
            visit_if(context, directory, here, match, visit, user);
        free(directory);
        free(names[i]);
    }
    free(names);
    json_decref(here);
    free(above);
}

/* Entries are named by their keys, so that a new measurement replaces the old one. */
static char *entry_path(const char *directory, const clora_tune_entry *entry) {
    const clora_tune_key *k = &entry->key;
    char text[256];

    snprintf(text, sizeof(text), "%s %d %d %d %d %d", k->kernel, k->dtype, k->M, k->N, k->K, k->R);
    return alloc_format("%s/entries/%s-%016llx.json", directory, k->kernel,
                        (unsigned long long)XXH3_64bits(text, strlen(text)));
}

clora_status tuning_store_save(clora_context *context, const clora_tune_entry *entry) {
    clora_status status = CLORA_OK;
    json_t *json = tuning_entry_to_json(entry);
    char *path = entry_path(tuning_store_directory(context), entry);

    if (!json || !path)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for an entry"));
    TRY(json_save_ordered_path(json, path));
done:
    json_decref(json);
    free(path);
    return status;
}

static void delete_entry(void *user, clora_context *context, const char *directory, const json_t *environment) {
    char *path = entry_path(directory, user);

    (void)context;
    (void)environment;
    if (path)
        unlink(path);
    free(path);
}

void tuning_store_delete(clora_context *context, const clora_tune_entry *entry) {
    void *named = (void *)(uintptr_t)entry;

    tuning_store_visit(context, ENVIRONMENT_SAME, delete_entry, named);
    delete_entry(named, context, tuning_store_directory(context), NULL);
}

/* ---- reading ---- */

static clora_status add(clora_context *context, const json_t *json, clora_tune_source source, const char *where) {
    clora_tune_entry entry;
    tuning_entry row;
    clora_status status = CLORA_OK;

    TRY(tuning_entry_from_json(&entry, json, where));
    TRY(tuning_entry_read(&row, &entry));
    row.source = source;
    status = tuning_add(context, &row);
    if (status != CLORA_OK)
        return clora_fail_within(status, "%s", where);
done:
    return status;
}

static int is_entry(const struct dirent *file) {
    const size_t length = strlen(file->d_name);
    return file->d_name[0] != '.' && length > 5 && strcmp(file->d_name + length - 5, ".json") == 0;
}

/* What to do with each entry of a directory. */
typedef clora_status (*entry_visitor)(void *user, const json_t *json, const char *path);

/* Every entry of a directory, in the order of the names: the same files give the same table. */
static void visit_directory(clora_context *context, const char *directory, entry_visitor visit, void *user) {
    struct dirent **files = NULL;
    char *folder = file_join(directory, "entries");
    const int count = folder ? scandir(folder, &files, is_entry, alphasort) : 0;

    for (int i = 0; i < count; i++) {
        char *path = file_join(folder, files[i]->d_name);
        json_t *json = NULL;
        if (path && (json_load_path(&json, path, ENTRY_LIMIT) != CLORA_OK || visit(user, json, path) != CLORA_OK))
            tuning_log(context, "ignored: %s", clora_last_error());
        json_decref(json);
        free(path);
        free(files[i]);
    }
    free(files);
    free(folder);
}

static clora_status load_exact(void *user, const json_t *json, const char *path) {
    return add(user, json, CLORA_TUNE_SOURCE_EXACT, path);
}

static clora_status load_older(void *user, const json_t *json, const char *path) {
    return add(user, json, CLORA_TUNE_SOURCE_OLDER, path);
}

static void load_same(void *user, clora_context *context, const char *directory, const json_t *environment) {
    (void)user;
    (void)environment;
    visit_directory(context, directory, load_exact, context);
}

static void find_entries(void *user, clora_context *context, const char *directory, const json_t *environment) {
    struct dirent **files = NULL;
    char *folder = file_join(directory, "entries");
    const int count = folder ? scandir(folder, &files, is_entry, alphasort) : 0;
    bool *found = user;

    (void)context;
    (void)environment;
    *found = *found || count > 0;
    for (int i = 0; i < count; i++)
        free(files[i]);
    free(files);
    free(folder);
}

static void load_near(void *user, clora_context *context, const char *directory, const json_t *environment) {
    char difference[256];
    bool found = false;

    find_entries(&found, context, directory, environment);
    if (!found)
        return; /* a self-check leaves a directory too, in which nothing was measured */
    environment_difference(difference, sizeof(difference), environment, user);
    tuning_older(context, difference);
    visit_directory(context, directory, load_older, context);
}

/* Whoever tuned with an earlier release would not know why it is slower now. */
static void tell_of_other_kernels(clora_context *context) {
    bool found = false;

    if (tuning_is_measured(context))
        return;
    tuning_store_visit(context, ENVIRONMENT_KERNELS, find_entries, &found);
    if (found)
        tuning_log(context, "what was tuned on this device was for the kernels of another release and is not used; "
                            "'clora tune' measures them anew");
}

typedef struct listing {
    clora_tune_entry *entries;
    size_t count, capacity;
} listing;

static bool same_key(const clora_tune_key *a, const clora_tune_key *b) {
    return strcmp(a->kernel, b->kernel) == 0 && a->dtype == b->dtype && a->M == b->M && a->N == b->N && a->K == b->K &&
           a->R == b->R;
}

/* The later of two entries for a key stays, as in the context's table. */
static clora_status list_entry(void *user, const json_t *json, const char *path) {
    listing *l = user;
    clora_tune_entry entry;
    clora_status status = CLORA_OK;
    size_t i = 0;

    TRY(tuning_entry_from_json(&entry, json, path));
    while (i < l->count && !same_key(&l->entries[i].key, &entry.key))
        i++;
    if (i == l->count)
        TRY(alloc_grow((void **)&l->entries, &l->capacity, ++l->count, sizeof(*l->entries)));
    l->entries[i] = entry;
done:
    return status;
}

static void list_directory(void *user, clora_context *context, const char *directory, const json_t *environment) {
    (void)environment;
    visit_directory(context, directory, list_entry, user);
}

clora_status tuning_store_list(clora_tune_entry **out, int *count, clora_context *context) {
    const char *directory = tuning_store_directory(context);
    listing l = {0};

    if (directory) {
        tuning_store_visit(context, ENVIRONMENT_SAME, list_directory, &l);
        list_directory(&l, context, directory, NULL);
    }
    *out = l.entries;
    *count = (int)l.count;
    return CLORA_OK;
}

static bool names_the_same_device(const json_t *table, const clora_device_info *info) {
    const char *device = json_string_value(json_object_get(table, "device"));
    const json_t *width = json_object_get(table, "vector_width");

    return device && strcmp(environment_plain_name(device), environment_plain_name(info->name)) == 0 &&
           json_integer_value(width) == info->vector_width;
}

void tuning_store_add_table(clora_context *context, const char *text, size_t size, const char *name) {
    json_t *table = NULL, *entry;
    size_t i;

    if (json_load_bytes(&table, text, size, name) == CLORA_OK && names_the_same_device(table, &context->info))
        json_array_foreach (json_object_get(table, "entries"), i, entry)
            (void)add(context, entry, CLORA_TUNE_SOURCE_SHIPPED, name);
    json_decref(table);
}

void tuning_store_load(clora_context *context) {
    const char *directory = tuning_store_directory(context);
    json_t *environment = environment_describe(context);

    for (size_t i = 0; i < tuned_tables_count; i++)
        tuning_store_add_table(context, (const char *)tuned_tables[i].text, tuned_tables[i].size, tuned_tables[i].name);
    if (directory && environment) { /* what holds better comes later and stays */
        tuning_store_visit(context, ENVIRONMENT_DRIVER, load_near, environment);
        tuning_store_visit(context, ENVIRONMENT_UNITS, load_near, environment);
        tuning_store_visit(context, ENVIRONMENT_SAME, load_same, NULL);
        load_same(NULL, context, directory, NULL);
        tell_of_other_kernels(context);
    }
    json_decref(environment);
}
