#include "device/launch.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "device/profile.h"
#include "device/program.h"

static void append_option(launch *l, const char *name, int value) {
    const size_t room = sizeof(l->options) - l->options_used;
    const int n = snprintf(l->options + l->options_used, room, " -D%s=%d", name, value);

    if (n < 0 || (size_t)n >= room)
        l->status = clora_fail(CLORA_ERROR_ARGUMENT, "kernel %s: too many options", l->row->name);
    else
        l->options_used += (size_t)n;
}

void launch_begin(launch *l, clora_context *context, const char *kernel) {
    *l = (launch){.context = context, .row = kernel_find(kernel)};
    pthread_mutex_lock(&context->lock);
    if (!l->row) {
        l->status = clora_fail(CLORA_ERROR_NOT_FOUND, "no kernel %s in the registry", kernel);
        return;
    }
    if (context->process != (int)getpid()) {
        l->status =
            clora_fail(CLORA_ERROR_ARGUMENT, "an OpenCL context does not survive fork(): make one in the child");
        return;
    }
    l->options_used = (size_t)snprintf(l->options, sizeof(l->options), "-cl-std=CL1.2");
    for (int i = 0; i < KERNEL_PARAMETERS && l->row->parameters[i].name; i++)
        append_option(l, l->row->parameters[i].name, kernel_parameter_value(context, l->row, &l->row->parameters[i]));
}

void launch_define(launch *l, const char *name, int value) {
    if (l->status == CLORA_OK)
        append_option(l, name, value);
}

int launch_parameter(launch *l, const char *name) {
    if (!l->row)
        return 1;
    for (int i = 0; i < KERNEL_PARAMETERS && l->row->parameters[i].name; i++)
        if (strcmp(l->row->parameters[i].name, name) == 0)
            return kernel_parameter_value(l->context, l->row, &l->row->parameters[i]);
    if (l->status == CLORA_OK)
        l->status = clora_fail(CLORA_ERROR_ARGUMENT, "kernel %s has no parameter %s", l->row->name, name);
    return 1;
}

/* The first argument ends the defines: now the program is known. */
static void bind(launch *l, size_t size, const void *value) {
    if (l->status == CLORA_OK && !l->kernel)
        l->status = program_kernel(&l->kernel, l->context, l->row->source, l->row->name, l->options);
    if (l->status != CLORA_OK)
        return;
    const cl_int error = clSetKernelArg(l->kernel, l->index, size, value);
    if (error != CL_SUCCESS)
        l->status = clora_fail(CLORA_ERROR_OPENCL, "kernel %s, argument %u: %s", l->row->name, l->index,
                               opencl_error_name(error));
    l->index++;
}

void launch_tensor(launch *l, const clora_tensor *t) {
    const cl_mem none = NULL;
    const cl_ulong offset = t ? t->offset : 0;

    bind(l, sizeof(cl_mem), t ? &t->buffer : &none);
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

static size_t round_up(size_t n, size_t step) {
    return (n + step - 1) / step * step;
}

clora_status launch_run(launch *l, size_t gx, size_t gy, size_t gz, size_t lx, size_t ly, size_t lz) {
    const size_t global[3] = {round_up(gx, lx), round_up(gy, ly), round_up(gz, lz)}, local[3] = {lx, ly, lz};

    if (l->status == CLORA_OK) {
        cl_event event = NULL;
        const cl_int error = clEnqueueNDRangeKernel(l->context->queue, l->kernel, 3, NULL, global, local, 0, NULL,
                                                    l->context->profile ? &event : NULL);
        if (error != CL_SUCCESS)
            l->status = clora_fail(CLORA_ERROR_OPENCL, "cannot run kernel %s (%zu x %zu x %zu by %zu x %zu x %zu): %s",
                                   l->row->name, global[0], global[1], global[2], lx, ly, lz, opencl_error_name(error));
        else if (event)
            profile_add(l->context->profile, l->row->name, event);
    }
    pthread_mutex_unlock(&l->context->lock);
    return l->status;
}
