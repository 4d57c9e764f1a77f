/* A text is the same bit by bit whatever is beside it or was before it, on the kernels of CPUs: each row is added up in
 * one order. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "device/kernels.h"
#include "model/session.h"
#include "support/scratch.h"
#include "support/slots.h"

/* Adapters of different ranks and targets; the last is the base alone. */
enum { ADAPTERS = 4, MOST = 32, VOCAB = 2048 };
static clora_adapter *adapter[ADAPTERS];
static float *expected[ADAPTERS][PROMPTS]; /* logits after a prompt and one more token, computed alone */

/* Read the prompt into a sequence; the id that follows it. */
static int32_t begin(clora_session *session, int sequence, int which, int a) {
    const selection select = {.adapter = adapter[a]};
    static float logits[VOCAB];
    int32_t best = 0;

    session_forget(session, sequence);
    assert_ok(session_prefill(session, &select, sequence, logits, prompt[which], (int)length[which]));
    for (int i = 0; i < VOCAB; i++)
        best = logits[i] > logits[best] ? i : best;
    return best;
}

static int open_adapters(void **state) {
    clora_session *session;

    slots_open_model(state);
    assert_int_equal(clora_model_get_info(model)->vocab, VOCAB);
    adapter[0] = slots_adapter(3, "all-linear", 0.06f);
    adapter[1] = slots_adapter(16, "q_proj,v_proj", 0.08f);
    adapter[2] = slots_adapter(64, "k_proj,down_proj,lm_head", 0.05f);
    assert_ok(clora_session_create(&session, model, 1, CAPACITY));
    for (int a = 0; a < ADAPTERS; a++) {
        assert_ok(session_prepare(session, adapter[a]));
        for (int i = 0; i < PROMPTS; i++) {
            const selection select = {.adapter = adapter[a]};
            const int32_t id = begin(session, 0, i, a);
            expected[a][i] = malloc(VOCAB * sizeof(float));
            assert_ok(session_step(session, &select, expected[a][i], &id, 1));
        }
    }
    clora_session_free(session);
    return 0;
}

static int close_adapters(void **state) {
    for (int a = 0; a < ADAPTERS; a++) {
        clora_adapter_free(adapter[a]);
        for (int i = 0; i < PROMPTS; i++)
            free(expected[a][i]);
    }
    return slots_close_model(state);
}

/* One step of B sequences, the adapters from `first` on in turns of `turn` sequences. */
static void assert_step(clora_session *session, int B, int first, int turn) {
    const clora_adapter *each[MOST] = {NULL};
    float *logits = malloc((size_t)B * VOCAB * sizeof(*logits));
    int32_t ids[MOST];

    for (int b = 0; b < B; b++) {
        const int a = (first + b / turn) % ADAPTERS;
        each[b] = adapter[a];
        ids[b] = begin(session, b, b % PROMPTS, a);
    }
    const selection select = selection_of(each, B);
    assert_ok(session_step(session, &select, logits, ids, B));
    for (int b = 0; b < B; b++)
        assert_memory_equal(logits + (size_t)b * VOCAB, expected[(first + b / turn) % ADAPTERS][b % PROMPTS],
                            VOCAB * sizeof(*logits));
    free(logits);
}

static void test_logits_do_not_depend_on_the_rows_of_a_step(void **state) {
    static const int rows[] = {2, 8, 9, MOST};
    clora_session *session;

    (void)state;
    assert_ok(clora_session_create(&session, model, MOST, CAPACITY));
    for (int a = 0; a < ADAPTERS; a++)
        assert_ok(session_prepare(session, adapter[a]));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (int a = 0; a < ADAPTERS; a++)
            assert_step(session, rows[i], a, MOST); /* all with one */
        assert_step(session, rows[i], 0, 1);        /* each with another than its neighbours */
        assert_step(session, rows[i], 1, 3);
    }
    clora_session_free(session);
}

static int launches(const char *kernel) {
    size_t count = 0;
    const clora_profile_entry *const *entry = clora_context_profile_read(context, &count);

    for (size_t i = 0; i < count; i++)
        if (strcmp(entry[i]->kernel, kernel) == 0)
            return (int)entry[i]->launches;
    return 0;
}

/* Also after the adapters have changed places. */
static void test_few_texts_with_an_adapter_each_go_in_one_launch(void **state) {
    clora_session *session;

    (void)state;
    assert_ok(clora_session_create(&session, model, ADAPTERS, CAPACITY));
    for (int a = 0; a < ADAPTERS; a++)
        assert_ok(session_prepare(session, adapter[a]));
    assert_ok(clora_context_profile(context, 1));
    for (int first = 0; first < 2; first++)
        assert_step(session, ADAPTERS, first, 1);
    if (kernel_runs_tapes(context)) {
        assert_true(launches("tape") > 0);
        assert_int_equal(launches("lowrank_each_down"), 0);
    }
    assert_ok(clora_context_profile(context, 0));
    clora_session_free(session);
}

