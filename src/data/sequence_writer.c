#include "data/sequence_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "base/alloc.h"
#include "base/file_error.h"
#include "data/sequence_header.h"

enum { PIECE = 1 << 20 };

struct sequence_writer {
    file_writer file;
    sequence_header head;
};

clora_status sequence_hash(uint64_t *out, sequence_header head, int fd, size_t size, const char *path) {
    XXH3_state_t *state = XXH3_createState();
    char *piece = alloc_array(PIECE, 1);
    clora_status status = CLORA_OK;

    if (!state || !piece)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", path));
    head.hash = 0;
    XXH3_64bits_reset(state);
    XXH3_64bits_update(state, &head, sizeof(head));
    for (size_t at = sizeof(sequence_header), n; at < size; at += n) {
        n = size - at < PIECE ? size - at : PIECE;
        TRY(file_read_at(piece, fd, at, n, path));
        XXH3_64bits_update(state, piece, n);
    }
    *out = XXH3_64bits_digest(state);
done:
    XXH3_freeState(state);
    free(piece);
    return status;
}

clora_status sequence_writer_create(sequence_writer **out, const sequence_key *key) {
    sequence_writer *w = calloc(1, sizeof(*w));
    clora_status status = CLORA_OK;

    *out = NULL;
    if (!w)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to write %s", key->path);
    memcpy(w->head.magic, SEQUENCE_MAGIC, sizeof(SEQUENCE_MAGIC));
    memcpy(w->head.key, key->hash, sizeof(w->head.key));
    TRY(file_make_directories_of(key->path));
    TRY(file_writer_open(&w->file, key->path));
    TRY(file_writer_write(&w->file, &w->head, sizeof(w->head))); /* room, until all of it is known */
    *out = w;
    w = NULL;
done:
    sequence_writer_abandon(w);
    return status;
}

void sequence_writer_abandon(sequence_writer *writer) {
    if (!writer)
        return;
    file_writer_abandon(&writer->file);
    free(writer);
}

clora_status sequence_writer_append(sequence_writer *writer, const int32_t *ids, const int32_t *labels, size_t n) {
    clora_status status = CLORA_OK;

    TRY(file_writer_write(&writer->file, ids, n * sizeof(*ids)));
    TRY(file_writer_write(&writer->file, labels, n * sizeof(*labels)));
    writer->head.values += 2 * n;
done:
    return status;
}

/* What is written so far, to read it again and to change it. */
static clora_status reopen(int *fd, sequence_writer *writer) {
    *fd = fflush(writer->file.stream) == 0 ? open(writer->file.temporary, O_RDWR | O_CLOEXEC) : -1;
    return *fd >= 0 ? CLORA_OK : file_error_write(writer->file.path, errno);
}

clora_status sequence_writer_renumber(sequence_writer *writer, const clora_dataset *dataset, const int32_t *number) {
    const char *path = writer->file.path;
    clora_status status = CLORA_OK;
    int fd = -1;

    TRY(reopen(&fd, writer));
    for (size_t i = 0; i < dataset->count; i++) {
        const size_t at = sizeof(sequence_header) + dataset_last_value(dataset, i) * sizeof(int32_t);
        int32_t label;
        TRY(file_read_at(&label, fd, at, sizeof(label), path));
        label = number[label];
        errno = 0;
        if (pwrite(fd, &label, sizeof(label), (off_t)at) != sizeof(label))
            TRY(file_error_write(path, errno ? errno : ENOSPC)); /* what has room for a part of it only is full */
    }
done:
    if (fd >= 0)
        close(fd);
    return status;
}

static clora_status write_tables(sequence_writer *w, const clora_dataset *d) {
    clora_status status = CLORA_OK;

    w->head.count = d->count;
    w->head.answers = d->answer ? d->count : 0;
    w->head.parts = d->parts;
    w->head.names = d->names;
    w->head.stats = d->stats;
    TRY(file_writer_write(&w->file, d->place, d->count * sizeof(*d->place)));
    TRY(file_writer_write(&w->file, d->answer, w->head.answers * sizeof(*d->answer)));
    TRY(file_writer_write(&w->file, d->part, d->parts * sizeof(*d->part)));
    for (size_t i = 0; i < d->names; i++) {
        const size_t size = strlen(d->name[i]) + 1;
        TRY(file_writer_write(&w->file, d->name[i], size));
        w->head.name_bytes += size;
    }
done:
    return status;
}

static clora_status write_header(sequence_writer *w) {
    const long long end = (long long)ftello(w->file.stream);
    clora_status status = CLORA_OK;
    int fd = -1;

    TRY(reopen(&fd, w));
    w->head.size = (uint64_t)end;
    TRY(sequence_hash(&w->head.hash, w->head, fd, (size_t)end, w->file.path));
    if (fseeko(w->file.stream, 0, SEEK_SET) != 0)
        TRY(file_error_write(w->file.path, errno));
    TRY(file_writer_write(&w->file, &w->head, sizeof(w->head)));
done:
    if (fd >= 0)
        close(fd);
    return status;
}

clora_status sequence_writer_commit(clora_dataset *dataset) {
    sequence_writer *writer = dataset->writer;
    clora_status status = CLORA_OK;

    dataset->writer = NULL;
    TRY(write_tables(writer, dataset));
    TRY(write_header(writer));
    TRY(file_writer_commit(&writer->file));
done:
    sequence_writer_abandon(writer);
    return status;
}
