#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "ref/ref.h"
#include "support/assert.h"
#include "support/cases.h"
#include "support/optimise.h"
#include "support/sample.h"
#include "support/scratch.h"

/* Both families of kernels on one device: the one of CPUs and the one of GPUs. */
static clora_context *contexts[2];
static const gemm_path paths[2] = {GEMM_PANEL, GEMM_TILE};
static gemm_path usual;

/* As in test_ops the optimiser sees the kernels of a third of the cases, unless the environment says of which. */
static test_sample sample;
static bool draws;

static void draw_optimiser(void) {
    if (draws)
        optimise(sample_takes(&sample, 3));
}

enum { WIDTH = 37 };

static clora_tensor *floats(clora_context *context, int rows, int cols, const float *values) {
    clora_tensor *t = NULL;

    assert_ok(tensor_new(&t, context, CLORA_DTYPE_F32, rows, cols));
    assert_ok(clora_tensor_write(t, values));
    return t;
}

static clora_tensor *integers(clora_context *context, int n, const int32_t *values) {
    clora_tensor *t = NULL;

    assert_ok(tensor_new(&t, context, CLORA_DTYPE_I32, n, 1));
    assert_ok(clora_tensor_write(t, values));
    return t;
}

/* Interpreters are slow: under one, only shapes of few products. */
static bool skipped(const op_case *op, const op_shape *shape) {
    return getenv("CLORA_TEST_SMALL") && op->flops(shape) > 1e5;
}

/* The device's own family is checked by tests/test_ops.c, but not under an interpreter. */
static bool is_checked_here(const clora_context *context) {
    return context->gemm != usual || getenv("CLORA_TEST_SMALL");
}

static void check_cases(const op_case *cases) {
    for (size_t c = 0; c < 2; c++) {
        const case_way way = {.path = c == 0 ? "panel" : "tile"}; /* as contexts[c] is */
        for (const op_case *op = cases; op->name && is_checked_here(contexts[c]); op++) {
            draw_optimiser();
            for (size_t i = 0; i < op->shapes_count; i++)
                if (!skipped(op, &op->shapes[i]))
                    check_case(contexts[c], op, &op->shapes[i], &way);
        }
    }
}

static void test_either_family_matches_the_reference(void **state) {
    (void)state;
    check_cases(cases_nn);
    check_cases(cases_gpt2);
    check_cases(cases_rmsnorm);
    check_cases(cases_optimizer);
}

static void test_either_family_of_attention_matches_the_reference(void **state) {
    (void)state;
    check_cases(cases_attention);
    check_cases(cases_past);
}

/* Each group needs local memory of its own: with many rows, groups run on all cores at once. */
static void test_rows_that_run_side_by_side_do_not_meet(void **state) {
    enum { M = 4000, V = 97, TIMES = 5 };
    static float logits[M * V], nll[M], hit[M], expected_nll[M], expected_hit[M];
    static int32_t targets[M];

    (void)state;
    if (getenv("CLORA_TEST_SMALL"))
        skip();
    for (int i = 0; i < M * V; i++)
        logits[i] = rng_normal(5, 1, (uint64_t)i) * 4.0f;
    for (int m = 0; m < M; m++)
        targets[m] = m * 31 % V;
    for (int m = 0; m < M; m += 2)
        logits[m * V + targets[m]] = 40.0f;
    ref_cross_entropy(expected_nll, expected_hit, logits, targets, NULL, 0.0f, M, V, false);
    for (size_t c = 0; c < 2; c++) {
        clora_tensor *x = floats(contexts[c], M, V, logits), *to = integers(contexts[c], M, targets);
        clora_tensor *loss = floats(contexts[c], M, 1, nll), *found = floats(contexts[c], M, 1, hit);
        for (int i = 0; i < TIMES; i++) {
            assert_ok(op_cross_entropy(loss, found, x, to, NULL, 0.0f, false));
            assert_ok(clora_tensor_read(loss, nll));
            assert_ok(clora_tensor_read(found, hit));
            assert_close(nll, expected_nll, M, 1e-5, 1e-5);
            assert_close(hit, expected_hit, M, 0, 0);
        }
        clora_tensor_free(x);
        clora_tensor_free(to);
        clora_tensor_free(loss);
        clora_tensor_free(found);
    }
}

