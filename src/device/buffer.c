#include "device/buffer.h"

#include <stdlib.h>

#include "device/fork.h"
#include "device/large_pages.h"
#include "device/opencl.h"
#include "device/withhold.h"

static void count_memory(clora_context *context, size_t bytes) {
    const size_t now = atomic_fetch_add(&context->memory_now, bytes) + bytes;
    size_t peak = context->memory_peak;

    while (peak < now && !atomic_compare_exchange_weak(&context->memory_peak, &peak, now))
        ;
}

/* Stands for a buffer of an outline: what tells it from others is its address. */
static clora_status outline_place(cl_mem *out) {
    *out = malloc(1);
    return *out ? CLORA_OK : clora_fail(CLORA_ERROR_MEMORY, "no memory for an outline");
}

clora_status buffer_create(cl_mem *out, clora_context *context, size_t bytes) {
    const size_t taken = context->memory_now;
    const clora_status status = fork_check();
    cl_int error = CL_SUCCESS;

    *out = NULL;
    (void)withhold_sees();
    if (status != CLORA_OK)
        return status;
    if (bytes > context->info.max_allocation)
        return clora_fail(CLORA_ERROR_MEMORY,
                          "a buffer of %zu MB: the device allows %zu MB; take a smaller batch, length or rank",
                          bytes >> 20, context->info.max_allocation >> 20);
    if (context->outlined) { /* which may be larger than the device */
        count_memory(context, bytes);
        return outline_place(out);
    }
    if (bytes > context->info.global_memory || taken > context->info.global_memory - bytes)
        return clora_fail(
            CLORA_ERROR_MEMORY,
            "a buffer of %zu MB: the device has %zu MB, %zu MB are taken; take a smaller batch, length or rank",
            bytes >> 20, context->info.global_memory >> 20, taken >> 20);
    *out = large_pages_buffer(context, bytes);
    if (!*out)
        *out = clCreateBuffer(context->cl, CL_MEM_READ_WRITE, bytes, NULL, &error);
    if (error != CL_SUCCESS)
        return opencl_fail(error, "cannot make a device buffer");
    count_memory(context, bytes);
    return CLORA_OK;
}

clora_status buffer_share(cl_mem *buffer, const clora_context *context) {
    if (context->outlined)
        return outline_place(buffer);
    const cl_int error = clRetainMemObject(*buffer);
    return error == CL_SUCCESS ? CLORA_OK : opencl_fail(error, "cannot share a buffer");
}

void buffer_release(clora_context *context, cl_mem buffer, size_t bytes) {
    if (!buffer)
        return;
    if (context->outlined)
        free(buffer);
    else
        clReleaseMemObject(buffer);
    context->memory_now -= bytes;
}
