/* Adapters that come when a text asks for them and go when others need their place. */

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
#include "methods/adapter.h"
#include "support/failing.h"
#include "support/scratch.h"
#include "support/slots.h"

enum { ADAPTERS = 5, ROOM = 3 /* of the largest adapters */ };
static const char *const names[ADAPTERS] = {"a", "b", "c", "d", "e"};
static clora_adapter_cache *cache;
static size_t largest; /* bytes of an adapter */

static void save_adapters(void) {
    for (int i = 0; i < ADAPTERS; i++) {
        clora_adapter *adapter = slots_adapter(4 + i % 2, i % 2 ? "q_proj,v_proj" : "all-linear", 0.05f + 0.01f * i);
        assert_ok(clora_adapter_save(adapter, scratch_path(names[i]), NULL));
        if (adapter_bytes(adapter) > largest)
            largest = adapter_bytes(adapter);
        clora_adapter_free(adapter);
    }
}

static int open_cache(void **state) {
    clora_adapter_cache_options options = CLORA_ADAPTER_CACHE_OPTIONS_INIT;

    scratch_setup(state);
    save_adapters();
    options.memory = ROOM * largest;
    assert_ok(clora_adapter_cache_create(&cache, model, scratch_path(""), &options));
    return slots_open(state);
}

static int close_cache(void **state) {
    slots_close(state);
    clora_adapter_cache_free(cache);
    return scratch_teardown(state);
}

static clora_adapter *get(int which) {
    clora_adapter *adapter = NULL;

    assert_ok(clora_adapter_cache_get(&adapter, cache, names[which]));
    return adapter;
}

/* Ask for it, and let it go at once. True: it had to be read. */
static bool is_read(int which) {
    const uint64_t before = clora_adapter_cache_get_info(cache)->loads;

    clora_adapter_free(get(which));
    return clora_adapter_cache_get_info(cache)->loads > before;
}

static void test_what_is_there_is_not_read_again(void **state) {
    (void)state;
    clora_adapter *first = get(0), *again = get(0);
    assert_ptr_equal(first, again);
    assert_int_equal(clora_adapter_cache_get_info(cache)->loads, 1);
    assert_int_equal(clora_adapter_cache_get_info(cache)->in_use, 1);
    clora_adapter_free(first);
    clora_adapter_free(again);
    assert_int_equal(clora_adapter_cache_get_info(cache)->in_use, 0);
    assert_int_equal(clora_adapter_cache_get_info(cache)->adapters, 1);
    assert_int_equal(clora_adapter_cache_get_info(cache)->evictions, 0);
}

static void test_the_least_recently_used_goes(void **state) {
    (void)state;
    assert_true(is_read(0));
    assert_true(is_read(2));
    assert_true(is_read(4)); /* full */
    assert_int_equal(clora_adapter_cache_get_info(cache)->evictions, 0);
    assert_false(is_read(0));
    assert_true(is_read(1)); /* in place of 2 */
    assert_false(is_read(0));
    assert_false(is_read(4));
    assert_false(is_read(1));
    assert_int_equal(clora_adapter_cache_get_info(cache)->evictions, 1);
    assert_true(is_read(2)); /* in place of 0, the oldest now */
    assert_false(is_read(4));
    assert_true(is_read(0));
}

static void test_what_is_in_use_stays(void **state) {
    clora_adapter *held[ROOM], *refused = NULL;

    (void)state;
    for (int i = 0; i < ROOM; i++)
        held[i] = get(2 * i);
    assert_refused(clora_adapter_cache_get(&refused, cache, names[1]), CLORA_ERROR_MEMORY, "those in use have");
    assert_null(refused);
    assert_int_equal(clora_adapter_cache_get_info(cache)->adapters, ROOM);
    clora_adapter_free(held[1]);
    assert_true(is_read(1));
    assert_false(is_read(0));
    assert_false(is_read(4));
    clora_adapter_free(held[0]);
    clora_adapter_free(held[2]);
}

/* What the context counts: the cache has no more than it may, however many come and go, and gives all of it back. */
static void test_memory_is_what_it_may_be(void **state) {
    size_t before, now;

    (void)state;
    clora_context_memory(context, &before, NULL);
    for (uint64_t i = 0; i < 40; i++) {
        clora_adapter_free(get((int)(5.0f * rng_uniform(3, 0, i)) % ADAPTERS));
        const clora_adapter_cache_info *info = clora_adapter_cache_get_info(cache);
        clora_context_memory(context, &now, NULL);
        assert_int_equal(now - before, info->bytes);
        assert_true(info->bytes <= ROOM * largest && info->peak_bytes <= ROOM * largest);
    }
    assert_true(clora_adapter_cache_get_info(cache)->evictions > 5);
    clora_adapter_cache_free(cache);
    cache = NULL;
    clora_context_memory(context, &now, NULL);
    assert_int_equal(now, before);
}

