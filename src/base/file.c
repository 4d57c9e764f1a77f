#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file_error.h"

static clora_status map_descriptor(file_map *out, int fd, const char *path) {
    struct stat info;

    if (fstat(fd, &info) != 0)
        return file_error_read(path, errno);
    if (S_ISDIR(info.st_mode))
        return file_error_read(path, EISDIR);
    if (!S_ISREG(info.st_mode))
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "cannot read %s: it is not a regular file; save it to a file first",
                          path);
    if ((uintmax_t)info.st_size > SIZE_MAX)
        return clora_fail(CLORA_ERROR_MEMORY, "cannot read %s: too large for this machine's addresses", path);
    if (info.st_size == 0)
        return CLORA_OK; /* mmap refuses a length of zero */
    void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return file_error_read(path, errno);
    *out = (file_map){data, (size_t)info.st_size};
    return CLORA_OK;
}

clora_status file_map_open(file_map *out, const char *path) {
    *out = (file_map){NULL, 0};
    /* without O_NONBLOCK, opening a pipe that nobody writes to would hang */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return file_error_read(path, errno);
    const clora_status status = map_descriptor(out, fd, path);
    close(fd);
    return status;
}

void file_map_release(const file_map *map, size_t offset, size_t size) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);

    if (!map->data || offset >= map->size)
        return;
    if (size > map->size - offset)
        size = map->size - offset;
    /* whole pages only: a neighbour in a shared page may still be needed */
    const size_t begin = (offset + page - 1) / page * page, end = (offset + size) / page * page;
    if (begin < end)
        madvise((void *)(uintptr_t)(map->data + begin), end - begin, MADV_DONTNEED);
}

void file_map_close(file_map *map) {
    if (map->data)
        munmap((void *)(uintptr_t)map->data, map->size);
    *map = (file_map){NULL, 0};
}

static clora_status read_stream(char **out, size_t *size, FILE *stream, const char *path, size_t limit) {
    clora_status status = CLORA_OK;
    size_t capacity = 0, used = 0, got;
    char *text = NULL;

    do {
        TRY(alloc_grow((void **)&text, &capacity, used + 4096, 1));
        errno = 0;
        got = fread(text + used, 1, capacity - used - 1, stream);
        used += got;
        if (ferror(stream)) {
            status = file_error_read(path, errno ? errno : EIO);
            goto done;
        }
        if (used > limit) {
            status = clora_fail(CLORA_ERROR_FORMAT,
                                "cannot read %s: it is larger than the %zu bytes such a file may have", path, limit);
            goto done;
        }
    } while (got > 0);
    text[used] = '\0';
    *out = text;
    if (size)
        *size = used;
    text = NULL;
done:
    free(text);
    return status;
}

clora_status file_read_text(char **out, size_t *size, const char *path, size_t limit) {
    *out = NULL;
    if (size)
        *size = 0;
    FILE *stream = fopen(path, "rbe");
    if (!stream)
        return file_error_read(path, errno);
    const clora_status status = read_stream(out, size, stream, path, limit);
    fclose(stream);
    return status;
}

bool file_exists(const char *path) {
    struct stat info;

    return stat(path, &info) == 0;
}

bool file_is_directory(const char *path) {
    struct stat info;

    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static clora_status need_directory(const char *directory, const char *hint) {
    if (file_is_directory(directory))
        return CLORA_OK;
    return clora_fail(CLORA_ERROR_NOT_FOUND, "%s: no such directory; %s", directory, hint);
}

clora_status file_need_model(const char *directory) {
    return need_directory(directory, "a model is a Hugging Face directory with config.json");
}

clora_status file_need_adapter(const char *directory) {
    return need_directory(directory, "an adapter is a PEFT directory with adapter_config.json");
}

char *file_join(const char *dir, const char *name) {
    const size_t n = strlen(dir);

    if (n == 0)
        return alloc_string(name);
    return alloc_format(dir[n - 1] == '/' ? "%s%s" : "%s/%s", dir, name);
}

static clora_status check_empty(const char *path) {
    DIR *directory = opendir(path);
    const struct dirent *entry;
    bool empty = true;

    if (!directory)
        return file_error_write(path, errno);
    while (empty && (entry = readdir(directory)))
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
                file_is_temporary_name(entry->d_name);
    closedir(directory);
    if (!empty)
        return clora_fail(CLORA_ERROR_ARGUMENT,
                          "the output directory %s is not empty: name a new one or empty it first", path);
    return CLORA_OK;
}

clora_status file_prepare_output(const char *path, bool *created) {
    clora_status status = CLORA_OK;

    *created = mkdir(path, 0777) == 0;
    if (*created)
        return CLORA_OK;
    if (errno != EEXIST)
        return file_error_write(path, errno);
    if (!file_is_directory(path))
        return file_error_write(path, ENOTDIR);
    TRY(check_empty(path));
    if (access(path, W_OK | X_OK) != 0)
        status = file_error_write(path, errno);
done:
    return status;
}
