#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <clora/tune.h>

#include "search/tuner.h"
#include "support/fresh_context.h"
#include "support/scratch.h"
#include "tuning/store.h"
#include "tuning/table.h"

static double still_clock(void) {
    return 1.0;
}

static void test_a_clock_that_stands_still_gives_no_time(void **state) {
    const kernel_row *row = kernel_find("add");
    const kernel_key key = {.M = 16, .K = 100};
    int values[KERNEL_PARAMETERS];
    measurement m;
    meter timer;

    (void)state;
    const kernel_at at = tuning_at(context, row, &key);
    kernel_defaults(values, &at, row);
    meter_init(&timer, context);
    assert_ok(meter_prepare(&timer, row, &key, 0.0));
    assert_ok(meter_measure(&m, &timer, values, true, 0.0));
    assert_true(m.usable && m.median > 0.0 && m.minimum <= m.median && m.count >= 3);
    timer.clock = still_clock;
    assert_ok(meter_measure(&m, &timer, values, true, 0.0));
    assert_false(m.usable);
    assert_non_null(strstr(m.why, "clock stood still"));
    meter_finish(&timer);
}

static void test_a_kernel_that_nothing_launches_here_is_refused(void **state) {
    const kernel_row *row = kernel_find(context->is_cpu ? "matmul_tile" : "matmul_panel");
    meter timer;

    (void)state;
    meter_init(&timer, context);
    assert_int_equal(meter_prepare(&timer, row, &(kernel_key){.M = 4, .N = 8, .K = 8}, 0.0), CLORA_ERROR_UNSUPPORTED);
    meter_finish(&timer);
}

/* A kernel for many rows has an entry for one row where that choice was the faster. */
static void test_a_kernel_that_only_a_choice_launches_is_measured(void **state) {
    const bool panel = kernel_explicit_vectors(context);
    const kernel_row *many = kernel_find(panel ? "matmul_panel" : "matmul_tile"),
                     *gemv = kernel_find(panel ? "matvec_panel" : "matvec_tile");
    const kernel_key one = {.M = 1, .N = 40, .K = 24}, several = {.M = 16, .N = 40, .K = 24};
    meter timer;

    (void)state;
    meter_init(&timer, context);
    assert_ok(meter_prepare(&timer, many, &one, 0.0));
    assert_ok(meter_prepare(&timer, gemv, &several, 0.0));
    assert_ok(meter_prepare(&timer, many, &several, 0.0));
    assert_ok(meter_prepare(&timer, gemv, &one, 0.0));
    assert_null(timer.forced); /* the choice does not outlive its kernel */
    meter_finish(&timer);
}

/* One row of a large table is little to read, but a copy of the table is much to lay out. */
static void test_a_large_table_is_laid_out_once(void **state) {
    const kernel_row *row = kernel_find("embedding");
    const kernel_key at = {.dtype = CLORA_DTYPE_F32, .M = 1, .N = 5000, .K = 64};
    meter timer;

    (void)state;
    meter_init(&timer, context);
    assert_ok(meter_prepare(&timer, row, &at, 1e6));
    assert_int_equal(timer.runs_count, 1);
    assert_ok(meter_prepare(&timer, row, &at, 6e6));
    assert_in_range(timer.runs_count, 2, 5);
    meter_finish(&timer);
}

/* A meter that takes long to lay out its case. */
static gauge patient;

static clora_status prepare_slowly(void *self, const kernel_row *row, const kernel_key *at, double cold, double *flops,
                                   double *bytes) {
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    return patient.prepare(self, row, at, cold, flops, bytes);
}

static void test_what_takes_long_to_lay_out_is_measured_all_the_same(void **state) {
    const tune_task task = {kernel_find("embedding"), {.dtype = CLORA_DTYPE_F32, .M = 1, .N = 50, .K = 64}, 1.0};
    clora_tune_result result = {.tasks = 1};
    tuner t = {.context = context, .result = &result, .deadline = INFINITY};

    (void)state;
    assert_ok(tuning_store_prepare(context));
    assert_ok(journal_open(&t.journal, context));
    assert_ok(gauge_create_local(&patient, context));
    t.gauge = patient;
    t.gauge.prepare = prepare_slowly;
    tuner_do_task(&t, &task, 0.01);
    assert_ok(t.status);
    assert_int_equal(result.done, 1);
    patient.free(patient.self);
    journal_close(t.journal);
}

