#include "self_check_record.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <clora/version.h>

#include "base/file.h"
#include "base/json.h"
#include "tuning/store.h"

/* NULL when there is no place for a cache. The caller frees. */
static char *record_path(clora_context *context) {
    const char *directory = tuning_store_directory(context);
    return directory ? file_join(directory, "self_check.json") : NULL;
}

/* The object of passed checks that a file of this version has, or NULL: one that cannot be used is as good as none. */
static json_t *read_passed(const char *path) {
    enum { LIMIT = 64 << 10 };
    json_t *file = NULL, *passed = NULL;
    const char *version;

    if (!path || !file_exists(path) || json_load_path(&file, path, LIMIT) != CLORA_OK)
        return NULL;
    version = json_string_value(json_object_get(file, "clora"));
    if (version && strcmp(version, CLORA_VERSION) == 0)
        passed = json_incref(json_object_get(file, "passed"));
    json_decref(file);
    return passed;
}

clora_status self_check_record_open(clora_context *context, bool forget) {
    if (context->check.passed)
        return CLORA_OK;
    char *path = record_path(context);
    json_t *passed = forget ? NULL : read_passed(path);

    if (forget && path)
        unlink(path); /* what fails this time must not be believed next time */
    context->check.passed = json_is_object(passed) ? json_incref(passed) : json_object();
    json_decref(passed);
    free(path);
    return context->check.passed ? CLORA_OK : clora_fail(CLORA_ERROR_MEMORY, "no memory for the self-check");
}

size_t self_check_record_count(const clora_context *context) {
    return json_object_size(context->check.passed);
}

bool self_check_record_has(const clora_context *context, const char *check) {
    return json_is_true(json_object_get(context->check.passed, check));
}

clora_status self_check_record_add(clora_context *context, const char *check) {
    return json_object_set_new(context->check.passed, check, json_true()) == 0
               ? CLORA_OK
               : clora_fail(CLORA_ERROR_MEMORY, "no memory for the self-check");
}

void self_check_record_save(clora_context *context) {
    char *path = record_path(context);
    json_t *file = json_pack("{s:s, s:O}", "clora", CLORA_VERSION, "passed", context->check.passed);

    if (path && file && tuning_store_prepare(context) == CLORA_OK)
        (void)json_save_path(file, path);
    json_decref(file);
    free(path);
}