static void test_rows_of_weight_one_are_rows_without_weights(void **state) {
    enum { M = 5, V = 97 };
    const int32_t targets[M] = {96, -1, 0, 16, 3};
    const float ones[M] = {1.0f, 1.0f, 1.0f, 1.0f, 1.0f};
    float logits[M * V], nll[2][M], hit[M], gradient[2][M * V];

    (void)state;
    case_fill(logits, M * V, 3);
    for (size_t c = 0; c < 2; c++) {
        clora_tensor *to = integers(contexts[c], M, targets), *weights = floats(contexts[c], M, 1, ones);
        clora_tensor *loss = floats(contexts[c], M, 1, ones), *found = floats(contexts[c], M, 1, ones);
        for (int i = 0; i < 2; i++) {
            clora_tensor *x = floats(contexts[c], M, V, logits);
            assert_ok(op_cross_entropy(loss, found, x, to, i ? weights : NULL, 0.0f, true));
            assert_ok(clora_tensor_read(loss, nll[i]));
            assert_ok(clora_tensor_read(found, hit));
            assert_ok(clora_tensor_read(x, gradient[i]));
            clora_tensor_free(x);
        }
        assert_memory_equal(nll[0], nll[1], sizeof(nll[0]));
        assert_memory_equal(gradient[0], gradient[1], sizeof(gradient[0]));
        for (clora_tensor **t = (clora_tensor *[]){to, weights, loss, found, NULL}; *t; t++)
            clora_tensor_free(*t);
    }
}

static void test_dropout_masks_are_the_bits_of_the_host_generator(void **state) {
    enum { ROWS = 5 };
    const uint64_t seeds[] = {0, 1, 0xfedcba9876543210u};
    float ones[ROWS * WIDTH], out[ROWS * WIDTH];

    (void)state;
    for (int i = 0; i < ROWS * WIDTH; i++)
        ones[i] = 1.0f;
    for (size_t c = 0; c < 2; c++)
        for (size_t s = 0; s < sizeof(seeds) / sizeof(seeds[0]); s++) {
            clora_tensor *x = floats(contexts[c], ROWS, WIDTH, ones), *y = floats(contexts[c], ROWS, WIDTH, ones);
            assert_ok(op_dropout(y, x, 0.5f, seeds[s], (uint32_t)s + 9));
            assert_ok(clora_tensor_read(y, out));
            for (size_t i = 0; i < ROWS * WIDTH; i++)
                assert_true(out[i] == (rng_uniform(seeds[s], (uint32_t)s + 9, i) >= 0.5f ? 2.0f : 0.0f));
            clora_tensor_free(x);
            clora_tensor_free(y);
        }
}

static void test_dropout_refuses_a_probability_outside_zero_to_one(void **state) {
    const float one = 1.0f;
    clora_tensor *x = floats(contexts[0], 1, 1, &one);

    (void)state;
    assert_int_equal(op_dropout(x, x, 1.0f, 0, 0), CLORA_ERROR_ARGUMENT);
    assert_int_equal(op_dropout(x, x, -0.1f, 0, 0), CLORA_ERROR_ARGUMENT);
    assert_int_equal(op_dropout(x, x, NAN, 0, 0), CLORA_ERROR_ARGUMENT);
    clora_tensor_free(x);
}

/* nll of one row of WIDTH logits, of which one is replaced */
static float loss_with(clora_context *context, int at, float value, int32_t target, float *gradient) {
    float row[WIDTH], out[2];

    for (int i = 0; i < WIDTH; i++)
        row[i] = (float)(i % 5);
    row[at] = value;
    clora_tensor *logits = floats(context, 1, WIDTH, row), *results = floats(context, 1, 2, row);
    clora_tensor *targets = integers(context, 1, &target);
    clora_tensor nll = tensor_slice(results, 0, 1, 1), hit = tensor_slice(results, 1, 1, 1);
    assert_ok(op_cross_entropy(&nll, &hit, logits, targets, NULL, 0.0f, true));
    assert_ok(clora_tensor_read(results, out));
    assert_ok(clora_tensor_read(logits, row));
    *gradient = row[0];
    clora_tensor_free(logits);
    clora_tensor_free(results);
    clora_tensor_free(targets);
    return out[0];
}

