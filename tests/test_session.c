#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <clora/clora.h>

#include "support/failing.h"
#include "support/fixture.h"
#include "support/scratch.h"

static clora_context *context;
static clora_model *model;

static int open_model(void **state) {
    (void)state;
    assert_ok(clora_model_load(&model, context, fixture_path("tiny-llama"), NULL));
    return 0;
}

static int close_model(void **state) {
    (void)state;
    clora_model_free(model);
    return 0;
}

static void test_a_call_without_logits_appends_nothing(void **state) {
    (void)state;
    const int32_t ids[] = {1, 2};
    clora_session *session;

    assert_ok(clora_session_create(&session, model, 1, 8));
    assert_refused(clora_session_forward(session, NULL, ids, 2, 0), CLORA_ERROR_ARGUMENT, "logits is NULL");
    assert_int_equal(clora_session_length(session), 0);
    clora_session_free(session);
}

static void test_an_adapter_of_another_model_is_refused_where_it_is_given(void **state) {
    (void)state;
    clora_model *twin; /* of the same files, on the same context */
    clora_adapter *own, *others;
    clora_session *session;
    clora_dataset *data;
    clora_trainer *trainer;
    clora_evaluate_result result = CLORA_EVALUATE_RESULT_INIT;

    assert_ok(clora_model_load(&twin, context, fixture_path("tiny-llama"), NULL));
    assert_ok(clora_adapter_create(&others, twin, NULL));
    assert_ok(clora_adapter_create(&own, model, NULL));
    assert_ok(clora_session_create(&session, model, 1, 8));
    assert_ok(clora_dataset_from_ids(&data, (const int32_t[]){1, 2, 3}, NULL, (const int[]){3}, 1));
    assert_ok(clora_session_set_adapter(session, own));
    assert_refused(clora_session_set_adapter(session, others), CLORA_ERROR_ARGUMENT, "another model");
    assert_refused(clora_trainer_create(&trainer, model, others, data, NULL), CLORA_ERROR_ARGUMENT, "another model");
    assert_refused(clora_train(model, others, data, NULL, NULL, NULL), CLORA_ERROR_ARGUMENT, "another model");
    assert_refused(clora_evaluate(&result, model, others, data, NULL), CLORA_ERROR_ARGUMENT, "another model");
    assert_ok(clora_session_set_adapter(session, own));
    clora_dataset_free(data);
    clora_session_free(session);
    clora_adapter_free(own);
    clora_adapter_free(others);
    clora_model_free(twin);
}

static void test_prompts_that_are_not_there_are_refused(void **state) {
    (void)state;
    const clora_prompt prompts[] = {{(const int32_t[]){1}, 1}, {NULL, 2}};
    clora_generation *out[2] = {0};
    clora_tokenizer *tokenizer;
    clora_session *session;

    assert_ok(clora_tokenizer_load(&tokenizer, fixture_path("tokenizers/llama2")));
    assert_ok(clora_session_create(&session, model, 1, 8));
    assert_refused(clora_generate_batch(out, session, tokenizer, prompts, 2, NULL), CLORA_ERROR_ARGUMENT,
                   "at least one token");
    assert_ok(clora_generate_batch(out, session, tokenizer, prompts, 0, NULL));
    clora_session_free(session);
    clora_tokenizer_free(tokenizer);
}

static void test_a_fresh_adapter_is_saved_with_its_models_name(void **state) {
    (void)state;
    clora_inspected_adapter *saved;
    clora_adapter *adapter;

    assert_ok(clora_adapter_create(&adapter, model, NULL));
    assert_ok(clora_adapter_save(adapter, scratch_path("fresh"), NULL));
    assert_ok(clora_inspect_adapter(&saved, scratch_path("fresh")));
    assert_string_equal(saved->base, fixture_path("tiny-llama"));
    clora_inspected_adapter_free(saved);
    clora_adapter_free(adapter);
}

/* ---- loading ---- */

/* After so many calls. */
static int stop_load(void *user, int64_t done, int64_t total) {
    int *left = user;

    assert_in_range(done, 0, total);
    return (*left)-- == 0;
}

