#include "device/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/alloc.h"
#include "device/binary.h"
#include "device/devices.h"
#include "device/opencl.h"
#include "device/pulse.h"
#include "device/source.h"

typedef struct program_entry {
    char *stem, *options;
    cl_program program;
    XXH128_hash_t key;
    bool to_save; /* once a kernel was made of it */
} program_entry;

typedef struct kernel_entry {
    kernel_build build;
    XXH64_hash_t hash; /* of the build: looked at first */
    built_kernel built;
} kernel_entry;

struct program_cache {
    program_entry *programs;
    size_t programs_count, programs_capacity;
    kernel_entry *kernels;
    size_t kernels_count, kernels_capacity;
};

clora_status program_cache_create(program_cache **out) {
    *out = calloc(1, sizeof(**out));
    return *out ? CLORA_OK : clora_fail(CLORA_ERROR_MEMORY, "no memory for the program cache");
}

void program_cache_free(program_cache *cache) {
    if (!cache)
        return;
    for (size_t i = 0; i < cache->kernels_count; i++)
        clReleaseKernel(cache->kernels[i].built.kernel);
    for (size_t i = 0; i < cache->programs_count; i++) {
        clReleaseProgram(cache->programs[i].program);
        free(cache->programs[i].stem);
        free(cache->programs[i].options);
    }
    free(cache->kernels);
    free(cache->programs);
    free(cache);
}

enum { LOG_LINES = 8 };

/* The kernel, the device and the first lines of the build log. */
static clora_status build_fail(clora_context *context, cl_program program, const char *stem, const char *options,
                               cl_int error) {
    size_t size = 0, lines = 0;
    char *log = NULL, *end;

    clGetProgramBuildInfo(program, context->device, CL_PROGRAM_BUILD_LOG, 0, NULL, &size);
    log = alloc_array(size + 1, 1);
    if (log && size)
        clGetProgramBuildInfo(program, context->device, CL_PROGRAM_BUILD_LOG, size, log, NULL);
    for (end = log; end && *end; end++)
        if (*end == '\n' && ++lines == LOG_LINES)
            *end-- = '\0';
    clora_fail(CLORA_ERROR_OPENCL, "kernel %s (%s) does not build on %s: %s", stem, options, context->info.name,
               opencl_error_name(error));
    clora_fail_below(CLORA_ERROR_OPENCL, log && *log ? log : "(no build log)");
    free(log);
    return CLORA_ERROR_OPENCL;
}

enum { SOURCES = 20 /* with builtins.cl */ };

/* The texts a program is made of: `stems` are names with blanks between them; common.cl comes before all. */
typedef struct program_text {
    char *text[SOURCES];
    cl_uint count;
} program_text;

static void text_free(program_text *t) {
    for (cl_uint i = 0; i < t->count; i++)
        free(t->text[i]);
}

static clora_status text_read(program_text *out, const char *stems) {
    clora_status status = CLORA_OK;

    *out = (program_text){0};
    TRY(source_text(&out->text[out->count++], "common", strlen("common")));
    for (const char *stem = stems; *stem; stem += strspn(stem, " ")) {
        const size_t length = strcspn(stem, " ");
        if (out->count == SOURCES - 1)
            TRY(clora_fail(CLORA_ERROR_ARGUMENT, "a program of too many sources: %s", stems));
        TRY(source_text(&out->text[out->count++], stem, length));
        stem += length;
    }
done:
    return status;
}

/* NULL when it cannot be made; the error of a build is the caller's to look at. */
static cl_program program_compile(cl_int *error, clora_context *context, const program_text *t, const char *options) {
    cl_program program =
        clCreateProgramWithSource(context->cl, t->count, (const char **)(uintptr_t)t->text, NULL, error);

    if (*error != CL_SUCCESS)
        return NULL;
    pulse_enter(context->pulse, "clBuildProgram");
    *error = clBuildProgram(program, 1, &context->device, options, NULL, NULL);
    pulse_leave(context->pulse);
    return program;
}

/* PoCL's compiler reads clang's 18,000 lines of declarations for every program, in more time than the program takes.
 * Whoever defines the macro that guards them keeps them out, and builtins.cl declares what kernels call. NULL where
 * another platform or release does not build that: then the ordinary way says what is wrong. */
static cl_program compile_with_own_declarations(clora_context *context, const program_text *t, const char *options) {
    program_text declared = {.count = 1 + t->count};
    cl_program program = NULL;
    char *guarded = NULL;
    cl_int error = CL_SUCCESS;

    if (!device_is_pocl_cpu(context))
        return NULL;
    memcpy(declared.text + 1, t->text, t->count * sizeof(*t->text));
    guarded = alloc_format("%s -D_OPENCL_H_", options);
    if (guarded && source_text(&declared.text[0], "builtins", strlen("builtins")) == CLORA_OK)
        program = program_compile(&error, context, &declared, guarded);
    if (program && error != CL_SUCCESS) {
        clReleaseProgram(program);
        program = NULL;
    }
    free(declared.text[0]);
    free(guarded);
    return program;
}

