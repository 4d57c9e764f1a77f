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

/*
 * Every gradient of the reference against finite differences of its forward (support/slopes.h); attention's and those
 * of what stands before a sequence are in test_ref_attention.c, those of rmsnorm in test_ref_norm.c.
 */

/* ---- products ---- */

enum { M = 3, N = 5, K = 4, R = 2 };
static float x[M * K], w[N * K], bias[N], residual[M * N], a[R * K], b[N * R];
static const float lora_scale = 1.5f;

static void fill_products(void) {
    fill(x, M * K, 2);
    fill(w, N * K, 3);
    fill(bias, N, 4);
    fill(residual, M * N, 5);
    fill(a, R * K, 6);
    fill(b, N * R, 7);
}

/* y = residual + x W0^T + bias + s (x A^T) B^T */
static double adapted_loss(void) {
    float y[M * N], u[M * R];

    ref_matmul(y, x, w, residual, bias, M, N, K);
    ref_lowrank_down(u, R, x, a, lora_scale, M, K, R);
    ref_lowrank_up(y, N, u, R, b, M, N, R);
    return weighted(y, M * N);
}

static void test_matmul_is_the_sum_it_says(void **state) {
    float y[M * N];

    (void)state;
    fill_products();
    ref_matmul(y, x, w, residual, bias, M, N, K);
    for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++) {
            double sum = (double)residual[m * N + n] + (double)bias[n];
            for (int k = 0; k < K; k++)
                sum += (double)x[m * K + k] * (double)w[n * K + k];
            assert_true(fabs(sum - (double)y[m * N + n]) < 1e-6);
        }
}

static void test_gradients_of_an_adapted_product_are_its_slopes(void **state) {
    float dy[M * N], du[M * R], u[M * R], dx[M * K], da[R * K] = {0}, db[N * R] = {0};

    (void)state;
    fill_products();
    weights(dy, M * N);
    ref_lowrank_down(u, R, x, a, lora_scale, M, K, R);
    ref_lowrank_down_grad(du, R, dy, N, b, lora_scale, M, N, R);
    ref_matmul_dx(dx, dy, w, false, M, N, K);
    ref_lowrank_dx(dx, du, R, a, M, K, R);
    ref_lowrank_grad_a(da, du, R, x, M, K, R);
    ref_lowrank_grad_b(db, dy, N, u, R, M, N, R);
    assert_gradient(adapted_loss, x, dx, M * K);
    assert_gradient(adapted_loss, a, da, R * K);
    assert_gradient(adapted_loss, b, db, N * R);
}

/* ---- DoRA: y = residual + bias + g (x W0^T + s (x A^T) B^T), g = m / norms, which are constant ---- */

static float magnitude[N], inverse[N], scaled[M * N];

static void scale_by_magnitude(float *y) {
    float u[M * R], g[N];

    ref_matmul(scaled, x, w, NULL, NULL, M, N, K);
    ref_lowrank_down(u, R, x, a, lora_scale, M, K, R);
    ref_lowrank_up(scaled, N, u, R, b, M, N, R);
    for (int n = 0; n < N; n++)
        g[n] = magnitude[n] * inverse[n];
    ref_scale_columns(y, scaled, residual, bias, g, M, N);
}

static double scaled_loss(void) {
    float y[M * N];

    scale_by_magnitude(y);
    return weighted(y, M * N);
}

static void test_gradients_of_magnitudes_and_of_what_they_scale_are_slopes(void **state) {
    float y[M * N], dy[M * N], dz[M * N], g[N], dx[M * K], du[M * R], dm[N] = {0}, dbias[N] = {0}, ones[N];

    (void)state;
    fill_products();
    fill(magnitude, N, 22);
    ref_lowrank_norms(inverse, w, a, b, lora_scale, N, K, R);
    for (int n = 0; n < N; n++) {
        inverse[n] = 1.0f / inverse[n];
        g[n] = magnitude[n] * inverse[n];
        ones[n] = 1.0f;
    }
    weights(dy, M * N);
    scale_by_magnitude(y);
    ref_column_dots(dm, dy, scaled, inverse, M, N);
    ref_column_dots(dbias, dy, NULL, ones, M, N);
    ref_scale_columns(dz, dy, NULL, NULL, g, M, N);
    ref_matmul_dx(dx, dz, w, false, M, N, K);
    ref_lowrank_down_grad(du, R, dz, N, b, lora_scale, M, N, R);
    ref_lowrank_dx(dx, du, R, a, M, K, R);
    assert_gradient(scaled_loss, magnitude, dm, N);
    assert_gradient(scaled_loss, bias, dbias, N);
    assert_gradient(scaled_loss, x, dx, M * K);
}

