#include "device/dot.h"

#include <stdlib.h>
#include <string.h>

#include "base/dtype.h"
#include "device/processor.h"
#include "device/program.h"
#include "device/pulse.h"

clora_status dot_setting(dot_engine *out) {
    static const struct {
        const char *word;
        dot_engine most;
    } words[] = {{"on", DOT_TILES}, {"pairs", DOT_INSTRUCTION}, {"emulate", DOT_EMULATED}, {"off", DOT_NONE}};
    const char *text = getenv("CLORA_BF16_DOT");

    *out = DOT_TILES;
    if (!text || !*text)
        return CLORA_OK;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(text, words[i].word) == 0) {
            *out = words[i].most;
            return CLORA_OK;
        }
    return clora_fail(CLORA_ERROR_ARGUMENT, "CLORA_BF16_DOT is '%s': take on, pairs, off or emulate", text);
}

/* ---- small products, to see that they are right ---- */

enum { LANES = 16, VALUES = 2 * LANES, TILE_PAIRS = 16, TILE_LANES = 32, TILE_VALUES = TILE_LANES * TILE_LANES };

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

static float value_of(const uint32_t *pairs, int value) {
    return dtype_bf16_to_f32((uint16_t)(pairs[value / 2] >> 16 * (value % 2)));
}

/* x, 32 rows of 16 pairs, times x as 16 pairs of 32 lanes. */
static bool tiles_are_right(const float *c, const uint32_t *x) {
    for (int row = 0; row < TILE_LANES; row++)
        for (int lane = 0; lane < TILE_LANES; lane++) {
            float sum = 0.0f, size = 0.0f;
            for (int k = 0; k < 2 * TILE_PAIRS; k++) {
                const float product =
                    value_of(x, row * 2 * TILE_PAIRS + k) * value_of(x, 2 * (k / 2 * TILE_LANES + lane) + k % 2);
                sum += product;
                size += product < 0.0f ? -product : product;
            }
            const float difference = c[row * TILE_LANES + lane] - sum;
            if (!(difference * difference <= 1e-10f * size * size))
                return false;
        }
    return true;
}

static cl_mem probe_buffer(const clora_context *context, size_t size, void *values) {
    return clCreateBuffer(context->cl, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, size, values, NULL);
}

/* c and pairs as a kernel leaves them that takes both and values x. */
static bool probe_runs(const clora_context *context, cl_kernel kernel, float *c, uint32_t *pairs, const float *x,
                       size_t count) {
    const size_t one = 1, sizes[3] = {count * sizeof(float), VALUES * LANES * sizeof(uint32_t), VALUES * sizeof(float)};
    void *values[3] = {c, pairs, (void *)(uintptr_t)x};
    cl_int error = CL_SUCCESS;
    cl_mem memory[3];

    for (cl_uint i = 0; i < 3; i++) {
        memory[i] = probe_buffer(context, sizes[i], values[i]);
        error |= memory[i] ? clSetKernelArg(kernel, i, sizeof(cl_mem), &memory[i]) : CL_OUT_OF_HOST_MEMORY;
    }
    const bool ran =
        error == CL_SUCCESS &&
        clEnqueueNDRangeKernel(context->queue, kernel, 1, NULL, &one, &one, 0, NULL, NULL) == CL_SUCCESS &&
        clEnqueueReadBuffer(context->queue, memory[0], CL_TRUE, 0, sizes[0], c, 0, NULL, NULL) == CL_SUCCESS &&
        clEnqueueReadBuffer(context->queue, memory[1], CL_TRUE, 0, sizes[1], pairs, 0, NULL, NULL) == CL_SUCCESS;
    for (int i = 0; i < 3; i++)
        if (memory[i])
            clReleaseMemObject(memory[i]);
    return ran;
}

/* Does the compiler take the instructions, and is the result right? */
static bool probe(clora_context *context, dot_engine engine) {
    static const kernel_row row = {.name = "dot_probe", .source = "dot tiles dot_probe"};
    uint32_t pairs[VALUES * LANES];
    float x[VALUES], c[TILE_VALUES];
    kernel_build build;
    built_kernel built;

    memset(&build, 0, sizeof(build)); /* padding too: a build is compared by its bytes */
    build.row = &row;
    build.define[0].name = "VW";
    build.define[0].value = LANES;
    build.define[1].name = "NR";
    build.define[1].value = TILE_LANES;
    build.define[2].name = "DOT";
    build.define[2].value = (int)engine;
    build.defines = 3;
    probe_values(x);
    for (int i = 0; i < VALUES * LANES; i++) {
        const uint16_t low = dtype_f32_to_bf16(x[i % VALUES]), high = dtype_f32_to_bf16(x[i * 7 % VALUES]);
        pairs[i] = (uint32_t)high << 16 | low;
    }
    for (int i = 0; i < TILE_VALUES; i++)
        c[i] = 1.0f;
    if (program_kernel(&built, context, &build) != CLORA_OK)
        return false;
    pulse_enter(context->pulse, "clEnqueueReadBuffer");
    const bool ran = probe_runs(context, built.kernel, c, pairs, x, TILE_VALUES);
    pulse_leave(context->pulse);
    if (!ran)
        return false;
    return engine == DOT_TILES ? tiles_are_right(c, pairs) : is_right(x, c, pairs);
}

/* The best that the processor has, no better than `most`. Before all else the processor is asked: an assembler may
 * accept what the processor then refuses. */
static dot_engine find(clora_context *context, dot_engine most) {
    enum { LEAST_FOR_TILES = 256 << 10 }; /* bytes of local memory */

    if (!context->is_cpu || !processor_multiplies_pairs() || !probe(context, DOT_INSTRUCTION))
        return DOT_NONE;
    if (most == DOT_TILES && context->info.local_memory >= LEAST_FOR_TILES && processor_gives_tiles() &&
        probe(context, DOT_TILES))
        return DOT_TILES;
    return DOT_INSTRUCTION;
}

dot_engine context_dot(clora_context *context) {
    pthread_mutex_lock(&context->lock);
    if (context->dot == DOT_UNKNOWN)
        context->dot = context->dot_most >= DOT_INSTRUCTION ? find(context, context->dot_most) : context->dot_most;
    dot_engine engine = kernel_explicit_vectors(context) ? context->dot : DOT_NONE;
    if (engine == DOT_TILES && kernel_panel_width(context) != TILE_LANES)
        engine = DOT_INSTRUCTION;
    pthread_mutex_unlock(&context->lock);
    return engine;
}
