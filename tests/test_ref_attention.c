#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ref/ref.h"
#include "support/slopes.h"

/* ---- attention: two sequences of grouped heads: one with a past, or both with a prefix ---- */

enum { QUERIES = 2 * 4 * 4 * 3, KEYS = 2 * 6 * 2 * 3, SUMS = 2 * 4 * 4 };
static float q[QUERIES], k[KEYS], v[KEYS];

typedef struct windows {
    ref_attention_shape shape;
    int32_t past[2], first[16];
    const int32_t *last;
} windows;

static const windows with_past = {
    {.B = 2, .T = 4, .S = 6, .H = 4, .G = 2, .D = 3}, {0, 2}, {0, 0, 2, 2, 0, 0, 0, 4}, NULL};
static const windows with_prefix = {
    {.B = 2, .T = 4, .S = 6, .H = 4, .G = 2, .D = 3, .prefix = 2}, {2, 2}, {0, 0, 2, 2, 0, 0, 0, 3}, NULL};
/* Of the keys after the prefix, 1 and 2 of the first row are hidden from query 3, and 0 of the second from 2 and 3. */
static const int32_t limits[8] = {3, 2, 2, 3, 1, 3, 3, 3};
static const windows forked = {{.B = 2, .T = 4, .S = 6, .H = 4, .G = 2, .D = 3, .prefix = 2}, {2, 2}, {0}, limits};
/* Not all of the prefix: 0 and 1 from there, then what the second columns say. */
static const windows partial = {{.B = 2, .T = 4, .S = 6, .H = 4, .G = 2, .D = 3, .prefix = 2, .partial = true},
                                {2, 2},
                                {0, 0, 0, 1, 0, 2, 1, 2, 0, 0, 0, 0, 2, 1, 3, 2},
                                NULL};
static const windows capped = {{.B = 2, .T = 4, .S = 6, .H = 4, .G = 2, .D = 3, .scale = 0.9f, .cap = 0.6f},
                               {0, 2},
                               {0, 0, 2, 2, 0, 0, 0, 4},
                               NULL};
static const windows *seen;

typedef struct attention_gradients {
    float q[QUERIES], k[KEYS], v[KEYS];
} attention_gradients;

static double attention_loss(void) {
    float y[QUERIES];

    ref_attention(y, NULL, q, k, v, seen->past, seen->first, seen->last, seen->shape);
    return weighted(y, QUERIES);
}

static attention_gradients gradients_of_attention(const windows *w) {
    float y[QUERIES], lse[SUMS], dy[QUERIES], delta[SUMS];
    attention_gradients d;

    seen = w;
    fill(q, QUERIES, 13);
    fill(k, KEYS, 14);
    fill(v, KEYS, 15);
    weights(dy, QUERIES);
    ref_attention(y, lse, q, k, v, w->past, w->first, w->last, w->shape);
    ref_attention_backward(d.q, d.k, d.v, delta, dy, y, q, k, v, lse, w->past, w->first, w->last, w->shape);
    return d;
}

static void check_attention(const windows *w) {
    attention_gradients d = gradients_of_attention(w);

    assert_gradient(attention_loss, q, d.q, QUERIES);
    assert_gradient(attention_loss, k, d.k, KEYS);
    assert_gradient(attention_loss, v, d.v, KEYS);
}

static void test_gradients_of_attention_are_its_slopes(void **state) {
    (void)state;
    check_attention(&with_past);
}

static void test_gradients_of_attention_with_a_prefix_are_its_slopes(void **state) {
    (void)state;
    check_attention(&with_prefix);
}

static void test_gradients_of_forked_attention_are_its_slopes(void **state) {
    (void)state;
    check_attention(&forked);
}

static void test_gradients_of_attention_with_a_part_of_the_prefix_are_its_slopes(void **state) {
    (void)state;
    check_attention(&partial);
}

static void test_gradients_of_capped_attention_are_its_slopes(void **state) {
    (void)state;
    check_attention(&capped);
}

