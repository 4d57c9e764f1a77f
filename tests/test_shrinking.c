/* A file that becomes shorter while it is read: a download that starts again, a directory on a network. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include <clora/adapter.h>

#include "data/dataset.h"
#include "files/safetensors.h"
#include "support/scratch.h"
#include "support/small_model.h"

static const char *victim; /* loses its end before the next-th read from now */
static int next;

/* Before libc's for all of the library, which is linked into this program. */
ssize_t pread(int fd, void *out, size_t size, off_t offset) {
    if (victim && next-- == 0)
        assert_int_equal(truncate(victim, 5), 0);
    return syscall(SYS_pread64, fd, out, size, offset);
}

ssize_t read(int fd, void *out, size_t size) {
    if (victim && next-- == 0)
        assert_int_equal(truncate(victim, 5), 0);
    return syscall(SYS_read, fd, out, size);
}

static void test_a_tensor_that_is_gone_is_an_error_that_names_the_file(void **state) {
    (void)state;
    safetensors *file = NULL;
    float w[8] = {1, 2, 3, 4, 5, 6, 7, 8}, read[8];

    write_tensors("f", (const char *const[]){"w"}, (const int[][2]){{2, 4}}, (const float *const[]){w}, 1,
                  CLORA_DTYPE_F32);
    assert_ok(safetensors_open(&file, scratch_path("f")));
    assert_ok(safetensors_read(read, file, &file->tensors[0], 4, 28));
    assert_memory_equal(read, &w[1], 28);
    assert_int_equal(truncate(scratch_path("f"), (off_t)file->map.size - 1), 0);
    assert_ok(safetensors_read(read, file, &file->tensors[0], 4, 24));
    assert_refused(safetensors_read(read, file, &file->tensors[0], 4, 28), CLORA_ERROR_IO, scratch_path("f"));
    safetensors_close(file);
}

static void write_all(void) {
    const float w[4] = {1, 2, 3, 4}, a[2] = {1, 1}, b[2] = {1, 1};
    const small_model t = {.N = 2, .K = 2, .w = w, .a = a, .b = b, .target = "q_proj", .scale = 1};

    write_small_model(&t);
    scratch_text("model/tokenizer.json", "0123456789");
}

/* Cut short before any read of it, a file stops the merge, which leaves nothing; reads of other files go on. */
static void shrink(const char *name) {
    char path[1024];
    int stopped = 0;

    for (int at = 0; at < 64; at++) {
        scratch_teardown(NULL);
        scratch_setup(NULL);
        write_all();
        snprintf(path, sizeof(path), "%s", scratch_path(name));
        victim = path;
        next = at;
        const clora_status status =
            clora_merge(scratch_path("model"), scratch_path("adapter"), scratch_path("out"), NULL, NULL);
        victim = NULL;
        if (status == CLORA_OK)
            continue;
        if (status != CLORA_ERROR_IO) /* short before it was opened: what it is then depends on the file */
            assert_int_equal(status, CLORA_ERROR_FORMAT);
        assert_refused(status, status, path);
        assert_int_equal(scratch_entries(scratch_path("out")), -1);
        stopped++;
    }
    assert_true(stopped > 0 && stopped < 64);
}

static void test_a_merge_stops_with_the_name_of_the_file(void **state) {
    (void)state;
    shrink("model/model.safetensors");
    shrink("adapter/adapter_model.safetensors");
    shrink("model/tokenizer.json");
}

static void test_data_are_an_error_that_names_the_file(void **state) {
    static const char *const files[][2] = {{"d.jsonl", "{\"context\": \"a\", \"target\": \"b\"}\n"},
                                           {"d.csv", "context,target\na,b\n"},
                                           {"d.txt", "a text of some length"}};

    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        dataset_tally tally = {0};
        scratch_text(files[i][0], files[i][1]);
        assert_ok(dataset_count(&tally, scratch_path(files[i][0]), NULL));
        victim = scratch_path(files[i][0]);
        next = 0;
        assert_refused(dataset_count(&tally, victim, NULL), CLORA_ERROR_IO, scratch_path(files[i][0]));
        victim = NULL;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_tensor_that_is_gone_is_an_error_that_names_the_file, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(test_data_are_an_error_that_names_the_file, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_a_merge_stops_with_the_name_of_the_file, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
