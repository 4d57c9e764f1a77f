#include "device/context.h"

#include <stdlib.h>

#include <jansson.h>

#include "device/devices.h"
#include "device/dot.h"
#include "device/fork.h"
#include "device/opencl.h"
#include "device/profile.h"
#include "device/program.h"
#include "device/pulse.h"

/* NULL without memory. */
static clora_context *allocate(void (*destroy)(shared *)) {
    clora_context *context = calloc(1, sizeof(*context));

    if (!context)
        return NULL;
    shared_init(&context->shared, destroy);
    pthread_mutex_init(&context->lock, NULL);
    pthread_mutex_init(&context->scratch_lock, NULL);
    pthread_mutex_init(&context->check.lock, NULL);
    return context;
}

/* Fill a context whose device, cl and queue are set. */
static clora_status fill(clora_context *context, cl_platform_id platform) {
    clora_status status = CLORA_OK;
    cl_uint align_bits = 0;
    cl_device_type type = 0;
    gemm_path gemm;

    clGetDeviceInfo(context->device, CL_DEVICE_TYPE, sizeof(type), &type, NULL);
    context->is_cpu = (type & CL_DEVICE_TYPE_CPU) != 0;
    clGetDeviceInfo(context->device, CL_DEVICE_MEM_BASE_ADDR_ALIGN, sizeof(align_bits), &align_bits, NULL);
    context->address_align = align_bits >= 512 ? align_bits / 8 : 64;
    context->pulse = pulse_take();
    device_query(&context->info, platform, context->device);
    TRY(device_check_version(&context->info)); /* of a caller's queue: others were chosen by it */
    TRY(device_limit_group(&context->info.max_group));
    TRY(device_gemm_path(&gemm, context->is_cpu));
    context->gemm = gemm;
    context->gemm_is_forced = getenv("CLORA_GEMM") && *getenv("CLORA_GEMM");
    context->dot = DOT_UNKNOWN;
    TRY(dot_setting(&context->dot_most));
    TRY(program_cache_create(&context->programs));
done:
    return status;
}

clora_status context_open(clora_context **out, const char *device, void (*destroy)(shared *)) {
    clora_status status = CLORA_OK;
    cl_int error;
    device_entry entry;
    clora_context *context = allocate(destroy);

    *out = NULL;
    if (!context)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a context");
    TRY(device_choose(&entry, device));
    context->device = entry.id;
    context->cl = clCreateContext(NULL, 1, &entry.id, NULL, NULL, &error);
    if (error != CL_SUCCESS)
        TRY(opencl_fail(error, "cannot make an OpenCL context"));
    context->queue = clCreateCommandQueue(context->cl, entry.id, 0, &error);
    if (error != CL_SUCCESS)
        TRY(opencl_fail(error, "cannot make an OpenCL queue"));
    TRY(fill(context, entry.platform));
    context->info.index = entry.info.index;
    context->info.is_default = entry.info.is_default;
    *out = context;
    context = NULL;
done:
    context_close(context);
    return status;
}

/* Launches must come one after the other, in this OpenCL context. */
static clora_status check_queue(cl_context cl, cl_command_queue queue) {
    cl_context owner = NULL;
    cl_command_queue_properties properties = 0;

    if (clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof(owner), &owner, NULL) != CL_SUCCESS || owner != cl)
        return clora_fail(CLORA_ERROR_ARGUMENT, "clora_context_from_opencl: the queue belongs to another context");
    clGetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES, sizeof(properties), &properties, NULL);
    if (properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE)
        return clora_fail(CLORA_ERROR_ARGUMENT, "clora_context_from_opencl: the queue must be in order");
    return CLORA_OK;
}

clora_status context_adopt(clora_context **out, cl_context cl, cl_command_queue queue, void (*destroy)(shared *)) {
    clora_status status = CLORA_OK;
    cl_platform_id platform = NULL;
    clora_context *context = NULL;

    *out = NULL;
    TRY(fork_use_opencl());
    TRY(check_queue(cl, queue));
    context = allocate(destroy);
    if (!context)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a context"));
    clGetCommandQueueInfo(queue, CL_QUEUE_DEVICE, sizeof(context->device), &context->device, NULL);
    clGetDeviceInfo(context->device, CL_DEVICE_PLATFORM, sizeof(platform), &platform, NULL);
    clRetainContext(cl);
    clRetainCommandQueue(queue);
    context->cl = cl;
    context->queue = queue;
    context->borrowed = true;
    TRY(fill(context, platform));
    *out = context;
    context = NULL;
done:
    context_close(context);
    return status;
}

static void destroy_outline(shared *object) {
    clora_context *outline = (clora_context *)object;

    shared_let_go(&outline->outlined->shared);
    context_close(outline);
}

clora_status context_outline(clora_context **out, clora_context *context) {
    const dot_engine dot = context_dot(context);
    clora_context *outline = allocate(destroy_outline);

    *out = outline;
    if (!outline)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a context");
    shared_hold(&context->shared);
    outline->outlined = context;
    outline->device = context->device;
    outline->info = context->info;
    outline->gemm = context->gemm;
    outline->gemm_is_forced = context->gemm_is_forced;
    outline->is_cpu = context->is_cpu;
    outline->dot = dot;
    outline->address_align = context->address_align;
    outline->tuning = context->tuning;
    return CLORA_OK;
}

/* Without a message: that of what failed before stays. */
static void finish(clora_context *context) {
    pulse_enter(context->pulse, "clFinish");
    clFinish(context->queue);
    pulse_leave(context->pulse);
}

void context_close(clora_context *context) {
    if (!context)
        return;
    if (context->queue)
        finish(context);
    profile_free(context->profile);
    json_decref(context->check.passed);
    program_cache_free(context->programs);
    pthread_mutex_destroy(&context->lock);
    pthread_mutex_destroy(&context->scratch_lock);
    pthread_mutex_destroy(&context->check.lock);
    if (context->queue)
        clReleaseCommandQueue(context->queue);
    if (context->cl)
        clReleaseContext(context->cl);
    pulse_give(context->pulse);
    free(context);
}

void clora_context_free(clora_context *context) {
    if (context)
        shared_let_go(&context->shared);
}

clora_status clora_context_finish(clora_context *context) {
    NEED(context);
    return context->outlined ? CLORA_OK : opencl_wait(context->queue, context->pulse);
}

const clora_device_info *clora_context_device(const clora_context *context) {
    static const clora_device_info none;

    return context ? &context->info : &none;
}

cl_command_queue clora_context_queue(const clora_context *context) {
    return context ? context->queue : NULL;
}

void clora_context_memory(const clora_context *context, size_t *now, size_t *peak) {
    if (now)
        *now = context ? context->memory_now : 0;
    if (peak)
        *peak = context ? context->memory_peak : 0;
}
