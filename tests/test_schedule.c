#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "train/schedule.h"

static void assert_rate(float actual, double expected) {
    assert_true(fabs((double)actual - expected) <= 1e-9);
}

static clora_train_options options_of(clora_schedule schedule, int warmup) {
    clora_train_options o = CLORA_TRAIN_OPTIONS_INIT;

    o.lr = 1e-3f;
    o.schedule = schedule;
    o.warmup = warmup;
    return o;
}

static void test_constant_keeps_the_rate(void **state) {
    (void)state;
    const clora_train_options o = options_of(CLORA_SCHEDULE_CONSTANT, 0);

    assert_rate(schedule_rate(&o, 0, 10), 1e-3);
    assert_rate(schedule_rate(&o, 9, 10), 1e-3);
}

static void test_warm_up_rises_from_one_part_to_all(void **state) {
    (void)state;
    const clora_train_options o = options_of(CLORA_SCHEDULE_LINEAR, 4);

    for (int i = 0; i < 4; i++)
        assert_rate(schedule_rate(&o, i, 10), 1e-3 * (i + 1) / 4);
    assert_rate(schedule_rate(&o, 4, 10), 1e-3);
}

static void test_linear_falls_to_its_last_share(void **state) {
    (void)state;
    const clora_train_options o = options_of(CLORA_SCHEDULE_LINEAR, 0);

    assert_rate(schedule_rate(&o, 5, 10), 0.5e-3);
    assert_rate(schedule_rate(&o, 9, 10), 0.1e-3);
}

static void test_cosine_is_half_way_in_the_middle(void **state) {
    (void)state;
    const clora_train_options o = options_of(CLORA_SCHEDULE_COSINE, 2);

    assert_rate(schedule_rate(&o, 2, 10), 1e-3);
    assert_rate(schedule_rate(&o, 6, 10), 0.5e-3);
    assert_true(schedule_rate(&o, 9, 10) < 0.1e-3f);
}

static void test_a_run_that_is_all_warm_up_stays_finite(void **state) {
    (void)state;
    const clora_train_options o = options_of(CLORA_SCHEDULE_COSINE, 10);

    for (int i = 0; i < 10; i++)
        assert_rate(schedule_rate(&o, i, 10), 1e-3 * (i + 1) / 10);
    assert_true(isfinite(schedule_rate(&o, 10, 10)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_constant_keeps_the_rate),
        cmocka_unit_test(test_warm_up_rises_from_one_part_to_all),
        cmocka_unit_test(test_linear_falls_to_its_last_share),
        cmocka_unit_test(test_cosine_is_half_way_in_the_middle),
        cmocka_unit_test(test_a_run_that_is_all_warm_up_stays_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