static void test_norms_are_those_of_the_merged_rows(void **state) {
    float merged[N * K], norms[N];

    (void)state;
    fill_products();
    memcpy(merged, w, sizeof(merged));
    ref_lowrank_merge(merged, a, b, lora_scale, N, K, R);
    ref_lowrank_norms(norms, w, a, b, lora_scale, N, K, R);
    for (int n = 0; n < N; n++) {
        double squares = 0.0;
        for (int k = 0; k < K; k++)
            squares += (double)merged[n * K + k] * (double)merged[n * K + k];
        assert_true(fabs(sqrt(squares) - (double)norms[n]) < 1e-6);
    }
}

static void test_gradients_of_a_weight_and_its_bias_are_their_slopes_and_accumulate(void **state) {
    float dy[M * N], dw[N * K], dbias[N];

    (void)state;
    fill_products();
    weights(dy, M * N);
    fill(dw, N * K, 20);
    fill(dbias, N, 21);
    ref_matmul_dw(dw, dy, x, M, N, K);
    ref_matmul_dbias(dbias, dy, M, N);
    for (int i = 0; i < N * K; i++)
        dw[i] -= 2.0f * rng_uniform(20, 0, (uint64_t)i) - 1.0f;
    for (int i = 0; i < N; i++)
        dbias[i] -= 2.0f * rng_uniform(21, 0, (uint64_t)i) - 1.0f;
    assert_gradient(adapted_loss, w, dw, N * K);
    assert_gradient(adapted_loss, bias, dbias, N);
}

static void test_gradients_of_factors_accumulate(void **state) {
    float dy[M * N], du[M * R], u[M * R], da[R * K] = {0}, db[N * R] = {0}, twice_a[R * K] = {0}, twice_b[N * R] = {0};

    (void)state;
    fill_products();
    weights(dy, M * N);
    fill(du, M * R, 8);
    fill(u, M * R, 9);
    ref_lowrank_grad_a(da, du, R, x, M, K, R);
    ref_lowrank_grad_b(db, dy, N, u, R, M, N, R);
    for (int i = 0; i < 2; i++) {
        ref_lowrank_grad_a(twice_a, du, R, x, M, K, R);
        ref_lowrank_grad_b(twice_b, dy, N, u, R, M, N, R);
    }
    for (int i = 0; i < R * K; i++)
        assert_true(fabsf(twice_a[i] - 2.0f * da[i]) < 1e-5f);
    for (int i = 0; i < N * R; i++)
        assert_true(fabsf(twice_b[i] - 2.0f * db[i]) < 1e-5f);
}

static void test_an_embedding_is_a_row_of_the_weight(void **state) {
    const int32_t ids[M] = {4, 0, 4};
    float y[M * K];

    (void)state;
    fill_products();
    ref_embedding(y, ids, w, 1.0f, M, N, K);
    for (int m = 0; m < M; m++)
        assert_memory_equal(y + m * K, w + ids[m] * K, K * sizeof(float));
}

static const int32_t looked_up[M] = {4, 0, 4};

static double embedding_loss(void) {
    float y[M * K];

    ref_embedding(y, looked_up, w, 2.5f, M, N, K);
    return weighted(y, M * K);
}

static void test_the_gradient_of_an_embedding_is_its_slope_and_accumulates(void **state) {
    float dy[M * K], dw[N * K];

    (void)state;
    fill_products();
    weights(dy, M * K);
    fill(dw, N * K, 22);
    ref_embedding_dw(dw, dy, looked_up, 2.5f, M, N, K);
    for (int i = 0; i < N * K; i++)
        dw[i] -= 2.0f * rng_uniform(22, 0, (uint64_t)i) - 1.0f;
    assert_gradient(embedding_loss, w, dw, N * K);
}

/* ---- rope, of whole heads and of their first columns ---- */

