#ifndef CLORA_DEVICE_PROGRAM_H
#define CLORA_DEVICE_PROGRAM_H

#include "device/kernels.h"

enum { KERNEL_DEFINES = 24 };

/* Compiled programs and their kernels, kept for the life of the context. */
typedef struct program_cache program_cache;

clora_status program_cache_create(program_cache **out);
void program_cache_free(program_cache *cache);

/* What a kernel is built from: its registry row, the values of the row's parameters, what the caller defines. */
typedef struct kernel_build {
    const kernel_row *row;
    int values[KERNEL_PARAMETERS];
    struct {
        const char *name; /* lives as long as the program */
        int value;
    } define[KERNEL_DEFINES];
    int defines;
} kernel_build;

/* A kernel, and the work-items of a group: as it was built for (0: any number), and the most that its driver allows it,
 * whose registers may not do for as many as the device's. */
typedef struct built_kernel {
    cl_kernel kernel;
    size_t items, most_items;
} built_kernel;

/*
 * The kernel of a build; compiled on first use, found again by its numbers (so unused fields must be zero). common.cl
 * comes before every source. With CLORA_KERNEL_DIR set, sources are read from that folder instead of the embedded
 * ones.
 */
clora_status program_kernel(built_kernel *out, clora_context *context, const kernel_build *build);

#endif
