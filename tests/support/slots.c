#include "support/slots.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "methods/lora_adapter.h"
#include "support/fixture.h"
#include "support/scratch.h"

static const char *const texts[PROMPTS] = {"The quick brown fox", "; fruit =", "city = Madrid; drink", "There was"};

clora_model *model;
clora_tokenizer *tokenizer;
clora_engine *engine;
int32_t *prompt[PROMPTS];
size_t length[PROMPTS];
clora_generation *alone[PROMPTS];

void slots_alone(clora_generation **out, clora_session *session, int which) {
    clora_generate_options options = CLORA_GENERATE_OPTIONS_INIT;

    options.max_tokens = TOKENS;
    assert_ok(clora_generate(out, session, tokenizer, prompt[which], length[which], &options));
}

int slots_open_model(void **state) {
    const char *path = fixture_path("../../models/tiny");
    clora_session *session;

    (void)state;
    assert_ok(clora_model_load(&model, context, path, NULL));
    assert_ok(clora_tokenizer_load(&tokenizer, path));
    assert_ok(clora_session_create(&session, model, 1, CAPACITY));
    for (int i = 0; i < PROMPTS; i++) {
        assert_ok(clora_tokenizer_encode(tokenizer, texts[i], strlen(texts[i]), 1, &prompt[i], &length[i]));
        slots_alone(&alone[i], session, i);
        assert_int_equal(alone[i]->count, TOKENS); /* none ends early */
    }
    clora_session_free(session);
    return 0;
}

int slots_close_model(void **state) {
    (void)state;
    for (int i = 0; i < PROMPTS; i++) {
        free(prompt[i]);
        clora_generation_free(alone[i]);
    }
    clora_tokenizer_free(tokenizer);
    clora_model_free(model);
    return 0;
}

int slots_open(void **state) {
    clora_engine_options options = CLORA_ENGINE_OPTIONS_INIT;

    (void)state;
    options.slots = SLOTS;
    options.capacity = CAPACITY;
    assert_ok(clora_engine_create(&engine, model, tokenizer, &options));
    return 0;
}

int slots_close(void **state) {
    (void)state;
    clora_engine_free(engine);
    return 0;
}

clora_request_options slots_usual(void) {
    clora_request_options options = CLORA_REQUEST_OPTIONS_INIT;

    options.max_tokens = TOKENS;
    return options;
}

clora_request *slots_admit(int which, const clora_request_options *options) {
    clora_request *request = NULL;

    assert_ok(clora_engine_admit(&request, engine, prompt[which], length[which], options));
    assert_int_equal(clora_request_stop_reason(request), CLORA_STOP_NONE);
    return request;
}

void slots_run(void) {
    while (clora_engine_running(engine) > 0)
        assert_ok(clora_engine_step(engine));
}

clora_adapter *slots_adapter(int rank, const char *targets, float deviation) {
    clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
    clora_adapter *made = NULL;

    options.rank = rank;
    options.target_modules = targets;
    assert_ok(clora_adapter_create(&made, model, &options));
    for (int c = 0; c < lora_of(made)->chunks; c++) {
        const size_t n = clora_tensor_count(lora_of(made)->chunk[c]);
        float *values = malloc(n * sizeof(*values));
        for (size_t i = 0; i < n; i++)
            values[i] = deviation * rng_normal((uint64_t)rank, (uint32_t)c, i);
        assert_ok(clora_tensor_write(lora_of(made)->chunk[c], values));
        free(values);
    }
    return made;
}

void assert_begins(const clora_request *request, int which, size_t count) {
    size_t n, size;
    const int32_t *ids = clora_request_ids(request, &n);

    assert_int_equal(n, count);
    assert_memory_equal(ids, alone[which]->ids, n * sizeof(*ids));
    const char *text = clora_request_text(request, &size);
    assert_int_equal(strlen(text), size);
    assert_true(strncmp(text, alone[which]->text, size) == 0);
}

void assert_alone(clora_request *request, int which) {
    assert_int_equal(clora_request_stop_reason(request), CLORA_STOP_LENGTH);
    assert_begins(request, which, TOKENS);
    assert_string_equal(clora_request_text(request, NULL), alone[which]->text);
    clora_request_free(request);
}
