/* Prefixes and prompts, which stand before every sequence: against PEFT, and against what they mean. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <clora/clora.h>

#include "methods/past_adapter.h"
#include "model/session.h"
#include "support/fixture.h"
#include "support/scratch.h"
#include "support/training.h"
#include "train/trainer.h"

enum { V = 97, MOST = 64 * V };
static const double tolerance = 1e-4;

static clora_context *context;
static const char *const bases[] = {"tiny-llama", "tiny-qwen2", "tiny-granite", "tiny-mistral",
                                    "tiny-qwen3", "tiny-gpt2",  "tiny-olmo2"};
static clora_model *models[sizeof(bases) / sizeof(bases[0])];

/* PEFT's adapters; trained is where PEFT trains them. */
static const struct {
    const char *name;
    int model;
    bool trained;
} cases[] = {
    {"tiny-llama-prefix", 0, true},   {"tiny-llama-prompt", 0, true},
    {"tiny-qwen2-prefix", 1, true},   {"tiny-qwen2-prompt", 1, true},
    {"tiny-mistral-prefix", 3, true}, /* longer than the window */
    {"tiny-qwen3-prefix", 4, true},   /* whose keys are not beside their values in training */
    {"tiny-gpt2-prefix", 5, true},    /* whose positions are learned */
    {"tiny-granite-prompt", 2, true}, /* whose embeddings are multiplied, the prompt's with them */
    {"tiny-olmo2-prefix", 6, true},   {"tiny-llama-prefix-projection", 0, false},
};
enum { CASES = sizeof(cases) / sizeof(cases[0]), TRAINED = CASES - 1, BASES = sizeof(bases) / sizeof(bases[0]) };

static clora_adapter *load(int i) {
    return fixture_adapter(models[cases[i].model], cases[i].name);
}

/* Logits (B, T, V) of the batch: in one pass, or a token at a time. */
static void forward(float *logits, const fixture_batch *batch, clora_model *m, clora_adapter *adapter, bool cached) {
    const int past = clora_adapter_past(adapter);
    clora_session *session = NULL;
    int32_t column[4];
    float last[4 * V];

    assert_ok(clora_session_create(&session, m, batch->B, past + batch->T));
    assert_ok(clora_session_set_adapter(session, adapter));
    if (!cached)
        assert_ok(clora_session_forward(session, logits, batch->ids, batch->T, 1));
    for (int t = 0; cached && t < batch->T; t++) {
        for (int b = 0; b < batch->B; b++)
            column[b] = batch->ids[b * batch->T + t];
        assert_ok(clora_session_forward(session, last, column, 1, 0));
        assert_int_equal(clora_session_length(session), past + t + 1);
        for (int b = 0; b < batch->B; b++)
            memcpy(logits + (b * batch->T + t) * V, last + b * V, V * sizeof(float));
    }
    assert_int_equal(clora_session_forward(session, last, batch->ids, 1, 0), CLORA_ERROR_SHAPE);
    clora_session_free(session);
}

static void assert_logits(const float *actual, const float *expected, const fixture_batch *batch, const char *name) {
    for (int b = 0; b < batch->B; b++) {
        const int start = b * batch->T * V;
        const double error = relative_error(actual + start, expected + start, (size_t)(batch->lengths[b] * V));
        if (!(error <= tolerance))
            fail_msg("%s: sequence %d: relative error %g", name, b, error);
    }
}

static void test_logits_are_those_of_peft(void **state) {
    static float logits[MOST];
    fixture_batch batch;

    (void)state;
    for (int i = 0; i < CASES; i++) {
        clora_adapter *adapter = load(i);
        fixture_tensors *f = fixture_open(cases[i].name);
        fixture_read_batch(&batch, cases[i].name);
        for (int cached = 0; cached < 2; cached++) {
            forward(logits, &batch, models[cases[i].model], adapter, cached);
            assert_logits(logits, fixture_tensor(f, "logits", (size_t)(batch.B * batch.T * V)), &batch, cases[i].name);
        }
        clora_adapter_free(adapter);
        fixture_close(f);
    }
}

