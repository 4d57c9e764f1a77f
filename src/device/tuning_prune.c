#include <dirent.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "device/tuning_store.h"

enum { ENTRY_LIMIT = 64 << 10 };

static int delete_one(const char *path, const struct stat *info, int type, struct FTW *place) {
    (void)info;
    (void)type;
    (void)place;
    return remove(path);
}

/* Delete a directory that is one of ours: it must hold environment.json. */
static bool delete_environment(const char *directory) {
    char *description = file_join(directory, "environment.json");
    const bool ours = description && file_exists(description);

    free(description);
    return ours && nftw(directory, delete_one, 16, FTW_DEPTH | FTW_PHYS) == 0;
}

static int delete_others(const char *directory) {
    char *above = alloc_string(directory), *slash = above ? strrchr(above, '/') : NULL;
    struct dirent **names = NULL;
    int deleted = 0, count = 0;

    if (slash) {
        *slash = '\0';
        count = scandir(above, &names, NULL, alphasort);
    }
    for (int i = 0; i < count; i++) {
        char *path = file_join(above, names[i]->d_name);
        if (path && names[i]->d_name[0] != '.' && strcmp(names[i]->d_name, slash + 1) != 0)
            deleted += delete_environment(path);
        free(path);
        free(names[i]);
    }
    free(names);
    free(above);
    return deleted;
}

static bool is_usable(clora_context *context, const char *path) {
    clora_tune_entry entry;
    tuning_entry row;
    json_t *json = NULL;
    const bool usable = json_load_path(&json, path, ENTRY_LIMIT) == CLORA_OK &&
                        tuning_entry_from_json(&entry, json, path) == CLORA_OK &&
                        tuning_entry_read(&row, &entry) == CLORA_OK && tuning_allows(context, &row);

    json_decref(json);
    return usable;
}

static int delete_unusable(clora_context *context, const char *directory) {
    char *folder = file_join(directory, "entries");
    struct dirent **names = NULL;
    const int count = folder ? scandir(folder, &names, NULL, alphasort) : 0;
    int deleted = 0;

    for (int i = 0; i < count; i++) {
        char *path = file_join(folder, names[i]->d_name);
        if (path && names[i]->d_type == DT_REG && !is_usable(context, path))
            deleted += unlink(path) == 0;
        free(path);
        free(names[i]);
    }
    free(names);
    free(folder);
    return deleted;
}

clora_status clora_tune_prune(int *directories, int *files, clora_context *context, int others) {
    const char *directory = tuning_store_directory(context);

    *directories = *files = 0;
    if (!directory)
        return CLORA_OK;
    *files = delete_unusable(context, directory);
    *directories = others ? delete_others(directory) : 0;
    return CLORA_OK;
}
