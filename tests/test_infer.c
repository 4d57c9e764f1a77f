#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "infer/output.h"
#include "infer/sampler.h"

enum { V = 6 };
static const float base[V] = {0.0f, 1.0f, 3.0f, 3.0f, -1.0f, 2.0f};

static int32_t draw(const clora_sample_options *options, const float *logits, int skip) {
    sampler s;
    int32_t id = -1;
    float copy[V];

    assert_int_equal(sampler_init(&s, options, V), CLORA_OK);
    for (int i = 0; i <= skip; i++) {
        memcpy(copy, logits, sizeof(copy));
        assert_int_equal(sampler_next(&s, &id, copy), CLORA_OK);
    }
    sampler_finish(&s);
    return id;
}

static void test_greedy_takes_the_lowest_of_equal_logits(void **state) {
    (void)state;
    const clora_sample_options o = CLORA_SAMPLE_OPTIONS_INIT;

    assert_int_equal(draw(&o, base, 0), 2);
}

static void test_the_seed_decides_the_draws(void **state) {
    (void)state;
    clora_sample_options o = CLORA_SAMPLE_OPTIONS_INIT;
    int different = 0;

    o.temperature = 1.0f;
    for (int i = 0; i < 32; i++) {
        o.seed = 1;
        const int32_t a = draw(&o, base, i), again = draw(&o, base, i);
        o.seed = 2;
        assert_int_equal(a, again);
        different += draw(&o, base, i) != a;
    }
    assert_true(different > 0);
}

static void test_draws_follow_the_softmax(void **state) {
    (void)state;
    enum { DRAWS = 20000 };
    clora_sample_options o = CLORA_SAMPLE_OPTIONS_INIT;
    sampler s;
    int hits[V] = {0};
    double sum = 0.0;

    o.temperature = 2.0f;
    assert_int_equal(sampler_init(&s, &o, V), CLORA_OK);
    for (int i = 0; i < DRAWS; i++) {
        float copy[V];
        int32_t id;
        memcpy(copy, base, sizeof(copy));
        assert_int_equal(sampler_next(&s, &id, copy), CLORA_OK);
        hits[id]++;
    }
    sampler_finish(&s);
    for (int i = 0; i < V; i++)
        sum += exp((double)base[i] / 2.0);
    for (int i = 0; i < V; i++) {
        const double p = exp((double)base[i] / 2.0) / sum;
        assert_true(fabs(hits[i] / (double)DRAWS - p) < 5.0 * sqrt(p / DRAWS));
    }
}

static void test_filters_leave_only_what_they_say(void **state) {
    (void)state;
    clora_sample_options k = CLORA_SAMPLE_OPTIONS_INIT, p = k, m = k;

    k.temperature = p.temperature = m.temperature = 1.0f;
    k.top_k = 2;     /* ids 2 and 3 */
    p.top_p = 0.75f; /* 2 and 3 hold 0.39 each */
    m.min_p = 0.9f;  /* 2 and 3 */
    for (int i = 0; i < 100; i++) {
        const int32_t a = draw(&k, base, i), b = draw(&p, base, i), c = draw(&m, base, i);
        assert_true((a == 2 || a == 3) && (b == 2 || b == 3) && (c == 2 || c == 3));
    }
    k.top_k = 1;
    for (int i = 0; i < 10; i++)
        assert_int_equal(draw(&k, base, i), 2);
}

static void test_the_penalty_lowers_ids_already_seen(void **state) {
    (void)state;
    clora_sample_options o = CLORA_SAMPLE_OPTIONS_INIT;
    sampler s;
    int32_t id;
    float copy[V];

    o.repetition_penalty = 2.0f;
    assert_int_equal(sampler_init(&s, &o, V), CLORA_OK);
    for (int32_t id = 2; id <= 4; id++)
        assert_int_equal(sampler_see(&s, id), CLORA_OK);
    memcpy(copy, base, sizeof(copy));
    assert_int_equal(sampler_next(&s, &id, copy), CLORA_OK);
    assert_int_equal(id, 5);
    assert_true(copy[4] == -2.0f && copy[2] == 1.5f);
    sampler_finish(&s);
}

