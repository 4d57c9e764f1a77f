#include "device/context.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "device/devices.h"
#include "device/dot.h"
#include "device/fork.h"
#include "device/opencl.h"
#include "device/profile.h"
#include "device/program.h"
#include "tuning/tuning.h"

static void destroy(shared *object);

/* NULL without memory. */
static clora_context *allocate(void) {
    clora_context *context = calloc(1, sizeof(*context));

    if (context)
        shared_init(&context->shared, destroy);
    return context;
}

/* Fill a context whose device, cl and queue are set. */
static clora_status context_init(clora_context *context, cl_platform_id platform) {
    clora_status status = CLORA_OK;
    cl_uint align_bits = 0;
    cl_device_type type = 0;

    pthread_mutex_init(&context->lock, NULL);
    pthread_mutex_init(&context->scratch_lock, NULL);
    pthread_mutex_init(&context->check_lock, NULL);
    clGetDeviceInfo(context->device, CL_DEVICE_TYPE, sizeof(type), &type, NULL);
    context->is_cpu = (type & CL_DEVICE_TYPE_CPU) != 0;
    clGetDeviceInfo(context->device, CL_DEVICE_MEM_BASE_ADDR_ALIGN, sizeof(align_bits), &align_bits, NULL);
    context->address_align = align_bits >= 512 ? align_bits / 8 : 64;
    device_query(&context->info, platform, context->device);
    TRY(device_check_version(&context->info)); /* of a caller's queue: others were chosen by it */
    TRY(device_limit_group(&context->info.max_group));
    TRY(device_gemm_path(&context->gemm, context->is_cpu));
    context->gemm_is_forced = getenv("CLORA_GEMM") && *getenv("CLORA_GEMM");
    TRY(dot_setting(&context->dot));
    TRY(tuning_create(&context->tuning));
    TRY(program_cache_create(&context->programs));
done:
    return status;
}

clora_status clora_context_create(clora_context **out, const char *device) {
    clora_status status = CLORA_OK;
    cl_int error;
    device_entry entry;
    clora_context *context;

    NEED(out);
    *out = NULL;
    context = allocate();
    if (!context)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a context"));
    TRY(device_choose(&entry, device));
    context->device = entry.id;
    context->cl = clCreateContext(NULL, 1, &entry.id, NULL, NULL, &error);
    if (error != CL_SUCCESS)
        TRY(opencl_fail(error, "cannot make an OpenCL context"));
    context->queue = clCreateCommandQueue(context->cl, entry.id, 0, &error);
    if (error != CL_SUCCESS)
        TRY(opencl_fail(error, "cannot make an OpenCL queue"));
    TRY(context_init(context, entry.platform));
    context->info.index = entry.info.index;
    context->info.is_default = entry.info.is_default;
    *out = context;
    context = NULL;
done:
    clora_context_free(context);
    return clora_keep_cause(status);
}

clora_status clora_context_from_opencl(clora_context **out, cl_context cl, cl_command_queue queue) {
    clora_status status = CLORA_OK;
    cl_context queue_context = NULL;
    cl_command_queue_properties properties = 0;
    cl_platform_id platform = NULL;
    clora_context *context = NULL;

    NEED(out);
    *out = NULL;
    NEED(cl);
    NEED(queue);
    TRY(fork_use_opencl());
    if (clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof(queue_context), &queue_context, NULL) != CL_SUCCESS ||
        queue_context != cl)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "clora_context_from_opencl: the queue belongs to another context"));
    clGetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES, sizeof(properties), &properties, NULL);
    if (properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "clora_context_from_opencl: the queue must be in order"));
    context = allocate();
    if (!context)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a context"));
    clGetCommandQueueInfo(queue, CL_QUEUE_DEVICE, sizeof(context->device), &context->device, NULL);
    clGetDeviceInfo(context->device, CL_DEVICE_PLATFORM, sizeof(platform), &platform, NULL);
    clRetainContext(cl);
    clRetainCommandQueue(queue);
    context->cl = cl;
    context->queue = queue;
    context->borrowed = true;
    TRY(context_init(context, platform));
    *out = context;
    context = NULL;
done:
    clora_context_free(context);
    return clora_keep_cause(status);
}

void clora_context_free(clora_context *context) {
    if (context)
        shared_let_go(&context->shared);
}

static void destroy(shared *object) {
    clora_context *context = (clora_context *)object;

    if (fork_is_child())
        return; /* the driver's threads are not here: left to the end of the process */
    if (context->queue)
        clFinish(context->queue);
    profile_free(context->profile);
    tuning_free(context->tuning);
    free(context->tune_directory);
    json_decref(context->passed);
    if (context->programs) {
        program_cache_free(context->programs);
        pthread_mutex_destroy(&context->lock);
        pthread_mutex_destroy(&context->scratch_lock);
        pthread_mutex_destroy(&context->check_lock);
    }
    if (context->queue)
        clReleaseCommandQueue(context->queue);
    if (context->cl)
        clReleaseContext(context->cl);
    free(context);
}

clora_status clora_context_finish(clora_context *context) {
    NEED(context);
    return opencl_wait(context->queue);
}

const clora_device_info *clora_context_device(const clora_context *context) {
    return context ? &context->info : NULL;
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
