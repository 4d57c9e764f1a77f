#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <dirent.h>

#include <cmocka.h>

#include "base/file.h"
#include "device/context.h"
#include "ops/ops.h"
#include "support/scratch.h"

static clora_context *context;

/* A fresh cache directory and a fresh context for each test. */
static int setup(void **state) {
    return scratch_setup(state) != 0 || setenv("CLORA_CACHE_DIR", scratch_path("cache"), 1) != 0 ||
           clora_context_create(&context, NULL) != CLORA_OK;
}

static int teardown(void **state) {
    clora_context_free(context);
    return scratch_teardown(state);
}

/* The same cache seen by a program that starts now. */
static void start_again(void) {
    clora_context_free(context);
    assert_ok(clora_context_create(&context, NULL));
}

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
    start_again();
    add_something();
    assert_int_equal(scratch_entries(folder), 1);
    only_file(path, sizeof(path), folder);
    whole = read_whole(&size, path);
    start_again();
    add_something(); /* from the file */
    assert_ok(file_write_text(path, whole, size / 2));
    start_again();
    add_something(); /* half a file is none: built again, and kept */
    again = read_whole(&size_again, path);
    assert_int_equal(size_again, size);
    again[size / 2] = (char)(again[size / 2] + 1);
    assert_ok(file_write_text(path, again, size));
    start_again();
    add_something();
    unsetenv("CLORA_PROGRAM_CACHE");
    free(again);
    free(whole);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_programs_are_kept_for_drivers_that_do_not, setup, teardown),
    };
    if (clora_context_create(&context, NULL) != CLORA_OK) {
        print_message("skipped: %s\n", clora_last_error());
        return 77; /* Meson: skipped */
    }
    clora_context_free(context);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