static void test_refuses_impossible_options_and_logits(void **state) {
    (void)state;
    const clora_sample_options good = CLORA_SAMPLE_OPTIONS_INIT;
    clora_sample_options bad[6];
    sampler s;
    int32_t id;

    for (int i = 0; i < 6; i++)
        bad[i] = good;
    bad[0].temperature = -1.0f;
    bad[1].temperature = NAN;
    bad[2].top_k = -1;
    bad[3].top_p = 0.0f;
    bad[4].min_p = 1.5f;
    bad[5].repetition_penalty = 0.0f;
    for (int i = 0; i < 6; i++)
        assert_int_equal(sampler_init(&s, &bad[i], V), CLORA_ERROR_ARGUMENT);
    assert_int_equal(sampler_init(&s, &good, V), CLORA_OK);
    float logits[V] = {0.0f, NAN};
    assert_int_equal(sampler_next(&s, &id, logits), CLORA_ERROR_FORMAT);
    sampler_finish(&s);
}

/* ---- A program's own logits ---- */

static void test_own_logits_are_sampled_as_a_generations_are(void **state) {
    (void)state;
    clora_sample_options o = CLORA_SAMPLE_OPTIONS_INIT;
    float logits[V], copy[V];
    clora_sampler *own;
    int32_t id, other;
    sampler s;

    o.temperature = 0.9f;
    o.top_p = 0.95f;
    o.repetition_penalty = 1.5f;
    o.no_repeat_ngram = 2;
    o.seed = 7;
    memcpy(logits, base, sizeof(logits));
    assert_int_equal(clora_sampler_create(&own, V, &o), CLORA_OK);
    assert_int_equal(sampler_init(&s, &o, V), CLORA_OK);
    for (int i = 0; i < 20; i++) {
        memcpy(copy, base, sizeof(copy));
        assert_int_equal(clora_sampler_next(&id, own, logits), CLORA_OK);
        assert_int_equal(sampler_next(&s, &other, copy), CLORA_OK);
        assert_int_equal(id, other);
        assert_memory_equal(logits, base, sizeof(base));
        assert_int_equal(clora_sampler_see(own, &id, 1), CLORA_OK);
        assert_int_equal(sampler_see(&s, id), CLORA_OK);
    }
    clora_sampler_free(own);
    sampler_finish(&s);
}

static void test_a_sampler_knows_its_vocabulary(void **state) {
    (void)state;
    const int32_t outside[] = {2, V}, seen[] = {2, 3};
    clora_sample_options o = CLORA_SAMPLE_OPTIONS_INIT;
    clora_sampler *own = NULL;
    int32_t id;

    assert_int_equal(clora_sampler_create(&own, 0, NULL), CLORA_ERROR_ARGUMENT);
    o.top_k = -1;
    assert_int_equal(clora_sampler_create(&own, V, &o), CLORA_ERROR_ARGUMENT);
    assert_null(own);
    o.top_k = 0;
    o.repetition_penalty = 2.0f;
    assert_int_equal(clora_sampler_create(&own, V, &o), CLORA_OK);
    assert_int_equal(clora_sampler_see(own, outside, 2), CLORA_ERROR_ARGUMENT);
    assert_int_equal(clora_sampler_next(&id, own, base), CLORA_OK);
    assert_int_equal(id, 2); /* nothing was seen */
    assert_int_equal(clora_sampler_see(own, seen, 2), CLORA_OK);
    assert_int_equal(clora_sampler_next(&id, own, base), CLORA_OK);
    assert_int_equal(id, 5);
    clora_sampler_free(own);
}

/* ---- output ---- */

typedef struct heard {
    char text[256];
    int calls, stop_at;
} heard;

static int hear(void *user, const char *text, size_t size) {
    heard *h = user;

    strncat(h->text, text, size);
    return ++h->calls == h->stop_at;
}