/* ---- whole texts ---- */

enum { REQUESTS = 48 };

typedef struct ids {
    int32_t id[TOKENS];
    size_t count;
} ids;

static clora_request *admit(clora_engine *e, int i) {
    clora_request_options options = slots_usual();
    clora_sample_options hot = CLORA_SAMPLE_OPTIONS_INIT;
    clora_request *request = NULL;

    hot.temperature = 1.5f;
    hot.seed = (uint64_t)i;
    options.adapter = adapter[i / PROMPTS % ADAPTERS];
    options.sample = i % 2 ? &hot : NULL;
    options.max_tokens = (size_t)(5 + i * 7 % 11);
    assert_ok(clora_engine_admit(&request, e, prompt[i % PROMPTS], length[i % PROMPTS], &options));
    return request;
}

/* All requests, from the first-th on in steps of `step`, which has no factor with REQUESTS. */
static void run_requests(ids *out, size_t slots, size_t cache_tokens, int first, int step) {
    clora_engine_options options = {sizeof(options), slots, CAPACITY, cache_tokens};
    clora_request *request[REQUESTS];
    clora_engine *e;
    int begun = 0;

    assert_ok(clora_engine_create(&e, model, tokenizer, &options));
    while (begun < REQUESTS || clora_engine_running(e) > 0) {
        for (; begun < REQUESTS && clora_engine_free_slots(e) > 0; begun++) {
            const int i = (first + begun * step) % REQUESTS;
            request[i] = admit(e, i);
        }
        assert_ok(clora_engine_step(e));
    }
    for (int i = 0; i < REQUESTS; i++) {
        const int32_t *of = clora_request_ids(request[i], &out[i].count);
        memcpy(out[i].id, of, out[i].count * sizeof(*of));
        clora_request_free(request[i]);
    }
    clora_engine_free(e);
}

static void test_texts_do_not_depend_on_what_runs_beside_them(void **state) {
    static ids alone_each[REQUESTS], beside[REQUESTS];

    (void)state;
    run_requests(alone_each, 1, 0, 0, 1);
    run_requests(beside, 8, 0, 13, 5);
    assert_memory_equal(alone_each, beside, sizeof(beside));
    run_requests(beside, 32, 20 * 64, 7, 11); /* of which twenty find room */
    assert_memory_equal(alone_each, beside, sizeof(beside));
}

/* ---- prompts that begin alike ---- */

enum { LONGEST = 640, SEQUENCES = 3 };

/* A prompt of T tokens, of which the first `common` are every prompt's, and an adapter. */
typedef struct wanted {
    int common, T, adapter;
} wanted;

static const wanted prompts[] = {
    {100, 100, 0}, {100, 130, 0}, {100, 101, 0}, {100, 100, 0}, {100, 130, 3}, {90, 160, 3},
    {14, 90, 0},   {60, 20, 0},   {560, 600, 3}, {512, 530, 3}, {560, 580, 3}, {560, 560, 3},
};
enum { ASKED = sizeof(prompts) / sizeof(prompts[0]) };

/* The prompts one after the other, each in the next sequence, and a token more: logits (2, VOCAB) of each. */
static void ask_all(float *logits, size_t *reused, bool apart) {
    clora_session *session;
    int32_t ids[LONGEST];

    assert_ok(clora_session_create(&session, model, SEQUENCES, LONGEST));
    for (int a = 0; a < ADAPTERS; a++)
        assert_ok(session_prepare(session, adapter[a]));
    for (int i = 0; i < ASKED; i++, logits += 2 * VOCAB) {
        const wanted *w = &prompts[i];
        const selection select = {.adapter = adapter[w->adapter]};
        const int sequence = i % SEQUENCES;
        int32_t next[SEQUENCES] = {SESSION_IDLE, SESSION_IDLE, SESSION_IDLE};
        float each[SEQUENCES * VOCAB];
        for (int t = 0; t < w->T; t++)
            ids[t] = (t * 37 + t * t % 1009 + (t < w->common ? 0 : 1 + i)) % VOCAB;
        if (apart)
            context->updates++; /* nothing that was made before may be taken */
        session_forget(session, sequence);
        assert_ok(session_prefill(session, &select, sequence, logits, ids, w->T));
        next[sequence] = 5;
        assert_ok(session_step(session, &select, each, next, SEQUENCES));
        memcpy(logits + VOCAB, each + sequence * VOCAB, VOCAB * sizeof(*logits));
        reused[i] = clora_session_reused(session);
    }
    clora_session_free(session);
}

