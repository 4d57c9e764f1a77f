#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "support/scratch.h"

static json_t *parse(const char *text) {
    json_t *value = NULL;

    assert_ok(json_load_bytes(&value, text, strlen(text), "text"));
    return value;
}

static void test_json_values_are_read_by_type(void **state) {
    (void)state;
    json_t *o = parse("{\"i\": 7, \"f\": 16.0, \"r\": 0.5, \"b\": true, \"s\": \"hi\", \"n\": null}");
    int64_t i;
    double r;
    bool b;
    const char *s;

    assert_ok(json_get_int(&i, o, "i", 1, "o"));
    assert_int_equal(i, 7);
    assert_ok(json_get_int(&i, o, "f", 1, "o"));
    assert_int_equal(i, 16);
    assert_ok(json_get_int(&i, o, "absent", 3, "o"));
    assert_int_equal(i, 3);
    assert_ok(json_get_int(&i, o, "n", 4, "o"));
    assert_int_equal(i, 4);
    assert_ok(json_get_real(&r, o, "r", 1, "o"));
    assert_true(r == 0.5);
    assert_ok(json_get_real(&r, o, "i", 1, "o"));
    assert_true(r == 7.0);
    assert_ok(json_get_bool(&b, o, "b", false, "o"));
    assert_true(b);
    assert_ok(json_get_text(&s, o, "s", NULL, "o"));
    assert_string_equal(s, "hi");
    assert_ok(json_get_text(&s, o, "n", "none", "o"));
    assert_string_equal(s, "none");
    json_decref(o);
}

static void test_json_values_of_another_type_are_errors_that_name_the_key(void **state) {
    (void)state;
    json_t *o = parse("{\"i\": \"7\", \"r\": 0.5, \"b\": 1, \"s\": [], \"z\": \"a\\u0000b\"}");
    json_t *list = parse("[1]");
    int64_t i;
    double r;
    bool b;
    const char *s;

    assert_refused(json_get_int(&i, o, "i", 1, "config.json"), CLORA_ERROR_FORMAT, "config.json: \"i\" must be an int");
    assert_refused(json_get_int(&i, o, "r", 1, "o"), CLORA_ERROR_FORMAT, "\"r\" must be an integer");
    assert_refused(json_get_real(&r, o, "i", 1, "o"), CLORA_ERROR_FORMAT, "\"i\" must be a number, not a string");
    assert_refused(json_get_bool(&b, o, "b", 1, "o"), CLORA_ERROR_FORMAT, "\"b\" must be true or false");
    assert_refused(json_get_text(&s, o, "s", "", "o"), CLORA_ERROR_FORMAT, "\"s\" must be a string, not an array");
    assert_refused(json_get_text(&s, o, "z", "", "o"), CLORA_ERROR_FORMAT, "NUL");
    assert_refused(json_get_int(&i, list, "i", 1, "o"), CLORA_ERROR_FORMAT, "wanted an object");
    json_decref(o);
    json_decref(list);
}

static void test_broken_json_is_refused_with_its_place(void **state) {
    (void)state;
    static const char *const broken[] = {
        "",       "{",     "{\"a\": 1,}", "{\"a\": 1, \"a\": 2}", "{\"a\": nan}", "\"\xff\"]", "[1] 2", "{\"a\": 1e}",
        "[NaN,]", "[1e999"};
    json_t *value;

    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        assert_refused(json_load_bytes(&value, broken[i], strlen(broken[i]), "x.json"), CLORA_ERROR_FORMAT,
                       "x.json is not valid JSON: line ");
        assert_null(value);
    }
    scratch_text("bad.json", "{\n\"a\": }");
    assert_refused(json_load_path(&value, scratch_path("bad.json"), 100), CLORA_ERROR_FORMAT, "line 2");
    assert_refused(json_load_path(&value, scratch_path("bad.json"), 5), CLORA_ERROR_FORMAT, "larger than");
    assert_refused(json_load_path(&value, scratch_path("none.json"), 5), CLORA_ERROR_NOT_FOUND, "none.json");
}

/* What Python's json writes, and integers that only Python has. */
static void test_numbers_out_of_range_do_no_harm_where_they_are_not_read(void **state) {
    (void)state;
    json_t *o = parse("{\"a\": NaN, \"b\": [Infinity, {\"c\": -Infinity}], \"d\": 1000000000000000019884624838656, "
                      "\"e\": -9223372036854775809, \"f\": 1e400, \"g\": \"NaN 1e400\", \"h\": 9223372036854775807, "
                      "\"i\": -1E+999, \"NaN\": 7, \"j\": 0.25}");
    int64_t i;
    double r;
    const char *s;

    assert_ok(json_get_int(&i, o, "h", 0, "o"));
    assert_true(i == INT64_MAX);
    assert_ok(json_get_int(&i, o, "NaN", 0, "o"));
    assert_int_equal(i, 7);
    assert_ok(json_get_real(&r, o, "j", 0, "o"));
    assert_true(r == 0.25);
    assert_ok(json_get_text(&s, o, "g", NULL, "o"));
    assert_string_equal(s, "NaN 1e400");
    json_decref(o);
}