static void test_names_are_no_paths(void **state) {
    static const char *const wrong[] = {"", ".", "..", "a/", "/tmp", "../a", "a/b"};
    clora_adapter *adapter = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_refused(clora_adapter_cache_get(&adapter, cache, wrong[i]), CLORA_ERROR_ARGUMENT, "not a path");
    assert_refused(clora_adapter_cache_get(&adapter, cache, "none"), CLORA_ERROR_NOT_FOUND, "no such directory");
    clora_adapter_cache *other = NULL;
    assert_refused(clora_adapter_cache_create(&other, model, scratch_path("none"), NULL), CLORA_ERROR_NOT_FOUND,
                   "no such directory");
}

/* Each allocation on the way to an adapter and its text fails once: nobody else notices. */
static void test_without_memory_an_adapter_is_refused_and_texts_go_on(void **state) {
    clora_request_options options = slots_usual();
    clora_request *base = slots_admit(0, &options), *request = NULL;
    long at = 0;

    (void)state;
    assert_ok(clora_engine_step(engine));
    clora_adapter_free(get(0));
    for (clora_status status = CLORA_ERROR_MEMORY; status != CLORA_OK; at += 5) {
        clora_adapter *adapter = NULL;
        failing_from("memory", at, false);
        status = clora_adapter_cache_get(&adapter, cache, names[1]);
        options.adapter = adapter;
        if (status == CLORA_OK)
            status = clora_engine_admit(&request, engine, prompt[1], length[1], &options);
        failing_from(NULL, 0, false);
        assert_int_equal(status, request ? CLORA_OK : CLORA_ERROR_MEMORY);
        clora_adapter_free(adapter);
    }
    assert_true(at > 50); /* it did fail */
    assert_false(is_read(0));
    slots_run();
    assert_alone(base, 0);
    assert_int_equal(clora_request_stop_reason(request), CLORA_STOP_LENGTH);
    clora_request_free(request);
}

/* ---- under load ---- */

/* A text in a slot, and what it must begin like. */
typedef struct running {
    clora_request *request;
    const clora_generation *expected;
    size_t wanted; /* tokens */
} running;

static clora_generation *of_each[ADAPTERS + 1][PROMPTS]; /* the last is the base alone */

static void generate_each(void) {
    clora_session *session;

    assert_ok(clora_session_create(&session, model, 1, CAPACITY));
    for (int a = 0; a <= ADAPTERS; a++) {
        clora_adapter *adapter = a < ADAPTERS ? get(a) : NULL;
        assert_ok(clora_session_set_adapter(session, adapter));
        clora_adapter_free(adapter);
        for (int i = 0; i < PROMPTS; i++)
            slots_alone(&of_each[a][i], session, i);
    }
    clora_session_free(session);
}

/* The i-th request, whose adapter and length are drawn. False: its adapter has to wait. */
static bool admit(running *r, uint64_t i) {
    const int a = (int)((ADAPTERS + 1) * rng_uniform(9, 0, i)) % (ADAPTERS + 1), which = (int)(i % PROMPTS);
    clora_request_options options = slots_usual();
    clora_adapter *adapter = NULL;

    if (a < ADAPTERS) {
        const clora_status status = clora_adapter_cache_get(&adapter, cache, names[a]);
        if (status == CLORA_ERROR_MEMORY && clora_engine_running(engine) > 0)
            return false;
        assert_ok(status);
    }
    options.adapter = adapter;
    options.max_tokens = 2 + i % 7;
    *r = (running){slots_admit(which, &options), of_each[a][which], options.max_tokens};
    clora_adapter_free(adapter);
    return true;
}

/* Its ids are those of the text alone. True: it has ended. */
static bool settle(running *r) {
    size_t n;

    if (!r->request || clora_request_stop_reason(r->request) == CLORA_STOP_NONE)
        return false;
    const int32_t *ids = clora_request_ids(r->request, &n);
    assert_true(n == r->wanted || n == (size_t)r->expected->count); /* or its end token came */
    assert_memory_equal(ids, r->expected->ids, n * sizeof(*ids));
    clora_request_free(r->request);
    r->request = NULL;
    return true;
}

/* Of device memory that is not the cache's, nothing comes to stay. */
static void assert_flat(size_t *others) {
    const clora_adapter_cache_info *info = clora_adapter_cache_get_info(cache);
    size_t now;

    clora_context_memory(context, &now, NULL);
    assert_true(info->bytes <= ROOM * largest);
    if (*others == 0)
        *others = now - (size_t)info->bytes;
    assert_int_equal(now - info->bytes, *others);
}

