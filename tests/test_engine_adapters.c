/* Texts side by side with an adapter each: each is what it is alone with its own. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/scratch.h"
#include "support/slots.h"

/* Of different ranks and targets; the third, NULL, is the base alone. And the texts of each prompt with each. */
enum { ADAPTERS = 3 };
static clora_adapter *adapter[ADAPTERS];
static clora_generation *adapted[ADAPTERS][PROMPTS];

static int open_adapters(void **state) {
    clora_session *session;

    slots_open_model(state);
    assert_ok(clora_session_create(&session, model, 1, CAPACITY));
    adapter[0] = slots_adapter(3, "all-linear", 0.06f);
    adapter[1] = slots_adapter(8, "q_proj,v_proj,down_proj", 0.08f);
    for (int a = 0; a < ADAPTERS; a++) {
        assert_ok(clora_session_set_adapter(session, adapter[a]));
        for (int i = 0; i < PROMPTS; i++)
            slots_alone(&adapted[a][i], session, i);
    }
    clora_session_free(session);
    return 0;
}

static int close_adapters(void **state) {
    for (int a = 0; a < ADAPTERS; a++) {
        clora_adapter_free(adapter[a]);
        for (int i = 0; i < PROMPTS; i++)
            clora_generation_free(adapted[a][i]);
    }
    return slots_close_model(state);
}

static clora_request *admit_adapted(int which, int a) {
    clora_request_options options = slots_usual();

    options.adapter = adapter[a];
    return slots_admit(which, &options);
}

static void assert_adapted(clora_request *request, int which, int a) {
    size_t n;
    const int32_t *ids = clora_request_ids(request, &n);

    assert_int_equal(n, adapted[a][which]->count);
    assert_memory_equal(ids, adapted[a][which]->ids, n * sizeof(*ids));
    assert_string_equal(clora_request_text(request, NULL), adapted[a][which]->text);
    clora_request_free(request);
}

static void test_adapters_change_the_texts_here(void **state) {
    (void)state;
    for (int i = 0; i < PROMPTS; i++) {
        assert_string_not_equal(adapted[0][i]->text, alone[i]->text);
        assert_string_not_equal(adapted[1][i]->text, alone[i]->text);
        assert_string_not_equal(adapted[0][i]->text, adapted[1][i]->text);
        assert_string_equal(adapted[2][i]->text, alone[i]->text);
    }
}

/* All orders of three choices in four slots, neighbours that share one among them. */
static void test_each_text_has_its_own_adapter(void **state) {
    clora_request *request[SLOTS];

    (void)state;
    for (int order = 0; order < 81; order += 7) {
        int choice[SLOTS] = {order % 3, order / 3 % 3, order / 9 % 3, order / 27};
        for (int i = 0; i < SLOTS; i++)
            request[i] = admit_adapted(i, choice[i]);
        slots_run();
        for (int i = 0; i < SLOTS; i++)
            assert_adapted(request[i], i, choice[i]);
    }
}

static void test_texts_with_adapters_come_and_go(void **state) {
    (void)state;
    clora_request *base = admit_adapted(0, 2), *gone = admit_adapted(1, 0);
    assert_ok(clora_engine_step(engine));
    clora_request *second = admit_adapted(2, 1);
    for (int step = 0; step < 3; step++)
        assert_ok(clora_engine_step(engine));
    clora_request_cancel(gone); /* a slot between two that run is idle */
    assert_ok(clora_engine_step(engine));
    clora_request *third = admit_adapted(3, 1), *fourth = admit_adapted(1, 0);
    slots_run();
    clora_request_free(gone);
    assert_adapted(base, 0, 2);
    assert_adapted(second, 2, 1);
    assert_adapted(third, 3, 1);
    assert_adapted(fourth, 1, 0);
}

