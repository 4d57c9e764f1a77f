#include "device/large_pages.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "device/devices.h"

/* Memory that a buffer lies in. */
typedef struct mapping {
    void *start;
    size_t bytes;
} mapping;

static void CL_CALLBACK unmap(cl_mem buffer, void *user) {
    mapping *m = user;

    (void)buffer;
    munmap(m->start, m->bytes);
    free(m);
}

cl_mem large_pages_buffer(clora_context *context, size_t bytes) {
    enum { PAGE = 2 << 20, LEAST = 4 * PAGE };
#ifdef MADV_HUGEPAGE
    cl_int error = CL_SUCCESS;

    if (bytes < LEAST || !device_is_pocl_cpu(context) || bytes > SIZE_MAX - 2 * (size_t)PAGE)
        return NULL;
    mapping *m = malloc(sizeof(*m));
    if (!m)
        return NULL;
    m->bytes = (bytes / PAGE + 2) * PAGE;
    m->start = mmap(NULL, m->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m->start == MAP_FAILED) {
        free(m);
        return NULL;
    }
    char *aligned = (char *)(((uintptr_t)m->start + PAGE - 1) / PAGE * PAGE);
    (void)madvise(aligned, m->bytes - PAGE, MADV_HUGEPAGE);
    const cl_mem buffer = clCreateBuffer(context->cl, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, bytes, aligned, &error);
    if (error == CL_SUCCESS && clSetMemObjectDestructorCallback(buffer, unmap, m) == CL_SUCCESS)
        return buffer;
    if (error == CL_SUCCESS)
        clReleaseMemObject(buffer);
    unmap(NULL, m);
#else
    (void)context;
    (void)bytes;
#endif
    return NULL;
}
