/*
 * Preloaded, this makes OpenCL devices look like GPUs, and as strict as those:
 *
 *   LD_PRELOAD=build/tests/pretend.so PRETEND=amd clora train ...
 *
 * PRETEND         a row of the table below, or several with commas: the devices of a platform take them in their order
 * PRETEND_GROUP   most work-items in a group; PRETEND_LOCAL  bytes of local memory: in place of the table's
 * PRETEND_KERNEL_GROUP  most work-items in a group of built kernels, where their registers allow less than the device:
 *                 of all, "64", or of some, "rmsnorm=64,matvec_tile=128"
 *
 * What the drivers of CPUs let pass is refused or shows: a group, local memory or a buffer over the limits; a NULL
 * buffer as an argument; memory that nobody has written holds NaN, a buffer that is mapped to be overwritten too.
 * Nothing is remembered between calls, so that other libraries' calls (CLBlast's) and threads are in nobody's way.
 */
#define CL_TARGET_OPENCL_VERSION 120
#include <clora/opencl.h>

#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The function that the program would call without us. */
#define REAL(name) ((__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name))

typedef struct gpu {
    const char *key, *platform, *name, *vendor, *version;
    cl_ulong local, global, allocation;
    size_t group;
    cl_uint units, clock, align;
} gpu;

#define GB 1073741824ull

/* As these report themselves. */
static const gpu gpus[] = {
    {"nvidia", "NVIDIA CUDA", "NVIDIA GeForce RTX 4070", "NVIDIA Corporation", "3.0", 49152, 12 * GB, 3 * GB, 1024, 46,
     2475, 4096},
    {"old-nvidia", "NVIDIA CUDA", "NVIDIA GeForce RTX 4070", "NVIDIA Corporation", "1.2", 49152, 8 * GB, 2 * GB, 1024,
     46, 2475, 4096}, /* the same chip, with less memory */
    {"amd", "AMD Accelerated Parallel Processing", "gfx1100", "Advanced Micro Devices, Inc.", "2.0", 65536, 24 * GB,
     20 * GB, 256, 48, 2482, 1024},
    {"intel", "Intel(R) OpenCL Graphics", "Intel(R) UHD Graphics 770", "Intel(R) Corporation", "3.0", 65536, 25 * GB,
     4 * GB, 512, 32, 1550, 1024},
    {"adreno", "QUALCOMM Snapdragon(TM)", "QUALCOMM Adreno(TM) 750", "QUALCOMM", "3.0", 32768, 6 * GB, GB, 1024, 6, 903,
     1024},
    {"mali", "ARM Platform", "Mali-G78 r0p1", "ARM", "3.0", 32768, 4 * GB, 4 * GB, 512, 14, 848, 1024},
    {"clover", "Clover", "AMD RV770", "AMD", "1.1", 32768, GB, GB / 4, 256, 10, 850, 1024},
};

static uint64_t setting(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);

    return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

/* The row that the word number `index` of PRETEND names, or the last word's when there are fewer; false: none. */
static bool gpu_at(gpu *out, cl_uint index) {
    const char *word = getenv("PRETEND");

    if (!word)
        return false;
    for (; index > 0 && strchr(word, ','); index--)
        word = strchr(word, ',') + 1;
    for (size_t i = 0; i < sizeof(gpus) / sizeof(gpus[0]); i++)
        if (strlen(gpus[i].key) == strcspn(word, ",") && strncmp(gpus[i].key, word, strcspn(word, ",")) == 0) {
            *out = gpus[i];
            out->group = setting("PRETEND_GROUP", out->group);
            out->local = setting("PRETEND_LOCAL", out->local);
            return true;
        }
    return false;
}

static bool gpu_of(gpu *out, cl_device_id device) {
    enum { MOST = 16 };
    cl_device_id all[MOST];
    cl_platform_id platform = NULL;
    cl_uint count = 0, index = 0;

    REAL(clGetDeviceInfo)(device, CL_DEVICE_PLATFORM, sizeof(platform), &platform, NULL);
    if (REAL(clGetDeviceIDs)(platform, CL_DEVICE_TYPE_ALL, MOST, all, &count) != CL_SUCCESS)
        return false;
    while (index < count && index < MOST && all[index] != device)
        index++;
    return gpu_at(out, index);
}

static cl_device_id device_of(cl_context context) {
    cl_device_id all[16] = {NULL};

    REAL(clGetContextInfo)(context, CL_CONTEXT_DEVICES, sizeof(all), all, NULL);
    return all[0];
}

/* ---- what devices say of themselves ---- */