/* The matrix that is learnt, or its gradient, against a tensor of the fixture. */
static void assert_values(const clora_tensor *matrix, const parameters *gradients, float factor,
                          const fixture_tensors *f, const char *key, double limit) {
    const clora_tensor at = gradients ? parameters_gradient(gradients, matrix) : *matrix;
    const size_t n = clora_tensor_count(&at);
    float *values = malloc(n * sizeof(*values));

    assert_ok(clora_tensor_read(&at, values));
    for (size_t i = 0; i < n; i++)
        values[i] *= factor;
    const double error = relative_error(values, fixture_tensor(f, key, n), n);
    if (!(error <= limit))
        fail_msg("%s: relative error %g", key, error);
    free(values);
}

static void train_like_peft(int i, int recompute) {
    const char *name = cases[i].name;
    clora_dataset *dataset = NULL;
    clora_train_step done = CLORA_TRAIN_STEP_INIT;
    fixture_batch batch;

    fixture_read_batch(&batch, name);
    fixture_tensors *f = fixture_open(name);
    clora_adapter *adapter = load(i);
    const clora_tensor *matrix = adapter->prefix ? adapter->prefix : adapter->prompt;
    clora_trainer *trainer = fixture_trainer(models[cases[i].model], adapter, &dataset, &batch, recompute);
    for (int step = 0; step < 10; step++) {
        assert_ok(clora_trainer_step(&done, trainer));
        const double expected = fixture_number(name, "loss_trace", step);
        if (!(fabs((double)done.loss - expected) <= 1e-4))
            fail_msg("%s: step %d: loss %g, expected %g", name, step, (double)done.loss, expected);
        if (step == 0)
            assert_values(matrix, &trainer->parameters, 1.0f / (float)batch.learnt, f, "grad.prompt_embeddings",
                          tolerance);
    }
    assert_values(matrix, NULL, 1.0f, f, "final.prompt_embeddings", 1e-3);
    clora_trainer_free(trainer);
    clora_dataset_free(dataset);
    clora_adapter_free(adapter);
    fixture_close(f);
}

static void test_training_follows_peft(void **state) {
    (void)state;
    for (int i = 0; i < TRAINED; i++)
        train_like_peft(i, CLORA_RECOMPUTE_NONE);
    train_like_peft(0, CLORA_RECOMPUTE_LAYER);
    train_like_peft(3, CLORA_RECOMPUTE_ATTENTION);
}

static const int packed_ids[] = {5, 17, 42, 88, 3, 61, 29, 96, 11}, packed_lengths[] = {5, 4};

/* Two short sequences side by side, or in one row: the same losses. */
static void test_packed_sequences_have_the_loss_of_single_ones(void **state) {
    const clora_evaluate_options pack = {.size = sizeof(pack), .batch_size = 1, .pack = 1, .max_length = 16};
    clora_evaluate_result apart = CLORA_EVALUATE_RESULT_INIT, packed = CLORA_EVALUATE_RESULT_INIT;
    clora_dataset *dataset = NULL;

    (void)state;
    assert_ok(clora_dataset_from_ids(&dataset, packed_ids, NULL, packed_lengths, 2));
    for (int i = 0; i < 2; i++) {
        clora_adapter *adapter = load(i);
        assert_ok(clora_evaluate(&apart, models[0], adapter, dataset, NULL));
        assert_ok(clora_evaluate(&packed, models[0], adapter, dataset, &pack));
        assert_true(packed.target_tokens == apart.target_tokens && packed.tokens == 9);
        assert_true(fabs(packed.loss - apart.loss) < 1e-5);
        clora_adapter_free(adapter);
    }
    clora_dataset_free(dataset);
}

