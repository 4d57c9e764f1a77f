#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <clora/lowrank.h>

#include "cases/case.h"
#include "support/assert.h"
#include "support/scratch.h"

enum { M = 3, N = 5, K = 7, R = 2, BOTH = R * K + N * R };
static clora_context *context;
static clora_tensor *x, *u, *dy;
static clora_adamw_options fast = CLORA_ADAMW_OPTIONS_INIT;

/* A term with its numbers, A before B. */
typedef struct term {
    clora_weight *weight;
    clora_lowrank *lowrank;
    float g[BOTH], p[BOTH], m[BOTH], v[BOTH];
} term;

static void read_term(term *t) {
    assert_ok(clora_lowrank_read_gradients(t->lowrank, t->g, t->g + R * K));
    assert_ok(clora_lowrank_read(t->lowrank, t->p, t->p + R * K));
    assert_ok(clora_lowrank_read_moment(t->lowrank, CLORA_MOMENT_FIRST, t->m, t->m + R * K));
    assert_ok(clora_lowrank_read_moment(t->lowrank, CLORA_MOMENT_SECOND, t->v, t->v + R * K));
}

/* The gradients of one backward pass more. */
static void accumulate(term *t, unsigned seed) {
    float values[M * K > M * N ? M * K : M * N];

    case_fill(values, M * K, seed);
    assert_ok(clora_tensor_write(x, values));
    case_fill(values, M * R, seed + 1);
    assert_ok(clora_tensor_write(u, values));
    case_fill(values, M * N, seed + 2);
    assert_ok(clora_tensor_write(dy, values));
    assert_ok(clora_lowrank_backward(NULL, t->lowrank, dy, x, u, t->weight));
    read_term(t);
}

static void make_term(term *t, unsigned seed) {
    float w[N * K], b[N * R];

    case_fill(w, N * K, seed);
    case_fill(b, N * R, seed + 1);
    assert_ok(clora_weight_create(&t->weight, context, CLORA_STORAGE_F32, N, K));
    assert_ok(clora_weight_write(t->weight, w, CLORA_DTYPE_F32));
    assert_ok(clora_lowrank_create(&t->lowrank, t->weight, R, 0.5f, seed));
    assert_ok(clora_lowrank_write(t->lowrank, NULL, b));
    accumulate(t, seed);
}

static void free_term(term *t) {
    clora_lowrank_free(t->lowrank);
    clora_weight_free(t->weight);
}

static void test_an_update_is_adamw_with_the_given_numbers(void **state) {
    (void)state;
    clora_adamw_options o = CLORA_ADAMW_OPTIONS_INIT;
    double p[BOTH], m[BOTH] = {0}, v[BOTH] = {0};
    term t;

    o.lr = 0.02f;
    o.weight_decay = 0.1f;
    o.beta1 = 0.7f;
    o.beta2 = 0.8f;
    o.eps = 1e-3f;
    make_term(&t, 1);
    for (int i = 0; i < BOTH; i++)
        p[i] = (double)t.p[i];
    for (int step = 1; step <= 3; step++) {
        accumulate(&t, 10 * (unsigned)step);
        for (int i = 0; i < BOTH; i++) {
            const double g = (double)t.g[i], beta1 = (double)o.beta1, beta2 = (double)o.beta2;
            m[i] = beta1 * m[i] + (1.0 - beta1) * g;
            v[i] = beta2 * v[i] + (1.0 - beta2) * g * g;
            p[i] -= (double)o.lr * ((double)o.weight_decay * p[i] +
                                    m[i] / (1.0 - pow(beta1, step)) / (sqrt(v[i] / (1.0 - pow(beta2, step))) + 1e-3));
        }
        assert_ok(clora_lowrank_update(t.lowrank, step, &o));
        read_term(&t);
        assert_close_to_doubles(t.p, p, BOTH, 1e-6);
        assert_close_to_doubles(t.m, m, BOTH, 1e-6);
        assert_close_to_doubles(t.v, v, BOTH, 1e-6);
        assert_true(t.g[0] == 0.0f && t.g[BOTH - 1] == 0.0f);
    }
    free_term(&t);
}

