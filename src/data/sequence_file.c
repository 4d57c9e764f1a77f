#include "data/sequence_file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "data/sequence_header.h"

/* Bytes of a table, which follows the one before it. */
static bool add_table(size_t *end, uint64_t count, size_t size) {
    size_t bytes;

    return count <= SIZE_MAX && size_mul((size_t)count, size, &bytes) && size_add(*end, bytes, end);
}

static bool has_sizes(const sequence_header *h, size_t size) {
    size_t end = sizeof(*h);

    return h->size == size && add_table(&end, h->values, sizeof(int32_t)) &&
           add_table(&end, h->count, sizeof(dataset_place)) && add_table(&end, h->answers, sizeof(dataset_answer)) &&
           add_table(&end, h->parts, sizeof(dataset_part)) && add_table(&end, h->name_bytes, 1) && end == size;
}

/* Is it what the key asks for, and as it was written? */
static clora_status check(bool *found, sequence_header *h, int fd, size_t size, const sequence_key *key) {
    clora_status status = CLORA_OK;
    uint64_t hash;

    *found = false;
    if (size < sizeof(*h))
        return CLORA_OK;
    TRY(file_read_at(h, fd, 0, sizeof(*h), key->path));
    if (memcmp(h->magic, SEQUENCE_MAGIC, sizeof(SEQUENCE_MAGIC)) != 0 ||
        memcmp(h->key, key->hash, sizeof(h->key)) != 0 || !has_sizes(h, size))
        return CLORA_OK;
    TRY(sequence_hash(&hash, *h, fd, size, key->path));
    *found = hash == h->hash;
done:
    return status;
}

/* A copy of the next table; NULL for an empty one. */
static clora_status take_table(void **out, const unsigned char **at, size_t count, size_t size) {
    if (count == 0)
        return CLORA_OK;
    *out = alloc_array(count, size);
    if (!*out)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a dataset");
    memcpy(*out, *at, count * size);
    *at += count * size;
    return CLORA_OK;
}

static clora_status take_tables(clora_dataset *d, const sequence_header *h) {
    const unsigned char *at = d->file.data + sizeof(*h) + h->values * sizeof(int32_t);
    clora_status status = CLORA_OK;
    int32_t number;

    TRY(take_table((void **)&d->place, &at, h->count, sizeof(*d->place)));
    TRY(take_table((void **)&d->answer, &at, h->answers, sizeof(*d->answer)));
    TRY(take_table((void **)&d->part, &at, h->parts, sizeof(*d->part)));
    for (uint64_t i = 0; i < h->names; i++) {
        TRY(dataset_find_label(&number, d, (const char *)at, true));
        at += strlen((const char *)at) + 1;
    }
    d->values = (const int32_t *)(const void *)(d->file.data + sizeof(*h));
    d->count = h->count;
    d->parts = h->parts;
    d->stats = h->stats;
done:
    return status;
}

clora_status sequence_file_open(bool *found, clora_dataset *dataset, const sequence_key *key) {
    clora_status status = CLORA_OK;
    int fd = -1;
    sequence_header h;

    *found = false;
    if (!file_exists(key->path))
        return CLORA_OK;
    TRY(file_map_open_keeping(&dataset->file, &fd, key->path));
    TRY(check(found, &h, fd, dataset->file.size, key));
    if (!*found) {
        file_map_close(&dataset->file);
        goto done;
    }
    TRY(take_tables(dataset, &h));
    dataset->path = alloc_string(key->path);
    if (!dataset->path)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a dataset"));
done:
    if (fd >= 0)
        close(fd);
    return status;
}
