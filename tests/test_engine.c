/* Texts side by side that begin and end at any time: each is what it is alone. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/failing.h"
#include "support/fixture.h"
#include "support/scratch.h"
#include "support/slots.h"

static void test_texts_admitted_at_any_time_are_what_they_are_alone(void **state) {
    static const int when[PROMPTS] = {0, 0, 3, 7};
    const clora_request_options options = slots_usual();
    clora_request *request[PROMPTS] = {0};

    (void)state;
    for (int step = 0, begun = 0; begun < PROMPTS || clora_engine_running(engine) > 0; step++) {
        while (begun < PROMPTS && when[begun] <= step) {
            request[begun] = slots_admit(begun, &options);
            begun++;
        }
        assert_ok(clora_engine_step(engine));
    }
    for (int i = 0; i < PROMPTS; i++)
        assert_alone(request[i], i);
}

/* The first gives its slot to another, whose text has nothing of it. */
static void test_a_cancelled_text_leaves_the_others_and_its_slot_alone(void **state) {
    const clora_request_options options = slots_usual();
    clora_request *request[3];

    (void)state;
    for (int i = 0; i < 3; i++)
        request[i] = slots_admit(i, &options);
    for (int step = 0; step < 4; step++)
        assert_ok(clora_engine_step(engine));
    clora_request_cancel(request[0]);
    assert_int_equal(clora_request_stop_reason(request[0]), CLORA_STOP_CANCELLED);
    assert_begins(request[0], 0, 5); /* the first step gave two */
    clora_request_cancel(request[0]);
    assert_int_equal(clora_engine_running(engine), 2);
    assert_int_equal(clora_engine_free_slots(engine), SLOTS - 2);
    assert_ok(clora_engine_step(engine));
    clora_request *late = slots_admit(3, &options);
    slots_run();
    assert_begins(request[0], 0, 5);
    clora_request_free(request[0]);
    assert_alone(request[1], 1);
    assert_alone(request[2], 2);
    assert_alone(late, 3);
}

/* A cache of two pages, where each text takes one: the others wait in turn, also behind one that comes later. */
static void test_texts_wait_for_room_in_the_cache(void **state) {
    clora_engine_options size = CLORA_ENGINE_OPTIONS_INIT;
    const clora_request_options options = slots_usual();
    clora_engine *usual = engine;
    clora_request *request[PROMPTS];
    size_t count;

    (void)state;
    size.slots = SLOTS;
    size.capacity = CAPACITY;
    size.cache_tokens = 100;
    assert_ok(clora_engine_create(&engine, model, tokenizer, &size));
    for (int i = 0; i < 3; i++)
        request[i] = slots_admit(i, &options);
    for (int step = 0; step < 2; step++)
        assert_ok(clora_engine_step(engine));
    clora_request_ids(request[2], &count);
    assert_int_equal(count, 0);
    clora_request_cancel(request[0]);
    request[3] = slots_admit(3, &options); /* in the slot that is free, before the one that waits */
    assert_ok(clora_engine_step(engine));
    clora_request_ids(request[2], &count);
    assert_int_equal(count, 2);
    clora_request_ids(request[3], &count);
    assert_int_equal(count, 0);
    slots_run();
    assert_begins(request[0], 0, 3);
    clora_request_free(request[0]);
    for (int i = 1; i < PROMPTS; i++)
        assert_alone(request[i], i);
    clora_engine_free(engine);
    engine = usual;
}

static void test_requests_that_were_freed_or_never_stepped_leave_no_trace(void **state) {
    const clora_request_options options = slots_usual();

    (void)state;
    clora_request_free(slots_admit(0, &options)); /* before its first step */
    clora_request *kept = slots_admit(1, &options), *gone = slots_admit(2, &options), *idle = slots_admit(3, &options);
    clora_request_cancel(idle);
    assert_string_equal(clora_request_text(idle, NULL), "");
    assert_ok(clora_engine_step(engine));
    clora_request_free(gone);
    clora_request_free(idle);
    slots_run();
    assert_alone(kept, 1);
}

/* ---- how texts end ---- */

static clora_request *run_one(int which, const clora_request_options *options, clora_stop_reason finish) {
    clora_request *request = slots_admit(which, options);

    slots_run();
    assert_int_equal(clora_request_stop_reason(request), finish);
    return request;
}

static void test_a_text_ends_at_its_own_ids(void **state) {
    clora_request_options options = slots_usual();
    int first = 0;

    (void)state;
    while (alone[0]->ids[first] != alone[0]->ids[9])
        first++;
    options.stop_ids = (const int32_t[]){1999, alone[0]->ids[9]};
    options.stop_id_count = 2;
    clora_request *request = run_one(0, &options, CLORA_STOP_EOS);
    assert_begins(request, 0, (size_t)first + 1);
    clora_request_free(request);
}