/* Two keys along the query: the score of the nearer is bent to the cap. */
static void test_a_cap_bends_scores(void **state) {
    const ref_attention_shape two = {.B = 1, .T = 1, .S = 2, .H = 1, .G = 1, .D = 1, .scale = 3.0f, .cap = 2.0f};
    const int32_t past = 1, zero = 0;
    const float value[2] = {0.0f, 1.0f}, key[2] = {0.0f, 5.0f}, one = 1.0f;
    float y, lse;

    (void)state;
    ref_attention(&y, &lse, &one, key, value, &past, &zero, NULL, two);
    const double score = 2.0 * tanh(3.0 * 5.0 / 2.0);
    assert_true(fabs((double)y - exp(score) / (1.0 + exp(score))) < 1e-6);
    assert_true(fabs((double)lse - log(1.0 + exp(score))) < 1e-6);
}

static void test_a_query_sees_its_part_of_the_prefix(void **state) {
    (void)state;
    float y[QUERIES], moved[QUERIES];

    gradients_of_attention(&partial); /* fills q, k and v */
    ref_attention(y, NULL, q, k, v, partial.past, partial.first, NULL, partial.shape);
    v[0] += 1.0f; /* key 0 of the first sequence's prefix */
    ref_attention(moved, NULL, q, k, v, partial.past, partial.first, NULL, partial.shape);
    assert_true(y[0] != moved[0]);
    for (int t = 1; t < 4; t++)
        assert_true(y[t * 4 * 3] == moved[t * 4 * 3]);
    v[2 * 3] += 1.0f; /* key 1 */
    ref_attention(moved, NULL, q, k, v, partial.past, partial.first, NULL, partial.shape);
    assert_true(y[4 * 3] != moved[4 * 3]);
    assert_true(y[2 * 4 * 3] == moved[2 * 4 * 3]);
}

static void test_a_forked_row_hides_keys_from_later_queries(void **state) {
    (void)state;
    float y[QUERIES], moved[QUERIES];

    gradients_of_attention(&forked); /* fills q, k and v */
    ref_attention(y, NULL, q, k, v, forked.past, forked.first, forked.last, forked.shape);
    v[4 * 2 * 3] += 1.0f; /* key 2 after the prefix of the first sequence */
    ref_attention(moved, NULL, q, k, v, forked.past, forked.first, forked.last, forked.shape);
    assert_true(y[2 * 4 * 3] != moved[2 * 4 * 3]);
    assert_true(y[3 * 4 * 3] == moved[3 * 4 * 3]);
}

/* Packed queries see all of the prefix and their own stretch, whose first key is their own. */
static void test_packed_queries_see_the_prefix_and_their_own(void **state) {
    (void)state;
    const attention_gradients d = gradients_of_attention(&with_prefix);
    float y[QUERIES], moved[QUERIES];

    ref_attention(y, NULL, q, k, v, with_prefix.past, with_prefix.first, NULL, with_prefix.shape);
    v[3 * 2 * 3] += 1.0f; /* the second own key of the first sequence */
    ref_attention(moved, NULL, q, k, v, with_prefix.past, with_prefix.first, NULL, with_prefix.shape);
    assert_true(y[1 * 4 * 3] != moved[1 * 4 * 3]);
    assert_true(y[2 * 4 * 3] == moved[2 * 4 * 3]); /* of the next stretch */
    v[0] += 1.0f;                                  /* the prefix's first */
    ref_attention(moved, NULL, q, k, v, with_prefix.past, with_prefix.first, NULL, with_prefix.shape);
    assert_true(y[2 * 4 * 3] != moved[2 * 4 * 3]);
    assert_true(d.v[0] != 0.0f);
}

static void test_keys_that_nobody_saw_have_no_gradient(void **state) {
    (void)state;
    const attention_gradients d = gradients_of_attention(&with_past);

    for (int i = 4 * 2 * 3; i < 6 * 2 * 3; i++) /* keys 4 and 5 of the sequence without past */
        assert_true(d.k[i] == 0.0f && d.v[i] == 0.0f);
}

