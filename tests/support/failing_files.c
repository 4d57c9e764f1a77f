/*
 * Link with --wrap for the functions below (wrap_files in tests/meson.build): what the program itself does to files
 * fails as a full disk, a broken one or too many open files make it. What is written in part before is there, as with
 * a disk that becomes full. The standard streams are no files.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/failing.h"

/* The function that is meant, and the one that is called in its place. */
#define WRAP(type, name, ...)        \
    type __real_##name(__VA_ARGS__); \
    type __wrap_##name(__VA_ARGS__); \
    type __wrap_##name(__VA_ARGS__)

static bool fails(const char *function, int error) {
    if (!failing_now("file", function))
        return false;
    errno = error;
    return true;
}

static bool is_standard(int fd) {
    return fd >= 0 && fd <= STDERR_FILENO;
}

/* ---- names ---- */

static mode_t mode_of(int flags, va_list list) {
    return flags & O_CREAT ? va_arg(list, mode_t) : 0;
}

WRAP(int, open, const char *path, int flags, ...) {
    va_list list;

    va_start(list, flags);
    const mode_t mode = mode_of(flags, list);
    va_end(list);
    return fails("open", flags & O_CREAT ? ENOSPC : EMFILE) ? -1 : __real_open(path, flags, mode);
}

WRAP(int, openat, int directory, const char *path, int flags, ...) {
    return fails("openat", EMFILE) ? -1 : __real_openat(directory, path, flags);
}

WRAP(FILE *, fopen, const char *path, const char *mode) {
    return fails("fopen", EMFILE) ? NULL : __real_fopen(path, mode);
}

WRAP(FILE *, fdopen, int fd, const char *mode) {
    return fails("fdopen", ENOMEM) ? NULL : __real_fdopen(fd, mode);
}

WRAP(DIR *, opendir, const char *path) {
    return fails("opendir", EMFILE) ? NULL : __real_opendir(path);
}

WRAP(struct dirent *, readdir, DIR *directory) {
    return fails("readdir", EIO) ? NULL : __real_readdir(directory);
}

WRAP(int, mkdir, const char *path, mode_t mode) {
    return fails("mkdir", ENOSPC) ? -1 : __real_mkdir(path, mode);
}

WRAP(int, rename, const char *from, const char *to) {
    return fails("rename", EIO) ? -1 : __real_rename(from, to);
}

WRAP(int, renameat2, int from_directory, const char *from, int directory, const char *to, unsigned flags) {
    return fails("renameat2", EINVAL) ? -1 : __real_renameat2(from_directory, from, directory, to, flags);
}

WRAP(int, flock, int fd, int operation) {
    return fails("flock", ENOLCK) ? -1 : __real_flock(fd, operation);
}

/* What is to go and stays is nothing to complain of; but the process may be killed there. */
WRAP(int, unlink, const char *path) {
    (void)failing_now("file", "unlink");
    return __real_unlink(path);
}

WRAP(int, unlinkat, int directory, const char *path, int flags) {
    (void)failing_now("file", "unlinkat");
    return __real_unlinkat(directory, path, flags);
}

WRAP(int, rmdir, const char *path) {
    (void)failing_now("file", "rmdir");
    return __real_rmdir(path);
}

/* ---- contents ---- */

WRAP(ssize_t, read, int fd, void *out, size_t size) {
    return !is_standard(fd) && fails("read", EIO) ? -1 : __real_read(fd, out, size);
}

WRAP(ssize_t, pread, int fd, void *out, size_t size, off_t offset) {
    return fails("pread", EIO) ? -1 : __real_pread(fd, out, size, offset);
}

WRAP(void *, mmap, void *at, size_t size, int protection, int flags, int fd, off_t offset) {
    return fd >= 0 && fails("mmap", ENODEV) ? MAP_FAILED : __real_mmap(at, size, protection, flags, fd, offset);
}

WRAP(ssize_t, write, int fd, const void *data, size_t size) {
    if (is_standard(fd) || !fails("write", ENOSPC))
        return __real_write(fd, data, size);
    (void)!__real_write(fd, data, size / 2);
    errno = ENOSPC;
    return -1;
}

/* Fewer than asked for, as a signal makes it; the rest is the caller's to ask for again. */
WRAP(ssize_t, pwrite, int fd, const void *data, size_t size, off_t offset) {
    return __real_pwrite(fd, data, fails("pwrite", 0) ? (size + 1) / 2 : size, offset);
}

WRAP(size_t, fwrite, const void *data, size_t size, size_t count, FILE *stream) {
    if (is_standard(fileno(stream)) || !fails("fwrite", ENOSPC))
        return __real_fwrite(data, size, count, stream);
    const size_t written = __real_fwrite(data, size, count / 2, stream);
    errno = ENOSPC;
    return written;
}

WRAP(int, fflush, FILE *stream) {
    const bool is_file = stream && !is_standard(fileno(stream));
    const int result = __real_fflush(stream);

    return is_file && fails("fflush", ENOSPC) ? EOF : result;
}

WRAP(int, fclose, FILE *stream) {
    const bool is_file = !is_standard(fileno(stream));
    const int result = __real_fclose(stream);

    return is_file && fails("fclose", EIO) ? EOF : result;
}

WRAP(int, fsync, int fd) {
    return fails("fsync", EIO) ? -1 : __real_fsync(fd);
}

WRAP(int, ftruncate, int fd, off_t size) {
    return fails("ftruncate", EIO) ? -1 : __real_ftruncate(fd, size);
}