enum { HEADS = 2, HEAD = 6, ROPE = M * HEADS * HEAD, PLACES = 9 };
static float turned[ROPE], table[PLACES * HEAD];
static const int32_t places[M] = {8, 0, 3};
static int rotated;

static void fill_rope(int width) {
    rotated = width;
    fill(turned, ROPE, 12);
    for (int p = 0; p < PLACES; p++)
        for (int i = 0; i < width / 2; i++) {
            const double angle = p * pow(100.0, -2.0 * i / width);
            table[p * width + i] = (float)cos(angle);
            table[p * width + width / 2 + i] = (float)sin(angle);
        }
}

static double rope_loss(void) {
    float y[ROPE];

    memcpy(y, turned, sizeof(y));
    ref_rope(y, places, table, M, HEADS, HEAD, rotated, false);
    return weighted(y, ROPE);
}

static void test_the_gradient_of_rope_is_the_inverse_rotation(void **state) {
    float d[ROPE];

    (void)state;
    for (int width = HEAD; width > 0; width -= 2) {
        fill_rope(width);
        weights(d, ROPE);
        ref_rope(d, places, table, M, HEADS, HEAD, rotated, true);
        assert_gradient(rope_loss, turned, d, ROPE);
    }
}

static void test_rope_back_and_forth_changes_nothing(void **state) {
    float y[ROPE];

    (void)state;
    fill_rope(4);
    memcpy(y, turned, sizeof(y));
    ref_rope(y, places, table, M, HEADS, HEAD, rotated, false);
    for (int i = 0; i < HEADS * HEAD; i++) /* at position 8 */
        assert_int_equal(fabsf(y[i] - turned[i]) > 1e-6f, i % HEAD < 4);
    ref_rope(y, places, table, M, HEADS, HEAD, rotated, true);
    for (int i = 0; i < ROPE; i++)
        assert_true(fabsf(y[i] - turned[i]) < 1e-6f);
}

static void test_cache_rows_land_behind_the_past(void **state) {
    const int32_t before[2] = {1, 0};
    const float rows[4] = {1.0f, 2.0f, 3.0f, 4.0f}, expected[6] = {0.0f, 1.0f, 2.0f, 3.0f, 4.0f, 0.0f};
    float cache[6] = {0};

    (void)state;
    ref_cache_store(cache, rows, before, 2, 2, 3, 1);
    assert_memory_equal(cache, expected, sizeof(cache));
}

/* ---- activation ---- */

enum { F = 5 };
static float gu[M * 2 * F];

static bool gelu;

static double swiglu_loss(void) {
    float y[M * F];

    ref_swiglu(y, gu, gelu, M, F);
    return weighted(y, M * F);
}

static void test_the_gradient_of_swiglu_is_its_slope(void **state) {
    float dy[M * F], dgu[M * 2 * F];

    (void)state;
    fill(gu, M * 2 * F, 16);
    weights(dy, M * F);
    for (int i = 0; i < 2; i++) {
        gelu = i;
        ref_swiglu_backward(dgu, dy, gu, gelu, M, F);
        assert_gradient(swiglu_loss, gu, dgu, M * 2 * F);
        memcpy(dgu, gu, sizeof(gu));
        ref_swiglu_backward(dgu, dy, dgu, gelu, M, F); /* in place */
        assert_gradient(swiglu_loss, gu, dgu, M * 2 * F);
    }
}

/* As PyTorch's gelu(approximate="tanh") has it. */
static void test_gelu_is_the_formula_with_tanh(void **state) {
    const float gates[10] = {-4.0f, -1.0f, 0.0f, 0.5f, 3.0f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f};
    float y[5];

    (void)state;
    ref_swiglu(y, gates, true, 1, 5);
    for (int i = 0; i < 5; i++) {
        const double z = (double)gates[i];
        assert_true(fabs((double)y[i] - 0.5 * z * (1.0 + tanh(0.7978845608028654 * (z + 0.044715 * z * z * z)))) <
                    1e-6);
    }
}

static const float cap = 1.5f;

static double softcap_loss(void) {
    float y[M * F];

    ref_softcap(y, gu, cap, M, F);
    return weighted(y, M * F);
}