static void test_attention_to_one_key_is_its_value(void **state) {
    const ref_attention_shape one = {.B = 1, .T = 1, .S = 1, .H = 2, .G = 1, .D = 3};
    const int32_t zero = 0;
    float y[6];

    (void)state;
    fill(q, 6, 13);
    fill(k, 3, 14);
    fill(v, 3, 15);
    ref_attention(y, NULL, q, k, v, &zero, &zero, NULL, one);
    for (int i = 0; i < 6; i++)
        assert_true(fabsf(y[i] - v[i % 3]) < 1e-6f);
}

/* ---- what stands before a sequence's own tokens ---- */

enum { BEFORE = 2, OWN = 3, WIDTH = 4 };
static float before[BEFORE * WIDTH], own[2 * OWN * WIDTH];
static const int32_t taken[2 * OWN] = {7, 8, 1, 8, 9, 0}; /* of rows in the place of embeddings, from 7 on */

static double joined_loss(void) {
    float kv[2 * (BEFORE + OWN) * WIDTH];

    ref_past_join(kv, before, own, 2, BEFORE, OWN, WIDTH);
    return weighted(kv, 2 * (BEFORE + OWN) * WIDTH);
}

static void test_gradients_of_a_past_are_its_slopes(void **state) {
    float dkv[2 * (BEFORE + OWN) * WIDTH], dbefore[BEFORE * WIDTH] = {0}, down[2 * OWN * WIDTH];

    (void)state;
    fill(before, BEFORE * WIDTH, 13);
    fill(own, 2 * OWN * WIDTH, 14);
    weights(dkv, 2 * (BEFORE + OWN) * WIDTH);
    ref_past_split(dbefore, down, dkv, 2, BEFORE, OWN, WIDTH);
    assert_gradient(joined_loss, before, dbefore, BEFORE * WIDTH);
    assert_gradient(joined_loss, own, down, 2 * OWN * WIDTH);
}

static double embedded_loss(void) {
    float x[2 * OWN * WIDTH];

    memcpy(x, own, sizeof(x));
    ref_past_embed(x, before, taken, 2 * OWN, 7, BEFORE, WIDTH);
    return weighted(x, 2 * OWN * WIDTH);
}

static void test_gradients_of_rows_in_the_place_of_embeddings_are_their_slopes(void **state) {
    float dx[2 * OWN * WIDTH], dbefore[BEFORE * WIDTH] = {0};

    (void)state;
    fill(before, BEFORE * WIDTH, 13);
    fill(own, 2 * OWN * WIDTH, 14);
    weights(dx, 2 * OWN * WIDTH);
    ref_past_embed_backward(dbefore, dx, taken, 2 * OWN, 7, BEFORE, WIDTH);
    assert_gradient(embedded_loss, before, dbefore, BEFORE * WIDTH);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients_of_attention_are_its_slopes),
        cmocka_unit_test(test_gradients_of_attention_with_a_prefix_are_its_slopes),
        cmocka_unit_test(test_gradients_of_forked_attention_are_its_slopes),
        cmocka_unit_test(test_gradients_of_attention_with_a_part_of_the_prefix_are_its_slopes),
        cmocka_unit_test(test_gradients_of_capped_attention_are_its_slopes),
        cmocka_unit_test(test_a_cap_bends_scores),
        cmocka_unit_test(test_a_query_sees_its_part_of_the_prefix),
        cmocka_unit_test(test_a_forked_row_hides_keys_from_later_queries),
        cmocka_unit_test(test_packed_queries_see_the_prefix_and_their_own),
        cmocka_unit_test(test_keys_that_nobody_saw_have_no_gradient),
        cmocka_unit_test(test_attention_to_one_key_is_its_value),
        cmocka_unit_test(test_gradients_of_a_past_are_its_slopes),
        cmocka_unit_test(test_gradients_of_rows_in_the_place_of_embeddings_are_their_slopes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
