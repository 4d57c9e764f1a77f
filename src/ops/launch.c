#include "ops/launch.h"

#include <string.h>

#include "device/devices.h"
#include "device/fork.h"
#include "device/opencl.h"
#include "device/profile.h"
#include "device/pulse.h"
#include "device/withhold.h"
#include "tuning/recorder.h"
#include "tuning/table.h"

bool launch_is_withheld(const clora_context *context) {
    return withhold_sees() || context->outlined || recorder_is_tracing(context);
}

void launch_begin(launch *l, clora_context *context, const char *kernel, kernel_key key) {
    tuning_entry found;

    memset(l, 0, sizeof(*l)); /* padding too: a build is compared by its bytes */
    l->context = context;
    pthread_mutex_lock(&context->lock);
    l->status = fork_check();
    if (l->status == CLORA_OK)
        l->status = tuning_resolve(&found, context, kernel, &key);
    if (l->status != CLORA_OK)
        return;
    l->build.row = found.row;
    l->key = found.key;
    l->source = found.source;
    memcpy(l->build.values, found.values, sizeof(l->build.values));
}

void launch_define(launch *l, const char *name, int value) {
    if (l->status == CLORA_OK && l->build.defines == KERNEL_DEFINES)
        l->status = clora_fail(CLORA_ERROR_ARGUMENT, "kernel %s: too many definitions", l->build.row->name);
    if (l->status != CLORA_OK)
        return;
    l->build.define[l->build.defines].name = name;
    l->build.define[l->build.defines].value = value;
    l->build.defines++;
}

int launch_parameter(const launch *l, const char *name) {
    return l->build.row ? l->build.values[kernel_parameter_index(l->build.row, name)] : 1;
}

static void build(launch *l) {
    if (l->status == CLORA_OK && !l->built.kernel)
        l->status = program_kernel(&l->built, l->context, &l->build);
}

bool launch_again(launch *l) {
    if (launch_is_withheld(l->context))
        return false;
    build(l);
    if (l->status != CLORA_OK || l->built.items <= l->built.most_items || l->source == CLORA_TUNE_SOURCE_SET ||
        !tuning_limit(l->context, l->build.row, l->built.most_items))
        return false;
    pthread_mutex_unlock(&l->context->lock);
    return true;
}

/* The first argument ends the defines, if launch_again has not: now the program is known. */
static void bind(launch *l, size_t size, const void *value) {
    if (launch_is_withheld(l->context))
        return;
    build(l);
    if (l->status != CLORA_OK)
        return;
    const cl_int error = clSetKernelArg(l->built.kernel, l->index, size, value);
    if (error != CL_SUCCESS)
        l->status = clora_fail(CLORA_ERROR_OPENCL, "kernel %s, argument %u: %s", l->build.row->name, l->index,
                               opencl_error_name(error));
    l->index++;
}

void launch_buffer(launch *l, cl_mem buffer) {
    bind(l, sizeof(buffer), &buffer);
}

void launch_tensor(launch *l, const clora_tensor *t) {
    const cl_ulong offset = t ? t->offset : 0;

    launch_buffer(l, t ? t->buffer : NULL);
    bind(l, sizeof(offset), &offset);
}

void launch_matrix(launch *l, const clora_tensor *t) {
    launch_tensor(l, t);
    launch_int(l, t ? t->stride : 0);
}

void launch_int(launch *l, int value) {
    bind(l, sizeof(cl_int), &(cl_int){value});
}
void launch_uint(launch *l, unsigned value) {
    bind(l, sizeof(cl_uint), &(cl_uint){value});
}
void launch_ulong(launch *l, uint64_t value) {
    bind(l, sizeof(cl_ulong), &(cl_ulong){value});
}
void launch_float(launch *l, float value) {
    bind(l, sizeof(cl_float), &(cl_float){value});
}

enum { TOGETHER = 32 };

/* Drivers for GPUs may collect commands until somebody waits: some are sent on while the host enqueues the next. That
 * they are done shows that the device goes on, however long it takes for all that is enqueued. */
static void send_on(clora_context *context, cl_event event) {
    pulse_mark(context->pulse, event);
    if (!context->is_cpu)
        clFlush(context->queue);
}

static cl_int enqueue(const launch *l, const size_t global[3], const size_t local[3]) {
    clora_context *context = l->context;
    const bool sends = ++context->launches % TOGETHER == 0;
    cl_event event = NULL;

    pulse_enter(context->pulse, "clEnqueueNDRangeKernel");
    const cl_int error = clEnqueueNDRangeKernel(context->queue, l->built.kernel, 3, NULL, global, local, 0, NULL,
                                                context->profile || sends ? &event : NULL);
    pulse_leave(context->pulse);
    if (error != CL_SUCCESS)
        return error;
    if (sends)
        send_on(context, event);
    if (event && context->profile)
        profile_add(context->profile, l->build.row->name, event);
    else if (event)
        clReleaseEvent(event);
    return CL_SUCCESS;
}

/* Say what was asked for, and what the driver allows this kernel where that is less. */
static clora_status refused(const launch *l, const size_t global[3], const size_t local[3], cl_int error) {
    const size_t items = local[0] * local[1] * local[2], device_memory = l->context->info.local_memory;
    size_t most = items;
    cl_ulong memory = 0;

    clGetKernelWorkGroupInfo(l->built.kernel, l->context->device, CL_KERNEL_WORK_GROUP_SIZE, sizeof(most), &most, NULL);
    clGetKernelWorkGroupInfo(l->built.kernel, l->context->device, CL_KERNEL_LOCAL_MEM_SIZE, sizeof(memory), &memory,
                             NULL);
    if (items > most || memory > device_memory)
        return clora_fail(CLORA_ERROR_OPENCL,
                          "kernel %s wants groups of %zu work-items with %zu bytes of local memory; the driver allows "
                          "it %zu and %zu: set CLORA_MAX_GROUP to less, %d at least",
                          l->build.row->name, items, (size_t)memory, most, device_memory, DEVICE_LEAST_GROUP);
    return clora_fail(CLORA_ERROR_OPENCL, "cannot run kernel %s (%zu x %zu x %zu by %zu x %zu x %zu): %s",
                      l->build.row->name, global[0], global[1], global[2], local[0], local[1], local[2],
                      opencl_error_name(error));
}

clora_status launch_run(launch *l, size_t gx, size_t gy, size_t gz, size_t lx, size_t ly, size_t lz) {
    const size_t global[3] = {round_up(gx, lx), round_up(gy, ly), round_up(gz, lz)}, local[3] = {lx, ly, lz};

    if (l->status == CLORA_OK && l->context->recorder)
        l->status = recorder_note(l->context->recorder, &l->build, &l->key);
    if (l->status == CLORA_OK && !launch_is_withheld(l->context)) {
        const cl_int error = enqueue(l, global, local);
        if (error != CL_SUCCESS)
            l->status = refused(l, global, local, error);
    }
    pthread_mutex_unlock(&l->context->lock);
    return l->status;
}
