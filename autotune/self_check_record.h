#ifndef CLORA_AUTOTUNE_SELF_CHECK_RECORD_H
#define CLORA_AUTOTUNE_SELF_CHECK_RECORD_H

#include "device/context.h"

/*
 * Which checks a device has passed, in the context and, where there is a place, in self_check.json beside the tuned
 * parameters: an environment's directory holds for one driver and these kernels, the file for one version of clora.
 */

/* Read what is kept, once for a context; with `forget` it is deleted: only what the context itself has seen counts. */
clora_status self_check_record_open(clora_context *context, bool forget);

size_t self_check_record_count(const clora_context *context);
bool self_check_record_has(const clora_context *context, const char *check);
clora_status self_check_record_add(clora_context *context, const char *check);

/* Keep it on disk. A failure costs the next run its checks, and nothing else. */
void self_check_record_save(clora_context *context);

#endif
