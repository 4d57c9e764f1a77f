#ifndef CLORA_DEVICE_BUFFER_H
#define CLORA_DEVICE_BUFFER_H

#include "device/context.h"

/* A buffer that is counted in the context's memory; released with the same size. */
clora_status buffer_create(cl_mem *out, clora_context *context, size_t bytes);
void buffer_release(clora_context *context, cl_mem buffer, size_t bytes);

/* One more owner of a buffer, for whom it may have another name. */
clora_status buffer_share(cl_mem *buffer, const clora_context *context);

#endif