static void test_a_logit_that_is_not_finite_shows_in_loss_and_gradient(void **state) {
    const float odd[] = {NAN, INFINITY, -INFINITY};
    const int places[] = {0, 17, WIDTH - 1};
    float gradient;

    (void)state;
    for (size_t c = 0; c < 2; c++) {
        for (size_t i = 0; i < 3; i++)
            for (size_t p = 0; p < 3; p++) {
                assert_false(isfinite(loss_with(contexts[c], places[p], odd[i], 17, &gradient)));
                assert_false(isfinite(gradient));
            }
        assert_true(isfinite(loss_with(contexts[c], 0, 1.0f, 17, &gradient)));
        assert_true(isfinite(gradient));
    }
}

static void test_a_target_outside_the_vocabulary_shows_in_the_loss(void **state) {
    float gradient;

    (void)state;
    for (size_t c = 0; c < 2; c++)
        assert_true(isnan(loss_with(contexts[c], 0, 1.0f, WIDTH, &gradient)));
}

static void test_logits_far_apart_neither_overflow_nor_lose_the_target(void **state) {
    float gradient;

    (void)state;
    for (size_t c = 0; c < 2; c++) {
        assert_true(fabsf(loss_with(contexts[c], 3, 3e4f, 3, &gradient)) == 0.0f);
        assert_true(fabsf(loss_with(contexts[c], 3, 3e4f, 0, &gradient) - 3e4f) < 0.01f);
        assert_true(gradient == -1.0f);
    }
}

static void test_the_norm_of_gradients_that_overflow_stops_the_update(void **state) {
    const float sums[] = {1.0f, INFINITY};
    float scale[2];

    (void)state;
    for (size_t c = 0; c < 2; c++) {
        clora_tensor *s = floats(contexts[c], 1, 2, sums), *out = floats(contexts[c], 1, 2, sums);
        assert_ok(op_clip_scale(out, s, 2, 1.0f, 1.0f));
        assert_ok(clora_tensor_read(out, scale));
        assert_true(isnan(scale[0]));
        assert_false(isfinite(scale[1]));
        clora_tensor_free(s);
        clora_tensor_free(out);
    }
}

/* Attention of T = 3 queries on S = 5 keys of one head of 4, of which row `unseen` of k and v is a NaN. */
static void attend(clora_context *context, float *y, int unseen, const int32_t *first) {
    enum { T = 3, S = 5, D = 4 };
    const attention_shape shape = {.B = 1, .T = T, .S = S, .H = 1, .G = 1, .D = D};
    float values[S * D], lse[T];

    case_fill(values, S * D, 3);
    clora_tensor *q = floats(context, T, D, values), *out = floats(context, T, D, values),
                 *sums = floats(context, T, 1, values);
    for (int d = 0; d < D && unseen >= 0; d++)
        values[unseen * D + d] = NAN;
    clora_tensor *k = floats(context, S, D, values), *v = floats(context, S, D, values);
    clora_tensor *past = integers(context, 1, (const int32_t[]){1}), *from = integers(context, T, first);
    assert_ok(op_attention(out, sums, q, k, v, past, from, NULL, shape));
    assert_ok(clora_tensor_read(out, y));
    assert_ok(clora_tensor_read(sums, lse));
    for (clora_tensor **t = (clora_tensor *[]){q, out, sums, k, v, past, from, NULL}; *t; t++)
        clora_tensor_free(*t);
}

static void test_attention_reads_no_key_behind_the_last_query(void **state) {
    const int32_t first[] = {0, 0, 0};
    float y[12];

    (void)state;
    for (size_t c = 0; c < 2; c++) {
        attend(contexts[c], y, 4, first); /* past 1 and 3 queries: keys 0..3 */
        for (int i = 0; i < 12; i++)
            assert_true(isfinite(y[i]));
    }
}

static void test_a_key_that_is_not_a_number_shows_in_attention(void **state) {
    const int32_t first[] = {0, 0, 0};
    float y[12];

    (void)state;
    for (size_t c = 0; c < 2; c++) {
        attend(contexts[c], y, 0, first);
        for (int i = 0; i < 12; i++)
            assert_true(isnan(y[i]));
    }
}

static void test_a_query_that_sees_no_key_gives_zeros(void **state) {
    const int32_t first[] = {0, 3, 0};
    float y[12];

    (void)state;
    for (size_t c = 0; c < 2; c++) {
        attend(contexts[c], y, -1, first); /* query 1 stands at 2 */
        for (int d = 0; d < 4; d++) {
            assert_true(y[4 + d] == 0.0f);
            assert_true(isfinite(y[d]) && isfinite(y[8 + d]));
        }
    }
}

