#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <clora/inspect.h>

#include "base/alloc.h"
#include "methods/peft_config.h"
#include "support/scratch.h"
#include "support/tiny_llama.h"

/* The definition of a locale made of categories of others. */
static void define_locale(const char *numbers, const char *letters) {
    static const char *const rest[] = {"LC_COLLATE", "LC_MONETARY", "LC_TIME", "LC_MESSAGES"};
    char text[1024];

    int n =
        snprintf(text, sizeof(text), "LC_NUMERIC\ncopy \"%s\"\nEND LC_NUMERIC\nLC_CTYPE\ncopy \"%s\"\nEND LC_CTYPE\n",
                 numbers, letters);
    for (size_t i = 0; i < sizeof(rest) / sizeof(rest[0]); i++)
        n += snprintf(text + n, sizeof(text) - (size_t)n, "%s\ncopy \"POSIX\"\nEND %s\n", rest[i], rest[i]);
    scratch_text("definition", text);
}

/* Set a locale, as a program does that speaks its user's language; false where none can be made. */
static bool enter_locale(const char *numbers, const char *letters) {
    char command[1024];

    define_locale(numbers, letters);
    snprintf(command, sizeof(command), "localedef -c -i '%s' -f UTF-8 '%s' >/dev/null 2>&1", scratch_path("definition"),
             scratch_path("own.UTF-8"));
    if (system(command) == -1)
        return false;
    setenv("LOCPATH", scratch_path(""), 1);
    return setlocale(LC_ALL, "own.UTF-8") != NULL;
}

static void write_settings(const char *name) {
    clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
    json_t *config;

    options.rank = 4;
    options.alpha = 12.5f;
    options.dropout = 0.05f;
    options.target_modules = "ALL-LINEAR";
    options.rank_pattern = "k_proj=3";
    options.alpha_pattern = "q_proj=2.5,down_proj=0.1";
    assert_ok(peft_config_create(&config, &options, tiny_llama, TINY_MODULES));
    assert_ok(peft_config_save(config, scratch_path(name), NULL));
    json_decref(config);
}

static void check_settings(void) {
    char *patterns;
    json_t *config;

    write_settings("settings.json");
    assert_same_file(scratch_path("settings.json"), scratch_path("expected.json"));
    assert_ok(peft_config_load(&config, scratch_path("expected.json"), tiny_llama, TINY_MODULES));
    patterns = target_pattern_text(json_object_get(config, "alpha_pattern"));
    assert_true(json_number_value(json_object_get(config, "lora_dropout")) == 0.05);
    assert_non_null(strstr(patterns, "q_proj=2.5"));
    json_decref(config);
    free(patterns);
}

static void check_messages(void) {
    char *text = alloc_format("%g", 0.5);

    clora_fail(CLORA_ERROR_ARGUMENT, "it is %g", 2.5);
    assert_string_equal(clora_last_error(), "it is 2.5");
    clora_fail_within(CLORA_ERROR_ARGUMENT, "%.1f of all", 0.25);
    assert_string_equal(clora_last_error(), "0.2 of all: it is 2.5");
    assert_string_equal(text, "0.5");
    free(text);
}

static void check_data(void) {
    clora_inspected_data data = CLORA_INSPECTED_DATA_INIT;

    scratch_text("DATA.JSON", "[{\"context\": \"a\", \"target\": \"b\", \"weight\": 1.5}]");
    scratch_text("LIST.TXT", "a text");
    scratch_text("I.NDJSON", "{\"text\": \"a\", \"weight\": 2.5e-1}\n");
    assert_ok(clora_inspect_data(&data, scratch_path("DATA.JSON"), NULL));
    assert_int_equal(data.pairs, 1);
    assert_ok(clora_inspect_data(&data, scratch_path("LIST.TXT"), NULL));
    assert_ok(clora_inspect_data(&data, scratch_path("I.NDJSON"), NULL));
}

static void check_locale(const char *numbers, const char *letters) {
    char wanted[16], got[16];

    write_settings("expected.json");
    if (!enter_locale(numbers, letters))
        skip();
    snprintf(wanted, sizeof(wanted), "%.1f", 2.5);
    assert_string_not_equal(wanted, "2.5");
    check_settings();
    check_messages();
    check_data();
    snprintf(got, sizeof(got), "%.1f", 2.5); /* the program's own numbers are as they were */
    setlocale(LC_ALL, "C");
    assert_string_equal(got, wanted);
}

static void test_a_decimal_comma_and_an_i_without_a_dot(void **state) {
    (void)state;
    check_locale("de_DE", "tr_TR");
}

static void test_a_decimal_point_of_two_bytes(void **state) {
    (void)state;
    check_locale("ps_AF", "POSIX");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_a_decimal_comma_and_an_i_without_a_dot),
        TEST(test_a_decimal_point_of_two_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
