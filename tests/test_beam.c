/* Beam search, against what transformers finds. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "infer/ngram.h"
#include "model/session.h"
#include "support/fixture.h"
#include "support/fresh_context.h"
#include "support/optimise.h"
#include "support/scratch.h"

enum { MOST = 64 };

static clora_tokenizer *tokenizer; /* of models/tiny, whose eos is 1 */

static int setup(void **state) {
    fresh_context_setup(state);
    assert_ok(clora_tokenizer_load(&tokenizer, fixture_path("../../models/tiny")));
    return 0;
}

static int teardown(void **state) {
    clora_tokenizer_free(tokenizer);
    return fresh_context_teardown(state);
}

static int read_ids(int32_t ids[MOST], const json_t *list) {
    const size_t n = json_array_size(list);

    assert_true(n <= MOST);
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return (int)n;
}

/* The ids that end a text are the case's, not only the file's. */
static clora_model *load(const json_t *c) {
    const char *name = json_string_value(json_object_get(c, "model"));
    clora_model *model = NULL;
    int32_t ends[MOST];

    assert_non_null(name);
    assert_ok(clora_model_load(&model, context, fixture_path(name), NULL));
    model->info.eos_count = read_ids(ends, json_object_get(c, "ends"));
    assert_true(model->info.eos_count <= (int)(sizeof(model->info.eos) / sizeof(model->info.eos[0])));
    memcpy(model->info.eos, ends, (size_t)model->info.eos_count * sizeof(*ends));
    return model;
}

static clora_generate_options options_of(const json_t *c, clora_sample_options *sample) {
    clora_generate_options o = CLORA_GENERATE_OPTIONS_INIT;

    o.beams = (int)json_integer_value(json_object_get(c, "beams"));
    o.length_penalty = (float)json_number_value(json_object_get(c, "length_penalty"));
    *sample = (clora_sample_options)CLORA_SAMPLE_OPTIONS_INIT;
    sample->no_repeat_ngram = (int)json_integer_value(json_object_get(c, "no_repeat_ngram"));
    o.sample = sample;
    o.max_tokens = (int)json_integer_value(json_object_get(c, "max_tokens"));
    return o;
}

enum { STOPS = 4 };

/* Those of a case, if it has some. */
static bool read_stops(const char *stop[STOPS + 1], const json_t *c) {
    const json_t *list = json_object_get(c, "stop");
    const size_t n = json_array_size(list);

    assert_true(n <= STOPS);
    for (size_t i = 0; i < n; i++)
        stop[i] = json_string_value(json_array_get(list, i));
    stop[n] = NULL;
    return n > 0;
}

/* One of them ends the text, which does not hold it, or none is in it. */
static void assert_stopped(const clora_generation *found, const char *const *stop) {
    size_t size;
    char *text;
    bool any = false;

    assert_ok(clora_tokenizer_decode(tokenizer, found->ids, found->count, 1, &text, &size));
    for (; *stop; stop++) {
        any |= strstr(text, *stop) != NULL;
        assert_null(strstr(found->text, *stop));
    }
    assert_int_equal(any, found->stop == CLORA_STOP_TEXT);
    free(text);
}

static void check_case(const json_t *c, size_t number) {
    int32_t prompt[MOST], expected[MOST];
    const int length = read_ids(prompt, json_object_get(c, "prompt"));
    const int count = read_ids(expected, json_object_get(c, "ids"));
    const char *stop[STOPS + 1];
    const bool stops = read_stops(stop, c);
    clora_sample_options sample;
    clora_generate_options o = options_of(c, &sample);
    clora_model *model = load(c);
    clora_session *session = NULL;
    clora_generation *found;

    o.stop = stops ? stop : NULL;
    assert_ok(clora_session_create(&session, model, o.beams, length + o.max_tokens - 1));
    assert_ok(clora_generate(&found, session, tokenizer, prompt, (size_t)length, &o));
    for (size_t i = 0; i < (size_t)count; i++)
        if (i >= found->count || found->ids[i] != expected[i])
            fail_msg("case %zu: id %zu of %zu is %d, not %d", number, i, found->count,
                     i < found->count ? found->ids[i] : -1, expected[i]);
    assert_int_equal(found->count, count);
    if (stops)
        assert_stopped(found, stop);
    else if (count < o.max_tokens)
        assert_int_equal(found->stop, CLORA_STOP_EOS);
    assert_int_equal(strlen(found->text), found->size);
    clora_generation_free(found);
    clora_session_free(session);
    clora_model_free(model);
}

static void test_it_finds_what_transformers_finds(void **state) {
    char path[1024];
    json_t *root = NULL;

    (void)state;
    snprintf(path, sizeof(path), "%s/beams.json", fixture_path("reference"));
    assert_ok(json_load_path(&root, path, 1 << 20));
    const json_t *cases = json_object_get(root, "cases");
    assert_true(json_array_size(cases) >= 20);
    for (size_t i = 0; i < json_array_size(cases); i++)
        check_case(json_array_get(cases, i), i);
    json_decref(root);
}

