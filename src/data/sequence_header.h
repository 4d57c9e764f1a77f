#ifndef CLORA_DATA_SEQUENCE_HEADER_H
#define CLORA_DATA_SEQUENCE_HEADER_H

#include <stdint.h>

#include <clora/dataset.h>

#include "base/status.h"

#define SEQUENCE_MAGIC "clora sequences 1"

/* The first bytes of the file; then the values, places, answers, parts and names of labels. */
typedef struct sequence_header {
    char magic[24];
    uint64_t key[2];
    uint64_t hash; /* of all the file, this taken as zero */
    uint64_t size; /* of the file */
    uint64_t values, count, answers, parts, names, name_bytes;
    clora_dataset_stats stats;
} sequence_header;

/* Of a header, and of all that follows it in the file. */
clora_status sequence_hash(uint64_t *out, sequence_header head, int fd, size_t size, const char *path);

#endif