static void test_adapters_come_and_go_under_load(void **state) {
    const uint64_t count = getenv("CLORA_TEST_LONG") ? 10000 : 80, settled = 40;
    running slot[SLOTS] = {{NULL, NULL, 0}};
    uint64_t begun = 0, ended = 0;
    size_t others = 0;

    (void)state;
    generate_each();
    while (ended < count) {
        for (int s = 0; s < SLOTS; s++)
            if (!slot[s].request && begun < count && admit(&slot[s], begun))
                begun++;
        assert_ok(clora_engine_step(engine));
        for (int s = 0; s < SLOTS; s++)
            ended += settle(&slot[s]);
        if (ended > settled)
            assert_flat(&others);
    }
    assert_true(clora_adapter_cache_get_info(cache)->evictions > 5);
    for (int a = 0; a <= ADAPTERS; a++)
        for (int i = 0; i < PROMPTS; i++)
            clora_generation_free(of_each[a][i]);
}

/* ---- strength ---- */

static void generate_with(clora_generation **out, clora_adapter *adapter) {
    clora_session *session;

    assert_ok(clora_session_create(&session, model, 1, CAPACITY));
    assert_ok(clora_session_set_adapter(session, adapter));
    slots_alone(out, session, 0);
    clora_session_free(session);
}

static void assert_request(clora_adapter *adapter, float scale, const clora_generation *expected) {
    clora_request_options options = slots_usual();
    size_t n;

    options.adapter = adapter;
    options.scale = scale;
    clora_request *request = slots_admit(0, &options);
    slots_run();
    const int32_t *ids = clora_request_ids(request, &n);
    assert_int_equal(n, expected->count);
    assert_memory_equal(ids, expected->ids, n * sizeof(*ids));
    clora_request_free(request);
}

/* The same factors with an alpha of twice as much are the adapter at twice its strength. */
static void test_a_scale_is_a_factor_of_the_low_rank_terms(void **state) {
    clora_adapter *adapter = get(0), *twice, *none;
    clora_generation *plain, *doubled;
    float scale, scale_of_twice;

    (void)state;
    assert_ok(clora_adapter_scale(&twice, adapter, 2.0f));
    assert_ok(clora_adapter_scale(&none, adapter, 0.0f));
    scale = adapter_term(adapter, 0)->module[0].scale;
    scale_of_twice = adapter_term(twice, 0)->module[0].scale;
    assert_true(scale_of_twice == 2.0f * scale);
    assert_int_equal(clora_adapter_get_info(twice)->parameters, clora_adapter_get_info(adapter)->parameters);
    assert_string_equal(clora_adapter_method(twice), "scaled");
    generate_with(&plain, adapter);
    generate_with(&doubled, twice);
    assert_string_not_equal(plain->text, doubled->text);
    assert_request(adapter, 1.0f, plain);
    assert_request(adapter, 2.0f, doubled);
    assert_request(twice, 1.0f, doubled);
    assert_request(adapter, 0.0f, alone[0]);
    assert_request(none, 7.0f, alone[0]);
    clora_adapter_free(twice);
    clora_adapter_free(none);
    clora_adapter_free(adapter);
    clora_generation_free(plain);
    clora_generation_free(doubled);
}

static void test_scales_that_cannot_be_are_refused(void **state) {
    clora_request_options options = slots_usual();
    clora_adapter *adapter = get(0), *scaled;
    clora_request *request;

    (void)state;
    assert_refused(clora_adapter_scale(&scaled, adapter, NAN), CLORA_ERROR_ARGUMENT, "finite");
    options.adapter = adapter;
    options.scale = INFINITY;
    assert_refused(clora_engine_admit(&request, engine, prompt[0], length[0], &options), CLORA_ERROR_ARGUMENT,
                   "finite");
    assert_ok(clora_adapter_scale(&scaled, adapter, 0.5f));
    assert_refused(clora_adapter_save(scaled, scratch_path("new"), NULL), CLORA_ERROR_UNSUPPORTED, "no files");
    clora_adapter_free(adapter);
    clora_adapter_free(scaled);
    assert_int_equal(clora_adapter_cache_get_info(cache)->in_use, 0);
}

#define WITH_CACHE(test) cmocka_unit_test_setup_teardown(test, open_cache, close_cache)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_CACHE(test_what_is_there_is_not_read_again),
        WITH_CACHE(test_the_least_recently_used_goes),
        WITH_CACHE(test_what_is_in_use_stays),
        WITH_CACHE(test_memory_is_what_it_may_be),
        WITH_CACHE(test_names_are_no_paths),
        WITH_CACHE(test_without_memory_an_adapter_is_refused_and_texts_go_on),
        WITH_CACHE(test_adapters_come_and_go_under_load),
        WITH_CACHE(test_a_scale_is_a_factor_of_the_low_rank_terms),
        WITH_CACHE(test_scales_that_cannot_be_are_refused),
    };

    if (clora_context_create(&context, NULL) != CLORA_OK) {
        print_message("skipped: %s\n", clora_last_error());
        return 77; /* Meson: skipped */
    }
    const int failed = cmocka_run_group_tests(tests, slots_open_model, slots_close_model);
    clora_context_free(context);
    return failed;
}
