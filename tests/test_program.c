#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <pthread.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "device/context.h"
#include "device/devices.h"
#include "device/program.h"
#include "device/source.h"
#include "ops/ops.h"
#include "support/fresh_context.h"
#include "support/scratch.h"

static void add_something(void) {
    clora_tensor *x;

    assert_ok(tensor_new(&x, context, CLORA_DTYPE_F32, 3, 7));
    assert_ok(clora_tensor_zero(x));
    assert_ok(op_add(x, x));
    assert_ok(clora_context_finish(context));
    clora_tensor_free(x);
}

/* The one file of a directory. */
static void only_file(char *out, size_t size, const char *folder) {
    DIR *d = opendir(folder);
    const struct dirent *entry;

    assert_non_null(d);
    while ((entry = readdir(d)) != NULL)
        if (entry->d_name[0] != '.')
            snprintf(out, size, "%s/%s", folder, entry->d_name);
    closedir(d);
}

static void test_programs_are_kept_for_drivers_that_do_not(void **state) {
    const char *folder = scratch_path("cache/programs/v1");
    char path[1024] = "", *whole, *again;
    size_t size, size_again;

    (void)state;
    setenv("CLORA_PROGRAM_CACHE", "off", 1);
    add_something();
    assert_int_equal(scratch_entries(folder), -1);
    setenv("CLORA_PROGRAM_CACHE", "on", 1);
    fresh_context_again();
    add_something();
    assert_int_equal(scratch_entries(folder), 1);
    only_file(path, sizeof(path), folder);
    whole = read_whole(&size, path);
    fresh_context_again();
    add_something(); /* from the file */
    assert_ok(file_write_text(path, whole, size / 2));
    fresh_context_again();
    add_something(); /* half a file is none: built again, and kept */
    again = read_whole(&size_again, path);
    assert_int_equal(size_again, size);
    again[size / 2] = (char)(again[size / 2] + 1);
    assert_ok(file_write_text(path, again, size));
    fresh_context_again();
    add_something();
    unsetenv("CLORA_PROGRAM_CACHE");
    free(again);
    free(whole);
}

enum { TEXTS = 24 };

typedef struct texts {
    const char *text[TEXTS];
    size_t size[TEXTS];
    cl_uint count;
} texts;

static void add_source(texts *t, const char *stem, size_t length) {
    for (size_t i = 0; i < kernel_sources_count; i++)
        if (strlen(kernel_sources[i].name) == length && memcmp(kernel_sources[i].name, stem, length) == 0) {
            assert_true(t->count < TEXTS);
            t->text[t->count] = (const char *)kernel_sources[i].text;
            t->size[t->count++] = kernel_sources[i].size;
            return;
        }
    fail_msg("no source %.*s", (int)length, stem);
}

/* Does a program build with the declarations of builtins.cl and no others? */
static void build_declared(const char *stems, const char *options) {
    texts t = {.count = 0};
    cl_int error;
    char log[2048] = "";

    add_source(&t, "builtins", strlen("builtins"));
    add_source(&t, "common", strlen("common"));
    for (const char *stem = stems; *stem; stem += strspn(stem, " ")) {
        const size_t n = strcspn(stem, " ");
        add_source(&t, stem, n);
        stem += n;
    }
    cl_program program = clCreateProgramWithSource(context->cl, t.count, t.text, t.size, &error);
    assert_int_equal(error, CL_SUCCESS);
    error = clBuildProgram(program, 1, &context->device, options, NULL, NULL);
    if (error != CL_SUCCESS) {
        clGetProgramBuildInfo(program, context->device, CL_PROGRAM_BUILD_LOG, sizeof(log) - 1, log, NULL);
        fail_msg("%s (%s): %s", stems, options, log);
    }
    clReleaseProgram(program);
}

/* A kernel that calls what builtins.cl lacks would still build, but slowly. */
static void test_kernels_call_what_is_declared(void **state) {
    static const char *const variants[] = {"-DVW=8 -DNR=16 -DSTORAGE=0",
                                           "-DVW=4 -DNR=8 -DSTORAGE=1 -DX_TYPE=1 -DPASS=1",
                                           "-DVW=8 -DNR=16 -DSTORAGE=2 -DX_TYPE=2 -DPASS=2 -DCAPPED=1"};

    (void)state;
    if (!device_is_pocl_cpu(context))
        skip();
    for (size_t r = 0; r < kernel_rows_count; r++) {
        const char *stems = kernel_rows[r].source;
        if (!stems || (r > 0 && kernel_rows[r - 1].source && strcmp(kernel_rows[r - 1].source, stems) == 0))
            continue;
        const bool vectors = kernel_rows[r].parameters[0].name && strcmp(kernel_rows[r].parameters[0].name, "VW") == 0;
        for (size_t v = 0; v < sizeof(variants) / sizeof(variants[0]); v++) {
            char options[256];
            snprintf(options, sizeof(options), "-cl-std=CL1.2 -D_OPENCL_H_ %s", vectors ? variants[v] : "-DWG=64");
            build_declared(stems, options);
        }
    }
}

