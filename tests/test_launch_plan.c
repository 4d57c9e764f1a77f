#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/self_check.h"
#include "ops/ops.h"
#include "support/fresh_context.h"
#include "support/scratch.h"
#include "support/tuned.h"
#include "tuning/tuning.h"

static void add(int rows, int cols) {
    clora_tensor *x;

    assert_ok(tensor_new(&x, context, CLORA_DTYPE_F32, rows, cols));
    assert_ok(clora_tensor_zero(x));
    assert_ok(op_add(x, x));
    clora_tensor_free(x);
}

/* The plan's text, and its hash where one is asked for. */
static const char *plan_text(char hash[33]) {
    static char text[4096];
    clora_launch_plan *plan;

    assert_ok(clora_launch_plan_create(&plan, context));
    assert_in_range(strlen(clora_launch_plan_text(plan)), 1, sizeof(text) - 1);
    snprintf(text, sizeof(text), "%s", clora_launch_plan_text(plan));
    if (hash)
        snprintf(hash, 33, "%s", clora_launch_plan_hash(plan));
    clora_launch_plan_free(plan);
    return text;
}

static void plan_hash(char hash[33]) {
    (void)plan_text(hash);
    assert_int_equal(strlen(hash), 32);
}

static void test_it_says_what_was_launched_and_with_what(void **state) {
    (void)state;
    assert_null(strstr(plan_text(NULL), "add"));
    add(3, 70);
    const char *text = plan_text(NULL);
    assert_non_null(strstr(text, "add f32 M 4 K 70: VW "));
    assert_null(strstr(text, "M 8"));
    add(4, 70); /* the same bucket */
    add(5, 70);
    text = plan_text(NULL);
    assert_non_null(strstr(text, "add f32 M 8 K 70: VW "));
    assert_ptr_equal(strstr(text, "add f32 M 4"), strstr(text, "add"));
    assert_null(strstr(strstr(text, "add f32 M 4") + 1, "add f32 M 4"));
}

static void test_two_runs_have_the_same_hash_in_whatever_order(void **state) {
    char first[33], second[33], other[33];

    (void)state;
    add(3, 70);
    add(40, 5);
    plan_hash(first);
    fresh_context_again();
    add(40, 5);
    plan_hash(other);
    add(3, 70);
    add(3, 70);
    plan_hash(second);
    assert_string_equal(first, second);
    assert_string_not_equal(first, other);
}

static void test_another_tuned_value_is_another_plan(void **state) {
    const clora_tune_key small = {"add", CLORA_DTYPE_F32, 4, 0, 70, 0};
    char first[33], second[33], third[33];
    clora_tune_entry entry = CLORA_TUNE_ENTRY_INIT;

    (void)state;
    add(3, 70);
    plan_hash(first);
    entry = look_up(&small);
    set_value(&entry, "BLOCK", value_of(&entry, "BLOCK") == 128 ? 512 : 128);
    assert_ok(clora_tune_set(context, &entry));
    plan_hash(second); /* nothing was launched with it yet */
    assert_string_equal(first, second);
    add(3, 70);
    plan_hash(third);
    assert_string_not_equal(first, third);
    fresh_context_again();
    assert_ok(clora_tune_set(context, &entry));
    add(3, 70);
    plan_hash(second);
    assert_string_equal(second, third);
}

static void test_looking_up_is_no_launch(void **state) {
    char before[33], after[33];

    (void)state;
    plan_hash(before);
    (void)look_up(&key);
    plan_hash(after);
    assert_string_equal(before, after);
}

/* A run that checks the device launches no more than one that trusts it. */
static void test_the_self_check_is_not_in_it(void **state) {
    char trusted[33], checked[33];

    (void)state;
    add(3, 70);
    plan_hash(trusted);
    fresh_context_again();
    setenv("CLORA_SELF_CHECK", "force", 1);
    assert_ok(self_check(context, SELF_CHECK_TERM, CLORA_STORAGE_F32, 0));
    setenv("CLORA_SELF_CHECK", "off", 1);
    add(3, 70);
    plan_hash(checked);
    assert_string_equal(trusted, checked);
}

static void test_the_path_of_the_products_is_in_it(void **state) {
    char vectors[33], lanes[33];

    (void)state;
    add(3, 70);
    plan_hash(vectors);
    setenv("CLORA_GEMM", strcmp(clora_context_device(context)->gemm, "tile") == 0 ? "panel" : "tile", 1);
    fresh_context_again();
    unsetenv("CLORA_GEMM");
    plan_hash(lanes);
    assert_string_not_equal(vectors, lanes);
}

static clora_status compare(const char *text) {
    clora_launch_plan *plan;

    assert_ok(clora_launch_plan_create(&plan, context));
    const clora_status status = clora_launch_plan_compare(plan, text);
    clora_launch_plan_free(plan);
    return status;
}

static void test_two_plans_differ_where_both_launch(void **state) {
    const clora_tune_key small = {"add", CLORA_DTYPE_F32, 4, 0, 70, 0};
    const bool tile = strcmp(clora_context_device(context)->gemm, "tile") == 0;

    (void)state;
    add(3, 70);
    char *text = strdup(plan_text(NULL));
    assert_ok(compare(text));
    fresh_context_again();
    assert_ok(compare(text)); /* one that has launched nothing */
    add(40, 5);
    assert_ok(compare(text));
    clora_tune_entry entry = look_up(&small);
    set_value(&entry, "BLOCK", value_of(&entry, "BLOCK") == 128 ? 512 : 128);
    assert_ok(clora_tune_set(context, &entry));
    add(3, 70);
    assert_refused(compare(text), CLORA_ERROR_ARGUMENT, "it was \"add f32 M 4 K 70: ");
    setenv("CLORA_GEMM", tile ? "panel" : "tile", 1);
    fresh_context_again();
    unsetenv("CLORA_GEMM");
    assert_refused(compare(text), CLORA_ERROR_ARGUMENT,
                   tile ? "now it is \"products panel" : "now it is \"products tile");
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_it_says_what_was_launched_and_with_what, fresh_context_setup,
                                        fresh_context_teardown),
        cmocka_unit_test_setup_teardown(test_two_runs_have_the_same_hash_in_whatever_order, fresh_context_setup,
                                        fresh_context_teardown),
        cmocka_unit_test_setup_teardown(test_another_tuned_value_is_another_plan, fresh_context_setup,
                                        fresh_context_teardown),
        cmocka_unit_test_setup_teardown(test_looking_up_is_no_launch, fresh_context_setup, fresh_context_teardown),
        cmocka_unit_test_setup_teardown(test_the_self_check_is_not_in_it, fresh_context_setup, fresh_context_teardown),
        cmocka_unit_test_setup_teardown(test_two_plans_differ_where_both_launch, fresh_context_setup,
                                        fresh_context_teardown),
        cmocka_unit_test_setup_teardown(test_the_path_of_the_products_is_in_it, fresh_context_setup,
                                        fresh_context_teardown),
    };
    if (clora_context_create(&context, NULL) != CLORA_OK) {
        print_message("skipped: %s\n", clora_last_error());
        return 77; /* Meson: skipped */
    }
    clora_context_free(context);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