static clora_status program_build(cl_program *out, clora_context *context, const program_text *t, const char *stems,
                                  const char *options) {
    clora_status status = CLORA_OK;
    cl_int error = CL_SUCCESS;
    cl_program program = compile_with_own_declarations(context, t, options);

    *out = NULL;
    if (!program)
        program = program_compile(&error, context, t, options);
    if (!program)
        return opencl_fail(error, "cannot make an OpenCL program");
    if (error != CL_SUCCESS)
        TRY(build_fail(context, program, stems, options, error));
    *out = program;
    program = NULL;
done:
    if (program)
        clReleaseProgram(program);
    return status;
}

static clora_status program_find(program_entry **out, clora_context *context, const program_text *t, const char *stem,
                                 const char *options) {
    program_cache *cache = context->programs;
    clora_status status = CLORA_OK;
    program_entry entry = {0};

    for (size_t i = 0; i < cache->programs_count; i++)
        if (strcmp(cache->programs[i].stem, stem) == 0 && strcmp(cache->programs[i].options, options) == 0) {
            *out = &cache->programs[i];
            return CLORA_OK;
        }
    TRY(alloc_grow((void **)&cache->programs, &cache->programs_capacity, cache->programs_count + 1, sizeof(entry)));
    if (binary_is_kept(context)) {
        entry.key = binary_key(context, t->text, t->count, options);
        entry.program = binary_load(context, entry.key);
        entry.to_save = entry.program == NULL;
    }
    if (!entry.program)
        TRY(program_build(&entry.program, context, t, stem, options));
    entry.stem = alloc_string(stem);
    entry.options = alloc_string(options);
    if (!entry.stem || !entry.options)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for program %s", stem));
    cache->programs[cache->programs_count] = entry;
    *out = &cache->programs[cache->programs_count++];
    return CLORA_OK;
done:
    if (entry.program)
        clReleaseProgram(entry.program);
    free(entry.stem);
    free(entry.options);
    return status;
}

static clora_status append(char *options, size_t size, const char *name, int value) {
    const size_t used = strlen(options);
    const int n = snprintf(options + used, size - used, " -D%s=%d", name, value);

    return n >= 0 && (size_t)n < size - used ? CLORA_OK
                                             : clora_fail(CLORA_ERROR_ARGUMENT, "too many options: %s", options);
}

static clora_status build_options(char *out, size_t size, const kernel_build *build) {
    clora_status status = CLORA_OK;

    snprintf(out, size, "-cl-std=CL1.2");
    for (int i = 0; i < KERNEL_PARAMETERS && build->row->parameters[i].name; i++)
        if (build->row->parameters[i].effect == COMPILED)
            TRY(append(out, size, build->row->parameters[i].name, build->values[i]));
    for (int i = 0; i < build->defines; i++)
        TRY(append(out, size, build->define[i].name, build->define[i].value));
done:
    return status;
}

static built_kernel measure(const clora_context *context, cl_kernel kernel) {
    built_kernel built = {kernel, 0, context->info.max_group};
    size_t group[3] = {0};

    clGetKernelWorkGroupInfo(kernel, context->device, CL_KERNEL_COMPILE_WORK_GROUP_SIZE, sizeof(group), group, NULL);
    clGetKernelWorkGroupInfo(kernel, context->device, CL_KERNEL_WORK_GROUP_SIZE, sizeof(built.most_items),
                             &built.most_items, NULL);
    built.items = group[0] * group[1] * group[2];
    return built;
}

clora_status program_kernel(built_kernel *out, clora_context *context, const kernel_build *build) {
    program_cache *cache = context->programs;
    clora_status status = CLORA_OK;
    program_text text = {0};
    program_entry *program;
    cl_int error;
    char options[512];
    kernel_entry entry = {.hash = XXH3_64bits(build, sizeof(*build))};

    for (size_t i = 0; i < cache->kernels_count; i++)
        if (cache->kernels[i].hash == entry.hash && memcmp(&cache->kernels[i].build, build, sizeof(*build)) == 0) {
            *out = cache->kernels[i].built;
            return CLORA_OK;
        }
    memcpy(&entry.build, build, sizeof(*build)); /* padding included: it is compared */
    TRY(alloc_grow((void **)&cache->kernels, &cache->kernels_capacity, cache->kernels_count + 1, sizeof(entry)));
    TRY(text_read(&text, build->row->source));
    TRY(build_options(options, sizeof(options), build));
    TRY(program_find(&program, context, &text, build->row->source, options));
    const cl_kernel kernel = clCreateKernel(program->program, build->row->name, &error);
    if (error != CL_SUCCESS)
        TRY(clora_fail(CLORA_ERROR_OPENCL, "kernel %s of %s: %s", build->row->name, build->row->source,
                       opencl_error_name(error)));
    entry.built = measure(context, kernel);
    memcpy(&cache->kernels[cache->kernels_count++], &entry, sizeof(entry));
    if (program->to_save)
        binary_save(context, program->key, program->program);
    program->to_save = false;
    *out = entry.built;
done:
    text_free(&text);
    return status;
}