static void test_prompts_share_their_beginning_and_no_bit_changes(void **state) {
    const size_t n = (size_t)ASKED * 2 * VOCAB;
    float *shared = malloc(n * sizeof(*shared)), *apart = malloc(n * sizeof(*apart));
    size_t reused[ASKED], none[ASKED];

    (void)state;
    model->config.max_positions = LONGEST;
    ask_all(shared, reused, false);
    ask_all(apart, none, true);
    assert_int_equal(none[ASKED - 1], 0);
    for (int i = ASKED - 1; i > 0; i--)
        reused[i] -= reused[i - 1];
    for (int i = 0; i < ASKED; i++) {
        print_message("%d of %d tokens: %zu taken\n", prompts[i].common, prompts[i].T, reused[i]);
        assert_memory_equal(shared + (size_t)i * 2 * VOCAB, apart + (size_t)i * 2 * VOCAB, 2 * VOCAB * sizeof(*shared));
    }
    assert_int_equal(reused[0], 0);
    assert_int_equal(reused[1], 100);
    assert_in_range(reused[2], 60, 84); /* but for the last rows of a piece */
    assert_int_equal(reused[4], 0);     /* another adapter's */
    assert_int_equal(reused[5], 90);
    assert_int_equal(reused[6], 0); /* too few */
    assert_int_equal(reused[7], 0);
    assert_int_equal(reused[9], 512); /* where every prompt is cut */
    assert_in_range(reused[10], 530, 563);
    assert_in_range(reused[11], 520, 543);
    free(shared);
    free(apart);
}

/* What a text's ids cost its next turn: a prompt's own rows, not those of new tokens, are as a prompt's. */
static void test_a_conversation_is_read_once(void **state) {
    clora_generate_options options = CLORA_GENERATE_OPTIONS_INIT;
    clora_generation *first, *second, *fresh;
    clora_session *session, *other;
    int32_t ids[250];

    (void)state;
    options.max_tokens = TOKENS;
    assert_ok(clora_session_create(&session, model, 1, 256));
    assert_ok(clora_session_create(&other, model, 1, 256));
    for (int t = 0; t < 250; t++)
        ids[t] = (t * 31 + 7) % VOCAB;
    assert_ok(clora_generate(&first, session, tokenizer, ids, 100, &options));
    memcpy(ids + 100, first->ids, first->count * sizeof(*ids));
    assert_int_equal(clora_session_reused(session), 0);
    assert_ok(clora_generate(&second, session, tokenizer, ids, 180, &options));
    assert_int_equal(clora_session_reused(session), 100);
    assert_ok(clora_generate(&fresh, other, tokenizer, ids, 180, &options));
    assert_int_equal(second->count, fresh->count);
    assert_memory_equal(second->ids, fresh->ids, fresh->count * sizeof(*ids));
    assert_string_equal(second->text, fresh->text);
    clora_generation_free(first);
    clora_generation_free(second);
    clora_generation_free(fresh);
    clora_session_free(session);
    clora_session_free(other);
}

static void run_all(clora_engine *e) {
    while (clora_engine_running(e) > 0)
        assert_ok(clora_engine_step(e));
}

static clora_request *admit_ids(clora_engine *e, const int32_t *ids, size_t count, size_t tokens) {
    clora_request_options options = slots_usual();
    clora_request *request = NULL;

    options.max_tokens = tokens;
    assert_ok(clora_engine_admit(&request, e, ids, count, &options));
    return request;
}

/* Of one that runs, in the same step and later, and of one that ended before others went on. */
static void test_requests_share_with_those_that_run_and_those_that_ended(void **state) {
    clora_engine_options options = {sizeof(options), 3, 200, 0};
    clora_request *request[4], *alone_one;
    size_t count, n;
    int32_t ids[120];
    clora_engine *e;

    (void)state;
    assert_ok(clora_engine_create(&e, model, tokenizer, &options));
    for (int t = 0; t < 120; t++)
        ids[t] = (t * 41 + 3) % VOCAB;
    request[0] = admit_ids(e, ids, 120, 3);
    request[1] = admit_ids(e, ids, 118, TOKENS);
    assert_ok(clora_engine_step(e));
    assert_in_range(clora_engine_reused(e), 90, 118);
    while (clora_request_stop_reason(request[0]) == CLORA_STOP_NONE)
        assert_ok(clora_engine_step(e));
    for (int step = 0; step < 4; step++)
        assert_ok(clora_engine_step(e)); /* its slot takes part idly */
    count = clora_engine_reused(e);
    request[2] = admit_ids(e, ids, 120, TOKENS);
    request[3] = admit_ids(e, ids + 1, 110, TOKENS); /* begins otherwise */
    run_all(e);
    assert_in_range(clora_engine_reused(e) - count, 90, 120);
    context->updates++;
    alone_one = admit_ids(e, ids, 120, TOKENS);
    run_all(e);
    const int32_t *found = clora_request_ids(request[2], &n), *expected = clora_request_ids(alone_one, &count);
    assert_int_equal(n, count);
    assert_memory_equal(found, expected, n * sizeof(*found));
    for (int i = 0; i < 4; i++)
        clora_request_free(request[i]);
    clora_request_free(alone_one);
    clora_engine_free(e);
}

