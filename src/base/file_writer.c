#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file_error.h"
#include "base/unfinished.h"

static char *parent_of(const char *path) {
    char *copy = alloc_string(path);
    char *parent = copy ? alloc_string(dirname(copy)) : NULL;

    free(copy);
    return parent;
}

/* A fresh file in the target's directory, after what killed runs left there has gone. */
static int create_temporary(char **temporary, const char *path) {
    char *parent = parent_of(path);
    int fd = -1;

    if (parent) {
        unfinished_sweep(parent);
        fd = unfinished_create(temporary, parent, "");
    }
    const int error = parent ? errno : ENOMEM;
    free(parent);
    errno = error;
    return fd;
}

static int open_for_writing(file_writer *writer) {
    struct stat info;

    if (!*writer->path) {
        errno = ENOENT;
        return -1;
    }
    if (stat(writer->path, &info) != 0)
        return errno == ENOENT ? create_temporary(&writer->temporary, writer->path) : -1;
    if (S_ISDIR(info.st_mode)) {
        errno = EISDIR;
        return -1;
    }
    if (!S_ISREG(info.st_mode)) /* a device or a pipe must be written to, not replaced */
        return open(writer->path, O_WRONLY | O_CLOEXEC);
    /* a link stays a link: what it points to is replaced */
    char *target = realpath(writer->path, NULL);
    if (!target)
        return -1;
    free(writer->path);
    writer->path = target;
    return create_temporary(&writer->temporary, writer->path);
}

clora_status file_writer_open(file_writer *out, const char *path) {
    *out = (file_writer){NULL, alloc_string(path), NULL};
    if (!out->path)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to write %s", path);
    const int fd = open_for_writing(out);
    if (fd >= 0)
        out->stream = fdopen(fd, "wb");
    if (out->stream)
        return CLORA_OK;
    const int error = errno;
    if (fd >= 0)
        close(fd);
    file_writer_abandon(out);
    return file_error_write(path, error);
}

clora_status file_writer_write(file_writer *writer, const void *data, size_t size) {
    if (size == 0)
        return CLORA_OK;
    errno = 0;
    if (fwrite(data, 1, size, writer->stream) != size)
        return file_error_write(writer->path, errno ? errno : EIO);
    return CLORA_OK;
}

/* fsync says EINVAL or ENOTSUP where there is nothing to be made durable: a device, a pipe, some
 * network directories. */
static bool synchronise(int fd) {
    return fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP;
}

static bool synchronise_parent(const char *path) {
    char *parent = parent_of(path);
    const int fd = parent ? open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    const bool ok = fd >= 0 && synchronise(fd);
    const int error = errno;

    if (fd >= 0)
        close(fd);
    free(parent);
    errno = error;
    return ok;
}

static bool finish_stream(file_writer *writer) {
    bool ok = fflush(writer->stream) == 0 && synchronise(fileno(writer->stream));
    int error = errno;

    if (fclose(writer->stream) != 0 && ok) {
        ok = false;
        error = errno;
    }
    writer->stream = NULL;
    errno = error;
    return ok;
}

static bool take_name(file_writer *writer) {
    if (rename(writer->temporary, writer->path) != 0)
        return false;
    free(writer->temporary);
    writer->temporary = NULL;
    return synchronise_parent(writer->path);
}

clora_status file_writer_commit(file_writer *writer) {
    clora_status status = CLORA_OK;
    /* the lock that tells a file in the making from a leftover is held until the file has its name */
    const int lock = writer->temporary ? fcntl(fileno(writer->stream), F_DUPFD_CLOEXEC, 0) : -1;

    if (!finish_stream(writer) || (writer->temporary && !take_name(writer)))
        status = file_error_write(writer->path, errno);
    if (lock >= 0)
        close(lock);
    file_writer_abandon(writer);
    return status;
}

void file_writer_abandon(file_writer *writer) {
    if (writer->stream)
        fclose(writer->stream);
    if (writer->temporary)
        unlink(writer->temporary);
    free(writer->temporary);
    free(writer->path);
    *writer = (file_writer){NULL, NULL, NULL};
}

clora_status file_write_text(const char *path, const char *text, size_t size) {
    clora_status status = CLORA_OK;
    file_writer writer = {NULL, NULL, NULL};

    TRY(file_writer_open(&writer, path));
    TRY(file_writer_write(&writer, text, size));
    TRY(file_writer_commit(&writer));
done:
    file_writer_abandon(&writer);
    return status;
}

clora_status file_copy(const char *to, const char *from) {
    enum { CHUNK = 1 << 20 };
    clora_status status = CLORA_OK;
    file_writer writer = {NULL, NULL, NULL};
    void *chunk = NULL;
    file_map map;
    int fd;

    TRY(file_map_open_keeping(&map, &fd, from));
    chunk = alloc_array(CHUNK, 1);
    if (!chunk)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to copy %s", from));
    TRY(file_writer_open(&writer, to));
    for (size_t i = 0; i < map.size; i += CHUNK) {
        const size_t n = map.size - i < CHUNK ? map.size - i : CHUNK;
        TRY(file_read_at(chunk, fd, i, n, from));
        TRY(file_writer_write(&writer, chunk, n));
    }
    TRY(file_writer_commit(&writer));
done:
    file_writer_abandon(&writer);
    file_map_close(&map);
    if (fd >= 0)
        close(fd);
    free(chunk);
    return status;
}

clora_status file_make_directories(const char *path) {
    char *copy = alloc_string(path);
    clora_status status = CLORA_OK;

    if (!copy)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a path");
    for (char *c = copy + 1; status == CLORA_OK; c++) {
        if (*c != '/' && *c != '\0')
            continue;
        const char end = *c;
        *c = '\0';
        if (mkdir(copy, 0777) != 0 && errno != EEXIST && !file_is_directory(copy))
            status = file_error_write(copy, errno);
        *c = end;
        if (end == '\0')
            break;
    }
    free(copy);
    return status;
}

clora_status file_make_directories_of(const char *path) {
    char *parent = parent_of(path);
    const clora_status status =
        parent ? file_make_directories(parent) : clora_fail(CLORA_ERROR_MEMORY, "no memory for a path");

    free(parent);
    return status;
}