static void test_loading_tells_how_far_it_is_and_stops_without_a_trace(void **state) {
    (void)state;
    clora_model_options load = CLORA_MODEL_OPTIONS_INIT;
    clora_model *made;
    size_t before, after;

    clora_context_memory(context, &before, NULL);
    load.progress = stop_load;
    for (int calls = 0; calls < 20; calls += 5) { /* at the beginning, and among the weights */
        int left = calls;
        load.user = &left;
        assert_refused(clora_model_load(&made, context, fixture_path("tiny-llama"), &load), CLORA_CANCELLED, "stopped");
        assert_null(made);
        assert_int_equal(left, -1);
        clora_context_memory(context, &after, NULL);
        assert_int_equal(after, before);
    }
}

/* B sequences of T tokens go to the device in several pieces. */
enum { B = 256, T = 5 };

static void test_a_call_that_fails_appends_nothing(void **state) {
    (void)state;
    const size_t n = (size_t)B * (size_t)clora_model_get_info(model)->vocab;
    float *expected = malloc(n * sizeof(*expected)), *logits = malloc(n * sizeof(*logits));
    int32_t ids[B * T];
    clora_session *session;
    long at = 0;

    for (int i = 0; i < B * T; i++)
        ids[i] = (i * 7 + 3) % clora_model_get_info(model)->vocab;
    assert_ok(clora_session_create(&session, model, B, 2 * T));
    assert_ok(clora_session_forward(session, expected, ids, T, 0));
    for (clora_status status = CLORA_ERROR_OPENCL; status != CLORA_OK; at += 11) {
        clora_session_reset(session);
        failing_from("opencl", at, false);
        status = clora_session_forward(session, logits, ids, T, 0);
        failing_from(NULL, 0, false);
        assert_int_equal(clora_session_length(session), status == CLORA_OK ? T : 0);
    }
    assert_true(at > 4 * 11); /* it did fail, and in several pieces */
    clora_session_reset(session);
    assert_ok(clora_session_forward(session, logits, ids, T, 0));
    assert_memory_equal(logits, expected, n * sizeof(*logits));
    clora_session_free(session);
    free(expected);
    free(logits);
}

enum { NEW = 3 };

/* Two ids, then NEW steps of one: logits (NEW, V). The first error ends it. */
static clora_status write_some(float *logits, clora_session *session) {
    const int vocab = clora_model_get_info(model)->vocab;
    clora_status status = CLORA_OK;

    clora_session_reset(session);
    TRY(clora_session_forward(session, logits, (const int32_t[]){1, 2}, 2, 0));
    for (int s = 0; s < NEW; s++)
        TRY(clora_session_forward(session, logits + s * vocab, (const int32_t[]){3 + s}, 1, 0));
done:
    return status;
}

/* Whatever fails while a step is recorded, no later step goes by half a recording. */
static void test_steps_after_any_call_that_fails_are_right(void **state) {
    (void)state;
    const size_t n = (size_t)NEW * (size_t)clora_model_get_info(model)->vocab;
    float *expected = malloc(n * sizeof(*expected)), *logits = malloc(n * sizeof(*logits));
    clora_session *session;
    bool failed = true;

    assert_ok(clora_session_create(&session, model, 1, 2 + NEW));
    assert_ok(write_some(expected, session));
    clora_session_free(session);
    for (long at = 0; failed; at++) {
        assert_ok(clora_session_create(&session, model, 1, 2 + NEW));
        failing_from("opencl", at, false);
        (void)write_some(logits, session);
        failed = failing_count() > at;
        failing_from(NULL, 0, false);
        assert_ok(write_some(logits, session));
        assert_memory_equal(logits, expected, n * sizeof(*logits));
        clora_session_free(session);
    }
    free(expected);
    free(logits);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_call_without_logits_appends_nothing),
        cmocka_unit_test(test_an_adapter_of_another_model_is_refused_where_it_is_given),
        cmocka_unit_test(test_prompts_that_are_not_there_are_refused),
        cmocka_unit_test_setup_teardown(test_a_fresh_adapter_is_saved_with_its_models_name, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test(test_loading_tells_how_far_it_is_and_stops_without_a_trace),
        cmocka_unit_test(test_a_call_that_fails_appends_nothing),
        cmocka_unit_test(test_steps_after_any_call_that_fails_are_right),
    };

    if (clora_context_create(&context, NULL) != CLORA_OK) {
        print_message("skipped: %s\n", clora_last_error());
        return 77; /* Meson: skipped */
    }
    const int failed = cmocka_run_group_tests(tests, open_model, close_model);
    clora_context_free(context);
    return failed;
}