static void test_a_number_out_of_range_that_is_read_is_named(void **state) {
    (void)state;
    json_t *o = parse("{\"nan\": NaN, \"long\": 1000000000000000019884624838656, \"far\": -1e400, \"wide\": 1e30}");
    const char *s;
    int64_t i;
    double r;
    bool b;

    assert_refused(json_get_int(&i, o, "long", 1, "config.json"), CLORA_ERROR_FORMAT,
                   "config.json: \"long\" must be an integer in range, not 1000000000000000019884624838656");
    assert_refused(json_get_int(&i, o, "nan", 1, "o"), CLORA_ERROR_FORMAT,
                   "\"nan\" must be an integer in range, not NaN");
    assert_refused(json_get_int(&i, o, "wide", 1, "o"), CLORA_ERROR_FORMAT, "an integer in range, not 1e+30");
    assert_refused(json_get_real(&r, o, "nan", 1, "o"), CLORA_ERROR_FORMAT,
                   "\"nan\" must be a number in range, not NaN");
    assert_refused(json_get_real(&r, o, "far", 1, "o"), CLORA_ERROR_FORMAT, "must be a number in range, not -1e400");
    assert_refused(json_get_bool(&b, o, "nan", 1, "o"), CLORA_ERROR_FORMAT, "\"nan\" must be true or false");
    assert_refused(json_get_text(&s, o, "nan", "", "o"), CLORA_ERROR_FORMAT, "\"nan\" must be a string");
    json_decref(o);
}

static void test_numbers_out_of_range_are_saved_as_they_were(void **state) {
    (void)state;
    static const char text[] =
        "{\n  \"a\": NaN,\n  \"b\": [\n    -Infinity,\n    {\n      \"c\": 1e400\n    },\n    []\n"
        "  ],\n  \"d\": 1000000000000000019884624838656,\n  \"e\": \"{NaN} \\\\\",\n  \"f\": {}\n}\n";
    json_t *o = parse(text);
    size_t size;

    assert_ok(json_save_ordered_path(o, scratch_path("o.json")));
    char *saved = read_whole(&size, scratch_path("o.json"));
    assert_string_equal(saved, text);
    free(saved);
    json_decref(o);
}

static void test_numbers_out_of_range_are_few(void **state) {
    (void)state;
    enum { MANY = 70000 };
    char *text = malloc(4 * MANY + 2);
    json_t *value;

    assert_non_null(text);
    text[0] = '[';
    for (int i = 0; i < MANY; i++)
        memcpy(text + 1 + 4 * i, "NaN,", 4);
    text[4 * MANY] = ']';
    assert_refused(json_load_bytes(&value, text, 4 * MANY + 1, "x.json"), CLORA_ERROR_FORMAT, "not valid JSON: line 1");
    free(text);
}

/* A value takes some hundred bytes in memory, and may take two in the file. */
static void test_a_file_of_very_many_values_is_refused(void **state) {
    (void)state;
    enum { MANY = 5000000 };
    char *text = malloc(3 * MANY + 2);
    json_t *value;

    assert_non_null(text);
    text[0] = '[';
    for (int i = 0; i < MANY; i++)
        memcpy(text + 1 + 3 * i, "[],", 3);
    text[3 * MANY] = ']';
    assert_refused(json_load_bytes(&value, text, 3 * MANY + 1, "x.json"), CLORA_ERROR_FORMAT, "4194304 values");
    assert_null(value);
    free(text);
}

static int allocations_left;

static void *failing_malloc(size_t size) {
    if (allocations_left-- > 0)
        return malloc(size);
    errno = ENOMEM;
    return NULL;
}

static void test_memory_that_jansson_does_not_get_is_a_memory_error(void **state) {
    (void)state;
    static const char text[] = "{\"key\": [1, 2.5, \"a string\", true, {\"other\": null}], \"n\": NaN}";
    clora_status status = CLORA_ERROR_MEMORY;
    json_t *value = NULL;
    int n = 0;

    json_set_alloc_funcs(failing_malloc, free);
    for (; status != CLORA_OK && n < 1000; n++) {
        allocations_left = n;
        status = json_load_bytes(&value, text, sizeof(text) - 1, "x.json");
        if (status != CLORA_OK && (status != CLORA_ERROR_MEMORY || !strstr(clora_last_error(), "x.json")))
            break;
    }
    json_set_alloc_funcs(malloc, free);
    if (status != CLORA_OK)
        fail_msg("allocation %d: %s", n, clora_last_error());
    assert_true(n > 20);
    json_decref(value);
}

static void test_json_of_any_depth_does_no_harm(void **state) {
    (void)state;
    enum { DEPTH = 1000000 };
    char *text = malloc(DEPTH);
    json_t *value;

    memset(text, '[', DEPTH);
    assert_refused(json_load_bytes(&value, text, DEPTH, "deep"), CLORA_ERROR_FORMAT, "depth");
    free(text);
}

static void test_saved_json_is_sorted_and_its_numbers_are_short(void **state) {
    (void)state;
    json_t *o = parse("{\"z\": 0.1, \"a\": 1e-05, \"m\": [1, 10000.0, 0.3333333333333333]}");
    json_t *again;
    size_t size;

    assert_ok(json_save_path(o, scratch_path("o.json")));
    assert_ok(json_load_path(&again, scratch_path("o.json"), 1000));
    assert_true(json_equal(o, again));
    json_decref(again);
    json_object_del(o, "m");
    assert_ok(json_save_path(o, scratch_path("o.json")));
    char *text = read_whole(&size, scratch_path("o.json"));
    assert_string_equal(text, "{\n  \"a\": 1e-5,\n  \"z\": 0.1\n}\n");
    free(text);
    json_decref(o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_json_values_are_read_by_type, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_json_values_of_another_type_are_errors_that_name_the_key, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(test_broken_json_is_refused_with_its_place, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_numbers_out_of_range_do_no_harm_where_they_are_not_read, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(test_a_number_out_of_range_that_is_read_is_named, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(test_numbers_out_of_range_are_saved_as_they_were, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(test_numbers_out_of_range_are_few, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_a_file_of_very_many_values_is_refused, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_memory_that_jansson_does_not_get_is_a_memory_error, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(test_json_of_any_depth_does_no_harm, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_saved_json_is_sorted_and_its_numbers_are_short, scratch_setup,
                                        scratch_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
