#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/dtype.h"
#include "device/dot.h"
#include "ops/ops.h"
#include "support/fresh_context.h"
#include "support/scratch.h"

enum { M = 19, N = 33, K = 67 };

static weight *identity_like(void) {
    static const int rows = N;
    float w0[N * K] = {0};
    weight *w;

    for (int n = 0; n < N; n++)
        w0[n * K + n] = 1.0f;
    assert_ok(weight_create(&w, context, CLORA_STORAGE_BF16, K, 1, &rows));
    assert_ok(weight_pack(w, 0, w0, CLORA_DTYPE_F32, false));
    return w;
}

/* y = x W0^T or, backward, y W0 with a weight that picks elements: what the product made of each. */
static void pick(float *out, const float *in, bool backward) {
    weight *w = identity_like();
    clora_tensor *x, *y;

    assert_ok(tensor_new(&x, context, CLORA_DTYPE_F32, M, backward ? N : K));
    assert_ok(tensor_new(&y, context, CLORA_DTYPE_F32, M, backward ? K : N));
    assert_ok(clora_tensor_write(x, in));
    if (backward)
        assert_ok(op_matmul_dx(y, x, w, NULL, NULL, false));
    else
        assert_ok(op_matmul(y, x, w, NULL, NULL, NULL, false));
    assert_ok(clora_tensor_read(y, out));
    clora_tensor_free(x);
    clora_tensor_free(y);
    weight_free(w);
}

static const dot_engine engines[] = {DOT_EMULATED, DOT_INSTRUCTION, DOT_TILES};

/* Engines of this device, one after the other. */
static bool use(size_t engine) {
    context->dot = DOT_UNKNOWN;
    if (engines[engine] >= DOT_INSTRUCTION && context_dot(context) < engines[engine])
        return false;
    context->dot = engines[engine];
    return true;
}

/* Elsewhere no product takes pairs. */
static void needs_explicit_vectors(void) {
    if (!kernel_explicit_vectors(context))
        skip();
}

static void check_rounding(bool backward) {
    const int cols = backward ? N : K, out_cols = backward ? K : N;
    float in[M * K], out[M * K];

    for (int i = 0; i < M * cols; i++) /* below, at and above the middle of two bf16; of both signs; small and large */
        in[i] = ldexpf((i % 2 ? -1.0f : 1.0f) * (1.0f + (float)(i % 1021) / 1024.0f), i % 41 - 20);
    for (size_t e = 0; e < sizeof(engines) / sizeof(engines[0]); e++) {
        if (!use(e))
            continue;
        pick(out, in, backward);
        for (int m = 0; m < M; m++)
            for (int n = 0; n < N; n++)
                assert_float_equal(out[m * out_cols + n], dtype_bf16_to_f32(dtype_f32_to_bf16(in[m * cols + n])), 0.0f);
    }
}

static void test_inputs_are_rounded_to_the_nearest_ties_to_even(void **state) {
    (void)state;
    needs_explicit_vectors();
    check_rounding(false);
    check_rounding(true);
}

/* A row with it has no number left (0 * NaN), the others all. */
static void check_not_finite(float value, bool backward) {
    const int cols = backward ? N : K, out_cols = backward ? K : N;
    float in[M * K], out[M * K];

    for (size_t e = 0; e < sizeof(engines) / sizeof(engines[0]); e++) {
        if (!use(e))
            continue;
        for (int at = 0; at < N; at += 16) {
            for (int i = 0; i < M * cols; i++)
                in[i] = 1.0f;
            in[4 * cols + at] = value;
            pick(out, in, backward);
            for (int m = 0; m < M; m++)
                for (int n = 0; n < N; n++)
                    assert_int_equal(isfinite(out[m * out_cols + n]) != 0, m != 4);
        }
    }
}

static void test_what_is_not_finite_shows(void **state) {
    const uint32_t bits = 0x7fffffff; /* the largest NaN: adding to it would make it a number */
    float nan;

    (void)state;
    needs_explicit_vectors();
    memcpy(&nan, &bits, sizeof(nan));
    for (int backward = 0; backward < 2; backward++) {
        check_not_finite(nan, backward);
        check_not_finite(INFINITY, backward);
        check_not_finite(3.4e38f, backward); /* rounds to infinity */
    }
}

static void test_the_environment_chooses(void **state) {
    const dot_engine emulated = kernel_explicit_vectors(context) ? DOT_EMULATED : DOT_NONE;

    (void)state;
    assert_int_not_equal(context_dot(context), DOT_EMULATED);
    setenv("CLORA_BF16_DOT", "pairs", 1);
    fresh_context_again();
    assert_true(context_dot(context) == DOT_NONE || context_dot(context) == DOT_INSTRUCTION);
    setenv("CLORA_BF16_DOT", "emulate", 1);
    fresh_context_again();
    assert_int_equal(context_dot(context), emulated);
    setenv("CLORA_BF16_DOT", "off", 1);
    fresh_context_again();
    assert_int_equal(context_dot(context), DOT_NONE);
    setenv("CLORA_BF16_DOT", "maybe", 1);
    clora_context *none;
    assert_int_equal(clora_context_create(&none, NULL), CLORA_ERROR_ARGUMENT);
    assert_non_null(strstr(clora_last_error(), "CLORA_BF16_DOT is 'maybe': take on, pairs, off or emulate"));
    unsetenv("CLORA_BF16_DOT");
}

#define test(f) cmocka_unit_test_setup_teardown(f, fresh_context_setup, fresh_context_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(test_inputs_are_rounded_to_the_nearest_ties_to_even),
        test(test_what_is_not_finite_shows),
        test(test_the_environment_chooses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