static void test_an_adapter_lives_as_long_as_its_texts_run(void **state) {
    clora_request_options options = slots_usual();

    (void)state;
    options.adapter = slots_adapter(3, "all-linear", 0.06f); /* the same numbers */
    clora_request *request = slots_admit(0, &options), *other = admit_adapted(1, 1);
    clora_adapter_free((clora_adapter *)options.adapter);
    slots_run();
    assert_adapted(request, 0, 0);
    assert_adapted(other, 1, 1);
}

/* A text of its own session after one token, which is computed by a step like those that follow. */
static void generate_short(clora_generation **out, clora_adapter *with) {
    clora_generate_options options = CLORA_GENERATE_OPTIONS_INIT;
    clora_session *session;

    options.max_tokens = TOKENS;
    assert_ok(clora_session_create(&session, model, 1, CAPACITY));
    assert_ok(clora_session_set_adapter(session, with));
    assert_ok(clora_generate(out, session, tokenizer, prompt[0], 1, &options));
    clora_session_free(session);
}

static void assert_short(clora_adapter *with, const clora_generation *expected) {
    clora_request_options options = slots_usual();
    clora_request *request;
    size_t n;

    options.adapter = with;
    assert_ok(clora_engine_admit(&request, engine, prompt[0], 1, &options));
    slots_run();
    const int32_t *ids = clora_request_ids(request, &n);
    assert_int_equal(n, expected->count);
    assert_memory_equal(ids, expected->ids, n * sizeof(*ids));
    clora_request_free(request);
}

/* Steps of one shape that differ by the adapter alone, also by one that lies where another has been. */
static void test_texts_one_after_the_other_have_their_own_adapters(void **state) {
    clora_generation *expected[ADAPTERS];

    (void)state;
    for (int a = 0; a < ADAPTERS; a++)
        generate_short(&expected[a], adapter[a]);
    assert_string_not_equal(expected[0]->text, expected[1]->text);
    for (int i = 0; i < 2 * ADAPTERS; i++)
        assert_short(adapter[i % ADAPTERS], expected[i % ADAPTERS]);
    for (int i = 0; i < 4; i++) {
        clora_adapter *made = slots_adapter(3, "all-linear", 0.06f + 0.05f * (float)i);
        clora_generation *own;
        generate_short(&own, made);
        assert_short(made, own);
        clora_adapter_free(made);
        clora_generation_free(own);
    }
    for (int a = 0; a < ADAPTERS; a++)
        clora_generation_free(expected[a]);
}

/* Its numbers overflow: its text alone ends. */
static void test_an_adapter_that_is_broken_fails_its_own_text(void **state) {
    clora_request_options options = slots_usual();
    clora_adapter *broken = slots_adapter(2, "all-linear", 1e30f);

    (void)state;
    clora_request *before = admit_adapted(0, 0);
    options.adapter = broken;
    clora_request *request = slots_admit(1, &options), *after = admit_adapted(2, 1);
    assert_refused(clora_engine_step(engine), CLORA_ERROR_FORMAT, "weights overflow");
    assert_int_equal(clora_request_stop_reason(request), CLORA_STOP_FAILED);
    slots_run();
    assert_begins(request, 1, 0);
    clora_request_free(request);
    clora_adapter_free(broken);
    assert_adapted(before, 0, 0);
    assert_adapted(after, 2, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(test_adapters_change_the_texts_here),
        WITH_ENGINE(test_each_text_has_its_own_adapter),
        WITH_ENGINE(test_texts_with_adapters_come_and_go),
        WITH_ENGINE(test_texts_one_after_the_other_have_their_own_adapters),
        WITH_ENGINE(test_an_adapter_lives_as_long_as_its_texts_run),
        WITH_ENGINE(test_an_adapter_that_is_broken_fails_its_own_text),
    };

    if (clora_context_create(&context, NULL) != CLORA_OK) {
        print_message("skipped: %s\n", clora_last_error());
        return 77; /* Meson: skipped */
    }
    const int failed = cmocka_run_group_tests(tests, open_adapters, close_adapters);
    clora_context_free(context);
    return failed;
}
