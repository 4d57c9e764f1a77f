#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "support/scratch.h"

/* ---- Reading ---- */

static void test_a_file_is_mapped_whole(void **state) {
    (void)state;
    enum { N = 100000 };
    unsigned char *data = malloc(N);
    file_map map;

    for (int i = 0; i < N; i++)
        data[i] = (unsigned char)(i * 7);
    scratch_write("data", data, N);
    assert_ok(file_map_open(&map, scratch_path("data")));
    assert_int_equal(map.size, N);
    assert_memory_equal(map.data, data, N);
    file_map_close(&map);
    assert_null(map.data);
    free(data);
}

static void test_an_empty_file_maps_to_nothing(void **state) {
    (void)state;
    file_map map;
    char *text;
    size_t size;

    scratch_text("empty", "");
    assert_ok(file_map_open(&map, scratch_path("empty")));
    assert_null(map.data);
    assert_int_equal(map.size, 0);
    file_map_close(&map);
    assert_ok(file_read_text(&text, &size, scratch_path("empty"), 0));
    assert_string_equal(text, "");
    free(text);
}

static void test_what_is_no_file_is_not_read(void **state) {
    (void)state;
    file_map map;
    char *text;

    assert_int_equal(mkfifo(scratch_path("pipe"), 0600), 0);
    assert_refused(file_map_open(&map, scratch_path("none")), CLORA_ERROR_NOT_FOUND, "none: No such file");
    assert_refused(file_map_open(&map, scratch_path("")), CLORA_ERROR_IO, "Is a directory");
    assert_refused(file_map_open(&map, scratch_path("pipe")), CLORA_ERROR_UNSUPPORTED, "not a regular file");
    assert_refused(file_read_text(&text, NULL, scratch_path("none"), 9), CLORA_ERROR_NOT_FOUND, "none");
    assert_refused(file_read_text(&text, NULL, scratch_path(""), 9), CLORA_ERROR_IO, "Is a directory");
}

static void test_a_text_above_its_limit_is_refused(void **state) {
    (void)state;
    char *text;
    size_t size;

    scratch_text("ten", "0123456789");
    assert_ok(file_read_text(&text, &size, scratch_path("ten"), 10));
    assert_string_equal(text, "0123456789");
    assert_int_equal(size, 10);
    free(text);
    assert_refused(file_read_text(&text, &size, scratch_path("ten"), 9), CLORA_ERROR_FORMAT, "larger than the 9 bytes");
    assert_null(text);
}

static void test_names_are_joined_with_one_slash(void **state) {
    (void)state;
    char *a = file_join("dir", "name"), *b = file_join("dir/", "name"), *c = file_join("", "name");

    assert_string_equal(a, "dir/name");
    assert_string_equal(b, "dir/name");
    assert_string_equal(c, "name");
    free(a);
    free(b);
    free(c);
}

/* ---- Writing ---- */

static void assert_holds(const char *name, const char *expected) {
    size_t size;
    char *text = read_whole(&size, scratch_path(name));

    assert_string_equal(text, expected);
    free(text);
}

static void test_a_written_file_appears_when_it_is_complete(void **state) {
    (void)state;
    file_writer writer;

    scratch_text("f", "old");
    assert_ok(file_writer_open(&writer, scratch_path("f")));
    assert_ok(file_writer_write(&writer, "new!", 4));
    assert_int_equal(fflush(writer.stream), 0);
    assert_holds("f", "old");
    assert_ok(file_writer_commit(&writer));
    assert_holds("f", "new!");
    file_writer_abandon(&writer);
    assert_holds("f", "new!");
    assert_int_equal(scratch_entries(scratch_path("")), 1);
}

static void test_an_abandoned_file_leaves_nothing(void **state) {
    (void)state;
    file_writer writer = {0};

    file_writer_abandon(&writer);
    assert_ok(file_writer_open(&writer, scratch_path("f")));
    assert_ok(file_writer_write(&writer, "x", 1));
    file_writer_abandon(&writer);
    assert_int_equal(scratch_entries(scratch_path("")), 0);
}