/* The gradient of rows that hold several sequences is the sum of theirs. */
static void test_packed_sequences_have_the_gradient_of_single_ones(void **state) {
    clora_train_options options = CLORA_TRAIN_OPTIONS_INIT;
    clora_dataset *dataset = NULL;
    clora_train_step done = CLORA_TRAIN_STEP_INIT;

    (void)state;
    assert_ok(clora_dataset_from_ids(&dataset, packed_ids, NULL, packed_lengths, 2));
    options.steps = 1;
    options.shuffle = 0;
    for (int i = 0; i < 2; i++) {
        float norm[2];
        for (int pack = 0; pack < 2; pack++) {
            clora_adapter *adapter = load(i);
            clora_trainer *trainer = NULL;
            options.pack = pack;
            options.batch_size = 2 - pack;
            options.max_length = 16;
            assert_ok(clora_trainer_create(&trainer, models[0], adapter, dataset, &options));
            assert_ok(clora_trainer_step(&done, trainer));
            norm[pack] = done.grad_norm;
            clora_trainer_free(trainer);
            clora_adapter_free(adapter);
        }
        assert_true(fabsf(norm[0] - norm[1]) < 1e-5f * norm[0]);
    }
    clora_dataset_free(dataset);
}

/* ---- beginnings ---- */

/* What begins as a text does what the text before every sequence does. */
static void test_a_beginning_as_text_is_that_text(void **state) {
    static const int32_t text[] = {12, 77, 4}, ids[] = {5, 17, 42, 88, 3}, both[] = {12, 77, 4, 5, 17, 42, 88, 3};
    float expected[8 * V], logits[5 * V];
    clora_prefix_options options = CLORA_PREFIX_OPTIONS_INIT;

    (void)state;
    options.tokens = 3;
    options.ids = text;
    options.id_count = 3;
    for (int i = 0; i < 6; i++) {
        clora_model *m = models[i / 2];
        clora_adapter *adapter = NULL;
        clora_session *session = NULL;
        assert_ok(i % 2 ? clora_prompt_create(&adapter, m, &options) : clora_prefix_create(&adapter, m, &options));
        assert_ok(clora_session_create(&session, m, 1, 8));
        assert_ok(clora_session_forward(session, expected, both, 8, 1));
        clora_session_reset(session);
        assert_ok(clora_session_set_adapter(session, adapter));
        assert_ok(clora_session_forward(session, logits, ids, 5, 1));
        assert_true(relative_error(logits, expected + 3 * V, 5 * V) < 1e-6);
        clora_session_free(session);
        clora_adapter_free(adapter);
    }
}

static void read_values(float *out, const clora_adapter *adapter) {
    const clora_tensor *matrix = adapter->prefix ? adapter->prefix : adapter->prompt;
    assert_ok(clora_tensor_read(matrix, out));
}

static void test_beginnings_follow_their_seed(void **state) {
    static float first[2048], again[2048], other[2048];
    clora_prefix_options options = CLORA_PREFIX_OPTIONS_INIT;

    (void)state;
    options.tokens = 5;
    for (int init = 0; init < 2; init++)
        for (int i = 0; i < 2; i++) {
            clora_status (*const create)(clora_adapter **, clora_model *, const clora_prefix_options *) =
                i ? clora_prompt_create : clora_prefix_create;
            clora_adapter *adapter[3] = {NULL};
            options.init = init ? CLORA_PREFIX_INIT_RANDOM : CLORA_PREFIX_INIT_VOCABULARY;
            options.seed = 1;
            assert_ok(create(&adapter[0], models[0], &options));
            assert_ok(create(&adapter[1], models[0], &options));
            options.seed = 2;
            assert_ok(create(&adapter[2], models[0], &options));
            const size_t bytes = (size_t)adapter[0]->info.parameters * sizeof(float);
            assert_true(bytes <= sizeof(first));
            read_values(first, adapter[0]);
            read_values(again, adapter[1]);
            read_values(other, adapter[2]);
            assert_memory_equal(first, again, bytes);
            assert_memory_not_equal(first, other, bytes);
            for (int k = 0; k < 3; k++)
                clora_adapter_free(adapter[k]);
        }
}

