/* What tuned entries hold for: which of a machine's changes leave them, and which do not. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "support/fresh_context.h"
#include "support/scratch.h"
#include "support/tuned.h"
#include "tuning/environment.h"
#include "tuning/store.h"

/* Move the context's directory to where an environment is described with other members, as on another day. */
static void move_entries(const char *name, json_t *other_members) {
    const char *directory = clora_tune_directory(context);
    char path[1024];
    json_t *environment = NULL;

    snprintf(path, sizeof(path), "%s/environment.json", directory);
    assert_ok(json_load_path(&environment, path, 1 << 16));
    assert_int_equal(json_object_update(environment, other_members), 0);
    assert_ok(json_save_path(environment, path));
    snprintf(path, sizeof(path), "%s/../%s", directory, name);
    assert_int_equal(rename(directory, path), 0);
    json_decref(environment);
    json_decref(other_members);
}

static void assert_takes(clora_tune_source source, int rows) {
    const clora_tune_entry e = look_up(&key);

    assert_int_equal(e.source, source);
    assert_int_equal(value_of(&e, "MOST_ROWS"), rows);
}

static void test_memory_and_clock_may_move_without_an_entry_lost(void **state) {
    (void)state;
    save_entry(&key, 4);
    for (int i = 1; i <= 3; i++) {
        start_again();
        context->info.global_memory = (size_t)i << 33;
        context->info.clock_mhz = 1000 * i;
        assert_takes(CLORA_TUNE_SOURCE_EXACT, 4);
        assert_int_equal(log_lines, 0);
    }
}

/* Earlier releases hashed memory and clock: one machine then has several directories, each of which still holds. */
static void test_directories_that_were_named_by_memory_are_still_found(void **state) {
    clora_tune_key other = key;
    const clora_tune_entry **entries;
    size_t count;
    int directories, files;

    (void)state;
    other.N = 40;
    save_entry(&key, 4);
    move_entries("0123456789abcdef0123456789abcdef", json_pack("{s:i, s:i}", "memory_mib", 3328, "clock_mhz", 7));
    start_again();
    save_entry(&other, 8);
    move_entries("fedcba9876543210fedcba9876543210", json_pack("{s:i}", "memory_mib", 12288));
    start_again();
    assert_takes(CLORA_TUNE_SOURCE_EXACT, 4);
    assert_int_equal(look_up(&other).source, CLORA_TUNE_SOURCE_EXACT);
    assert_int_equal(log_lines, 0);
    assert_ok(clora_tune_prune(&directories, &files, context, 1));
    assert_int_equal(directories, 0);
    assert_int_equal(files, 0);
    save_entry(&key, 6); /* what is measured now comes first, and is listed in place of the old */
    start_again();
    assert_takes(CLORA_TUNE_SOURCE_EXACT, 6);
    assert_ok(clora_tune_entries(&entries, &count, context));
    assert_int_equal(count, 2);
    for (size_t i = 0; i < count; i++)
        tuning_store_delete(context, entries[i]);
    free(entries);
    assert_ok(clora_tune_entries(&entries, &count, context));
    assert_int_equal(count, 0);
    free(entries);
}

static void test_entries_of_another_driver_are_used_and_one_line_says_so(void **state) {
    clora_tune_key near = key;

    (void)state;
    near.R = 8;
    save_entry(&key, 4);
    move_entries("older", json_pack("{s:s, s:s}", "driver", "1.9 older", "version", "OpenCL 1.2 older"));
    start_again();
    assert_int_equal(look_up(&near).source, CLORA_TUNE_SOURCE_SIMILAR);
    assert_int_equal(log_lines, 1);
    assert_non_null(strstr(last_line, "tuned with driver 1.9 older, here "));
    assert_non_null(strstr(last_line, context->info.driver));
    assert_takes(CLORA_TUNE_SOURCE_OLDER, 4);
    assert_int_equal(log_lines, 1); /* once */
    save_entry(&key, 8);            /* measured with this driver: nothing to say */
    save_entry(&near, 8);
    start_again();
    assert_takes(CLORA_TUNE_SOURCE_EXACT, 8);
    assert_int_equal(look_up(&near).source, CLORA_TUNE_SOURCE_EXACT);
    assert_int_equal(log_lines, 0);
}