static void test_shapes_that_do_not_fit_are_refused(void **state) {
    const float zeros[24] = {0};
    clora_tensor *a = floats(contexts[0], 2, 6, zeros), *b = floats(contexts[0], 3, 4, zeros);

    (void)state;
    assert_int_equal(op_rmsnorm(a, NULL, b, b, 1e-5f, false), CLORA_ERROR_SHAPE);
    assert_int_equal(op_rope(a, b, b, 2, false), CLORA_ERROR_SHAPE);
    assert_int_equal(op_swiglu(a, b, false), CLORA_ERROR_SHAPE);
    assert_int_equal(op_swiglu_backward(a, NULL, a, b, false), CLORA_ERROR_SHAPE);
    assert_int_equal(op_cross_entropy(a, a, b, a, NULL, 0.0f, false), CLORA_ERROR_SHAPE);
    assert_int_equal(op_dropout(a, b, 0.1f, 0, 0), CLORA_ERROR_SHAPE);
    assert_int_equal(op_add(a, b), CLORA_ERROR_SHAPE);
    assert_int_equal(op_sum_squares(a, 0, a, b), CLORA_ERROR_SHAPE);
    assert_int_equal(op_rope_store(a, b, a, a, a, (attention_shape){.B = 1, .T = 2, .S = 3, .H = 1, .G = 1, .D = 2}),
                     CLORA_ERROR_SHAPE);
    assert_int_equal(
        op_attention(a, NULL, a, b, b, a, a, NULL, (attention_shape){.B = 1, .T = 2, .S = 3, .H = 3, .G = 2, .D = 2}),
        CLORA_ERROR_SHAPE);
    assert_int_equal(op_attention(a, NULL, a, b, b, a, a, NULL,
                                  (attention_shape){.B = 1, .T = 2, .S = 3, .H = 3, .G = 2, .D = 2, .prefix = 3}),
                     CLORA_ERROR_SHAPE);
    assert_int_equal(op_past_join(a, b, NULL, 1), CLORA_ERROR_SHAPE);
    assert_int_equal(op_past_split(NULL, a, b, 1, 2), CLORA_ERROR_SHAPE);
    assert_int_equal(op_past_embed(a, b, a, 0), CLORA_ERROR_SHAPE);
    assert_int_equal(op_past_embed_backward(a, b, a, 0), CLORA_ERROR_SHAPE);
    clora_tensor_free(a);
    clora_tensor_free(b);
}

static int create_contexts(void **state) {
    (void)state;
    for (size_t c = 0; c < 2; c++) {
        if (clora_context_create(&contexts[c], NULL) != CLORA_OK)
            return -1;
        usual = contexts[c]->gemm;
        contexts[c]->gemm = paths[c];
    }
    return 0;
}

static int free_contexts(void **state) {
    (void)state;
    clora_context_free(contexts[0]);
    clora_context_free(contexts[1]);
    return 0;
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_either_family_matches_the_reference),
        cmocka_unit_test(test_either_family_of_attention_matches_the_reference),
        cmocka_unit_test(test_rows_that_run_side_by_side_do_not_meet),
        cmocka_unit_test(test_rows_of_weight_one_are_rows_without_weights),
        cmocka_unit_test(test_dropout_masks_are_the_bits_of_the_host_generator),
        cmocka_unit_test(test_dropout_refuses_a_probability_outside_zero_to_one),
        cmocka_unit_test(test_a_logit_that_is_not_finite_shows_in_loss_and_gradient),
        cmocka_unit_test(test_a_target_outside_the_vocabulary_shows_in_the_loss),
        cmocka_unit_test(test_logits_far_apart_neither_overflow_nor_lose_the_target),
        cmocka_unit_test(test_the_norm_of_gradients_that_overflow_stops_the_update),
        cmocka_unit_test(test_attention_reads_no_key_behind_the_last_query),
        cmocka_unit_test(test_a_key_that_is_not_a_number_shows_in_attention),
        cmocka_unit_test(test_a_query_that_sees_no_key_gives_zeros),
        cmocka_unit_test(test_shapes_that_do_not_fit_are_refused),
    };
    if (argc > 1)
        return cases_main(argc, argv);
    draws = !getenv("POCL_EXTRA_BUILD_FLAGS");
    sample_begin(&sample);
    return cmocka_run_group_tests(tests, create_contexts, free_contexts);
}