static void test_impossible_beginnings_are_refused(void **state) {
    static const int32_t strange[] = {V};
    clora_prefix_options options = CLORA_PREFIX_OPTIONS_INIT;
    clora_adapter *adapter = NULL;

    (void)state;
    options.tokens = 0;
    assert_refused(clora_prefix_create(&adapter, models[0], &options), CLORA_ERROR_ARGUMENT, "at least 1");
    options.tokens = 64;
    assert_refused(clora_prompt_create(&adapter, models[0], &options), CLORA_ERROR_ARGUMENT,
                   "fewer than the model's 64");
    options.tokens = 2;
    options.ids = strange;
    assert_refused(clora_prefix_create(&adapter, models[0], &options), CLORA_ERROR_ARGUMENT, "no tokens");
    options.id_count = 1;
    assert_refused(clora_prefix_create(&adapter, models[0], &options), CLORA_ERROR_ARGUMENT, "the vocabulary has 97");
    options.ids = NULL;
    options.init = (clora_prefix_init)2;
    assert_refused(clora_prefix_create(&adapter, models[0], &options), CLORA_ERROR_ARGUMENT, "number 2");
    options.projection = -1;
    assert_refused(clora_prefix_create(&adapter, models[0], &options), CLORA_ERROR_ARGUMENT, "of -1 columns");
    options.projection = 1;
    options.ids = strange;
    assert_refused(clora_prefix_create(&adapter, models[0], &options), CLORA_ERROR_ARGUMENT, "begins at random");
}

/* ---- files ---- */

static void test_saved_values_are_those_loaded(void **state) {
    (void)state;
    for (int i = 0; i < CASES; i++) {
        static float a[2048], b[2048];
        clora_adapter *adapter = load(i), *again = NULL;
        const char *path = scratch_path(cases[i].name);
        assert_ok(clora_adapter_save(adapter, path, NULL));
        assert_ok(clora_adapter_load(&again, models[cases[i].model], path));
        assert_int_equal(adapter->info.parameters, again->info.parameters);
        read_values(a, adapter);
        read_values(b, again);
        assert_memory_equal(a, b, (size_t)adapter->info.parameters * sizeof(float));
        assert_string_equal(clora_adapter_method(again), clora_adapter_method(adapter));
        clora_adapter_free(adapter);
        clora_adapter_free(again);
    }
}

/* ---- a prefix that a projection makes ---- */

enum { PROJECTED = CASES - 1, TOKENS = 3, WIDTH = 16, BETWEEN = 12, COLUMNS = 64 };
static float *begin(const fixture_tensors *f, const char *name, size_t n) {
    char key[64];

    snprintf(key, sizeof(key), "begin.%s", name);
    return (float *)(uintptr_t)fixture_tensor(f, key, n);
}

static clora_adapter *projected(const fixture_tensors *f) {
    const projection_values values = {.D = WIDTH,
                                      .H = BETWEEN,
                                      .e = begin(f, "embedding.weight", TOKENS * WIDTH),
                                      .w1 = begin(f, "transform.0.weight", BETWEEN * WIDTH),
                                      .b1 = begin(f, "transform.0.bias", BETWEEN),
                                      .w2 = begin(f, "transform.2.weight", COLUMNS * BETWEEN),
                                      .b2 = begin(f, "transform.2.bias", COLUMNS)};
    const base_model base = model_as_base(models[0]);
    clora_adapter *adapter = NULL;

    assert_ok(prefix_create_projected(&adapter, &base, TOKENS, &values));
    assert_int_equal(adapter->info.parameters, TOKENS * WIDTH + BETWEEN * (WIDTH + 1) + COLUMNS * (BETWEEN + 1));
    return adapter;
}

static void assert_gradient(const parameters *p, const char *name, float factor, const fixture_tensors *f) {
    char key[64];
    size_t i = 0;

    while (i < p->count && strcmp(p->list[i].name, name) != 0)
        i++;
    assert_true(i < p->count);
    const parameter *one = &p->list[i];
    const clora_tensor value = tensor_slice(p->value[one->buffer], one->offset, 1, (int)one->count);
    snprintf(key, sizeof(key), "grad.%s", name);
    assert_values(&value, p, factor, f, key, tolerance);
}

