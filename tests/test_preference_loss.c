#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "train/preference_loss.h"

static const clora_preference all[] = {CLORA_PREFERENCE_DPO, CLORA_PREFERENCE_IPO, CLORA_PREFERENCE_HINGE,
                                       CLORA_PREFERENCE_ORPO, CLORA_PREFERENCE_KTO};
enum { ALL = sizeof(all) / sizeof(all[0]) };

static const preference_options smoothed = {.beta = 0.3, .label_smoothing = 0.2, .kl = 0.7};

/* Log-probabilities of a pair with these sums. */
static void make_pair(scored_answer *pair, double chosen, double rejected) {
    pair[0] = (scored_answer){.policy = chosen, .reference = -9.0, .count = 4, .desirable = true};
    pair[1] = (scored_answer){.policy = rejected, .reference = -8.0, .count = 7};
}

static double loss_of(const preference_rule *rule, double chosen, double rejected) {
    scored_answer pair[2];

    make_pair(pair, chosen, rejected);
    return rule->loss(pair, &smoothed);
}

static void assert_near(double actual, double expected, double limit) {
    if (!(fabs(actual - expected) <= limit))
        fail_msg("%.12g; wanted %.12g", actual, expected);
}

static void test_slopes_are_what_finite_differences_say(void **state) {
    (void)state;
    static const double at[][2] = {{-7.0, -12.0}, {-12.0, -7.0}, {-0.2, -20.0}, {-9.0, -8.0}};
    const double step = 1e-5;

    for (int i = 0; i < ALL; i++)
        for (size_t k = 0; k < sizeof(at) / sizeof(at[0]); k++) {
            const preference_rule *rule = preference_rule_of(all[i]);
            const double c = at[k][0], r = at[k][1];
            scored_answer pair[2];
            make_pair(pair, c, r);
            rule->loss(pair, &smoothed);
            assert_near(pair[0].slope, (loss_of(rule, c + step, r) - loss_of(rule, c - step, r)) / (2 * step), 1e-8);
            if (rule->data == CLORA_DATA_PREFERENCE)
                assert_near(pair[1].slope, (loss_of(rule, c, r + step) - loss_of(rule, c, r - step)) / (2 * step),
                            1e-8);
        }
}

static void test_an_undesirable_answer_turns_the_sign(void **state) {
    (void)state;
    const preference_rule *kto = preference_rule_of(CLORA_PREFERENCE_KTO);
    scored_answer good = {.policy = -7.0, .reference = -9.0, .count = 4, .desirable = true}, bad = good;

    bad.desirable = false;
    assert_near(kto->loss(&good, &smoothed) + kto->loss(&bad, &smoothed), 1.0, 1e-12);
    assert_near(good.slope + bad.slope, 0.0, 1e-12);
    assert_true(good.slope < 0.0);
    assert_near(bad.reward, 0.3 * 2.0, 1e-12);
}

/* No overflow on the way to a loss that is a number. */
static void test_far_apart_answers_have_finite_losses(void **state) {
    (void)state;
    static const clora_preference far[] = {CLORA_PREFERENCE_DPO, CLORA_PREFERENCE_HINGE, CLORA_PREFERENCE_KTO};

    for (int i = 0; i < 3; i++)
        for (int sign = -1; sign <= 1; sign += 2) {
            scored_answer pair[2];
            make_pair(pair, sign * 1e5, -sign * 1e5);
            assert_true(isfinite(preference_rule_of(far[i])->loss(pair, &smoothed)));
            assert_true(isfinite(pair[0].slope));
        }
}

static void test_equal_answers_cost_log_2(void **state) {
    (void)state;
    const preference_options plain = {.beta = 0.1};
    scored_answer pair[2];

    make_pair(pair, -9.0, -8.0); /* as the reference has them */
    assert_near(preference_rule_of(CLORA_PREFERENCE_DPO)->loss(pair, &plain), log(2.0), 1e-12);
    assert_near(pair[0].slope, -0.05, 1e-12);
    assert_near(pair[0].reward, 0.0, 0.0);
    assert_near(preference_rule_of(CLORA_PREFERENCE_IPO)->loss(pair, &plain), 25.0, 1e-12);
    assert_near(preference_rule_of(CLORA_PREFERENCE_HINGE)->loss(pair, &plain), 1.0, 1e-12);
}

static void test_no_preference_has_no_rule(void **state) {
    (void)state;
    assert_null(preference_rule_of(CLORA_PREFERENCE_NONE));
    assert_null(preference_rule_of((clora_preference)(CLORA_PREFERENCE_KTO + 1)));
    assert_null(preference_rule_of((clora_preference)-1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slopes_are_what_finite_differences_say),
        cmocka_unit_test(test_an_undesirable_answer_turns_the_sign),
        cmocka_unit_test(test_far_apart_answers_have_finite_losses),
        cmocka_unit_test(test_equal_answers_cost_log_2),
        cmocka_unit_test(test_no_preference_has_no_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
