#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include <clora/tune.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "search/journal.h"
#include "support/fresh_context.h"
#include "support/scratch.h"
#include "support/tuned.h"
#include "tuning/environment.h"
#include "tuning/store.h"
#include "tuning/table.h"
#include "tuning/tuning.h"

/* ---- look-up ---- */

static void test_without_entries_the_rules_hold(void **state) {
    (void)state;
    const clora_tune_entry e = look_up(&key);

    assert_int_equal(e.source, CLORA_TUNE_SOURCE_DEFAULT);
    assert_int_equal(e.key.M, 256);
    assert_int_equal(value_of(&e, "MB"), 240);
    assert_int_equal(log_lines, 0);
}

static void test_an_entry_holds_for_its_bucket_and_is_near_for_others(void **state) {
    clora_tune_key near = key, far = key;

    (void)state;
    save_entry(&key, 4);
    start_again();
    const clora_tune_entry e = look_up(&key);
    assert_int_equal(e.source, CLORA_TUNE_SOURCE_EXACT);
    assert_int_equal(value_of(&e, "MOST_ROWS"), 4);
    near.M = 256;
    assert_int_equal(look_up(&near).source, CLORA_TUNE_SOURCE_EXACT);
    near.R = 8;
    assert_int_equal(look_up(&near).source, CLORA_TUNE_SOURCE_SIMILAR);
    far.dtype = CLORA_DTYPE_F32;
    assert_int_equal(look_up(&far).source, CLORA_TUNE_SOURCE_DEFAULT);
    far = key;
    far.M = 1;
    assert_int_equal(look_up(&far).source, CLORA_TUNE_SOURCE_DEFAULT);
}

static void test_the_nearest_entry_does_not_depend_on_the_order_of_files(void **state) {
    clora_tune_key left = key, right = key;

    (void)state;
    left.N = key.N / 2;
    right.N = key.N * 2;
    save_entry(&left, 4);
    save_entry(&right, 8);
    start_again();
    const clora_tune_entry first = look_up(&key);
    start_again();
    save_entry(&left, 4); /* written again: the directory may list it elsewhere */
    start_again();
    const clora_tune_entry second = look_up(&key);
    assert_int_equal(first.source, CLORA_TUNE_SOURCE_SIMILAR);
    assert_memory_equal(first.value, second.value, sizeof(first.value));
}

static void test_what_is_set_by_hand_comes_first(void **state) {
    clora_tune_entry e = CLORA_TUNE_ENTRY_INIT;

    (void)state;
    save_entry(&key, 4);
    start_again();
    e = look_up(&key);
    set_value(&e, "MOST_ROWS", 8);
    assert_ok(clora_tune_set(context, &e));
    e = look_up(&key);
    assert_int_equal(e.source, CLORA_TUNE_SOURCE_SET);
    assert_int_equal(value_of(&e, "MOST_ROWS"), 8);
    set_value(&e, "MOST_ROWS", 7);
    assert_refused(clora_tune_set(context, &e), CLORA_ERROR_ARGUMENT, "takes no MOST_ROWS of 7");
    e.parameters = 1;
    assert_refused(clora_tune_set(context, &e), CLORA_ERROR_ARGUMENT, "must be given once");
    e.key.kernel = "nonsense";
    assert_refused(clora_tune_set(context, &e), CLORA_ERROR_NOT_FOUND, "nonsense");
}

static void test_the_mode_off_takes_no_entries(void **state) {
    (void)state;
    save_entry(&key, 4);
    start_again();
    clora_tune_set_mode(context, CLORA_TUNE_MODE_OFF);
    assert_int_equal(look_up(&key).source, CLORA_TUNE_SOURCE_DEFAULT);
    clora_tune_set_mode(context, CLORA_TUNE_MODE_USE);
    assert_int_equal(look_up(&key).source, CLORA_TUNE_SOURCE_EXACT);
}

static void limit_memory(size_t bytes) {
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
}