static void test_a_projection_trains_as_pefts(void **state) {
    const char *name = cases[PROJECTED].name;
    fixture_tensors *f = fixture_open(name);
    clora_adapter *adapter = projected(f), *again = NULL;
    static float a[TOKENS * COLUMNS], b[TOKENS * COLUMNS];
    clora_dataset *dataset = NULL;
    clora_train_step done = CLORA_TRAIN_STEP_INIT;
    fixture_batch batch;

    (void)state;
    fixture_read_batch(&batch, name);
    clora_trainer *trainer = fixture_trainer(models[0], adapter, &dataset, &batch, CLORA_RECOMPUTE_NONE);
    for (int step = 0; step < 10; step++) {
        assert_ok(clora_trainer_step(&done, trainer));
        const double expected = fixture_number(name, "loss_trace", step);
        if (!(fabs((double)done.loss - expected) <= 1e-4))
            fail_msg("%s: step %d: loss %g, expected %g", name, step, (double)done.loss, expected);
        for (int i = 0; step == 0 && i < 3; i++)
            assert_gradient(&trainer->parameters,
                            (const char *const[]){"embedding.weight", "transform.0.bias", "transform.2.bias"}[i],
                            1.0f / (float)batch.learnt, f);
    }
    assert_values(adapter->prefix, NULL, 1.0f, f, "final.prompt_embeddings", 1e-3);
    assert_ok(clora_adapter_save(adapter, scratch_path("projected"), NULL));
    assert_ok(clora_adapter_load(&again, models[0], scratch_path("projected"))); /* without the projection */
    assert_int_equal(again->info.parameters, TOKENS * COLUMNS);
    read_values(a, adapter);
    read_values(b, again);
    assert_memory_equal(a, b, sizeof(a));
    clora_trainer_free(trainer);
    clora_adapter_free(again);
    clora_adapter_free(adapter);
    clora_dataset_free(dataset);
    fixture_close(f);
}

static void test_what_a_projection_made_does_not_train(void **state) {
    clora_train_options options = CLORA_TRAIN_OPTIONS_INIT;
    clora_adapter *adapter = load(CASES - 1);
    clora_dataset *dataset = NULL;
    clora_trainer *trainer = NULL;

    (void)state;
    assert_ok(clora_dataset_from_ids(&dataset, (int32_t[]){1, 2, 3}, NULL, (int[]){3}, 1));
    assert_refused(clora_trainer_create(&trainer, models[0], adapter, dataset, &options), CLORA_ERROR_UNSUPPORTED,
                   "prefix_projection");
    clora_dataset_free(dataset);
    clora_adapter_free(adapter);
}

/* A copy of an adapter whose settings have `from` replaced by `to`. */
static const char *changed(int i, const char *from, const char *to) {
    char text[4096] = "", path[1024];
    size_t size;

    snprintf(path, sizeof(path), "%s/adapter_config.json", fixture_path(cases[i].name));
    char *settings = read_whole(&size, path), *at = strstr(settings, from);
    assert_non_null(at);
    snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - settings), settings, to, at + strlen(from));
    free(settings);
    scratch_text("changed/adapter_config.json", text);
    snprintf(path, sizeof(path), "%s/adapter_model.safetensors", fixture_path(cases[i].name));
    scratch_copy("changed/adapter_model.safetensors", path);
    return scratch_path("changed");
}

static void test_files_that_do_not_fit_are_refused(void **state) {
    static const struct {
        int i;
        const char *from, *to, *words;
    } bad[] = {
        {0, "\"num_virtual_tokens\": 5", "\"num_virtual_tokens\": 4", "is (5, 64)"},
        {0, "\"num_virtual_tokens\": 5", "\"num_virtual_tokens\": 0", "the least is 1"},
        {0, "\"num_virtual_tokens\": 5", "\"num_virtual_tokens\": 64", "none is left for a text"},
        {0, "\"num_virtual_tokens\": 5", "\"num_virtual_tokens\": \"5\"", "num_virtual_tokens"},
        {0, "\"num_layers\": 2", "\"num_layers\": 3", "\"num_layers\" is 3, and for this model it is 2"},
        {0, "\"token_dim\": 16", "\"token_dim\": 32", "\"token_dim\" is 32"},
        {0, "\"num_attention_heads\": 2", "\"num_attention_heads\": 4", "\"num_attention_heads\" is 4"},
        {0, "\"task_type\": \"CAUSAL_LM\"", "\"task_type\": \"SEQ_CLS\"", "score.weight"},
        {0, "\"revision\": null", "\"soft\": true", "\"soft\" is set"},
        {1, "\"token_dim\": 32", "\"token_dim\": 48", "the adapter is another's"},
        {1, "PROMPT_TUNING", "PREFIX_TUNING", "\"token_dim\" is 32"},
        {1, "PROMPT_TUNING", "P_TUNING", "P_TUNING"},
    };
    clora_adapter *adapter = NULL;

    (void)state;
    scratch_mkdir("changed");
    for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
        const clora_status status = clora_adapter_load(&adapter, models[0], changed(bad[k].i, bad[k].from, bad[k].to));
        if (status == CLORA_OK || !strstr(clora_last_error(), bad[k].words) || strchr(clora_last_error(), '\n'))
            fail_msg("%s: status %d: %s", bad[k].to, (int)status, clora_last_error());
        assert_null(adapter);
    }
    assert_int_equal(clora_adapter_load(&adapter, models[1], fixture_path("tiny-llama-prefix")), CLORA_ERROR_FORMAT);
}