static void test_a_text_ends_before_its_stop_texts(void **state) {
    clora_request_options options = slots_usual();
    char stop[8] = "";

    (void)state;
    memcpy(stop, alone[0]->text + 20, 4);
    options.stop = (const char *const[]){"never", stop, NULL};
    clora_request *request = slots_admit(0, &options);
    memset(stop, '?', 4); /* options are copied */
    slots_run();
    assert_int_equal(clora_request_stop_reason(request), CLORA_STOP_TEXT);
    const char *text = clora_request_text(request, NULL);
    assert_int_equal(strlen(text), strstr(alone[0]->text, (char[]){alone[0]->text[20], alone[0]->text[21],
                                                                   alone[0]->text[22], alone[0]->text[23], '\0'}) -
                                       alone[0]->text);
    clora_request_free(request);
}

static void test_a_text_ends_where_its_slot_is_full(void **state) {
    clora_request_options options = slots_usual();
    int32_t full[CAPACITY];
    clora_request *request;
    size_t n;

    (void)state;
    options.max_tokens = SIZE_MAX;
    request = run_one(1, &options, CLORA_STOP_CAPACITY);
    clora_request_ids(request, &n);
    assert_int_equal(n, CAPACITY - length[1] + 1); /* the last needs no place */
    clora_request_free(request);
    for (int i = 0; i < CAPACITY; i++)
        full[i] = 40 + i;
    assert_ok(clora_engine_admit(&request, engine, full, CAPACITY, &options));
    options = slots_usual();
    clora_request *beside = slots_admit(0, &options);
    slots_run();
    assert_alone(beside, 0);
    assert_int_equal(clora_request_stop_reason(request), CLORA_STOP_CAPACITY);
    clora_request_ids(request, &n);
    assert_int_equal(n, 1);
    clora_request_free(request);
}

static void test_no_tokens_may_be_wanted(void **state) {
    clora_request_options options = slots_usual();

    (void)state;
    options.max_tokens = 0;
    clora_request *request = run_one(0, &options, CLORA_STOP_LENGTH);
    assert_begins(request, 0, 0);
    clora_request_free(request);
}

static void test_the_seed_decides_the_tokens_whatever_the_slot(void **state) {
    clora_sample_options sample = CLORA_SAMPLE_OPTIONS_INIT;
    clora_request_options options = slots_usual();
    clora_request *request[3];
    size_t n;

    (void)state;
    sample.temperature = 1.0f;
    options.sample = &sample;
    for (int i = 0; i < 3; i++) {
        sample.seed = i == 2 ? 6 : 5;
        request[i] = slots_admit(0, &options);
    }
    slots_run();
    const int32_t *ids = clora_request_ids(request[0], &n);
    assert_memory_equal(ids, clora_request_ids(request[1], NULL), n * sizeof(*ids));
    assert_memory_not_equal(ids, clora_request_ids(request[2], NULL), n * sizeof(*ids));
    for (int i = 0; i < 3; i++)
        clora_request_free(request[i]);
}

/* ---- callbacks ---- */

typedef struct heard {
    char text[1024];
    int calls, last, stop_at; /* pieces, calls at the end, the piece that ends it */
    clora_request *victim;    /* is cancelled with the first piece */
    bool frees, admits;
} heard;

static int hear(void *user, clora_request *request, const char *text, size_t size) {
    heard *h = user;

    if (size == 0) {
        const clora_request_options options = slots_usual();
        assert_int_not_equal(clora_request_stop_reason(request), CLORA_STOP_NONE);
        h->last++;
        if (h->admits)
            h->victim = slots_admit(3, &options);
        if (h->frees)
            clora_request_free(request);
        return 1;
    }
    assert_int_equal(clora_request_stop_reason(request), CLORA_STOP_NONE);
    strncat(h->text, text, size);
    if (h->calls == 0 && !h->admits)
        clora_request_cancel(h->victim);
    return ++h->calls == h->stop_at;
}

static void test_a_callback_hears_the_text_and_its_end(void **state) {
    clora_request_options options = slots_usual();
    heard h = {.frees = true};

    (void)state;
    options.callback = hear;
    options.user = &h;
    slots_admit(0, &options);
    slots_run();
    assert_string_equal(h.text, alone[0]->text);
    assert_int_equal(h.last, 1);
}

