#include "operations.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "device/buffer.h"
#include "device/kernels.h"
#include "device/opencl.h"

/*
 * What the device can do at most: a loop of fused multiply-adds in registers, a copy, and a sum of what is read. Work-
 * items of CPUs hold explicit vectors and walk through a stretch of their own; those of GPUs take every N-th element.
 */
static const char source[] = "#define JOIN_(a, b) a##b\n"
                             "#define JOIN(a, b) JOIN_(a, b)\n"
                             "#if VW == 1\n"
                             "typedef float vec;\n"
                             "#else\n"
                             "typedef JOIN(float, VW) vec;\n"
                             "#endif\n"
                             "kernel void multiply_add(global vec *out, int n, float a, float b) {\n"
                             "    vec x[CHAINS];\n"
                             "    for (int c = 0; c < CHAINS; c++)\n"
                             "        x[c] = (vec)(a * c);\n"
                             "    for (int i = 0; i < n; i++)\n"
                             "        _Pragma(\"unroll\")\n"
                             "        for (int c = 0; c < CHAINS; c++)\n"
                             "            x[c] = fma(x[c], (vec)(a), (vec)(b));\n"
                             "    vec sum = x[0];\n"
                             "    for (int c = 1; c < CHAINS; c++)\n"
                             "        sum += x[c];\n"
                             "    out[get_global_id(0)] = sum;\n"
                             "}\n"
                             "#define FIRST ((ulong)get_global_id(0) * (STRETCH ? n : 1))\n"
                             "#define STEP (STRETCH ? 1 : get_global_size(0))\n"
                             "kernel void copy(global vec *restrict y, global const vec *restrict x, int n) {\n"
                             "    for (int i = 0; i < n; i++)\n"
                             "        y[FIRST + i * STEP] = x[FIRST + i * STEP];\n"
                             "}\n"
                             "kernel void read(global vec *restrict y, global const vec *restrict x, int n) {\n"
                             "    vec a = 0.0f, b = 0.0f, c = 0.0f, d = 0.0f;\n"
                             "    for (int i = 0; i + 3 < n; i += 4) {\n"
                             "        a += x[FIRST + i * STEP];\n"
                             "        b += x[FIRST + (i + 1) * STEP];\n"
                             "        c += x[FIRST + (i + 2) * STEP];\n"
                             "        d += x[FIRST + (i + 3) * STEP];\n"
                             "    }\n"
                             "    y[get_global_id(0)] = a + b + c + d;\n"
                             "}\n";

enum { CHAINS = 12, ITEMS_A_CORE = 8, REPEATS = 5 };
static const double SHORTEST = 0.02;                  /* seconds of the arithmetic */
static const size_t BUFFER_BYTES = (size_t)256 << 20; /* beyond any cache */

typedef struct roof_run {
    clora_context *context;
    cl_program program;
    cl_mem x, y;
    size_t bytes;        /* of each buffer */
    size_t items, group; /* work-items in all and in a group */
    int width;           /* floats in a vector */
} roof_run;

static clora_status check(cl_int error, const char *what) {
    return error == CL_SUCCESS ? CLORA_OK : opencl_fail(error, what);
}

static clora_status build(roof_run *r, bool stretch) {
    const char *text = source;
    char options[128];
    cl_int error;

    r->program = clCreateProgramWithSource(r->context->cl, 1, &text, NULL, &error);
    if (error != CL_SUCCESS)
        return opencl_fail(error, "the roofline's program");
    snprintf(options, sizeof(options), "-cl-std=CL1.2 -DVW=%d -DCHAINS=%d -DSTRETCH=%d", r->width, CHAINS, stretch);
    return check(clBuildProgram(r->program, 1, &r->context->device, options, NULL, NULL), "the roofline's kernels");
}

