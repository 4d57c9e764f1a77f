/* Rotations that depend on how long a text is (longrope): of a batch, of texts that grow, and of those beside them. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <clora/clora.h>

#include "model/session.h"
#include "support/fixture.h"
#include "support/scratch.h"

enum { V = 97, ORIGINAL = 11, LONGEST = 24 };
static clora_context *context;
static clora_model *model;
static clora_adapter *lora, *prompt, *prefix;
static model_config usual; /* texts of up to ORIGINAL positions are short */

static int32_t id_of(int text, int t) {
    return (text * 29 + t * 37 + 11) % V;
}

static int open_model(void **state) {
    clora_prefix_options options = CLORA_PREFIX_OPTIONS_INIT;

    (void)state;
    options.tokens = 3;
    options.init = CLORA_PREFIX_INIT_VOCABULARY;
    assert_ok(clora_model_load(&model, context, fixture_path("tiny-phi3"), NULL));
    usual = model->config;
    assert_int_equal(usual.rope[ROPE_FIRST].original, ORIGINAL);
    lora = fixture_adapter(model, "tiny-phi3-lora");
    assert_ok(clora_prompt_create(&prompt, model, &options));
    assert_ok(clora_prefix_create(&prefix, model, &options));
    return 0;
}

static int close_model(void **state) {
    (void)state;
    clora_adapter_free(lora);
    clora_adapter_free(prompt);
    clora_adapter_free(prefix);
    clora_model_free(model);
    return 0;
}

static int restore_config(void **state) {
    (void)state;
    model->config = usual;
    return 0;
}

/* Logits after the first T tokens of a text, in one pass of a session that is as large as can be. */
static void whole(float logits[V], clora_adapter *adapter, int text, int T) {
    clora_session *session = NULL;
    int32_t ids[LONGEST];

    for (int t = 0; t < T; t++)
        ids[t] = id_of(text, t);
    assert_ok(clora_session_create(&session, model, 1, 64));
    assert_ok(clora_session_set_adapter(session, adapter));
    assert_ok(clora_session_forward(session, logits, ids, T, 0));
    clora_session_free(session);
}

static void test_texts_beyond_the_original_positions_have_the_long_factors(void **state) {
    rope_settings *rope = &model->config.rope[ROPE_FIRST];
    float expected[V], logits[V];

    (void)state;
    whole(logits, lora, 0, ORIGINAL + 1);
    memcpy(rope->stretch[false], usual.rope[ROPE_FIRST].stretch[true], sizeof(rope->stretch[0]));
    memcpy(rope->stretch[true], usual.rope[ROPE_FIRST].stretch[false], sizeof(rope->stretch[0]));
    whole(expected, lora, 0, ORIGINAL + 1);
    assert_true(relative_error(logits, expected, V) > 1e-3);
    rope->original = LONGEST;
    whole(expected, lora, 0, ORIGINAL + 1);
    assert_memory_equal(logits, expected, sizeof(logits));
}

/* The last token's logits of texts that are `step` tokens longer each time. */
static void assert_grows(clora_adapter *const adapter[2], int step) {
    const clora_adapter *each[2] = {adapter[0], adapter[1]};
    const selection select = selection_of(each, 2);
    clora_session *session = NULL;
    float logits[2 * V], expected[V];
    int length[2] = {7, 3};

    assert_ok(clora_session_create(&session, model, 2, LONGEST + 3));
    for (int b = 0; b < 2; b++) {
        const selection one = {.adapter = adapter[b]};
        int32_t ids[LONGEST];
        for (int t = 0; t < length[b]; t++)
            ids[t] = id_of(b, t);
        assert_ok(session_prepare(session, adapter[b]));
        assert_ok(session_prefill(session, &one, b, logits, ids, length[b]));
    }
    while (length[0] + step <= LONGEST) {
        for (int t = 0; t < step; t++) {
            const int32_t ids[2] = {id_of(0, length[0] + t), id_of(1, length[1] + t)};
            assert_ok(session_step(session, &select, logits, ids, 2));
        }
        for (int b = 0; b < 2; b++) {
            length[b] += step;
            whole(expected, adapter[b], b, length[b]);
            if (!(relative_error(logits + b * V, expected, V) <= 1e-4))
                fail_msg("text %d of %d tokens: relative error %g", b, length[b],
                         relative_error(logits + b * V, expected, V));
        }
    }
    clora_session_free(session);
}

static void test_a_text_that_becomes_longer_is_as_if_it_had_always_been(void **state) {
    (void)state;
    assert_grows((clora_adapter *[]){NULL, NULL}, 1);
    assert_grows((clora_adapter *[]){lora, NULL}, 2);
    assert_grows((clora_adapter *[]){prompt, lora}, 3);
    assert_grows((clora_adapter *[]){prefix, prefix}, 4);
}