static bool has_own_declarations(void) {
    kernel_build build;
    built_kernel built;
    cl_program program = NULL;
    char options[1024] = "";

    memset(&build, 0, sizeof(build));
    build.row = kernel_find("clip_scale");
    build.values[0] = build.values[1] = 1;
    assert_int_equal(program_kernel(&built, context, &build), CLORA_OK);
    clGetKernelInfo(built.kernel, CL_KERNEL_PROGRAM, sizeof(program), &program, NULL);
    clGetProgramBuildInfo(program, context->device, CL_PROGRAM_BUILD_OPTIONS, sizeof(options), options, NULL);
    return strstr(options, "_OPENCL_H_") != NULL;
}

/* PoCL has devices for GPUs too, with other compilers behind. */
static void test_ways_of_pocl_are_for_processors(void **state) {
    (void)state;
    assert_int_equal(has_own_declarations(), device_is_pocl_cpu(context));
    fresh_context_again();
    context->is_cpu = false;
    assert_false(device_is_pocl_cpu(context));
    assert_false(has_own_declarations());
}

/* ---- seen from outside ---- */

/* What is enqueued behind it waits until the event is set. */
static cl_event gate(void) {
    cl_int error;
    cl_event event = clCreateUserEvent(context->cl, &error);

    assert_int_equal(error, CL_SUCCESS);
    assert_int_equal(clEnqueueMarkerWithWaitList(context->queue, 1, &event, NULL), CL_SUCCESS);
    return event;
}

static void open_gate(cl_event event) {
    assert_int_equal(clSetUserEventStatus(event, CL_COMPLETE), CL_SUCCESS);
    clReleaseEvent(event);
}

static void *finish(void *from) {
    return clora_context_finish(from) == CLORA_OK ? NULL : from;
}

enum { TRIES = 20000 }; /* of a millisecond */

static void test_a_device_that_stands_still_is_seen_until_it_goes_on(void **state) {
    const double some = 0.05;
    const char *call = "";
    pthread_t thread;
    clora_tensor *x;
    void *failed;
    int tries = 0;

    (void)state;
    assert_ok(tensor_new(&x, context, CLORA_DTYPE_F32, 1, 1));
    assert_ok(clora_tensor_zero(x));
    assert_ok(op_add(x, x));
    assert_ok(clora_context_finish(context));
    cl_event first = gate();
    for (int i = 0; i < 64; i++)
        assert_ok(op_add(x, x));
    cl_event second = gate();
    assert_true(clora_devices_stalled(NULL) == 0.0); /* nobody waits for it yet */
    assert_int_equal(pthread_create(&thread, NULL, finish, context), 0);
    while (clora_devices_stalled(&call) < some && tries++ < TRIES)
        usleep(1000);
    assert_string_equal(call, "clFinish");
    open_gate(first); /* launches are done, and the same call waits on */
    while (clora_devices_stalled(NULL) >= some && tries++ < TRIES)
        usleep(1000);
    while (clora_devices_stalled(NULL) < some && tries++ < TRIES)
        usleep(1000);
    open_gate(second);
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
    assert_true(tries < TRIES);
    assert_true(clora_devices_stalled(&call) == 0.0);
    assert_null(call);
    clora_tensor_free(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kernels_call_what_is_declared, fresh_context_setup,
                                        fresh_context_teardown),
        cmocka_unit_test_setup_teardown(test_ways_of_pocl_are_for_processors, fresh_context_setup,
                                        fresh_context_teardown),
        cmocka_unit_test_setup_teardown(test_programs_are_kept_for_drivers_that_do_not, fresh_context_setup,
                                        fresh_context_teardown),
        cmocka_unit_test_setup_teardown(test_a_device_that_stands_still_is_seen_until_it_goes_on, fresh_context_setup,
                                        fresh_context_teardown),
    };
    if (clora_context_create(&context, NULL) != CLORA_OK) {
        print_message("skipped: %s\n", clora_last_error());
        return 77; /* Meson: skipped */
    }
    clora_context_free(context);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
