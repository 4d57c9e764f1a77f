#include "device/profile.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "device/opencl.h"
#include "device/pulse.h"

enum { PENDING = 512 };

typedef struct pending_event {
    const char *kernel;
    cl_event event;
} pending_event;

struct profile {
    pending_event pending[PENDING];
    size_t pending_count;
    struct pulse *pulse; /* the context's */
    clora_profile_entry *entry;
    size_t count, capacity;
    const clora_profile_entry **told; /* (count) when they were last asked for */
};

static clora_profile_entry *entry_of(profile *p, const char *kernel) {
    for (size_t i = 0; i < p->count; i++)
        if (p->entry[i].kernel == kernel || strcmp(p->entry[i].kernel, kernel) == 0)
            return &p->entry[i];
    if (alloc_grow((void **)&p->entry, &p->capacity, p->count + 1, sizeof(*p->entry)) != CLORA_OK)
        return NULL;
    p->entry[p->count] = (clora_profile_entry){kernel, 0, 0.0};
    return &p->entry[p->count++];
}

static void drain(profile *p) {
    for (size_t i = 0; i < p->pending_count; i++) {
        cl_ulong start = 0, end = 0;
        clora_profile_entry *e = entry_of(p, p->pending[i].kernel);
        pulse_enter(p->pulse, "clWaitForEvents");
        clWaitForEvents(1, &p->pending[i].event);
        pulse_leave(p->pulse);
        clGetEventProfilingInfo(p->pending[i].event, CL_PROFILING_COMMAND_START, sizeof(start), &start, NULL);
        clGetEventProfilingInfo(p->pending[i].event, CL_PROFILING_COMMAND_END, sizeof(end), &end, NULL);
        clReleaseEvent(p->pending[i].event);
        if (e && end > start) {
            e->launches++;
            e->seconds += 1e-9 * (double)(end - start);
        }
    }
    p->pending_count = 0;
}

void profile_add(profile *p, const char *kernel, cl_event event) {
    if (p->pending_count == PENDING)
        drain(p);
    p->pending[p->pending_count++] = (pending_event){kernel, event};
}

profile *profile_attach(clora_context *context, profile *p) {
    pthread_mutex_lock(&context->lock);
    profile *before = context->profile;
    context->profile = p;
    pthread_mutex_unlock(&context->lock);
    return before;
}

void profile_free(profile *p) {
    if (!p)
        return;
    drain(p);
    free(p->entry);
    free(p->told);
    free(p);
}

clora_status clora_context_profile(clora_context *context, int on) {
    cl_int error;

    NEED(context);
    if (context->borrowed)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "the caller's own queue is not profiled");
    const clora_status status = opencl_wait(context->queue, context->pulse);
    if (status != CLORA_OK)
        return status;
    profile_free(context->profile);
    context->profile = NULL;
    cl_command_queue queue =
        clCreateCommandQueue(context->cl, context->device, on ? CL_QUEUE_PROFILING_ENABLE : 0, &error);
    if (error != CL_SUCCESS)
        return opencl_fail(error, "cannot make an OpenCL queue");
    clReleaseCommandQueue(context->queue);
    context->queue = queue;
    if (!on)
        return CLORA_OK;
    context->profile = calloc(1, sizeof(*context->profile));
    if (!context->profile)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a profile");
    context->profile->pulse = context->pulse;
    return CLORA_OK;
}

static int by_time(const void *a, const void *b) {
    const clora_profile_entry *x = a, *y = b;

    return x->seconds < y->seconds ? 1 : x->seconds > y->seconds ? -1 : strcmp(x->kernel, y->kernel);
}

const clora_profile_entry *const *clora_context_profile_read(clora_context *context, size_t *count) {
    profile *p = context ? context->profile : NULL;

    if (count)
        *count = 0;
    if (!p || !count)
        return NULL;
    drain(p);
    qsort(p->entry, p->count, sizeof(*p->entry), by_time);
    free(p->told);
    p->told = alloc_array(p->count, sizeof(*p->told));
    for (size_t i = 0; p->told && i < p->count; i++)
        p->told[i] = &p->entry[i];
    *count = p->told ? p->count : 0;
    return p->told;
}

void clora_context_profile_reset(clora_context *context) {
    if (!context || !context->profile)
        return;
    drain(context->profile);
    context->profile->count = 0;
}