static cl_int give(const void *value, size_t n, size_t size, void *out, size_t *needed) {
    if (needed)
        *needed = n;
    if (out && size < n)
        return CL_INVALID_VALUE;
    if (out)
        memcpy(out, value, n);
    return CL_SUCCESS;
}

static cl_int give_text(const char *text, size_t size, void *out, size_t *needed) {
    return give(text, strlen(text) + 1, size, out, needed);
}

static cl_int give_version(const char *prefix, const char *version, size_t size, void *out, size_t *needed) {
    char text[64] = "";

    strncat(text, prefix, 31);
    strncat(text, version, 15);
    return give_text(strcat(text, " pretended"), size, out, needed);
}

#define GIVE(type, value) give(&(const type){value}, sizeof(type), size, out, needed)

cl_int clGetDeviceInfo(cl_device_id device, cl_device_info what, size_t size, void *out, size_t *needed) {
    gpu g;

    if (!gpu_of(&g, device))
        return REAL(clGetDeviceInfo)(device, what, size, out, needed);
    const size_t items[3] = {g.group, g.group, 64};
    switch (what) {
    case CL_DEVICE_TYPE: return GIVE(cl_device_type, CL_DEVICE_TYPE_GPU);
    case CL_DEVICE_NAME: return give_text(g.name, size, out, needed);
    case CL_DEVICE_VENDOR: return give_text(g.vendor, size, out, needed);
    case CL_DEVICE_VERSION: return give_version("OpenCL ", g.version, size, out, needed);
    case CL_DEVICE_OPENCL_C_VERSION:
        return give_version("OpenCL C ", *g.version == '1' ? g.version : "1.2", size, out, needed);
    case CL_DEVICE_LOCAL_MEM_SIZE: return GIVE(cl_ulong, g.local);
    case CL_DEVICE_LOCAL_MEM_TYPE: return GIVE(cl_device_local_mem_type, CL_LOCAL);
    case CL_DEVICE_GLOBAL_MEM_SIZE: return GIVE(cl_ulong, g.global);
    case CL_DEVICE_MAX_MEM_ALLOC_SIZE: return GIVE(cl_ulong, g.allocation);
    case CL_DEVICE_MAX_WORK_GROUP_SIZE: return GIVE(size_t, g.group);
    case CL_DEVICE_MAX_WORK_ITEM_SIZES: return give(items, sizeof(items), size, out, needed);
    case CL_DEVICE_MAX_COMPUTE_UNITS: return GIVE(cl_uint, g.units);
    case CL_DEVICE_MAX_CLOCK_FREQUENCY: return GIVE(cl_uint, g.clock);
    case CL_DEVICE_MEM_BASE_ADDR_ALIGN: return GIVE(cl_uint, g.align);
    case CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT:
    case CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT: return GIVE(cl_uint, 1);
    default: return REAL(clGetDeviceInfo)(device, what, size, out, needed);
    }
}

cl_int clGetPlatformInfo(cl_platform_id platform, cl_platform_info what, size_t size, void *out, size_t *needed) {
    gpu g;

    if (what == CL_PLATFORM_NAME && gpu_at(&g, 0))
        return give_text(g.platform, size, out, needed);
    return REAL(clGetPlatformInfo)(platform, what, size, out, needed);
}

/* The number for the kernel in PRETEND_KERNEL_GROUP; 0: none. */
static size_t kernel_limit(cl_kernel kernel) {
    const char *word = getenv("PRETEND_KERNEL_GROUP");
    char name[128] = "";

    if (!word || !strchr(word, '='))
        return (size_t)setting("PRETEND_KERNEL_GROUP", 0);
    REAL(clGetKernelInfo)(kernel, CL_KERNEL_FUNCTION_NAME, sizeof(name) - 1, name, NULL);
    for (; word; word = strchr(word, ',') ? strchr(word, ',') + 1 : NULL)
        if (strcspn(word, "=") == strlen(name) && strncmp(word, name, strlen(name)) == 0)
            return (size_t)strtoull(word + strlen(name) + 1, NULL, 0);
    return 0;
}

/* Work-items in a group of a built kernel. */
static size_t most_items(const gpu *g, cl_kernel kernel) {
    const size_t most = kernel_limit(kernel);

    return most && most < g->group ? most : g->group;
}

cl_int clGetKernelWorkGroupInfo(cl_kernel kernel, cl_device_id device, cl_kernel_work_group_info what, size_t size,
                                void *out, size_t *needed) {
    cl_context context = NULL;
    gpu g;

    REAL(clGetKernelInfo)(kernel, CL_KERNEL_CONTEXT, sizeof(context), &context, NULL);
    if (what == CL_KERNEL_WORK_GROUP_SIZE && gpu_of(&g, device ? device : device_of(context)))
        return GIVE(size_t, most_items(&g, kernel));
    return REAL(clGetKernelWorkGroupInfo)(kernel, device, what, size, out, needed);
}