static size_t memory_in_use(void) {
    FILE *file = fopen("/proc/self/statm", "r");
    size_t pages = 0;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%zu", &pages), 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Answers are kept in a table that grows: at many keys it needs megabytes, which there are not. */
static void test_without_memory_to_keep_answers_they_are_the_same(void **state) {
    enum { WITH_MEMORY = 5000, ALL = 60000 };
    int wrong = 0;

    (void)state;
    for (int N = 1; N < ALL; N++) {
        const kernel_key at = {.dtype = CLORA_DTYPE_F32, .M = 300, .N = N, .K = 64};
        if (N == WITH_MEMORY)
            limit_memory(memory_in_use());
        wrong += tuning_value(context, "matmul_panel", "MB", &at) != 240 ||
                 tuning_choose(context, "path_rows", &at) != PATH_GEMM;
    }
    limit_memory(RLIM_INFINITY);
    assert_int_equal(wrong, 0);
    assert_int_equal(look_up(&key).source, CLORA_TUNE_SOURCE_DEFAULT);
}

/* What was exported on one machine, seen on another: the entries are gone, the table is part of clora. */
static clora_tune_entry look_up_with_table(const char *table, size_t size) {
    setenv("CLORA_CACHE_DIR", scratch_path("elsewhere"), 1);
    start_again();
    tuning_store_add_table(context, table, size, "table");
    return look_up(&key);
}

static void test_a_shipped_table_holds_for_a_device_of_its_name(void **state) {
    const char *path = scratch_path("table.json");
    size_t size;

    (void)state;
    assert_int_equal(clora_tune_export_table(context, path), CLORA_ERROR_NOT_FOUND);
    save_entry(&key, 4);
    assert_ok(clora_tune_export_table(context, path));
    char *text = read_whole(&size, path);
    clora_tune_entry e = look_up_with_table(text, size);
    assert_int_equal(e.source, CLORA_TUNE_SOURCE_SHIPPED);
    assert_int_equal(value_of(&e, "MOST_ROWS"), 4);
    save_entry(&key, 8); /* what was measured here comes first, whichever is read first */
    e = look_up_with_table(text, size);
    assert_int_equal(e.source, CLORA_TUNE_SOURCE_EXACT);
    assert_int_equal(value_of(&e, "MOST_ROWS"), 8);
    setenv("CLORA_CACHE_DIR", scratch_path("third"), 1);
    start_again();
    strstr(text, environment_plain_name(context->info.name))[0] ^= 1; /* another device */
    tuning_store_add_table(context, text, size, "table");
    assert_int_equal(look_up(&key).source, CLORA_TUNE_SOURCE_DEFAULT);
    tuning_store_add_table(context, "{\"device\": 1", 12, "table");
    assert_int_equal(look_up(&key).source, CLORA_TUNE_SOURCE_DEFAULT);
    free(text);
}

static void test_a_verbose_log_says_where_parameters_come_from(void **state) {
    (void)state;
    save_entry(&key, 4);
    start_again();
    clora_tune_set_log(context, count_lines, NULL, 1);
    look_up(&key);
    assert_int_equal(log_lines, 1);
    assert_non_null(strstr(last_line, "matmul_panel bf16 M 256 N 3072 K 576 R 16"));
    assert_non_null(strstr(last_line, "exact entry"));
    look_up(&key);
    assert_int_equal(log_lines, 1); /* once */
}

/* ---- files that are not what they should be ---- */

static void spoil(const char *text, size_t size) {
    char path[1024];

    save_entry(&key, 4);
    snprintf(path, sizeof(path), "%s/entries/spoilt.json", clora_tune_directory(context));
    assert_ok(file_write_text(path, text, size));
    start_again();
    look_up(&key);
}

static void test_a_bad_file_is_a_miss_with_one_warning(void **state) {
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "null",
        "{\"format\": 2}",
        "{\"format\": 1, \"kernel\": \"no_such\", \"key\": {}, \"parameters\": {}}",
        "{\"format\": 1, \"kernel\": 7}",
        "{\"format\": 1, \"kernel\": \"matvec_panel\", \"key\": 3, \"parameters\": {}}",
        "{\"format\": 1, \"kernel\": \"matvec_panel\", \"key\": {\"dtype\": \"f64\", \"M\": 1, \"N\": 1, \"K\": 1, "
        "\"R\": 0}, \"parameters\": {\"VW\": 8}}",
        "{\"format\": 1, \"kernel\": \"matvec_panel\", \"key\": {\"dtype\": \"f32\", \"M\": 1, \"N\": 1, \"K\": 1, "
        "\"R\": 0}, \"parameters\": {\"VW\": 1000000}}",
        "{\"format\": 1, \"kernel\": \"matvec_panel\", \"key\": {\"dtype\": \"f32\", \"M\": 1e300, \"N\": 1, \"K\": "
        "1, \"R\": 0}, \"parameters\": {\"VW\": 8}}",
        "{\"format\": 1, \"kernel\": \"matvec_panel\", \"key\": {\"dtype\": \"f32\", \"M\": -5, \"N\": 1, \"K\": 1, "
        "\"R\": 0}, \"parameters\": {\"VW\": 8}}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        spoil(bad[i], strlen(bad[i]));
        assert_int_equal(log_lines, 1);
        assert_non_null(strstr(last_line, "spoilt.json"));
        assert_int_equal(look_up(&key).source, CLORA_TUNE_SOURCE_EXACT); /* the others still count */
    }
}

