#ifndef CLORA_DEVICE_SOURCE_H
#define CLORA_DEVICE_SOURCE_H

#include <stddef.h>

#include <xxhash.h>

#include "base/status.h"

/* One embedded file of kernels/; the table is made by kernels/embed.py. */
typedef struct kernel_source {
    const char *name;          /* a .cl file's stem, "norm", or a header's whole name */
    const unsigned char *text; /* not zero-terminated */
    size_t size;
} kernel_source;

extern const kernel_source kernel_sources[];
extern const size_t kernel_sources_count;

/* The text of the source whose name is the first `length` characters of the stem: the embedded one, or for development
 * the file of CLORA_KERNEL_DIR. The caller frees. */
clora_status source_text(char **out, const char *stem, size_t length);

/* A hash of all kernel sources, those of CLORA_KERNEL_DIR included. */
clora_status source_hash(XXH128_hash_t *out);

/* The tables of kernels/tuned/, likewise. */
extern const kernel_source tuned_tables[];
extern const size_t tuned_tables_count;

#endif
