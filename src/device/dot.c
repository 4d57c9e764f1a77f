#include "device/dot.h"

#include <stdlib.h>
#include <string.h>

#include "base/dtype.h"
#include "device/program.h"
#include "device/pulse.h"

clora_status dot_setting(dot_engine *out) {
    const char *text = getenv("CLORA_BF16_DOT");

    *out = DOT_UNKNOWN;
    if (!text || !*text || strcmp(text, "on") == 0)
        return CLORA_OK;
    if (strcmp(text, "off") == 0)
        *out = DOT_NONE;
    else if (strcmp(text, "emulate") == 0)
        *out = DOT_EMULATED;
    else
        return clora_fail(CLORA_ERROR_ARGUMENT, "CLORA_BF16_DOT is '%s': take on, off or emulate", text);
    return CLORA_OK;
}

/* Before all else: an assembler may accept what the processor then refuses. */
static bool processor_has_it(const clora_context *context) {
#if defined(__x86_64__) || defined(__i386__)
    return context->is_cpu && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vl");
#else
    (void)context;
    return false;
#endif
}

enum { LANES = 16, VALUES = 2 * LANES };

/* Values that rounding moves down, up and to even, large and small ones. */
static void probe_values(float x[VALUES]) {
    for (int i = 0; i < VALUES; i++)
        x[i] = (i % 3 ? 1.0f : -1.0f) * (1.0f + (float)i / 256.0f) * (i % 5 ? 1.0f : 1024.0f);
}

static bool is_right(const float x[VALUES], const float c[LANES], const uint32_t pairs[LANES]) {
    for (int i = 0; i < LANES; i++) {
        const uint16_t low = dtype_f32_to_bf16(x[2 * i]), high = dtype_f32_to_bf16(x[2 * i + 1]);
        const float a = dtype_bf16_to_f32(low), b = dtype_bf16_to_f32(high), sum = 1.0f + a * a + b * b;
        const float difference = c[i] - sum;
        if (pairs[i] != ((uint32_t)high << 16 | low) || !(difference * difference <= 1e-12f * sum * sum))
            return false;
    }
    return true;
}

static cl_mem probe_buffer(const clora_context *context, size_t size, void *values) {
    return clCreateBuffer(context->cl, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, size, values, NULL);
}

static bool probe_runs(const clora_context *context, cl_kernel kernel) {
    const size_t one = 1;
    float x[VALUES], c[LANES];
    uint32_t pairs[LANES] = {0};
    bool right = false;

    probe_values(x);
    for (int i = 0; i < LANES; i++)
        c[i] = 1.0f;
    cl_mem memory[3] = {probe_buffer(context, sizeof(c), c), probe_buffer(context, sizeof(pairs), pairs),
                        probe_buffer(context, sizeof(x), x)};
    cl_int error = CL_SUCCESS;
    for (cl_uint i = 0; i < 3; i++)
        error |= memory[i] ? clSetKernelArg(kernel, i, sizeof(cl_mem), &memory[i]) : CL_OUT_OF_HOST_MEMORY;
    if (error == CL_SUCCESS &&
        clEnqueueNDRangeKernel(context->queue, kernel, 1, NULL, &one, &one, 0, NULL, NULL) == CL_SUCCESS &&
        clEnqueueReadBuffer(context->queue, memory[0], CL_TRUE, 0, sizeof(c), c, 0, NULL, NULL) == CL_SUCCESS &&
        clEnqueueReadBuffer(context->queue, memory[1], CL_TRUE, 0, sizeof(pairs), pairs, 0, NULL, NULL) == CL_SUCCESS)
        right = is_right(x, c, pairs);
    for (int i = 0; i < 3; i++)
        if (memory[i])
            clReleaseMemObject(memory[i]);
    return right;
}

/* Does the compiler take the instruction, and is the result right? */
static bool probe(clora_context *context) {
    static const kernel_row row = {.name = "dot_probe", .source = "dot dot_probe"};
    kernel_build build;
    built_kernel built;

    memset(&build, 0, sizeof(build)); /* padding too: a build is compared by its bytes */
    build.row = &row;
    build.define[0].name = "VW";
    build.define[0].value = LANES;
    build.define[1].name = "DOT";
    build.define[1].value = DOT_INSTRUCTION;
    build.defines = 2;
    if (program_kernel(&built, context, &build) != CLORA_OK)
        return false;
    pulse_enter(context->pulse, "clEnqueueReadBuffer");
    const bool right = probe_runs(context, built.kernel);
    pulse_leave(context->pulse);
    return right;
}

dot_engine context_dot(clora_context *context) {
    pthread_mutex_lock(&context->lock);
    if (context->dot == DOT_UNKNOWN)
        context->dot = processor_has_it(context) && probe(context) ? DOT_INSTRUCTION : DOT_NONE;
    const dot_engine engine = kernel_explicit_vectors(context) ? context->dot : DOT_NONE;
    pthread_mutex_unlock(&context->lock);
    return engine;
}
