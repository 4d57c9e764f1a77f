#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "ref/ref.h"
#include "support/slopes.h"

/* The reference's gradients of rmsnorm against finite differences of its forward (support/slopes.h). */

enum { M = 3, K = 4 };
static float x[M * K];

static void fill_rows(void) {
    fill(x, M * K, 2);
}

static float g[K];
static const float eps = 1e-5f;
static bool plus_one;

static double rmsnorm_loss(void) {
    float y[M * K];

    ref_rmsnorm(y, NULL, x, g, eps, plus_one, M, K);
    return weighted(y, M * K);
}

static void check_rmsnorm(void) {
    float y[M * K], again[M * K], rstd[M], dy[M * K], dx[M * K], start[M * K];

    fill_rows();
    fill(g, K, 10);
    weights(dy, M * K);
    ref_rmsnorm(y, rstd, x, g, eps, plus_one, M, K);
    ref_rmsnorm_apply(again, x, rstd, g, plus_one, M, K);
    for (int i = 0; i < M * K; i++)
        assert_true(fabsf(y[i] - again[i]) < 1e-6f);
    fill(start, M * K, 11);
    memcpy(dx, start, sizeof(dx));
    ref_rmsnorm_backward(dx, dy, x, rstd, g, plus_one, M, K);
    for (int i = 0; i < M * K; i++)
        dx[i] -= start[i];
    assert_gradient(rmsnorm_loss, x, dx, M * K);
}

static void test_the_gradient_of_rmsnorm_is_its_slope_and_accumulates(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        plus_one = i;
        check_rmsnorm();
    }
}

static void check_gain(void) {
    float y[M * K], rstd[M], dy[M * K], dg[K];

    fill_rows();
    fill(g, K, 10);
    weights(dy, M * K);
    ref_rmsnorm(y, rstd, x, g, eps, plus_one, M, K);
    fill(dg, K, 11);
    ref_rmsnorm_dg(dg, dy, x, rstd, M, K);
    for (int i = 0; i < K; i++)
        dg[i] -= 2.0f * rng_uniform(11, 0, (uint64_t)i) - 1.0f;
    assert_gradient(rmsnorm_loss, g, dg, K);
}

static void test_the_gradient_of_the_gain_is_its_slope_and_accumulates(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        plus_one = i;
        check_gain();
    }
}

/* A gain beside 1 is the gain less 1. */
static void test_a_gain_beside_one_is_that_gain(void **state) {
    float beside[K], y[M * K], wanted[M * K];

    (void)state;
    fill_rows();
    fill(g, K, 10);
    for (int k = 0; k < K; k++)
        beside[k] = g[k] - 1.0f;
    ref_rmsnorm(wanted, NULL, x, g, eps, false, M, K);
    ref_rmsnorm(y, NULL, x, beside, eps, true, M, K);
    for (int i = 0; i < M * K; i++)
        assert_true(fabsf(y[i] - wanted[i]) < 1e-6f);
}

static void test_rmsnorm_makes_rows_of_mean_square_one(void **state) {
    float y[M * K];
    const float ones[K] = {1.0f, 1.0f, 1.0f, 1.0f};

    (void)state;
    fill_rows();
    ref_rmsnorm(y, NULL, x, ones, 0.0f, false, M, K);
    for (int m = 0; m < M; m++) {
        double squares = 0.0;
        for (int k = 0; k < K; k++)
            squares += (double)y[m * K + k] * (double)y[m * K + k];
        assert_true(fabs(squares / K - 1.0) < 1e-5);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_gradient_of_rmsnorm_is_its_slope_and_accumulates),
        cmocka_unit_test(test_the_gradient_of_the_gain_is_its_slope_and_accumulates),
        cmocka_unit_test(test_a_gain_beside_one_is_that_gain),
        cmocka_unit_test(test_rmsnorm_makes_rows_of_mean_square_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