/* A run with fewer threads whose self-check left a directory measured nothing. */
static void test_a_directory_without_entries_is_not_told_of(void **state) {
    (void)state;
    save_entry(&key, 4);
    move_entries("older", json_pack("{s:s}", "driver", "1.9 older"));
    start_again();
    assert_ok(tuning_store_prepare(context));
    move_entries("units", json_pack("{s:i}", "compute_units", context->info.compute_units + 6));
    start_again();
    assert_takes(CLORA_TUNE_SOURCE_OLDER, 4);
    assert_int_equal(log_lines, 1);
    assert_non_null(strstr(last_line, "tuned with driver 1.9 older, here "));
}

/* A limit on threads or processors leaves fewer units, whose best settings may be others. */
static void test_entries_of_another_number_of_units_are_used_and_one_line_says_so(void **state) {
    (void)state;
    save_entry(&key, 4);
    move_entries("older", json_pack("{s:i}", "compute_units", context->info.compute_units + 6));
    start_again();
    assert_takes(CLORA_TUNE_SOURCE_OLDER, 4);
    assert_int_equal(log_lines, 1);
    assert_non_null(strstr(last_line, "compute units, here"));
}

static void test_without_a_log_of_its_own_the_notes_are_told(void **state) {
    (void)state;
    save_entry(&key, 4);
    move_entries("older", json_pack("{s:i}", "compute_units", context->info.compute_units + 6));
    start_again();
    clora_tune_set_log(context, NULL, NULL, 0);
    clora_set_note(count_lines, NULL);
    assert_takes(CLORA_TUNE_SOURCE_OLDER, 4);
    clora_set_note(NULL, NULL);
    assert_int_equal(log_lines, 1);
    assert_non_null(strstr(last_line, "compute units, here"));
}

/* A release of PoCL calls a device pthread-x where a later one calls it cpu-x. */
static void test_a_device_is_known_by_its_name_without_prefix(void **state) {
    char name[300];

    (void)state;
    snprintf(name, sizeof(name), "cpu-%s", environment_plain_name(context->info.name));
    save_entry(&key, 4);
    move_entries("older", json_pack("{s:s, s:s}", "device", name, "driver", "5.0"));
    start_again();
    assert_takes(CLORA_TUNE_SOURCE_OLDER, 4);
}

static void test_entries_of_other_devices_and_kernels_do_not_hold(void **state) {
    static const char *const members[] = {"kernels", "platform", "device", "vendor"};
    int directories, files;

    (void)state;
    for (int i = 0; i < 5; i++) {
        start_again();
        save_entry(&key, 4);
        move_entries("other",
                     i < 4 ? json_pack("{s:s}", members[i], "another") : json_pack("{s:i}", "vector_width", 3));
        start_again();
        assert_int_equal(look_up(&key).source, CLORA_TUNE_SOURCE_DEFAULT);
        assert_int_equal(log_lines, i == 0); /* of other kernels one line tells, until something is measured */
        assert_true(i != 0 || strstr(last_line, "for the kernels of another release and is not used"));
        save_entry(&key, 8);
        start_again();
        assert_takes(CLORA_TUNE_SOURCE_EXACT, 8);
        assert_int_equal(log_lines, 0);
        assert_ok(clora_tune_prune(&directories, &files, context, 1));
        assert_int_equal(directories, 1);
    }
}

#define test(name) cmocka_unit_test_setup_teardown(name, tuned_setup, fresh_context_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(test_memory_and_clock_may_move_without_an_entry_lost),
        test(test_directories_that_were_named_by_memory_are_still_found),
        test(test_entries_of_another_driver_are_used_and_one_line_says_so),
        test(test_a_directory_without_entries_is_not_told_of),
        test(test_entries_of_another_number_of_units_are_used_and_one_line_says_so),
        test(test_without_a_log_of_its_own_the_notes_are_told),
        test(test_a_device_is_known_by_its_name_without_prefix),
        test(test_entries_of_other_devices_and_kernels_do_not_hold),
    };

    if (clora_context_create(&context, NULL) != CLORA_OK) {
        print_message("skipped: %s\n", clora_last_error());
        return 77; /* Meson: skipped */
    }
    clora_context_free(context);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
