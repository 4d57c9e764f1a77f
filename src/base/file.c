#include "base/file.h"

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

clora_status file_open_regular(int *out, size_t *size, const char *path) {
    struct stat info;
    clora_status status = CLORA_OK;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if ((fd < 0 && errno != ENXIO) || (fd >= 0 && fstat(fd, &info) != 0))
        status = file_error_read(path, errno);
    else if (fd >= 0 && S_ISDIR(info.st_mode))
        status = file_error_read(path, EISDIR);
    else if (fd < 0 || !S_ISREG(info.st_mode)) /* ENXIO: a socket */
        status = clora_fail(CLORA_ERROR_UNSUPPORTED,
                            "cannot read %s: it is not a regular file; save it to a file first", path);
    else if ((uintmax_t)info.st_size > SIZE_MAX)
        status = clora_fail(CLORA_ERROR_MEMORY, "cannot read %s: too large for this machine's addresses", path);
    if (status != CLORA_OK && fd >= 0)
        close(fd);
    *out = fd;
    *size = status == CLORA_OK ? (size_t)info.st_size : 0;
    return status;
}

/* What Git LFS leaves is some lines of text. */
static clora_status refuse_pointer(const void *data, size_t size, const char *path) {
    static const char begin[] = FILE_LFS_POINTER, next[] = "\noid ";
    enum { LONGEST = 1024 };

    if (size < strlen(begin) || size > LONGEST || memcmp(data, begin, strlen(begin)) != 0 ||
        !memmem(data, size, next, strlen(next)))
        return CLORA_OK;
    return clora_fail(CLORA_ERROR_FORMAT,
                      "cannot read %s: it is only a Git LFS pointer to the file; fetch the file with 'git lfs pull'",
                      path);
}

clora_status file_map_open_keeping(file_map *out, int *fd, const char *path) {
    clora_status status = CLORA_OK;
    size_t size;

    *out = (file_map){NULL, 0};
    TRY(file_open_regular(fd, &size, path));
    if (size > 0) { /* mmap refuses a length of zero */
        void *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, *fd, 0);
        if (data == MAP_FAILED)
            status = file_error_read(path, errno);
        else
            *out = (file_map){data, size};
    }
    if (status == CLORA_OK)
        status = refuse_pointer(out->data, out->size, path);
    if (status != CLORA_OK) {
        file_map_close(out);
        close(*fd);
    }
done:
    if (status != CLORA_OK)
        *fd = -1;
    return status;
}

clora_status file_map_open(file_map *out, const char *path) {
    int fd;
    const clora_status status = file_map_open_keeping(out, &fd, path);

    if (status == CLORA_OK)
        close(fd);
    return status;
}

clora_status file_read_at(void *out, int fd, size_t offset, size_t size, const char *path) {
    for (size_t done = 0; done < size;) {
        const ssize_t got = pread(fd, (char *)out + done, size - done, (off_t)(offset + done));
        if (got == 0)
            return file_error_shorter(path);
        if (got < 0 && errno != EINTR)
            return file_error_read(path, errno);
        done += got > 0 ? (size_t)got : 0;
    }
    return CLORA_OK;
}

void file_map_close(file_map *map) {
    if (map->data)
        munmap((void *)(uintptr_t)map->data, map->size);
    *map = (file_map){NULL, 0};
}

/* All that fd gives, zero-terminated. */
static clora_status read_all(char **out, size_t *size, int fd, const char *path, size_t limit) {
    clora_status status = CLORA_OK;
    size_t capacity = 0;
    char *text = NULL;
    ssize_t got;

    *size = 0;
    do {
        TRY(alloc_grow((void **)&text, &capacity, *size + 4096, 1));
        got = read(fd, text + *size, capacity - *size - 1);
        if (got < 0 && errno != EINTR)
            TRY(file_error_read(path, errno));
        *size += got > 0 ? (size_t)got : 0;
        if (*size > limit)
            TRY(clora_fail(CLORA_ERROR_FORMAT, "cannot read %s: it is larger than the %zu bytes such a file may have",
                           path, limit));
    } while (got != 0);
    TRY(refuse_pointer(text, *size, path));
    text[*size] = '\0';
    *out = text;
    text = NULL;
done:
    free(text);
    return status;
}

clora_status file_read_text(char **out, size_t *size, const char *path, size_t limit) {
    clora_status status = CLORA_OK;
    size_t length = 0;
    int fd;

    *out = NULL;
    if (size)
        *size = 0;
    TRY(file_open_regular(&fd, &length, path));
    status = length > limit
                 ? clora_fail(CLORA_ERROR_FORMAT,
                              "cannot read %s: it is larger than the %zu bytes such a file may have", path, limit)
                 : read_all(out, &length, fd, path, limit);
    close(fd);
    if (size && status == CLORA_OK)
        *size = length;
done:
    return status;
}

bool file_exists(const char *path) {
    struct stat info;

    return lstat(path, &info) == 0;
}

bool file_is_directory(const char *path) {
    struct stat info;

    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

const struct dirent *file_next_entry(int *error, DIR *directory) {
    errno = 0;
    const struct dirent *entry = readdir(directory);
    *error = entry ? 0 : errno;
    return entry;
}

char *file_join(const char *dir, const char *name) {
    const size_t n = strlen(dir);

    if (n == 0)
        return alloc_string(name);
    return alloc_format(dir[n - 1] == '/' ? "%s%s" : "%s/%s", dir, name);
}