static void test_a_callback_may_end_its_text_and_others(void **state) {
    clora_request_options options = slots_usual();
    heard h = {.stop_at = 3};

    (void)state;
    clora_request *before = slots_admit(0, &options);
    options.callback = hear;
    options.user = &h;
    clora_request *request = slots_admit(1, &options);
    h.victim = slots_admit(2, &options);
    options.callback = NULL;
    clora_request *after = slots_admit(3, &options), *victim = h.victim;
    slots_run();
    assert_int_equal(clora_request_stop_reason(victim), CLORA_STOP_CANCELLED);
    assert_begins(victim, 2, 0);
    assert_int_equal(clora_request_stop_reason(request), CLORA_STOP_CANCELLED);
    assert_string_equal(clora_request_text(request, NULL), h.text);
    assert_int_equal(h.last, 1);
    clora_request_free(request);
    clora_request_free(victim);
    assert_alone(before, 0);
    assert_alone(after, 3);
}

static void test_a_callback_may_admit_the_next(void **state) {
    clora_request_options options = slots_usual();
    heard h = {.admits = true, .frees = true};

    (void)state;
    clora_request *other = slots_admit(1, &options);
    options.callback = hear;
    options.user = &h;
    options.max_tokens = 3;
    slots_admit(0, &options);
    for (int step = 0; !h.victim; step++)
        assert_ok(clora_engine_step(engine));
    assert_int_equal(clora_request_stop_reason(h.victim), CLORA_STOP_NONE);
    assert_begins(h.victim, 3, 0); /* it waits for the next step */
    slots_run();
    assert_alone(h.victim, 3);
    assert_alone(other, 1);
}

/* ---- refusals and failures ---- */

static void test_what_cannot_be_admitted_is_refused(void **state) {
    clora_sample_options hot = CLORA_SAMPLE_OPTIONS_INIT;
    clora_request_options options = slots_usual();
    clora_request *taken[SLOTS], *refused = NULL;
    const int32_t wrong[] = {1, 2048}, long_prompt[CAPACITY + 1] = {0};

    (void)state;
    assert_refused(clora_engine_admit(&refused, engine, wrong, 0, NULL), CLORA_ERROR_ARGUMENT, "at least one token");
    assert_refused(clora_engine_admit(&refused, engine, wrong, 2, NULL), CLORA_ERROR_ARGUMENT, "token id 2048");
    assert_refused(clora_engine_admit(&refused, engine, long_prompt, CAPACITY + 1, NULL), CLORA_ERROR_ARGUMENT,
                   "has 41 tokens; a slot holds 40");
    options.stop_id_count = 1;
    assert_refused(clora_engine_admit(&refused, engine, wrong, 1, &options), CLORA_ERROR_ARGUMENT, "1 stop_ids");
    options = slots_usual();
    hot.temperature = -1.0f;
    options.sample = &hot;
    assert_refused(clora_engine_admit(&refused, engine, wrong, 1, &options), CLORA_ERROR_ARGUMENT, "temperature");
    assert_null(refused);
    options = slots_usual();
    for (int i = 0; i < SLOTS; i++)
        taken[i] = slots_admit(i, &options);
    assert_int_equal(clora_engine_free_slots(engine), 0);
    assert_refused(clora_engine_admit(&refused, engine, wrong, 1, NULL), CLORA_ERROR_ARGUMENT, "no free slot");
    slots_run();
    for (int i = 0; i < SLOTS; i++)
        assert_alone(taken[i], i);
}

static void test_engines_that_cannot_be_are_refused(void **state) {
    clora_engine_options options = CLORA_ENGINE_OPTIONS_INIT;
    clora_engine *e;

    (void)state;
    options.slots = 0;
    assert_refused(clora_engine_create(&e, model, tokenizer, &options), CLORA_ERROR_ARGUMENT, "0 slots");
    options.slots = 1;
    options.capacity = 257;
    assert_refused(clora_engine_create(&e, model, tokenizer, &options), CLORA_ERROR_ARGUMENT, "257 tokens");
    options.capacity = 40;
    options.cache_tokens = 39;
    assert_refused(clora_engine_create(&e, model, tokenizer, &options), CLORA_ERROR_ARGUMENT, "a cache of 39 tokens");
    assert_null(e);
    options = (clora_engine_options){.size = sizeof(size_t), .slots = 99}; /* of a header that knew no slots */
    assert_ok(clora_engine_create(&e, model, tokenizer, &options));
    assert_int_equal(clora_engine_free_slots(e), 8);
    clora_engine_free(e);
}

