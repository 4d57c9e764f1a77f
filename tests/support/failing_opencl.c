/*
 * OpenCL with calls that fail, each with an error that drivers give. A program that has these definitions calls them in
 * place of the library's, and they hand on to the library.
 */

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <dlfcn.h>
#include <string.h>

#include "support/failing.h"

static void find_next(void *function, const char *name) {
    void *found = dlsym(RTLD_NEXT, name);

    memcpy(function, &found, sizeof(found));
}

/* A function that returns its error. */
#define RETURNS(name, error, parameters, arguments)                     \
    cl_int CL_API_CALL name parameters {                                \
        typedef cl_int(CL_API_CALL *function) parameters;               \
        static function next;                                           \
        if (!next)                                                      \
            find_next(&next, #name);                                    \
        return failing_now("opencl", #name) ? (error) : next arguments; \
    }

/* One that waits: what it waits for is over all the same. */
#define WAITS(name, error, parameters, arguments)               \
    cl_int CL_API_CALL name parameters {                        \
        typedef cl_int(CL_API_CALL *function) parameters;       \
        static function next;                                   \
        if (!next)                                              \
            find_next(&next, #name);                            \
        const cl_int result = next arguments;                   \
        return failing_now("opencl", #name) ? (error) : result; \
    }

/* A function that returns an object and stores its error; `stored` is where, or NULL. */
#define STORES(type, name, error, parameters, arguments) \
    type CL_API_CALL name parameters {                   \
        typedef type(CL_API_CALL *function) parameters;  \
        static function next;                            \
        if (!next)                                       \
            find_next(&next, #name);                     \
        if (!failing_now("opencl", #name))               \
            return next arguments;                       \
        if (stored)                                      \
            *stored = (error);                           \
        return NULL;                                     \
    }

typedef void(CL_CALLBACK *built)(cl_program, void *);
typedef void(CL_CALLBACK *notified)(const char *, const void *, size_t, void *);
typedef void(CL_CALLBACK *destroyed)(cl_mem, void *);

RETURNS(clGetPlatformIDs, CL_OUT_OF_HOST_MEMORY, (cl_uint n, cl_platform_id *out, cl_uint *count), (n, out, count))
RETURNS(clGetPlatformInfo, CL_OUT_OF_HOST_MEMORY,
        (cl_platform_id platform, cl_platform_info what, size_t size, void *out, size_t *needed),
        (platform, what, size, out, needed))
RETURNS(clGetDeviceIDs, CL_OUT_OF_HOST_MEMORY,
        (cl_platform_id platform, cl_device_type type, cl_uint n, cl_device_id *out, cl_uint *count),
        (platform, type, n, out, count))
RETURNS(clGetDeviceInfo, CL_OUT_OF_HOST_MEMORY,
        (cl_device_id device, cl_device_info what, size_t size, void *out, size_t *needed),
        (device, what, size, out, needed))
STORES(cl_context, clCreateContext, CL_OUT_OF_HOST_MEMORY,
       (const cl_context_properties *properties, cl_uint n, const cl_device_id *devices, notified notify, void *user,
        cl_int *stored),
       (properties, n, devices, notify, user, stored))
STORES(cl_command_queue, clCreateCommandQueue, CL_OUT_OF_HOST_MEMORY,
       (cl_context context, cl_device_id device, cl_command_queue_properties properties, cl_int *stored),
       (context, device, properties, stored))
RETURNS(clGetCommandQueueInfo, CL_OUT_OF_HOST_MEMORY,
        (cl_command_queue queue, cl_command_queue_info what, size_t size, void *out, size_t *needed),
        (queue, what, size, out, needed))

STORES(cl_program, clCreateProgramWithSource, CL_OUT_OF_HOST_MEMORY,
       (cl_context context, cl_uint n, const char **texts, const size_t *sizes, cl_int *stored),
       (context, n, texts, sizes, stored))
STORES(cl_program, clCreateProgramWithBinary, CL_INVALID_BINARY,
       (cl_context context, cl_uint n, const cl_device_id *devices, const size_t *sizes, const unsigned char **binaries,
        cl_int *each, cl_int *stored),
       (context, n, devices, sizes, binaries, each, stored))
RETURNS(clBuildProgram, CL_BUILD_PROGRAM_FAILURE,
        (cl_program program, cl_uint n, const cl_device_id *devices, const char *options, built notify, void *user),
        (program, n, devices, options, notify, user))
RETURNS(clGetProgramInfo, CL_OUT_OF_HOST_MEMORY,
        (cl_program program, cl_program_info what, size_t size, void *out, size_t *needed),
        (program, what, size, out, needed))
RETURNS(clGetProgramBuildInfo, CL_OUT_OF_HOST_MEMORY,
        (cl_program program, cl_device_id device, cl_program_build_info what, size_t size, void *out, size_t *needed),
        (program, device, what, size, out, needed))
STORES(cl_kernel, clCreateKernel, CL_OUT_OF_HOST_MEMORY, (cl_program program, const char *name, cl_int *stored),
       (program, name, stored))
RETURNS(clSetKernelArg, CL_OUT_OF_HOST_MEMORY, (cl_kernel kernel, cl_uint index, size_t size, const void *value),
        (kernel, index, size, value))

STORES(cl_mem, clCreateBuffer, CL_MEM_OBJECT_ALLOCATION_FAILURE,
       (cl_context context, cl_mem_flags flags, size_t size, void *host, cl_int *stored),
       (context, flags, size, host, stored))
STORES(cl_mem, clCreateSubBuffer, CL_OUT_OF_RESOURCES,
       (cl_mem buffer, cl_mem_flags flags, cl_buffer_create_type type, const void *region, cl_int *stored),
       (buffer, flags, type, region, stored))
RETURNS(clRetainMemObject, CL_OUT_OF_HOST_MEMORY, (cl_mem buffer), (buffer))
RETURNS(clGetMemObjectInfo, CL_OUT_OF_HOST_MEMORY,
        (cl_mem buffer, cl_mem_info what, size_t size, void *out, size_t *needed), (buffer, what, size, out, needed))
RETURNS(clSetMemObjectDestructorCallback, CL_OUT_OF_HOST_MEMORY, (cl_mem buffer, destroyed notify, void *user),
        (buffer, notify, user))

#define EVENTS cl_uint n, const cl_event *waits, cl_event *event
RETURNS(clEnqueueNDRangeKernel, CL_OUT_OF_RESOURCES,
        (cl_command_queue queue, cl_kernel kernel, cl_uint dimensions, const size_t *offset, const size_t *global,
         const size_t *local, EVENTS),
        (queue, kernel, dimensions, offset, global, local, n, waits, event))
RETURNS(clEnqueueReadBuffer, CL_OUT_OF_RESOURCES,
        (cl_command_queue queue, cl_mem buffer, cl_bool wait, size_t offset, size_t size, void *out, EVENTS),
        (queue, buffer, wait, offset, size, out, n, waits, event))
RETURNS(clEnqueueWriteBuffer, CL_OUT_OF_RESOURCES,
        (cl_command_queue queue, cl_mem buffer, cl_bool wait, size_t offset, size_t size, const void *data, EVENTS),
        (queue, buffer, wait, offset, size, data, n, waits, event))
RETURNS(clEnqueueReadBufferRect, CL_OUT_OF_RESOURCES,
        (cl_command_queue queue, cl_mem buffer, cl_bool wait, const size_t *origin, const size_t *host_origin,
         const size_t *region, size_t row, size_t slice, size_t host_row, size_t host_slice, void *out, EVENTS),
        (queue, buffer, wait, origin, host_origin, region, row, slice, host_row, host_slice, out, n, waits, event))
RETURNS(clEnqueueWriteBufferRect, CL_OUT_OF_RESOURCES,
        (cl_command_queue queue, cl_mem buffer, cl_bool wait, const size_t *origin, const size_t *host_origin,
         const size_t *region, size_t row, size_t slice, size_t host_row, size_t host_slice, const void *data, EVENTS),
        (queue, buffer, wait, origin, host_origin, region, row, slice, host_row, host_slice, data, n, waits, event))
RETURNS(clEnqueueFillBuffer, CL_MEM_OBJECT_ALLOCATION_FAILURE,
        (cl_command_queue queue, cl_mem buffer, const void *pattern, size_t pattern_size, size_t offset, size_t size,
         EVENTS),
        (queue, buffer, pattern, pattern_size, offset, size, n, waits, event))
RETURNS(clEnqueueCopyBuffer, CL_OUT_OF_RESOURCES,
        (cl_command_queue queue, cl_mem from, cl_mem to, size_t from_offset, size_t to_offset, size_t size, EVENTS),
        (queue, from, to, from_offset, to_offset, size, n, waits, event))
STORES(void *, clEnqueueMapBuffer, CL_MAP_FAILURE,
       (cl_command_queue queue, cl_mem buffer, cl_bool wait, cl_map_flags flags, size_t offset, size_t size, EVENTS,
        cl_int *stored),
       (queue, buffer, wait, flags, offset, size, n, waits, event, stored))
RETURNS(clEnqueueUnmapMemObject, CL_OUT_OF_RESOURCES, (cl_command_queue queue, cl_mem buffer, void *mapped, EVENTS),
        (queue, buffer, mapped, n, waits, event))
WAITS(clFinish, CL_OUT_OF_RESOURCES, (cl_command_queue queue), (queue))
WAITS(clWaitForEvents, CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, (cl_uint n, const cl_event *events), (n, events))
RETURNS(clGetEventProfilingInfo, CL_PROFILING_INFO_NOT_AVAILABLE,
        (cl_event event, cl_profiling_info what, size_t size, void *out, size_t *needed),
        (event, what, size, out, needed))
