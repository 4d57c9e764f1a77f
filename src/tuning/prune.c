#include <dirent.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "tuning/store.h"
#include "tuning/table.h"

enum { ENTRY_LIMIT = 64 << 10 };

static int delete_one(const char *path, const struct stat *info, int type, struct FTW *place) {
    (void)info;
    (void)type;
    (void)place;
    return remove(path);
}

static void delete_directory(void *user, clora_context *context, const char *directory, const json_t *environment) {
    int *deleted = user;

    (void)context;
    (void)environment;
    *deleted += nftw(directory, delete_one, 16, FTW_DEPTH | FTW_PHYS) == 0;
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

static void delete_unusable(void *user, clora_context *context, const char *directory, const json_t *environment) {
    char *folder = file_join(directory, "entries");
    struct dirent **names = NULL;
    const int count = folder ? scandir(folder, &names, NULL, alphasort) : 0;
    int *deleted = user;

    (void)environment;
    for (int i = 0; i < count; i++) {
        char *path = file_join(folder, names[i]->d_name);
        if (path && names[i]->d_type == DT_REG && !is_usable(context, path))
            *deleted += unlink(path) == 0;
        free(path);
        free(names[i]);
    }
    free(names);
    free(folder);
}

clora_status clora_tune_prune(int *directories, int *files, clora_context *context, int others) {
    NEED(directories);
    NEED(files);
    *directories = *files = 0;
    NEED(context);
    const char *directory = tuning_store_directory(context);
    if (!directory)
        return CLORA_OK;
    delete_unusable(files, context, directory, NULL);
    tuning_store_visit(context, ENVIRONMENT_SAME, delete_unusable, files);
    for (environment_match match = ENVIRONMENT_OTHER; others && match < ENVIRONMENT_SAME; match++)
        tuning_store_visit(context, match, delete_directory, directories);
    return CLORA_OK;
}
