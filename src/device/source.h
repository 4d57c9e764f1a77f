#ifndef CLORA_DEVICE_SOURCE_H
#define CLORA_DEVICE_SOURCE_H

#include <stddef.h>

/* One embedded .cl file; the table is made by kernels/embed.py. */
typedef struct kernel_source {
    const char *name;          /* file stem: "rmsnorm" */
    const unsigned char *text; /* not zero-terminated */
    size_t size;
} kernel_source;

extern const kernel_source kernel_sources[];
extern const size_t kernel_sources_count;

/* The tables of kernels/tuned/, likewise. */
extern const kernel_source tuned_tables[];
extern const size_t tuned_tables_count;

#endif