/* ---- the parts of it ---- */

static void test_ids_that_would_complete_an_ngram_again_are_banned(void **state) {
    const int32_t text[] = {4, 1, 2, 3, 1, 2, 0, 1, 2};
    float logits[5] = {0};

    (void)state;
    ngram_ban(logits, text, 9, 3);
    assert_true(isinf(logits[3]) && isinf(logits[0]) && logits[1] == 0.0f && logits[2] == 0.0f && logits[4] == 0.0f);
    memset(logits, 0, sizeof(logits));
    ngram_ban(logits, text, 2, 1); /* each id once */
    assert_true(isinf(logits[4]) && isinf(logits[1]) && logits[0] == 0.0f && logits[2] == 0.0f && logits[3] == 0.0f);
    memset(logits, 0, sizeof(logits));
    ngram_ban(logits, text, 2, 3); /* a text too short for one */
    ngram_ban(logits, text, 9, 0);
    for (int i = 0; i < 5; i++)
        assert_true(logits[i] == 0.0f);
}

/* With its positions in common until one of them goes on. */
static void test_a_copied_sequence_goes_on_as_its_original(void **state) {
    enum { V = 97, N = 7, STEPS = 3 };
    const int32_t ids[N] = {5, 17, 42, 88, 3, 61, 29}, next[3] = {11, 11, 11};
    float logits[3][V], apart[3][V], other[V];
    clora_model *model;
    clora_session *session, *unshared;

    (void)state;
    assert_ok(clora_model_load(&model, context, fixture_path("tiny-llama"), NULL));
    assert_ok(clora_session_create(&session, model, 3, 16));
    assert_ok(session_prefill(session, &session->select, 1, other, ids + 2, 3));
    assert_ok(session_prefill(session, &session->select, 0, other, ids, N));
    session_copy(session, 2, 0);
    assert_ok(session_step(session, &session->select, logits[0], next, 3));
    assert_memory_equal(logits[0], logits[2], sizeof(logits[0]));
    assert_memory_not_equal(logits[0], logits[1], sizeof(logits[0]));
    assert_ok(clora_session_create(&unshared, model, 3, 16));
    assert_ok(session_prefill(unshared, &session->select, 1, other, ids + 2, 3));
    for (int b = 0; b < 3; b += 2)
        assert_ok(session_prefill(unshared, &session->select, b, other, ids, N));
    assert_ok(session_step(unshared, &session->select, apart[0], next, 3));
    for (int i = 0; i < STEPS; i++) {
        const int32_t each[3] = {11 + i, 31 + i, 51 + i};
        assert_ok(session_step(session, &session->select, logits[0], each, 3));
        assert_ok(session_step(unshared, &session->select, apart[0], each, 3));
        assert_memory_equal(logits, apart, sizeof(logits));
    }
    assert_memory_not_equal(logits[0], logits[2], sizeof(logits[0]));
    clora_session_free(unshared);
    clora_session_free(session);
    clora_model_free(model);
}

static void test_what_does_not_go_together_is_refused(void **state) {
    const clora_generate_options defaults = CLORA_GENERATE_OPTIONS_INIT;
    const int32_t prompt = 5;
    clora_generate_options o = defaults;
    clora_sample_options sample = CLORA_SAMPLE_OPTIONS_INIT;
    clora_generation *out;
    clora_model *model;
    clora_session *session;
#define REFUSED(words) \
    assert_refused(clora_generate(&out, session, tokenizer, &prompt, 1, &o), CLORA_ERROR_ARGUMENT, words)

    (void)state;
    assert_ok(clora_model_load(&model, context, fixture_path("tiny-llama"), NULL));
    assert_ok(clora_session_create(&session, model, 2, 16));
    o.beams = 3;
    REFUSED("3 beams; the session has 2 sequences");
    o.beams = 0;
    REFUSED("0 beams");
    o.beams = 2;
    o.sample = &sample;
    sample.temperature = 1.0f;
    REFUSED("no temperature");
    sample.temperature = 0.0f;
    o.length_penalty = NAN;
    REFUSED("a length penalty");
    o.length_penalty = 1.0f;
    sample.no_repeat_ngram = -1;
    REFUSED("n-grams");
    o.beams = 1;
    REFUSED("n-grams");
    clora_session_free(session);
    clora_model_free(model);
}

int main(void) {
    optimise(false); /* no case hangs on rounding */
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_it_finds_what_transformers_finds),
        cmocka_unit_test(test_ids_that_would_complete_an_ngram_again_are_banned),
        TEST(test_a_copied_sequence_goes_on_as_its_original),
        TEST(test_what_does_not_go_together_is_refused),
    };
    return cmocka_run_group_tests_name("beam", tests, NULL, NULL);
}