static void test_without_memory_a_request_is_refused_and_the_engine_goes_on(void **state) {
    const clora_request_options options = {.size = sizeof(options),
                                           .max_tokens = TOKENS,
                                           .stop = (const char *const[]){"never", "ever", NULL},
                                           .stop_ids = (const int32_t[]){1999},
                                           .stop_id_count = 1};
    clora_request *running = slots_admit(0, &options), *request = NULL;
    long at = 0;

    (void)state;
    assert_ok(clora_engine_step(engine));
    for (clora_status status = CLORA_ERROR_MEMORY; status != CLORA_OK; at++) {
        failing_from("memory", at, false);
        status = clora_engine_admit(&request, engine, prompt[1], length[1], &options);
        failing_from(NULL, 0, false);
        assert_int_equal(status, request ? CLORA_OK : CLORA_ERROR_MEMORY);
        assert_int_equal(clora_engine_running(engine), request ? 2 : 1);
    }
    assert_true(at > 8); /* it did fail */
    slots_run();
    assert_alone(running, 0);
    assert_alone(request, 1);
}

/* Each OpenCL call of the step in which a second text joins a first. */
static void test_a_step_that_the_device_fails_can_be_tried_again(void **state) {
    const clora_request_options options = slots_usual();
    long at = 0;

    (void)state;
    for (clora_status status = CLORA_ERROR_OPENCL; status != CLORA_OK; at += 7) {
        clora_request *first = slots_admit(0, &options);
        assert_ok(clora_engine_step(engine));
        clora_request *second = slots_admit(1, &options);
        failing_from("opencl", at, false);
        status = clora_engine_step(engine);
        failing_from(NULL, 0, false);
        assert_int_equal(clora_request_stop_reason(first), CLORA_STOP_NONE);
        assert_int_equal(clora_request_stop_reason(second), CLORA_STOP_NONE);
        slots_run();
        assert_alone(first, 0);
        assert_alone(second, 1);
    }
    assert_true(at > 2 * 7);
}

/* ---- lifetimes ---- */

static void test_handles_are_freed_in_any_order(void **state) {
    const char *path = fixture_path("../../models/tiny");
    const clora_request_options options = slots_usual();
    clora_model *m;
    clora_tokenizer *t;
    clora_engine *e;
    clora_request *running, *ended;

    (void)state;
    assert_ok(clora_model_load(&m, context, path, NULL));
    assert_ok(clora_tokenizer_load(&t, path));
    assert_ok(clora_engine_create(&e, m, t, NULL));
    clora_model_free(m);
    clora_tokenizer_free(t);
    assert_ok(clora_engine_admit(&ended, e, prompt[0], length[0], &options));
    while (clora_engine_running(e) > 0)
        assert_ok(clora_engine_step(e));
    assert_ok(clora_engine_admit(&running, e, prompt[1], length[1], &options));
    assert_ok(clora_engine_step(e));
    clora_engine_free(e);
    assert_int_equal(clora_request_stop_reason(running), CLORA_STOP_CANCELLED);
    assert_begins(running, 1, 2);
    clora_request_free(running);
    assert_alone(ended, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(test_texts_admitted_at_any_time_are_what_they_are_alone),
        WITH_ENGINE(test_a_cancelled_text_leaves_the_others_and_its_slot_alone),
        WITH_ENGINE(test_texts_wait_for_room_in_the_cache),
        WITH_ENGINE(test_requests_that_were_freed_or_never_stepped_leave_no_trace),
        WITH_ENGINE(test_a_text_ends_at_its_own_ids),
        WITH_ENGINE(test_a_text_ends_before_its_stop_texts),
        WITH_ENGINE(test_a_text_ends_where_its_slot_is_full),
        WITH_ENGINE(test_no_tokens_may_be_wanted),
        WITH_ENGINE(test_the_seed_decides_the_tokens_whatever_the_slot),
        WITH_ENGINE(test_a_callback_hears_the_text_and_its_end),
        WITH_ENGINE(test_a_callback_may_end_its_text_and_others),
        WITH_ENGINE(test_a_callback_may_admit_the_next),
        WITH_ENGINE(test_what_cannot_be_admitted_is_refused),
        WITH_ENGINE(test_engines_that_cannot_be_are_refused),
        WITH_ENGINE(test_without_memory_a_request_is_refused_and_the_engine_goes_on),
        WITH_ENGINE(test_a_step_that_the_device_fails_can_be_tried_again),
        WITH_ENGINE(test_handles_are_freed_in_any_order),
    };

    if (clora_context_create(&context, NULL) != CLORA_OK) {
        print_message("skipped: %s\n", clora_last_error());
        return 77; /* Meson: skipped */
    }
    const int failed = cmocka_run_group_tests(tests, slots_open_model, slots_close_model);
    clora_context_free(context);
    return failed;
}