static void test_the_gradient_of_a_soft_cap_is_its_slope(void **state) {
    float dx[M * F];

    (void)state;
    fill(gu, M * F, 18);
    weights(dx, M * F);
    ref_softcap_backward(dx, gu, cap, M, F);
    assert_gradient(softcap_loss, gu, dx, M * F);
}

static void test_a_soft_cap_bends_what_comes_near_it(void **state) {
    float values[4] = {0.01f, 1.5f, -3.0f, 400.0f};
    static const float expected[4] = {0.00999985f, 1.14239123f, -1.44604134f, 1.5f};

    (void)state;
    ref_softcap(values, values, cap, 1, 4);
    for (int i = 0; i < 4; i++)
        assert_true(fabsf(values[i] - expected[i]) < 1e-6f);
}

/* ---- bottleneck ---- */

static float down[R * K], down_bias[R], up[K * (R + 1)];
static bool swish;

static double bottleneck_loss(void) {
    const ref_bottleneck_values values = {down, down_bias, up, swish};
    float y[M * K], z[M * R], act[M * (R + 1)];

    ref_bottleneck(y, z, act, x, x, &values, M, K, R);
    return weighted(y, M * K);
}

static void assert_bottleneck_gradients(void) {
    const ref_bottleneck_values values = {down, down_bias, up, swish};
    float y[M * K], z[M * R], act[M * (R + 1)], dy[M * K], dx[M * K], dz[M * R], da[M * (R + 1)];
    float d_down[R * K] = {0}, d_bias[R] = {0}, d_up[K * (R + 1)] = {0};
    const ref_bottleneck_gradients d = {d_down, d_bias, d_up};

    fill(x, M * K, 50);
    fill(down, R * K, 41);
    fill(down_bias, R, 42);
    fill(up, K * (R + 1), 43);
    weights(dy, M * K);
    ref_bottleneck(y, z, act, x, x, &values, M, K, R);
    ref_bottleneck_backward(dx, &d, dz, da, dy, dy, x, z, act, &values, M, K, R);
    assert_gradient(bottleneck_loss, x, dx, M * K);
    assert_gradient(bottleneck_loss, down, d_down, R * K);
    assert_gradient(bottleneck_loss, down_bias, d_bias, R);
    assert_gradient(bottleneck_loss, up, d_up, K * (R + 1));
}

static void test_gradients_of_a_bottleneck_are_its_slopes(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        swish = i != 0;
        assert_bottleneck_gradients();
    }
}

static void test_a_bottleneck_adds_its_bias_and_cuts_below_zero(void **state) {
    const float z[] = {-2.0f, 0.5f}, bias[] = {1.0f, 0.25f};
    float act[3];

    (void)state;
    ref_activate(act, z, bias, false, 1, 2);
    assert_true(act[0] == 0.0f && act[1] == 0.75f && act[2] == 1.0f);
    ref_activate(act, z, bias, true, 1, 2);
    assert_true(fabs((double)act[0] - -1.0 / (1.0 + exp(1.0))) < 1e-7);
}

/* ---- loss ---- */

enum { V = 7 };
static float logits[M * V];
static const int32_t targets[M] = {6, -1, 0};
static const float *row_weights; /* NULL: all 1 */
static float smoothing;          /* of the labels */

static double cross_entropy_loss(void) {
    float nll[M], hit[M];
    double sum = 0.0;

    ref_cross_entropy(nll, hit, logits, targets, row_weights, smoothing, M, V, false);
    for (int m = 0; m < M; m++)
        sum += (double)nll[m];
    return sum;
}

static void test_the_gradient_of_cross_entropy_is_its_slope(void **state) {
    float nll[M], hit[M], d[M * V];

    (void)state;
    fill(logits, M * V, 17);
    memcpy(d, logits, sizeof(d));
    ref_cross_entropy(nll, hit, d, targets, row_weights, smoothing, M, V, true);
    assert_gradient(cross_entropy_loss, logits, d, M * V);
    assert_true(nll[1] == 0.0f && hit[1] == 0.0f);
}