/* ---- use ---- */

static void test_a_sequence_that_leaves_no_room_is_refused(void **state) {
    clora_train_options options = CLORA_TRAIN_OPTIONS_INIT;
    int32_t ids[60];
    clora_evaluate_result result = CLORA_EVALUATE_RESULT_INIT;
    clora_dataset *dataset = NULL;
    clora_trainer *trainer = NULL;
    clora_adapter *adapter = load(0);

    (void)state;
    for (int i = 0; i < 60; i++)
        ids[i] = i;
    assert_ok(clora_dataset_from_ids(&dataset, ids, NULL, (int[]){60}, 1));
    assert_refused(clora_evaluate(&result, models[0], adapter, dataset, NULL), CLORA_ERROR_ARGUMENT,
                   "60 tokens after the adapter's 5 positions; the model has 64");
    assert_refused(clora_trainer_create(&trainer, models[0], adapter, dataset, &options), CLORA_ERROR_ARGUMENT,
                   "60 tokens after the adapter's 5 positions");
    clora_dataset_free(dataset);
    clora_adapter_free(adapter);
}

/* Short steps are run as they are without an adapter. */
static void test_decoding_takes_the_tape_as_without(void **state) {
    const tape_key key = {.B = 1, .T = 1};
    float logits[V];

    (void)state;
    for (int i = -1; i < 2; i++) {
        clora_adapter *adapter = i < 0 ? NULL : load(i);
        clora_session *session = NULL;
        static bool usual;
        assert_ok(clora_session_create(&session, models[0], 1, 16));
        assert_ok(clora_session_set_adapter(session, adapter));
        for (int t = 0; t < 3; t++)
            assert_ok(clora_session_forward(session, logits, &(int32_t){t}, 1, 0));
        if (i < 0)
            usual = tape_holds(session->tape, key);
        assert_int_equal(tape_holds(session->tape, key), usual);
        clora_session_free(session);
        clora_adapter_free(adapter);
    }
}

/* The base, a prefix and a prompt, in sequences of one session: each as if it were alone. */
static void test_sequences_begin_with_what_their_own_adapter_has(void **state) {
    enum { SLOTS = 3 };
    static const int32_t ids[] = {5, 17, 42, 88};
    clora_adapter *each[SLOTS] = {NULL, load(0), load(1)};
    float alone[SLOTS * V], together[SLOTS * V], first[V];
    const int32_t column[SLOTS] = {ids[3], ids[3], ids[3]};
    clora_session *session = NULL;

    (void)state;
    assert_ok(clora_session_create(&session, models[0], SLOTS, 12));
    for (int i = 0; i < SLOTS; i++) {
        const selection select = {.adapter = each[i]};
        clora_session *one = NULL;
        assert_ok(clora_session_create(&one, models[0], 1, 12));
        assert_ok(clora_session_set_adapter(one, each[i]));
        assert_ok(clora_session_forward(one, alone + i * V, ids, 4, 0));
        clora_session_free(one);
        assert_ok(session_prepare(session, each[i]));
        assert_ok(session_prefill(session, &select, i, first, ids + 1, 2)); /* an earlier text leaves nothing behind */
        session_forget(session, i);
        assert_ok(session_prefill(session, &select, i, first, ids, 3));
    }
    const selection all = selection_of((const clora_adapter *const *)each, SLOTS);
    assert_ok(session_step(session, &all, together, column, SLOTS));
    for (int i = 0; i < SLOTS; i++)
        assert_true(relative_error(together + i * V, alone + i * V, V) < 1e-5);
    clora_session_free(session);
    clora_adapter_free(each[1]);
    clora_adapter_free(each[2]);
}