static void test_a_hostile_file_is_a_miss_with_one_warning(void **state) {
    const size_t size = 1 << 20;
    char *deep = alloc_array(size + 1, 1);

    (void)state;
    memset(deep, '[', size);
    spoil(deep, size);
    assert_int_equal(log_lines, 1);
    spoil("\0\xff\xfe{}", 5);
    assert_int_equal(log_lines, 1);
    free(deep);
}

/* ---- files that outlive the kernels that they name ---- */

#define GONE                                                                                                 \
    "\"kernel\": \"path_layer\", \"key\": {\"dtype\": \"bf16\", \"M\": 1, \"N\": 0, \"K\": 576, \"R\": 0}, " \
    "\"parameters\": {\"PATH\": 2}"

static json_t *entry_that_is_gone(void) {
    json_t *entry = json_loads("{\"format\": 1, \"is_entry\": true, " GONE "}", 0, NULL);

    assert_non_null(entry);
    return entry;
}

/* Put it first in a file's list. */
static void add_to_list(const char *path, const char *list, json_t *what) {
    json_t *whole = NULL;

    assert_ok(json_load_path(&whole, path, 1 << 20));
    assert_int_equal(json_array_insert_new(json_object_get(whole, list), 0, what), 0);
    assert_ok(json_save_path(whole, path));
    json_decref(whole);
}

static void test_an_entry_of_a_kernel_that_is_gone_is_passed_over(void **state) {
    const clora_tune_entry **entries = NULL;
    size_t count = 0;

    (void)state;
    spoil("{\"format\": 1, " GONE "}", strlen("{\"format\": 1, " GONE "}"));
    assert_int_equal(log_lines, 1);
    assert_non_null(strstr(last_line, "there is no kernel 'path_layer'"));
    assert_int_equal(look_up(&key).source, CLORA_TUNE_SOURCE_EXACT);
    assert_ok(clora_tune_entries(&entries, &count, context));
    assert_int_equal(count, 1);
    free(entries);
}

static void test_a_table_and_an_export_of_a_kernel_that_is_gone_give_the_rest(void **state) {
    const char *path = scratch_path("rest.json");
    size_t size;
    int count;

    (void)state;
    save_entry(&key, 4);
    assert_ok(clora_tune_export_table(context, path));
    add_to_list(path, "entries", entry_that_is_gone());
    char *text = read_whole(&size, path);
    clora_tune_entry e = look_up_with_table(text, size);
    assert_int_equal(e.source, CLORA_TUNE_SOURCE_SHIPPED);
    assert_int_equal(value_of(&e, "MOST_ROWS"), 4);
    free(text);
    save_entry(&key, 8);
    assert_ok(clora_tune_export(context, path));
    add_to_list(path, "results", json_pack("{s:o}", "clora", entry_that_is_gone()));
    setenv("CLORA_CACHE_DIR", scratch_path("third"), 1);
    start_again();
    assert_ok(clora_tune_import(&count, context, path));
    assert_int_equal(count, 1);
    assert_non_null(strstr(last_line, "there is no kernel 'path_layer'"));
    e = look_up(&key);
    assert_int_equal(value_of(&e, "MOST_ROWS"), 8);
}

/* Cut an entry after every byte: it is whole or a miss, and nothing else happens. */
static void test_a_truncated_entry_is_a_miss(void **state) {
    const clora_tune_entry e = save_entry(&key, 4);
    json_t *whole = tuning_entry_to_json(&e);
    char *text = json_dumps(whole, 0);
    const size_t size = strlen(text);

    (void)state;
    for (size_t cut = 0; cut < size; cut += 7) {
        clora_tune_entry read = CLORA_TUNE_ENTRY_INIT;
        json_t *object = json_loadb(text, cut, 0, NULL);
        assert_true(!object || tuning_entry_from_json(&read, object, "cut") != CLORA_OK);
        json_decref(object);
    }
    free(text);
    json_decref(whole);
}