static void test_a_copy_of_a_text_becomes_longer_too(void **state) {
    clora_session *session = NULL;
    float logits[2 * V], expected[V];
    int32_t ids[ORIGINAL + 1];

    (void)state;
    for (int t = 0; t <= ORIGINAL; t++)
        ids[t] = id_of(0, t);
    assert_ok(clora_session_create(&session, model, 2, LONGEST));
    assert_ok(session_prefill(session, &session->select, 1, logits, ids, ORIGINAL));
    session_copy(session, 0, 1);
    assert_ok(session_step(session, &session->select, logits, ids + ORIGINAL, 1));
    whole(expected, NULL, 0, ORIGINAL + 1);
    assert_true(relative_error(logits, expected, V) <= 1e-5);
    clora_session_free(session);
}

static void test_an_idle_text_stays_as_it_is(void **state) {
    const int32_t next[2] = {SESSION_IDLE, 5};
    clora_session *session = NULL;
    float logits[2 * V], expected[V];
    int32_t ids[ORIGINAL + 1];

    (void)state;
    for (int t = 0; t <= ORIGINAL; t++)
        ids[t] = id_of(0, t);
    assert_ok(clora_session_create(&session, model, 2, LONGEST));
    for (int b = 0; b < 2; b++)
        assert_ok(session_prefill(session, &session->select, b, logits, ids, ORIGINAL));
    for (int i = 0; i < 3; i++)
        assert_ok(session_step(session, &session->select, logits, next, 2));
    assert_int_equal(session->length[0], ORIGINAL);
    assert_false(session->text[0].longer);
    assert_ok(session_step(session, &session->select, logits, ids + ORIGINAL, 1));
    whole(expected, NULL, 0, ORIGINAL + 1);
    assert_true(relative_error(logits, expected, V) <= 1e-5);
    clora_session_free(session);
}

static void test_a_text_of_another_adapter_is_refused_where_it_would_become_longer(void **state) {
    clora_session *session = NULL;
    float logits[V];
    int32_t ids[ORIGINAL] = {0};

    (void)state;
    assert_ok(clora_session_create(&session, model, 1, LONGEST));
    assert_ok(clora_session_set_adapter(session, prompt));
    assert_ok(clora_session_forward(session, logits, ids, 4, 0));
    assert_ok(clora_session_set_adapter(session, NULL));
    assert_ok(clora_session_forward(session, logits, ids, 2, 0));
    assert_refused(clora_session_forward(session, logits, ids, 6, 0), CLORA_ERROR_ARGUMENT, "cannot become longer");
    ids[0] = 1;
    assert_ok(clora_session_forward(session, logits, ids, 1, 0));
    clora_session_free(session);
}

/* The loss of `texts` texts, of so many tokens from the first-th on: in one row, or in one each. */
static double loss_of(const int *lengths, int first, int texts, clora_adapter *adapter, int pack) {
    clora_dataset *dataset = NULL;
    clora_evaluate_options options = CLORA_EVALUATE_OPTIONS_INIT;
    clora_evaluate_result result = CLORA_EVALUATE_RESULT_INIT;
    int32_t ids[3 * LONGEST];
    int n = 0;

    for (int b = first; b < first + texts; b++)
        for (int t = 0; t < lengths[b]; t++)
            ids[n++] = id_of(b, t);
    assert_ok(clora_dataset_from_ids(&dataset, ids, ids, lengths + first, texts));
    options.batch_size = texts;
    options.pack = pack;
    options.max_length = pack ? 48 : 0;
    assert_ok(clora_evaluate(&result, model, adapter, dataset, &options));
    clora_dataset_free(dataset);
    return result.loss * (double)result.target_tokens;
}

static void test_each_text_of_a_batch_has_rotations_of_its_own(void **state) {
    static const int lengths[] = {ORIGINAL + 2, ORIGINAL - 5, ORIGINAL};
    clora_adapter *const adapters[] = {NULL, lora, prompt, prefix};

    (void)state;
    for (size_t i = 0; i < sizeof(adapters) / sizeof(adapters[0]); i++) {
        const double packed = loss_of(lengths, 0, 3, adapters[i], 1);
        double alone = 0;
        for (int b = 0; b < 3; b++)
            alone += loss_of(lengths, b, 1, adapters[i], 0);
        assert_true(fabs(packed - alone) < 1e-5 * alone);
        assert_true(fabs(loss_of(lengths, 0, 3, adapters[i], 0) - alone) < 1e-5 * alone);
        model->config.rope[ROPE_FIRST].original = LONGEST;
        assert_true(fabs(loss_of(lengths, 0, 3, adapters[i], 1) - alone) > 1e-4 * alone);
        model->config = usual;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_texts_beyond_the_original_positions_have_the_long_factors, restore_config),
        cmocka_unit_test(test_a_text_that_becomes_longer_is_as_if_it_had_always_been),
        cmocka_unit_test(test_a_copy_of_a_text_becomes_longer_too),
        cmocka_unit_test(test_an_idle_text_stays_as_it_is),
        cmocka_unit_test(test_a_text_of_another_adapter_is_refused_where_it_would_become_longer),
        cmocka_unit_test_teardown(test_each_text_of_a_batch_has_rotations_of_its_own, restore_config),
    };
    if (clora_context_create(&context, NULL) != CLORA_OK) {
        fprintf(stderr, "skipped: %s\n", clora_last_error());
        return 77;
    }
    const int failed = cmocka_run_group_tests(tests, open_model, close_model);
    clora_context_free(context);
    return failed;
}