static void test_moments_that_are_written_back_go_on_with_the_same_bits(void **state) {
    (void)state;
    term first, later;

    make_term(&first, 1);
    assert_ok(clora_lowrank_update(first.lowrank, 1, &fast));
    read_term(&first);
    make_term(&later, 1);
    assert_ok(clora_lowrank_write(later.lowrank, first.p, first.p + R * K));
    assert_ok(clora_lowrank_write_moment(later.lowrank, CLORA_MOMENT_FIRST, first.m, first.m + R * K));
    assert_ok(clora_lowrank_write_moment(later.lowrank, CLORA_MOMENT_SECOND, first.v, first.v + R * K));
    assert_ok(clora_lowrank_zero_gradients(later.lowrank));
    accumulate(&first, 5);
    accumulate(&later, 5);
    assert_ok(clora_lowrank_update(first.lowrank, 2, &fast));
    assert_ok(clora_lowrank_update(later.lowrank, 2, &fast));
    read_term(&first);
    read_term(&later);
    assert_memory_equal(later.p, first.p, sizeof(first.p));
    free_term(&first);
    free_term(&later);
}

/* ---- One norm of several terms ---- */

static double squares(const float *g) {
    double sum = 0.0;

    for (int i = 0; i < BOTH; i++)
        sum += (double)g[i] * (double)g[i];
    return sum;
}

/* The first moment after a first update tells which gradients it took: (1 - 0.9) g. */
static void assert_took(term *t, const float *g, double factor) {
    double m[BOTH];

    for (int i = 0; i < BOTH; i++)
        m[i] = (1.0 - (double)0.9f) * factor * (double)g[i];
    read_term(t);
    assert_close_to_doubles(t->m, m, BOTH, 1e-6);
}

static void test_several_terms_are_clipped_by_one_norm(void **state) {
    (void)state;
    static const float zeros[BOTH];
    float g[2][BOTH], norm = 0.0f;
    clora_lowrank *all[2];
    term t[2];

    for (int i = 0; i < 2; i++) {
        make_term(&t[i], (unsigned)i + 1);
        all[i] = t[i].lowrank;
        memcpy(g[i], t[i].g, sizeof(g[i]));
    }
    const double expected = sqrt(squares(g[0]) + squares(g[1])), factor = 0.25 / (expected + 1e-6);
    assert_ok(clora_lowrank_clip(&norm, all, 2, 0.0f));
    assert_close_to_doubles(&norm, &expected, 1, 1e-6);
    assert_ok(clora_lowrank_clip(NULL, all, 2, 0.25f)); /* the last one counts */
    read_term(&t[0]);
    assert_memory_equal(t[0].g, g[0], sizeof(g[0]));
    for (int i = 0; i < 2; i++) {
        assert_ok(clora_lowrank_update(all[i], 1, &fast));
        assert_took(&t[i], g[i], factor);
    }
    for (int i = 0; i < 2; i++) { /* and for one update */
        assert_ok(clora_lowrank_write_moment(all[i], CLORA_MOMENT_FIRST, zeros, zeros));
        accumulate(&t[i], 8);
        memcpy(g[i], t[i].g, sizeof(g[i]));
        assert_ok(clora_lowrank_update(all[i], 2, &fast));
        assert_took(&t[i], g[i], 1.0);
        free_term(&t[i]);
    }
}

static void test_clipping_is_forgotten_with_the_gradients(void **state) {
    (void)state;
    term t;

    make_term(&t, 1);
    assert_ok(clora_lowrank_clip(NULL, &t.lowrank, 1, 1e-3f));
    assert_ok(clora_lowrank_zero_gradients(t.lowrank));
    accumulate(&t, 2);
    float g[BOTH];
    memcpy(g, t.g, sizeof(g));
    assert_ok(clora_lowrank_update(t.lowrank, 1, &fast));
    assert_took(&t, g, 1.0);
    free_term(&t);
}