static void test_a_cache_that_cannot_be_written_is_one_clear_error(void **state) {
    clora_tune_result result = CLORA_TUNE_RESULT_INIT;
    clora_tune_plan *plan;

    (void)state;
    scratch_text("file", "in the way");
    setenv("CLORA_CACHE_DIR", scratch_path("file"), 1);
    start_again();
    assert_int_equal(look_up(&key).source, CLORA_TUNE_SOURCE_DEFAULT); /* reading does not mind */
    assert_ok(clora_tune_plan_create(&plan, context));
    assert_refused(clora_tune_run(&result, plan, NULL), CLORA_ERROR_IO, "cannot write");
    clora_tune_plan_free(plan);
}

static void test_a_full_disk_is_one_clear_error_and_leaves_no_half_entry(void **state) {
    clora_tune_entry e = save_entry(&key, 4);
    char entries[1024];

    (void)state;
    snprintf(entries, sizeof(entries), "%s/entries", clora_tune_directory(context));
    e.key.N = 77;
    disk_full_after(64);
    const clora_status status = tuning_store_save(context, &e);
    disk_is_free();
    assert_refused(status, CLORA_ERROR_IO, "cannot write");
    assert_int_equal(scratch_entries(entries), 1);
}

/* ---- the journal ---- */

/* The defaults of matmul_panel but for one parameter. */
static void values_with(int *values, const char *name, int value) {
    const kernel_row *row = kernel_find("matmul_panel");

    const kernel_at at = tuning_at(context, row, &(kernel_key){.M = 256});

    kernel_defaults(values, &at, row);
    values[kernel_parameter_index(row, name)] = value;
}

static void test_the_journal_remembers_and_poisons(void **state) {
    const kernel_row *row = kernel_find("matmul_panel");
    const kernel_key at = {.dtype = CLORA_DTYPE_F32, .M = 256, .N = 64, .K = 64},
                     elsewhere = {.dtype = CLORA_DTYPE_F32, .M = 256, .N = 128, .K = 64};
    const measurement m = {.usable = true, .median = 1e-3, .minimum = 1e-3, .count = 3};
    int good[KERNEL_PARAMETERS], bad[KERNEL_PARAMETERS], never[KERNEL_PARAMETERS];
    journal *j;

    (void)state;
    values_with(good, "MOST_ROWS", 6);
    values_with(bad, "MOST_ROWS", 4);
    values_with(never, "MOST_ROWS", 8);
    assert_ok(tuning_store_prepare(context));
    assert_ok(journal_open(&j, context));
    assert_ok(journal_about(j, row, &at, good));
    assert_ok(journal_result(j, row, &at, good, 0.5, &m));
    assert_ok(journal_about(j, row, &at, bad));
    assert_ok(journal_poison(j, row, &at, bad, "it crashed"));
    for (int i = 0; i < 3; i++) { /* three runs that ended here */
        assert_false(journal_find(j, row, &at, never).is_poison);
        assert_ok(journal_about(j, row, &at, never));
    }
    journal_close(j);
    assert_ok(journal_open(&j, context));
    assert_true(journal_find(j, row, &at, good).is_measured);
    assert_float_equal(journal_find(j, row, &at, good).ratio, 0.5, 1e-9);
    assert_false(journal_find(j, row, &elsewhere, good).is_measured);
    assert_false(journal_find(j, row, &at, good).is_poison);
    assert_true(journal_find(j, row, &elsewhere, bad).is_poison);
    assert_true(journal_find(j, row, &at, never).is_poison);
    journal_close(j);
}

static void test_a_torn_journal_is_read_up_to_its_tears(void **state) {
    const kernel_row *row = kernel_find("matmul_panel");
    const kernel_key at = {.dtype = CLORA_DTYPE_F32, .M = 256, .N = 64, .K = 64};
    const measurement m = {.usable = true, .median = 1e-3};
    int values[KERNEL_PARAMETERS], more[KERNEL_PARAMETERS];
    char path[1024];
    journal *j;

    (void)state;
    values_with(values, "MOST_ROWS", 6);
    values_with(more, "MOST_ROWS", 4);
    assert_ok(tuning_store_prepare(context));
    assert_ok(journal_open(&j, context));
    assert_ok(journal_result(j, row, &at, values, 0.5, &m));
    journal_close(j);
    snprintf(path, sizeof(path), "%s/journal.jsonl", clora_tune_directory(context));
    FILE *f = fopen(path, "a");
    fputs("{\"event\": \"result\", \"kernel\": \"matm", f);
    fclose(f);
    assert_ok(journal_open(&j, context));
    assert_int_equal(log_lines, 1);
    assert_ok(journal_result(j, row, &at, more, 0.25, &m));
    journal_close(j);
    assert_ok(journal_open(&j, context));
    assert_float_equal(journal_find(j, row, &at, values).ratio, 0.5, 1e-9);
    assert_float_equal(journal_find(j, row, &at, more).ratio, 0.25, 1e-9);
    journal_close(j);
}

