#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ref/ref.h"
#include "support/slopes.h"

/* ---- layer normalisation and GELU ---- */

enum { M = 3, C = 5 };
static float x[M * C], gain[C], bias[C];
static const float eps = 1e-5f;

static double layernorm_loss(void) {
    float y[M * C];

    ref_layernorm(y, NULL, x, gain, bias, eps, M, C);
    return weighted(y, M * C);
}

static void test_gradients_of_layernorm_are_its_slopes_and_accumulate(void **state) {
    float y[M * C], again[M * C], moments[2 * M], dy[M * C], dx[M * C], dg[C], db[C] = {0.0f}, start[M * C];

    (void)state;
    fill(x, M * C, 2);
    fill(gain, C, 10);
    fill(bias, C, 12);
    fill(start, M * C, 11);
    weights(dy, M * C);
    ref_layernorm(y, moments, x, gain, bias, eps, M, C);
    ref_layernorm_apply(again, x, moments, gain, bias, M, C);
    for (int i = 0; i < M * C; i++)
        assert_true(fabsf(y[i] - again[i]) < 1e-6f);
    memcpy(dx, start, sizeof(dx));
    memcpy(dg, start, sizeof(dg));
    ref_layernorm_backward(dx, dy, x, moments, gain, M, C);
    ref_layernorm_dg(dg, dy, x, moments, M, C);
    ref_matmul_dbias(db, dy, M, C);
    for (int i = 0; i < M * C; i++)
        dx[i] -= start[i];
    for (int i = 0; i < C; i++)
        dg[i] -= start[i];
    assert_gradient(layernorm_loss, x, dx, M * C);
    assert_gradient(layernorm_loss, gain, dg, C);
    assert_gradient(layernorm_loss, bias, db, C);
}

static void test_layernorm_makes_rows_of_mean_zero_and_variance_one(void **state) {
    float y[M * C];
    const float ones[C] = {1.0f, 1.0f, 1.0f, 1.0f, 1.0f}, none[C] = {0.0f};

    (void)state;
    fill(x, M * C, 2);
    ref_layernorm(y, NULL, x, ones, none, 0.0f, M, C);
    for (int m = 0; m < M; m++) {
        double sum = 0.0, squares = 0.0;
        for (int c = 0; c < C; c++) {
            sum += (double)y[m * C + c];
            squares += (double)y[m * C + c] * (double)y[m * C + c];
        }
        assert_true(fabs(sum) < 1e-5 && fabs(squares / C - 1.0) < 1e-5);
    }
}

static double gelu_loss(void) {
    float y[M * C];

    ref_gelu(y, x, M, C);
    return weighted(y, M * C);
}

static void test_the_gradient_of_gelu_is_its_slope(void **state) {
    float dy[M * C], dx[M * C];

    (void)state;
    fill(x, M * C, 3);
    weights(dy, M * C);
    memcpy(dx, x, sizeof(dx));
    ref_gelu_backward(dx, dy, dx, M, C);
    assert_gradient(gelu_loss, x, dx, M * C);
}

/* torch.nn.functional.gelu(x, approximate="tanh") */
static void test_gelu_is_that_of_pytorch(void **state) {
    const float given[4] = {-3.0f, -0.5f, 0.75f, 2.0f},
                expected[4] = {-0.00363739f, -0.15428599f, 0.57996118f, 1.95459770f};
    float y[4];

    (void)state;
    ref_gelu(y, given, 1, 4);
    for (int i = 0; i < 4; i++)
        assert_true(fabsf(y[i] - expected[i]) < 1e-6f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients_of_layernorm_are_its_slopes_and_accumulate),
        cmocka_unit_test(test_layernorm_makes_rows_of_mean_zero_and_variance_one),
        cmocka_unit_test(test_the_gradient_of_gelu_is_its_slope),
        cmocka_unit_test(test_gelu_is_that_of_pytorch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