static void test_an_update_by_a_norm_that_is_not_finite_changes_nothing(void **state) {
    (void)state;
    float before[BOTH], huge[M * N], norm = 0.0f;
    term t;

    make_term(&t, 1);
    memcpy(before, t.p, sizeof(before));
    case_fill(huge, M * N, 1);
    for (int i = 0; i < M * N; i++)
        huge[i] *= 1e38f;
    assert_ok(clora_tensor_write(dy, huge));
    assert_ok(clora_lowrank_backward(NULL, t.lowrank, dy, x, u, t.weight));
    assert_ok(clora_lowrank_clip(&norm, &t.lowrank, 1, 1.0f));
    assert_false(isfinite(norm));
    assert_ok(clora_lowrank_update(t.lowrank, 1, &fast));
    read_term(&t);
    assert_memory_equal(t.p, before, sizeof(before));
    assert_true(t.g[0] == 0.0f && t.m[0] == 0.0f);
    free_term(&t);
}

static void test_numbers_that_make_no_sense_are_refused(void **state) {
    (void)state;
    static const float below[BOTH] = {-1.0f};
    const clora_adamw_options good = CLORA_ADAMW_OPTIONS_INIT;
    clora_lowrank *both[2] = {NULL, NULL};
    clora_adamw_options bad[4];
    float norm;
    term t;

    make_term(&t, 1);
    both[0] = t.lowrank;
    for (int i = 0; i < 4; i++)
        bad[i] = good;
    bad[0].beta1 = 1.0f;
    bad[1].beta2 = NAN;
    bad[2].eps = 0.0f;
    bad[3].lr = -1.0f;
    for (int i = 0; i < 4; i++)
        assert_refused(clora_lowrank_update(t.lowrank, 1, &bad[i]), CLORA_ERROR_ARGUMENT, i < 3 ? "betas" : "rate");
    assert_refused(clora_lowrank_update(t.lowrank, 0, NULL), CLORA_ERROR_ARGUMENT, "the first is 1");
    assert_refused(clora_lowrank_clip(&norm, both, 2, 1.0f), CLORA_ERROR_ARGUMENT, "term 2 of 2 is NULL");
    assert_refused(clora_lowrank_clip(&norm, both, 0, 1.0f), CLORA_ERROR_ARGUMENT, "one or more");
    assert_refused(clora_lowrank_clip(&norm, both, 1, NAN), CLORA_ERROR_ARGUMENT, "largest norm");
    assert_refused(clora_lowrank_write_moment(t.lowrank, CLORA_MOMENT_SECOND, below, NULL), CLORA_ERROR_ARGUMENT,
                   "mean of squares");
    assert_refused(clora_lowrank_read_moment(t.lowrank, (clora_moment)2, NULL, NULL), CLORA_ERROR_ARGUMENT,
                   "no moment with number 2");
    free_term(&t);
}

static int setup(void **state) {
    (void)state;
    fast.lr = 0.1f;
    assert_ok(clora_tensor_create(&x, context, CLORA_DTYPE_F32, 2, (const int[]){M, K}));
    assert_ok(clora_tensor_create(&u, context, CLORA_DTYPE_F32, 2, (const int[]){M, R}));
    assert_ok(clora_tensor_create(&dy, context, CLORA_DTYPE_F32, 2, (const int[]){M, N}));
    return 0;
}

static int teardown(void **state) {
    (void)state;
    clora_tensor_free(x);
    clora_tensor_free(u);
    clora_tensor_free(dy);
    clora_context_free(context);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_update_is_adamw_with_the_given_numbers),
        cmocka_unit_test(test_moments_that_are_written_back_go_on_with_the_same_bits),
        cmocka_unit_test(test_several_terms_are_clipped_by_one_norm),
        cmocka_unit_test(test_clipping_is_forgotten_with_the_gradients),
        cmocka_unit_test(test_an_update_by_a_norm_that_is_not_finite_changes_nothing),
        cmocka_unit_test(test_numbers_that_make_no_sense_are_refused),
    };

    if (clora_context_create(&context, NULL) != CLORA_OK) {
        print_message("skipped: %s\n", clora_last_error());
        return 77; /* Meson: skipped */
    }
    return cmocka_run_group_tests(tests, setup, teardown);
}