static void test_a_stop_text_split_over_pieces_never_shows(void **state) {
    (void)state;
    static const char *const stop[] = {"END", "\n\n", NULL};
    heard h = {0};
    output o = {.stop = stop, .callback = hear, .user = &h};

    assert_int_equal(output_add(&o, "one E", 5), CLORA_OK);
    assert_false(o.stopped);
    assert_string_equal(h.text, "one ");
    assert_int_equal(output_add(&o, "N", 1), CLORA_OK);
    assert_string_equal(h.text, "one ");
    assert_int_equal(output_add(&o, "Xtwo EN", 7), CLORA_OK);
    assert_string_equal(h.text, "one ENXtwo ");
    assert_int_equal(output_add(&o, "D three", 7), CLORA_OK);
    assert_true(o.stopped);
    assert_int_equal(output_flush(&o), CLORA_OK);
    assert_string_equal(h.text, "one ENXtwo ");
    assert_string_equal(o.text, "one ENXtwo ");
    output_finish(&o);
}

static void test_what_was_held_back_comes_with_the_flush(void **state) {
    (void)state;
    static const char *const stop[] = {"END", NULL};
    heard h = {0};
    output o = {.stop = stop, .callback = hear, .user = &h};

    assert_int_equal(output_add(&o, "the E", 5), CLORA_OK);
    assert_int_equal(output_flush(&o), CLORA_OK);
    assert_string_equal(h.text, "the E");
    output_finish(&o);
}

static void test_a_stop_text_may_be_a_special_token_or_reach_over_one(void **state) {
    (void)state;
    static const struct {
        const char *stop, *text;
        bool stopped;
    } cases[] = {{"<end>", "a cat", true},      {"cat<end>", "a ", true},
                 {"t<end>d", "a ca", true},     {"<end>dog", "a cat", true},
                 {"<e", "a cat", true},         {"<end>cat", "a catdog", false},
                 {"catdog", "a catdog", false}, {"<end><end>", "a catdog", false}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *const stop[] = {"never", cases[i].stop, NULL};
        heard h = {0};
        output o = {.stop = stop, .callback = hear, .user = &h};
        assert_int_equal(output_add(&o, "a ca", 4), CLORA_OK);
        assert_int_equal(output_add(&o, "t", 1), CLORA_OK);
        assert_int_equal(output_add_special(&o, "<end>", 5), CLORA_OK);
        assert_int_equal(output_add(&o, "dog", 3), CLORA_OK);
        assert_int_equal(o.stopped, cases[i].stopped);
        assert_int_equal(output_flush(&o), CLORA_OK);
        assert_string_equal(h.text, cases[i].text);
        assert_string_equal(o.text, cases[i].text);
        output_finish(&o);
    }
}

static void test_special_tokens_are_left_out_of_the_text(void **state) {
    (void)state;
    output o = {0};

    assert_int_equal(output_add_special(&o, "<s>", 3), CLORA_OK);
    assert_int_equal(output_add(&o, "a", 1), CLORA_OK);
    assert_int_equal(output_add_special(&o, "<s>", 3), CLORA_OK);
    assert_int_equal(output_flush(&o), CLORA_OK);
    assert_string_equal(o.text, "a");
    output_finish(&o);
}

static void test_a_callback_can_stop(void **state) {
    (void)state;
    heard h = {.stop_at = 1};
    output o = {.callback = hear, .user = &h};

    assert_int_equal(output_add(&o, "a", 1), CLORA_OK);
    assert_true(o.cancelled);
    assert_int_equal(output_add(&o, "b", 1), CLORA_OK);
    assert_int_equal(h.calls, 1);
    output_finish(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greedy_takes_the_lowest_of_equal_logits),
        cmocka_unit_test(test_the_seed_decides_the_draws),
        cmocka_unit_test(test_draws_follow_the_softmax),
        cmocka_unit_test(test_filters_leave_only_what_they_say),
        cmocka_unit_test(test_the_penalty_lowers_ids_already_seen),
        cmocka_unit_test(test_refuses_impossible_options_and_logits),
        cmocka_unit_test(test_own_logits_are_sampled_as_a_generations_are),
        cmocka_unit_test(test_a_sampler_knows_its_vocabulary),
        cmocka_unit_test(test_a_stop_text_split_over_pieces_never_shows),
        cmocka_unit_test(test_what_was_held_back_comes_with_the_flush),
        cmocka_unit_test(test_a_stop_text_may_be_a_special_token_or_reach_over_one),
        cmocka_unit_test(test_special_tokens_are_left_out_of_the_text),
        cmocka_unit_test(test_a_callback_can_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