static void test_a_journal_of_a_kernel_that_is_gone_gives_the_rest(void **state) {
    const kernel_row *row = kernel_find("matmul_panel");
    const kernel_key at = {.dtype = CLORA_DTYPE_F32, .M = 256, .N = 64, .K = 64};
    const measurement m = {.usable = true, .median = 1e-3};
    int values[KERNEL_PARAMETERS];
    char path[1024];
    journal *j;

    (void)state;
    values_with(values, "MOST_ROWS", 6);
    assert_ok(tuning_store_prepare(context));
    snprintf(path, sizeof(path), "%s/journal.jsonl", clora_tune_directory(context));
    const char *lines = "{\"event\": \"about\", " GONE "}\n{\"event\": \"result\", " GONE ", \"ratio\": 0.5}\n";
    assert_ok(file_write_text(path, lines, strlen(lines)));
    assert_ok(journal_open(&j, context));
    assert_int_equal(log_lines, 1);
    assert_non_null(strstr(last_line, "ignored: 2 lines"));
    assert_ok(journal_result(j, row, &at, values, 0.5, &m));
    journal_close(j);
    assert_ok(journal_open(&j, context));
    assert_true(journal_find(j, row, &at, values).is_measured);
    journal_close(j);
}

static void test_a_journal_on_a_full_disk_is_one_clear_error(void **state) {
    const kernel_row *row = kernel_find("matmul_panel");
    const kernel_key at = {.dtype = CLORA_DTYPE_F32, .M = 256, .N = 64, .K = 64};
    int values[KERNEL_PARAMETERS];
    clora_status status = CLORA_OK;
    journal *j;

    (void)state;
    values_with(values, "MOST_ROWS", 6);
    assert_ok(tuning_store_prepare(context));
    assert_ok(journal_open(&j, context));
    disk_full_after(300);
    for (int i = 0; i < 4 && status == CLORA_OK; i++)
        status = journal_about(j, row, &at, values);
    disk_is_free();
    assert_refused(status, CLORA_ERROR_IO, "cannot write");
    journal_close(j);
    assert_ok(journal_open(&j, context));
    assert_ok(journal_about(j, row, &at, values));
    journal_close(j);
}

#define test(f) cmocka_unit_test_setup_teardown(f, tuned_setup, fresh_context_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(test_without_entries_the_rules_hold),
        test(test_an_entry_holds_for_its_bucket_and_is_near_for_others),
        test(test_the_nearest_entry_does_not_depend_on_the_order_of_files),
        test(test_without_memory_to_keep_answers_they_are_the_same),
        test(test_what_is_set_by_hand_comes_first),
        test(test_the_mode_off_takes_no_entries),
        test(test_a_shipped_table_holds_for_a_device_of_its_name),
        test(test_a_verbose_log_says_where_parameters_come_from),
        test(test_a_bad_file_is_a_miss_with_one_warning),
        test(test_a_hostile_file_is_a_miss_with_one_warning),
        test(test_an_entry_of_a_kernel_that_is_gone_is_passed_over),
        test(test_a_table_and_an_export_of_a_kernel_that_is_gone_give_the_rest),
        test(test_a_truncated_entry_is_a_miss),
        test(test_a_cache_that_cannot_be_written_is_one_clear_error),
        test(test_a_full_disk_is_one_clear_error_and_leaves_no_half_entry),
        test(test_the_journal_remembers_and_poisons),
        test(test_a_torn_journal_is_read_up_to_its_tears),
        test(test_a_journal_of_a_kernel_that_is_gone_gives_the_rest),
        test(test_a_journal_on_a_full_disk_is_one_clear_error),
    };
    if (clora_context_create(&context, NULL) != CLORA_OK) {
        print_message("skipped: %s\n", clora_last_error());
        return 77; /* Meson: skipped */
    }
    clora_context_free(context);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