static void test_a_call_that_fails_leaves_the_session_as_it_was(void **state) {
    clora_adapter *adapter = load(0);
    clora_session *session = NULL;
    float logits[V];

    (void)state;
    assert_ok(clora_session_create(&session, models[0], 1, 7));
    assert_ok(clora_session_set_adapter(session, adapter));
    assert_int_equal(clora_session_forward(session, logits, (int32_t[]){1, 2, 3}, 3, 0), CLORA_ERROR_SHAPE);
    assert_int_equal(clora_session_length(session), 0);
    assert_ok(clora_session_forward(session, logits, (int32_t[]){1, 2}, 2, 0));
    assert_int_equal(clora_session_length(session), 7);
    clora_session_free(session);
    clora_adapter_free(adapter);
}

/* A fresh low-rank adapter changes nothing: joined with a prefix it gives the prefix's logits. */
static void test_joined_with_low_rank_terms_it_stays_what_it_is(void **state) {
    static float alone[MOST], together[MOST];
    fixture_batch batch;

    (void)state;
    for (int i = 0; i < 2; i++) {
        clora_adapter *part[3] = {load(i), NULL, load(i)}, *joined = NULL;
        assert_ok(clora_adapter_create(&part[1], models[0], NULL));
        assert_ok(clora_adapter_join(&joined, part, 2));
        assert_int_equal(clora_adapter_past(joined), clora_adapter_past(part[0]));
        fixture_read_batch(&batch, cases[i].name);
        forward(alone, &batch, models[0], part[0], false);
        forward(together, &batch, models[0], joined, false);
        assert_memory_equal(alone, together, (size_t)(batch.B * batch.T * V) * sizeof(float));
        clora_adapter_free(joined);
        assert_refused(clora_adapter_join(&joined, part, 3), CLORA_ERROR_ARGUMENT, "only one may be there");
        for (int k = 0; k < 3; k++)
            clora_adapter_free(part[k]);
    }
}

static int make(void **state) {
    (void)state;
    for (int i = 0; i < BASES; i++)
        assert_ok(clora_model_load(&models[i], context, fixture_path(bases[i]), NULL));
    return 0;
}

static int finish(void **state) {
    (void)state;
    for (int i = 0; i < BASES; i++)
        clora_model_free(models[i]);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logits_are_those_of_peft),
        cmocka_unit_test(test_training_follows_peft),
        cmocka_unit_test(test_packed_sequences_have_the_loss_of_single_ones),
        cmocka_unit_test(test_packed_sequences_have_the_gradient_of_single_ones),
        cmocka_unit_test(test_a_beginning_as_text_is_that_text),
        cmocka_unit_test(test_beginnings_follow_their_seed),
        cmocka_unit_test(test_impossible_beginnings_are_refused),
        cmocka_unit_test_setup_teardown(test_saved_values_are_those_loaded, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_a_projection_trains_as_pefts, scratch_setup, scratch_teardown),
        cmocka_unit_test(test_what_a_projection_made_does_not_train),
        cmocka_unit_test_setup_teardown(test_files_that_do_not_fit_are_refused, scratch_setup, scratch_teardown),
        cmocka_unit_test(test_a_sequence_that_leaves_no_room_is_refused),
        cmocka_unit_test(test_decoding_takes_the_tape_as_without),
        cmocka_unit_test(test_sequences_begin_with_what_their_own_adapter_has),
        cmocka_unit_test(test_a_call_that_fails_leaves_the_session_as_it_was),
        cmocka_unit_test(test_joined_with_low_rank_terms_it_stays_what_it_is),
    };
    if (clora_context_create(&context, NULL) != CLORA_OK) {
        fprintf(stderr, "skipped: %s\n", clora_last_error());
        return 77;
    }
    const int failed = cmocka_run_group_tests(tests, make, finish);
    clora_context_free(context);
    return failed;
}