static void test_a_row_counts_as_often_as_its_weight_says(void **state) {
    static const float thrice[M] = {3.0f, 5.0f, 0.0f};
    float plain[M], nll[M], hit[M];

    test_the_gradient_of_cross_entropy_is_its_slope(state);
    ref_cross_entropy(plain, hit, logits, targets, NULL, 0.0f, M, V, false);
    row_weights = thrice;
    test_the_gradient_of_cross_entropy_is_its_slope(state);
    ref_cross_entropy(nll, hit, logits, targets, row_weights, smoothing, M, V, false);
    row_weights = NULL;
    assert_true(fabsf(nll[0] - 3.0f * plain[0]) < 1e-5f && nll[1] == 0.0f && nll[2] == 0.0f);
}

static void test_label_smoothing_shares_the_target_out(void **state) {
    const float s = 0.3f;
    double expected = 0.0;
    float nll[M], hit[M];

    smoothing = s;
    test_the_gradient_of_cross_entropy_is_its_slope(state);
    ref_cross_entropy(nll, hit, logits, targets, NULL, s, M, V, false);
    smoothing = 0.0f;
    for (int v = 0; v < V; v++) { /* the likelihood of every id, each as often as it counts */
        float each[M];
        ref_cross_entropy(each, hit, logits, &(int32_t){v}, NULL, 0.0f, 1, V, false);
        expected += (double)each[0] * ((v == targets[0] ? 1.0 - (double)s : 0.0) + (double)s / V);
    }
    assert_true(fabs((double)nll[0] - expected) < 1e-5 && nll[1] == 0.0f);
}

static void test_equal_logits_cost_the_logarithm_of_their_number(void **state) {
    float even[V] = {0}, nll, hit;
    const int32_t target = 3;

    (void)state;
    ref_cross_entropy(&nll, &hit, even, &target, NULL, 0.0f, 1, V, false);
    assert_true(fabs((double)nll - log((double)V)) < 1e-6);
}

static void test_the_lowest_of_equal_logits_is_the_hit(void **state) {
    float tie[V] = {0.0f, 2.0f, 1.0f, 2.0f}, nll, hit;

    (void)state;
    ref_cross_entropy(&nll, &hit, tie, &(int32_t){1}, NULL, 0.0f, 1, V, false);
    assert_true(hit == 1.0f);
    ref_cross_entropy(&nll, &hit, tie, &(int32_t){3}, NULL, 0.0f, 1, V, false);
    assert_true(hit == 0.0f);
}

/* ---- dropout ---- */

static void test_dropout_keeps_the_mean_and_adds_the_same_mask(void **state) {
    enum { MANY = 20000 };
    static float ones[MANY], y[MANY], sum[MANY];
    double total = 0.0;

    (void)state;
    for (int i = 0; i < MANY; i++)
        ones[i] = sum[i] = 1.0f;
    ref_dropout(y, ones, 0.3f, 5, 6, MANY);
    ref_dropout_add(sum, ones, 0.3f, 5, 6, MANY);
    for (int i = 0; i < MANY; i++) {
        assert_true(y[i] == 0.0f || fabsf(y[i] - 1.0f / 0.7f) < 1e-6f);
        assert_true(fabsf(sum[i] - 1.0f - y[i]) < 1e-6f);
        total += (double)y[i];
    }
    assert_true(fabs(total / MANY - 1.0) < 0.02);
}

/* ---- optimizer ---- */

static void test_what_dropout_leaves_out_and_what_it_keeps_are_all(void **state) {
    float kept[64], rest[64], all[64];

    (void)state;
    fill(all, 64, 23);
    ref_dropout(kept, all, 0.3f, 5, 6, 64);
    ref_dropout_rest(rest, all, 0.3f, 5, 6, 64);
    for (int i = 0; i < 64; i++)
        assert_true(fabsf(kept[i] + rest[i] - all[i]) < 1e-6f);
}

