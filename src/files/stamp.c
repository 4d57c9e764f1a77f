#include "files/stamp.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

static const char SETTINGS_NAME[] = "adapter_config.json";
static const char TENSORS_NAME[] = "adapter_model.safetensors";

file_stamp file_stamp_take(const char *path) {
    struct stat s;

    return stat(path, &s) == 0 ? (file_stamp){s.st_dev, s.st_ino, (unsigned long long)s.st_size, s.st_mtim}
                               : (file_stamp){.size = 0};
}

/* Without an allocation: a lack of memory is no change. */
static file_stamp take(const char *directory, const char *name) {
    char path[PATH_MAX];
    const int length = snprintf(path, sizeof(path), "%s/%s", directory, name);

    return length < (int)sizeof(path) ? file_stamp_take(path) : (file_stamp){.size = 0};
}

stamp stamp_adapter(const char *directory) {
    return (stamp){take(directory, SETTINGS_NAME), take(directory, TENSORS_NAME)};
}

bool file_stamp_same(const file_stamp *a, const file_stamp *b) {
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->modified.tv_sec == b->modified.tv_sec && a->modified.tv_nsec == b->modified.tv_nsec;
}

clora_status stamp_check(const stamp *before, const char *directory) {
    const stamp now = stamp_adapter(directory);
    const char *changed = !file_stamp_same(&before->tensors, &now.tensors)     ? TENSORS_NAME
                          : !file_stamp_same(&before->settings, &now.settings) ? SETTINGS_NAME
                                                                               : NULL;

    if (!changed)
        return CLORA_OK;
    return clora_fail(CLORA_ERROR_IO, "%s/%s: the adapter changed while it was read; try again", directory, changed);
}
