#include "data/data_source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zlib.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/file_error.h"

enum { CHUNK = 1 << 16 };

struct data_source {
    const char *name;
    gzFile file; /* zlib reads what gzip did not pack as it is */
    size_t size; /* of a regular file when it was opened; 0: unknown */
    bool ended;
    size_t at, end; /* of the chunk: what is read and not yet given */
    char chunk[CHUNK];
    char *line;
    size_t line_room;
};

/* ---- Opening ---- */

static clora_status open_standard(int *out) {
    *out = dup(STDIN_FILENO);
    return *out >= 0 ? CLORA_OK : file_error_read("standard input", errno);
}

clora_status data_source_open(data_source **out, const char *path) {
    const bool standard = strcmp(path, "-") == 0;
    data_source *source = calloc(1, sizeof(*source));
    clora_status status = CLORA_OK;
    int fd = -1;

    *out = NULL;
    if (!source)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", path);
    source->name = standard ? "standard input" : path;
    TRY(standard ? open_standard(&fd) : file_open_regular(&fd, &source->size, path));
    source->file = gzdopen(fd, "rb");
    if (!source->file)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", path));
    fd = -1; /* the file closes it */
    *out = source;
    source = NULL;
done:
    if (fd >= 0)
        close(fd);
    data_source_close(source);
    return status;
}

void data_source_close(data_source *source) {
    if (!source)
        return;
    if (source->file)
        gzclose(source->file);
    free(source->line);
    free(source);
}

const char *data_source_name(const data_source *source) {
    return source->name;
}

/* ---- Reading ---- */

/* What stopped zlib, or the end of a file that has become shorter. */
static clora_status check_end(const data_source *source, int cause) {
    int code = Z_OK;
    const char *why = gzerror(source->file, &code);

    if (code == Z_ERRNO)
        return file_error_read(source->name, cause ? cause : EIO);
    if (code == Z_MEM_ERROR)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", source->name);
    if (code != Z_OK && code != Z_STREAM_END)
        return clora_fail(CLORA_ERROR_FORMAT,
                          "%s: what gzip packed is damaged or cut off (%s); is it still being downloaded?",
                          source->name, why);
    if (gzdirect(source->file) && (size_t)gztell(source->file) < source->size)
        return file_error_shorter(source->name);
    return CLORA_OK;
}

/* Up to `room` bytes, all there are of the file if fewer. */
static clora_status read_bytes(size_t *got, char *bytes, size_t room, data_source *source) {
    clora_status status = CLORA_OK;

    *got = 0;
    if (source->ended)
        return CLORA_OK;
    errno = 0;
    const int n = gzread(source->file, bytes, (unsigned)room);
    *got = n > 0 ? (size_t)n : 0;
    if (*got == room)
        return CLORA_OK;
    source->ended = true;
    TRY(check_end(source, errno));
done:
    return status;
}

static clora_status fill(data_source *source) {
    clora_status status = CLORA_OK;

    if (source->at < source->end)
        return CLORA_OK;
    source->at = source->end = 0;
    TRY(read_bytes(&source->end, source->chunk, CHUNK, source));
done:
    return status;
}

clora_status data_source_peek(dataset_text *out, data_source *source) {
    clora_status status = CLORA_OK;

    TRY(fill(source));
    *out = (dataset_text){source->chunk + source->at, source->end - source->at};
done:
    return status;
}

clora_status data_source_line(dataset_text *out, bool *more, data_source *source) {
    clora_status status = CLORA_OK;
    size_t size = 0;

    for (bool whole = false; !whole;) {
        TRY(fill(source));
        const char *from = source->chunk + source->at;
        const size_t left = source->end - source->at;
        const char *newline = left ? memchr(from, '\n', left) : NULL;
        const size_t n = newline ? (size_t)(newline - from) + 1 : left;
        whole = newline || left == 0;
        TRY(alloc_grow((void **)&source->line, &source->line_room, size + n + 1, 1));
        memcpy(source->line + size, from, n);
        source->at += n;
        size += n;
    }
    *out = (dataset_text){source->line, size};
    *more = size > 0;
done:
    if (status == CLORA_ERROR_MEMORY)
        status = clora_fail(CLORA_ERROR_MEMORY, "no memory for a line of %s", source->name);
    return status;
}

clora_status data_source_all(char **bytes, size_t *size, data_source *source) {
    clora_status status = CLORA_OK;
    size_t room = 0;

    *bytes = NULL;
    *size = 0;
    for (;;) {
        TRY(fill(source));
        const size_t n = source->end - source->at;
        if (n == 0)
            break;
        TRY(alloc_grow((void **)bytes, &room, *size + n, 1));
        memcpy(*bytes + *size, source->chunk + source->at, n);
        source->at = source->end;
        *size += n;
    }
done:
    if (status == CLORA_ERROR_MEMORY)
        status = clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", source->name);
    return status;
}