static clora_tune_result tune_shape(double budget) {
    clora_tune_options options = CLORA_TUNE_OPTIONS_INIT;
    clora_tune_use use = CLORA_TUNE_USE_INIT;
    clora_tune_result result = CLORA_TUNE_RESULT_INIT;
    clora_tune_plan *plan;

    use.rank = 4;
    use.train = 0;
    use.max_length = 16;
    options.budget = budget;
    assert_ok(clora_tune_plan_create(&plan, context));
    assert_ok(clora_tune_plan_shape(plan, 72, 40, &use));
    assert_true(clora_tune_plan_count(plan) > 0);
    assert_ok(clora_tune_run(&result, plan, &options));
    clora_tune_plan_free(plan);
    return result;
}

static int stop_check(void *user, const clora_tune_check *check) {
    ++*(int *)user;
    return check->is_right;
}

static void test_a_run_leaves_entries_and_the_next_has_nothing_to_do(void **state) {
    int wrong = 1, checks = 0;

    (void)state;
    const clora_tune_result first = tune_shape(60.0);
    assert_int_equal(first.done, first.tasks);
    assert_true(first.measured >= first.tasks && first.found_before == 0);
    assert_true(first.after <= first.before);
    fresh_context_again();
    const clora_tune_result second = tune_shape(60.0);
    assert_int_equal(second.found_before, first.tasks);
    assert_int_equal(second.measured, 0);
    assert_refused(clora_tune_verify(&wrong, context, NULL, stop_check, &checks), CLORA_CANCELLED, "stopped");
    assert_int_equal(checks, 1);
    assert_int_equal(wrong, 0);
}

static void test_a_budget_of_nothing_keeps_what_there_is(void **state) {
    (void)state;
    const clora_tune_result r = tune_shape(0.0);
    assert_int_equal(r.measured, 0);
    assert_int_equal(r.stop, CLORA_STOP_BUDGET);
}

static void test_shapes_met_in_the_mode_tune_become_a_plan(void **state) {
    clora_tensor *x, *y;
    clora_tune_plan *plan;

    (void)state;
    clora_tune_set_mode(context, CLORA_TUNE_MODE_TUNE);
    assert_ok(tensor_new(&x, context, CLORA_DTYPE_F32, 5, 33));
    assert_ok(tensor_new(&y, context, CLORA_DTYPE_F32, 5, 33));
    assert_ok(clora_tensor_zero(x));
    assert_ok(clora_tensor_zero(y));
    assert_ok(op_add(y, x));
    assert_ok(clora_tune_plan_create(&plan, context));
    assert_ok(clora_tune_plan_noted(plan));
    assert_int_equal(clora_tune_plan_count(plan), 1);
    const clora_tune_task *task = clora_tune_plan_task(plan, 0);
    assert_string_equal(task->key.kernel, "add");
    assert_int_equal(task->key.M, 8);
    assert_false(task->is_done);
    clora_tune_plan_free(plan);
    clora_tensor_free(y);
    clora_tensor_free(x);
}

#define test(f) cmocka_unit_test_setup_teardown(f, fresh_context_setup, fresh_context_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(test_a_clock_that_stands_still_gives_no_time),
        test(test_a_kernel_that_nothing_launches_here_is_refused),
        test(test_a_kernel_that_only_a_choice_launches_is_measured),
        test(test_a_large_table_is_laid_out_once),
        test(test_what_takes_long_to_lay_out_is_measured_all_the_same),
        test(test_a_run_leaves_entries_and_the_next_has_nothing_to_do),
        test(test_a_budget_of_nothing_keeps_what_there_is),
        test(test_shapes_met_in_the_mode_tune_become_a_plan),
    };
    if (clora_context_create(&context, NULL) != CLORA_OK) {
        print_message("skipped: %s\n", clora_last_error());
        return 77; /* Meson: skipped */
    }
    clora_context_free(context);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