static void test_adamw_takes_the_steps_of_its_equation(void **state) {
    const ref_adamw_options options = {.lr = 0.1f, .beta1 = 0.5f, .beta2 = 0.75f, .eps = 0.0f, .weight_decay = 0.5f};
    const float gradient = 4.0f;
    float p = 1.0f, m = 0.0f, s = 0.0f;

    (void)state;
    ref_adamw_options first_step = options, second_step = options;
    first_step.step = 1;
    second_step.step = 2;
    /* the first step moves by lr against the gradient's sign, after the decay by lr * weight_decay */
    ref_adamw(&p, &m, &s, &gradient, 0.5f, first_step, 1);
    assert_true(fabsf(p - (0.95f - 0.1f)) < 1e-6f);
    assert_true(fabsf(m - 1.0f) < 1e-6f && fabsf(s - 1.0f) < 1e-6f);
    /* m = 1.5, corrected by 1 - 1/4: 2; v = 1.75, corrected by 1 - 9/16: 4 */
    ref_adamw(&p, &m, &s, &gradient, 0.5f, second_step, 1);
    assert_true(fabsf(p - (0.85f * 0.95f - 0.1f)) < 1e-6f);
}

static void test_adamw_does_nothing_without_a_scale(void **state) {
    const ref_adamw_options options = {0.1f, 0.9f, 0.999f, 1e-8f, 0.1f, 1};
    const float gradient = 1.0f;
    float p = 1.0f, m = 2.0f, s = 3.0f;

    (void)state;
    ref_adamw(&p, &m, &s, &gradient, NAN, options, 1);
    assert_true(p == 1.0f && m == 2.0f && s == 3.0f);
}

static void test_clipping_scales_to_the_wanted_norm(void **state) {
    const float sums[2] = {9.0f, 16.0f}, overflow = INFINITY;
    float scale[2];

    (void)state;
    ref_clip_scale(scale, sums, 2, 0.5f, 1.0f); /* norm 2.5 */
    assert_true(fabsf(scale[1] - 2.5f) < 1e-6f && fabsf(scale[0] - 0.2f) < 1e-6f);
    ref_clip_scale(scale, sums, 2, 0.5f, 3.0f);
    assert_true(scale[0] == 0.5f);
    ref_clip_scale(scale, sums, 2, 0.5f, 0.0f);
    assert_true(scale[0] == 0.5f);
    ref_clip_scale(scale, &overflow, 1, 0.5f, 0.0f);
    assert_true(isnan(scale[0]));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matmul_is_the_sum_it_says),
        cmocka_unit_test(test_gradients_of_an_adapted_product_are_its_slopes),
        cmocka_unit_test(test_gradients_of_a_weight_and_its_bias_are_their_slopes_and_accumulate),
        cmocka_unit_test(test_gradients_of_factors_accumulate),
        cmocka_unit_test(test_gradients_of_magnitudes_and_of_what_they_scale_are_slopes),
        cmocka_unit_test(test_norms_are_those_of_the_merged_rows),
        cmocka_unit_test(test_an_embedding_is_a_row_of_the_weight),
        cmocka_unit_test(test_the_gradient_of_an_embedding_is_its_slope_and_accumulates),
        cmocka_unit_test(test_the_gradient_of_rope_is_the_inverse_rotation),
        cmocka_unit_test(test_rope_back_and_forth_changes_nothing),
        cmocka_unit_test(test_cache_rows_land_behind_the_past),
        cmocka_unit_test(test_the_gradient_of_swiglu_is_its_slope),
        cmocka_unit_test(test_gelu_is_the_formula_with_tanh),
        cmocka_unit_test(test_the_gradient_of_a_soft_cap_is_its_slope),
        cmocka_unit_test(test_a_soft_cap_bends_what_comes_near_it),
        cmocka_unit_test(test_gradients_of_a_bottleneck_are_its_slopes),
        cmocka_unit_test(test_a_bottleneck_adds_its_bias_and_cuts_below_zero),
        cmocka_unit_test(test_the_gradient_of_cross_entropy_is_its_slope),
        cmocka_unit_test(test_a_row_counts_as_often_as_its_weight_says),
        cmocka_unit_test(test_label_smoothing_shares_the_target_out),
        cmocka_unit_test(test_equal_logits_cost_the_logarithm_of_their_number),
        cmocka_unit_test(test_the_lowest_of_equal_logits_is_the_hit),
        cmocka_unit_test(test_dropout_keeps_the_mean_and_adds_the_same_mask),
        cmocka_unit_test(test_what_dropout_leaves_out_and_what_it_keeps_are_all),
        cmocka_unit_test(test_adamw_takes_the_steps_of_its_equation),
        cmocka_unit_test(test_adamw_does_nothing_without_a_scale),
        cmocka_unit_test(test_clipping_scales_to_the_wanted_norm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