/* ---- what they refuse ---- */

/* Builds keep what clSetKernelArg then asks for: which arguments are buffers. */
cl_int clBuildProgram(cl_program program, cl_uint count, const cl_device_id *devices, const char *options,
                      void(CL_CALLBACK *done)(cl_program, void *), void *user) {
    char more[4096];
    gpu g;

    const int length = snprintf(more, sizeof(more), "%s -cl-kernel-arg-info", options ? options : "");
    if (!gpu_at(&g, 0) || length < 0 || (size_t)length >= sizeof(more))
        return REAL(clBuildProgram)(program, count, devices, options, done, user);
    return REAL(clBuildProgram)(program, count, devices, more, done, user);
}

static bool is_buffer(cl_kernel kernel, cl_uint index) {
    cl_kernel_arg_address_qualifier space = CL_KERNEL_ARG_ADDRESS_PRIVATE;

    return REAL(clGetKernelArgInfo)(kernel, index, CL_KERNEL_ARG_ADDRESS_QUALIFIER, sizeof(space), &space, NULL) ==
               CL_SUCCESS &&
           space == CL_KERNEL_ARG_ADDRESS_GLOBAL;
}

cl_int clSetKernelArg(cl_kernel kernel, cl_uint index, size_t size, const void *value) {
    cl_mem buffer = NULL;
    gpu g;

    if (value && size == sizeof(buffer))
        memcpy(&buffer, value, sizeof(buffer));
    if (!buffer && size == sizeof(buffer) && gpu_at(&g, 0) && is_buffer(kernel, index))
        return CL_INVALID_MEM_OBJECT;
    return REAL(clSetKernelArg)(kernel, index, size, value);
}

cl_int clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions, const size_t *offset,
                              const size_t *global, const size_t *local, cl_uint waits, const cl_event *wait,
                              cl_event *event) {
    cl_device_id device = NULL;
    cl_ulong memory = 0;
    size_t items = 1;
    gpu g;

    REAL(clGetCommandQueueInfo)(queue, CL_QUEUE_DEVICE, sizeof(device), &device, NULL);
    if (gpu_of(&g, device)) {
        REAL(clGetKernelWorkGroupInfo)(kernel, device, CL_KERNEL_LOCAL_MEM_SIZE, sizeof(memory), &memory, NULL);
        for (cl_uint i = 0; local && i < dimensions; i++)
            items *= local[i];
        if (local && dimensions == 3 && local[2] > 64)
            return CL_INVALID_WORK_ITEM_SIZE;
        if (items > most_items(&g, kernel))
            return CL_INVALID_WORK_GROUP_SIZE;
        if (memory > g.local)
            return CL_OUT_OF_RESOURCES;
    }
    return REAL(clEnqueueNDRangeKernel)(queue, kernel, dimensions, offset, global, local, waits, wait, event);
}

/* ---- what memory holds ---- */

enum { NAN_BYTE = 0xff }; /* four make a NaN of any type, and an index of -1 */

cl_mem clCreateBuffer(cl_context context, cl_mem_flags flags, size_t size, void *host, cl_int *error) {
    const bool fresh = !host && !(flags & (CL_MEM_USE_HOST_PTR | CL_MEM_COPY_HOST_PTR));
    cl_int ignored;
    gpu g;

    if (!fresh || !gpu_of(&g, device_of(context)))
        return REAL(clCreateBuffer)(context, flags, size, host, error);
    void *poison = size <= g.allocation ? malloc(size) : NULL;
    *(error ? error : &ignored) = CL_INVALID_BUFFER_SIZE;
    if (!poison)
        return NULL;
    memset(poison, NAN_BYTE, size);
    const cl_mem buffer = REAL(clCreateBuffer)(context, flags | CL_MEM_COPY_HOST_PTR, size, poison, error);
    free(poison);
    return buffer;
}

void *clEnqueueMapBuffer(cl_command_queue queue, cl_mem buffer, cl_bool wait, cl_map_flags flags, size_t offset,
                         size_t size, cl_uint events, const cl_event *list, cl_event *event, cl_int *error) {
    gpu g;
    void *mapped = REAL(clEnqueueMapBuffer)(queue, buffer, wait, flags, offset, size, events, list, event, error);

    if (mapped && wait && (flags & CL_MAP_WRITE_INVALIDATE_REGION) && gpu_at(&g, 0))
        memset(mapped, NAN_BYTE, size);
    return mapped;
}