static void test_a_full_disk_keeps_the_old_file_and_leaves_no_half_of_a_new_one(void **state) {
    (void)state;
    enum { N = 100000 };
    char *data = calloc(N, 1);

    scratch_text("f", "old");
    disk_full_after(5000);
    const clora_status status = file_write_text(scratch_path("f"), data, N);
    const clora_status small = file_write_text(scratch_path("g"), "small", 5);
    disk_is_free();
    assert_int_equal(status, CLORA_ERROR_IO);
    assert_ok(small);
    assert_holds("f", "old");
    assert_int_equal(scratch_entries(scratch_path("")), 2);
    disk_full_after(5000);
    const clora_status again = file_write_text(scratch_path("f"), data, N);
    disk_is_free();
    assert_refused(again, CLORA_ERROR_IO, "f: File too large; raise the limit");
    free(data);
}

static bool is_device(const char *path) {
    struct stat info;

    return stat(path, &info) == 0 && S_ISCHR(info.st_mode);
}

static void test_no_space_left_is_said_in_one_line(void **state) {
    (void)state;
    if (!is_device("/dev/full")) {
        print_message("skipped: this system has no /dev/full\n");
        skip();
    }
    assert_refused(file_write_text("/dev/full", "text", 4), CLORA_ERROR_IO,
                   "cannot write /dev/full: No space left on device; free some space");
    assert_true(is_device("/dev/full")); /* a device is written to, never replaced */
}

static void test_places_that_cannot_be_written_are_named_with_the_reason(void **state) {
    (void)state;
    file_writer writer;

    scratch_text("file", "");
    assert_refused(file_writer_open(&writer, scratch_path("file/below")), CLORA_ERROR_IO,
                   "file/below: Not a directory; a part of the path is a file");
    assert_refused(file_writer_open(&writer, scratch_path("none/f")), CLORA_ERROR_IO, "create the directory above");
    assert_refused(file_writer_open(&writer, scratch_path("")), CLORA_ERROR_IO, "Is a directory");
    assert_refused(file_writer_open(&writer, ""), CLORA_ERROR_IO, "cannot write");
    assert_null(writer.stream);
}

static void test_a_link_stays_a_link(void **state) {
    (void)state;
    struct stat info;

    scratch_text("target", "old");
    assert_int_equal(symlink("target", scratch_path("link")), 0);
    assert_ok(file_write_text(scratch_path("link"), "new", 3));
    assert_holds("target", "new");
    assert_int_equal(lstat(scratch_path("link"), &info), 0);
    assert_true(S_ISLNK(info.st_mode));
}

static void test_the_longest_allowed_name_can_be_written(void **state) {
    (void)state;
    char name[256];

    memset(name, 'n', 255);
    name[255] = '\0';
    assert_ok(file_write_text(scratch_path(name), "x", 1));
    assert_holds(name, "x");
}

static void test_a_copy_is_the_same_or_is_not_there(void **state) {
    (void)state;
    enum { N = 3000000 };
    char *data = malloc(N);

    for (int i = 0; i < N; i++)
        data[i] = (char)(i * 31 / 7);
    scratch_write("from", data, N);
    assert_ok(file_copy(scratch_path("to"), scratch_path("from")));
    assert_same_file(scratch_path("to"), scratch_path("from"));
    disk_full_after(2000000);
    const clora_status status = file_copy(scratch_path("other"), scratch_path("from"));
    disk_is_free();
    assert_int_equal(status, CLORA_ERROR_IO);
    assert_false(file_exists(scratch_path("other")));
    assert_int_equal(scratch_entries(scratch_path("")), 2);
    assert_refused(file_copy(scratch_path("other"), scratch_path("none")), CLORA_ERROR_NOT_FOUND, "none");
    free(data);
}

#define T(name) cmocka_unit_test(name)
#define D(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        D(test_a_file_is_mapped_whole),
        D(test_an_empty_file_maps_to_nothing),
        D(test_what_is_no_file_is_not_read),
        D(test_a_text_above_its_limit_is_refused),
        T(test_names_are_joined_with_one_slash),
        D(test_a_written_file_appears_when_it_is_complete),
        D(test_an_abandoned_file_leaves_nothing),
        D(test_a_full_disk_keeps_the_old_file_and_leaves_no_half_of_a_new_one),
        T(test_no_space_left_is_said_in_one_line),
        D(test_places_that_cannot_be_written_are_named_with_the_reason),
        D(test_a_link_stays_a_link),
        D(test_the_longest_allowed_name_can_be_written),
        D(test_a_copy_is_the_same_or_is_not_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
