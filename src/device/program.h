#ifndef CLORA_DEVICE_PROGRAM_H
#define CLORA_DEVICE_PROGRAM_H

#include "device/context.h"

/* Compiled programs and their kernels, kept for the life of the context. */
typedef struct program_cache program_cache;

clora_status program_cache_create(program_cache **out);
void program_cache_free(program_cache *cache);

/*
 * The kernel `name` of the source `stem` built with `options`; built on first use. common.cl stands in front of every
 * source. With CLORA_KERNEL_DIR set, sources are read from that folder instead of the embedded ones.
 */
clora_status program_kernel(cl_kernel *out, clora_context *context, const char *stem, const char *name,
                            const char *options);

#endif