/* Five pages, of which each text takes three: two that have one in common run at once. */
static void test_a_beginning_in_common_takes_room_once(void **state) {
    enum { MADE = 12, TWO = 2 };
    clora_engine_options options = {sizeof(options), 3, 140, 5 * 64};
    clora_request *request[3], *again;
    const int32_t *found, *expected_ids;
    size_t count, n;
    int32_t ids[120];
    clora_engine *e;

    (void)state;
    assert_ok(clora_engine_create(&e, model, tokenizer, &options));
    for (int t = 0; t < 120; t++)
        ids[t] = (t * 43 + 5) % VOCAB;
    for (int i = 0; i < TWO; i++)
        request[i] = admit_ids(e, ids, (size_t)(119 + i), MADE);
    request[TWO] = admit_ids(e, ids + 1, 119, MADE); /* begins otherwise */
    assert_ok(clora_engine_step(e));
    for (int i = 0; i <= TWO; i++) {
        clora_request_ids(request[i], &count);
        assert_int_equal(count, i < TWO ? 2 : 0);
    }
    run_all(e);
    for (int i = 0; i <= TWO; i++) {
        context->updates++;
        again = admit_ids(e, i < TWO ? ids : ids + 1, (size_t)(i < TWO ? 119 + i : 119), MADE);
        run_all(e);
        found = clora_request_ids(request[i], &n);
        expected_ids = clora_request_ids(again, &count);
        assert_int_equal(n, count);
        assert_memory_equal(found, expected_ids, n * sizeof(*found));
        clora_request_free(again);
        clora_request_free(request[i]);
    }
    clora_engine_free(e);
}

static void test_texts_share_at_one_strength_of_their_adapter(void **state) {
    static const struct {
        float scale;
        size_t least;
    } asked[] = {{0.5f, 0}, {0.5f, 90}, {0.75f, 0}, {1.0f, 0}, {1.0f, 90}};
    clora_engine_options options = {sizeof(options), 1, 140, 0};
    int32_t ids[120];
    clora_engine *e;

    (void)state;
    assert_ok(clora_engine_create(&e, model, tokenizer, &options));
    for (int t = 0; t < 120; t++)
        ids[t] = (t * 43 + 5) % VOCAB;
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        clora_request_options request_options = slots_usual();
        clora_request *request = NULL;
        const size_t before = clora_engine_reused(e);
        request_options.adapter = adapter[0];
        request_options.scale = asked[i].scale;
        request_options.max_tokens = 1;
        assert_ok(clora_engine_admit(&request, e, ids, 120, &request_options));
        run_all(e);
        assert_in_range(clora_engine_reused(e) - before, asked[i].least, asked[i].least ? 120 : 0);
        clora_request_free(request);
    }
    clora_engine_free(e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logits_do_not_depend_on_the_rows_of_a_step),
        cmocka_unit_test(test_few_texts_with_an_adapter_each_go_in_one_launch),
        cmocka_unit_test(test_texts_do_not_depend_on_what_runs_beside_them),
        cmocka_unit_test(test_prompts_share_their_beginning_and_no_bit_changes),
        cmocka_unit_test(test_a_conversation_is_read_once),
        cmocka_unit_test(test_requests_share_with_those_that_run_and_those_that_ended),
        cmocka_unit_test(test_a_beginning_in_common_takes_room_once),
        cmocka_unit_test(test_texts_share_at_one_strength_of_their_adapter),
    };

    if (clora_context_create(&context, NULL) != CLORA_OK || !kernel_explicit_vectors(context)) {
        print_message("skipped: no device with the kernels of CPUs: %s\n", clora_last_error());
        return 77; /* Meson: skipped */
    }
    const int failed = cmocka_run_group_tests(tests, open_adapters, close_adapters);
    clora_context_free(context);
    return failed;
}