static clora_status begin(roof_run *r, clora_context *context) {
    const clora_device_info *d = &context->info;
    const bool vectors = kernel_explicit_vectors(context);
    clora_status status = CLORA_OK;

    *r = (roof_run){.context = context, .group = vectors ? 1 : d->max_group < 256 ? d->max_group : 256};
    r->width = !vectors ? 1 : d->vector_width >= 16 ? 16 : d->vector_width >= 8 ? 8 : d->vector_width >= 4 ? 4 : 1;
    r->items = (size_t)d->compute_units * ITEMS_A_CORE * r->group;
    r->bytes = d->max_allocation < BUFFER_BYTES ? d->max_allocation : BUFFER_BYTES;
    r->bytes = r->bytes < d->global_memory / 8 ? r->bytes : d->global_memory / 8;
    TRY(build(r, vectors));
    TRY(buffer_create(&r->x, context, r->bytes));
    TRY(buffer_create(&r->y, context, r->bytes));
    const cl_float zero = 0.0f;
    TRY(check(clEnqueueFillBuffer(context->queue, r->x, &zero, sizeof(zero), 0, r->bytes / 4 * 4, 0, NULL, NULL),
              "the roofline's data"));
done:
    return status;
}

static void end(roof_run *r) {
    if (r->y)
        buffer_release(r->context, r->y, r->bytes);
    if (r->x)
        buffer_release(r->context, r->x, r->bytes);
    if (r->program)
        clReleaseProgram(r->program);
}

/* The shortest time of a kernel whose arguments are set. */
static clora_status best_time(double *out, const roof_run *r, cl_kernel kernel) {
    clora_status status = CLORA_OK;

    for (int i = 0; i < REPEATS; i++) {
        const double begin = clock_seconds();
        TRY(check(clEnqueueNDRangeKernel(r->context->queue, kernel, 1, NULL, &r->items, &r->group, 0, NULL, NULL),
                  "the roofline's kernels"));
        TRY(clora_context_finish(r->context));
        const double seconds = clock_seconds() - begin;
        if (i == 0 || seconds < *out)
            *out = seconds;
    }
done:
    return status;
}

static clora_status run(double *seconds, const roof_run *r, const char *name, bool data, int n) {
    const cl_float a = 0.999f, b = 0.001f;
    clora_status status = CLORA_OK;
    cl_int error;
    cl_uint i = 0;
    cl_kernel kernel = clCreateKernel(r->program, name, &error);

    if (error != CL_SUCCESS)
        return opencl_fail(error, name);
    TRY(check(clSetKernelArg(kernel, i++, sizeof(cl_mem), &r->y), name));
    if (data)
        TRY(check(clSetKernelArg(kernel, i++, sizeof(cl_mem), &r->x), name));
    TRY(check(clSetKernelArg(kernel, i++, sizeof(cl_int), &(cl_int){n}), name));
    if (!data) {
        TRY(check(clSetKernelArg(kernel, i++, sizeof(a), &a), name));
        TRY(check(clSetKernelArg(kernel, i++, sizeof(b), &b), name));
    }
    TRY(best_time(seconds, r, kernel));
done:
    clReleaseKernel(kernel);
    return status;
}

/* Arithmetic alone, long enough for the clock. */
static clora_status measure_flops(double *flops, const roof_run *r) {
    clora_status status = CLORA_OK;
    double seconds = 0.0;
    int steps = 1024;

    for (; seconds < SHORTEST && steps < 1 << 28; steps *= 4)
        TRY(run(&seconds, r, "multiply_add", false, steps));
    *flops = 2.0 * CHAINS * (double)r->items * r->width * (steps / 4) / seconds;
done:
    return status;
}

static void keep_most(double *most, double value) {
    *most = value > *most ? value : *most;
}

clora_status bench_measure_roof(bench_roof *out, clora_context *context) {
    clora_status status = CLORA_OK;
    roof_run r;
    double seconds, flops;

    TRY(begin(&r, context));
    const size_t vectors = r.items * (size_t)r.width; /* floats that one step of all work-items takes */
    const int n = (int)(r.bytes / sizeof(float) / vectors) / 4 * 4;
    const double moved = (double)n * (double)vectors * sizeof(float);

    TRY(measure_flops(&flops, &r));
    keep_most(&out->flops, flops);
    TRY(run(&seconds, &r, "copy", true, n));
    keep_most(&out->copy, 2.0 * moved / seconds);
    TRY(run(&seconds, &r, "read", true, n));
    keep_most(&out->read, moved / seconds);
done:
    end(&r);
    return status;
}

double bench_share(const bench_item *item, const bench_roof *roof) {
    const double bandwidth = roof->copy > roof->read ? roof->copy : roof->read;
    const double arithmetic = item->op->flops(&item->shape) / roof->flops;
    const double memory = item->op->bytes(&item->shape) / bandwidth;

    return (arithmetic > memory ? arithmetic : memory) / item->time.best;
}
