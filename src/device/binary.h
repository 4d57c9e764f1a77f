#ifndef CLORA_DEVICE_BINARY_H
#define CLORA_DEVICE_BINARY_H

#include <xxhash.h>

#include "device/context.h"

/*
 * Compiled programs on disk, for drivers that keep none themselves: CACHE/programs/v1/KEY.bin. Those that do (PoCL,
 * NVIDIA's, Intel's, Mesa's) are left alone, for asking them for a binary may compile a second time. The variable
 * CLORA_PROGRAM_CACHE (on, off) overrules. A file that does not load is deleted, and the program is built from its
 * source.
 */

/* Does this context keep programs? */
bool binary_is_kept(const clora_context *context);

/* What a program is found by: its texts, options, and the device with its driver. */
XXH128_hash_t binary_key(const clora_context *context, char *const *texts, cl_uint count, const char *options);

/* A built program, or NULL. */
cl_program binary_load(clora_context *context, XXH128_hash_t key);

/* Keep a program; call it after a kernel was made, for some drivers compile that late. A failure is no matter. */
void binary_save(clora_context *context, XXH128_hash_t key, cl_program program);

#endif
