#ifndef CLORA_BASE_FILE_H
#define CLORA_BASE_FILE_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/status.h"

/* A regular file for reading, and its size; fd is yours to close. Others (a pipe that nobody writes to, a device
 * without end) would keep us waiting for ever. */
clora_status file_open_regular(int *fd, size_t *size, const char *path);

/* A whole file, mapped read-only. An empty file has data NULL and size 0. */
typedef struct file_map {
    const unsigned char *data;
    size_t size;
} file_map;

clora_status file_map_open(file_map *out, const char *path);
clora_status file_map_open_keeping(file_map *out, int *fd, const char *path); /* and fd is yours to close */
void file_map_close(file_map *map);

/* Bytes of an open file. Unlike reading its mapping this fails, and does not kill the process, when the file has become
 * shorter. */
clora_status file_read_at(void *out, int fd, size_t offset, size_t size, const char *path);

/* What Git LFS leaves in place of a file until it is fetched begins so. */
#define FILE_LFS_POINTER "version https://git-lfs.github.com/spec/"

/* The whole of a small file as a zero-terminated string that the caller frees; an error above limit bytes, and for what
 * is no regular file. Neither this nor file_map_open takes the pointer that Git LFS leaves in place of a file. */
clora_status file_read_text(char **out, size_t *size, const char *path, size_t limit);

/* Something has this name, if only a link that leads nowhere: what is there and cannot be read is an error, not
 * absent. */
bool file_exists(const char *path);
bool file_is_directory(const char *path);

/* The next entry of a directory. NULL at its end, with *error 0, or where the rest cannot be read, with its errno. */
const struct dirent *file_next_entry(int *error, DIR *directory);

/* "dir/name"; the caller frees. NULL without memory. */
char *file_join(const char *dir, const char *name);

/* A directory with all above it, where they are not there yet; and the directory that a file is to lie in. */
clora_status file_make_directories(const char *path);
clora_status file_make_directories_of(const char *path);

/* A file that appears under its name complete or not at all: written beside it, then fsync, rename, and fsync of the
 * directory. */
typedef struct file_writer {
    FILE *stream;
    char *path, *temporary;
} file_writer;

clora_status file_writer_open(file_writer *out, const char *path);
clora_status file_writer_write(file_writer *writer, const void *data, size_t size);
clora_status file_writer_commit(file_writer *writer); /* closes; on failure the temporary file is gone */
void file_writer_abandon(file_writer *writer);        /* safe after commit and on a zeroed writer */

/* All of the above for a text in memory. */
clora_status file_write_text(const char *path, const char *text, size_t size);

/* Copy a file's bytes, completely or not at all. */
clora_status file_copy(const char *to, const char *from);

#endif
