/* A text is the same bit by bit whatever is beside it, on the kernels of CPUs: each row is added up in one order. */

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
static void run_requests(ids *out, size_t slots, int first, int step) {
    clora_engine_options options = {sizeof(options), slots, CAPACITY};
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
    run_requests(alone_each, 1, 0, 1);
    run_requests(beside, 8, 13, 5);
    assert_memory_equal(alone_each, beside, sizeof(beside));
    run_requests(beside, 32, 7, 11);
    assert_memory_equal(alone_each, beside, sizeof(beside));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logits_do_not_depend_on_the_rows_of_a_step),
        cmocka_unit_test(test_texts_do_not_depend_on_what_runs_beside_them),
    };

    if (clora_context_create(&context, NULL) != CLORA_OK || !kernel_explicit_vectors(context)) {
        print_message("skipped: no device with the kernels of CPUs: %s\n", clora_last_error());
        return 77; /* Meson: skipped */
    }
    const int failed = cmocka_run_group_tests(tests, open_adapters, close_adapters);
    clora_context_free(context);
    return failed;
}
