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

#include "base/ints.h"
#include "model/decoder.h"
#include "model/session.h"
#include "support/fixture.h"
#include "support/scratch.h"
#include "support/training.h"
#include "train/trainer.h"
#include "tuning/table.h"
#include "tuning/tuning.h"

static clora_context *context;
static clora_model *model;

enum { V = 97 };
static const double tolerance = 1e-4;

/* A family's fixtures; the tests run on each. */
typedef struct tenant {
    const char *model;
    int count;
    const char *adapter[4];
} tenant;

static const tenant LLAMA = {
    "tiny-llama", 4, {"tiny-llama-lora", "tiny-llama-rslora", "tiny-llama-patterns", "tiny-llama-dora"}};
static const tenant QWEN2 = {"tiny-qwen2", 3, {"tiny-qwen2-lora", "tiny-qwen2-dora", "tiny-qwen2-lora-bias"}};
static const tenant PHI3 = {"tiny-phi3", 1, {"tiny-phi3-lora"}};
static const tenant MISTRAL = {"tiny-mistral", 1, {"tiny-mistral-lora"}};
static const tenant GEMMA = {"tiny-gemma", 1, {"tiny-gemma-lora"}};
static const tenant GEMMA2 = {"tiny-gemma2", 1, {"tiny-gemma2-lora"}};
static const tenant GEMMA3 = {"tiny-gemma3_text", 1, {"tiny-gemma3_text-lora"}};
static const tenant QWEN3 = {"tiny-qwen3", 1, {"tiny-qwen3-lora"}};
static const tenant SMOLLM3 = {"tiny-smollm3", 1, {"tiny-smollm3-lora"}};
static const tenant GRANITE = {"tiny-granite", 1, {"tiny-granite-lora"}};
static const tenant OLMO2 = {"tiny-olmo2", 1, {"tiny-olmo2-lora"}};
static const tenant OLMO3 = {"tiny-olmo3", 1, {"tiny-olmo3-lora"}};
static const tenant GPT2 = {"tiny-gpt2", 1, {"tiny-gpt2-lora"}};
static const tenant *family;

/* Logits (B, T, V) of the fixture's batch. */
static void forward(float *logits, const fixture_batch *batch, clora_model *m, clora_adapter *adapter) {
    clora_session *session = NULL;

    assert_ok(clora_session_create(&session, m, batch->B, batch->T));
    assert_ok(clora_session_set_adapter(session, adapter));
    assert_ok(clora_session_forward(session, logits, batch->ids, batch->T, 1));
    clora_session_free(session);
}

/* Rows past a sequence's real length saw padding and are not compared. */
static void assert_logits(const float *actual, const float *expected, const fixture_batch *batch) {
    for (int b = 0; b < batch->B; b++) {
        const size_t start = (size_t)b * (size_t)batch->T * V;
        const double error = relative_error(actual + start, expected + start, (size_t)batch->lengths[b] * V);
        if (!(error <= tolerance))
            fail_msg("sequence %d: relative error %g", b, error);
    }
}

static void test_base_logits_are_those_of_pytorch(void **state) {
    (void)state;
    fixture_batch batch;
    static float logits[64 * V];
    fixture_read_batch(&batch, family->model);
    fixture_tensors *f = fixture_open(family->model);

    forward(logits, &batch, model, NULL);
    assert_logits(logits, fixture_tensor(f, "logits", (size_t)(batch.B * batch.T * V)), &batch);
    fixture_close(f);
}

static void test_adapter_logits_are_those_of_peft(void **state) {
    (void)state;
    for (int i = 0; i < family->count; i++) {
        fixture_batch batch;
        static float logits[64 * V];
        fixture_read_batch(&batch, family->adapter[i]);
        fixture_tensors *f = fixture_open(family->adapter[i]);
        clora_adapter *adapter = fixture_adapter(model, family->adapter[i]);

        forward(logits, &batch, model, adapter);
        assert_logits(logits, fixture_tensor(f, "logits_adapter", (size_t)(batch.B * batch.T * V)), &batch);
        forward(logits, &batch, model, NULL);
        assert_logits(logits, fixture_tensor(f, "logits_base", (size_t)(batch.B * batch.T * V)), &batch);
        clora_adapter_free(adapter);
        fixture_close(f);
    }
}

static void test_cached_steps_give_the_logits_of_one_pass(void **state) {
    (void)state;
    fixture_batch batch;
    static float whole[64 * V], last[4 * V];
    clora_session *session = NULL;
    int32_t column[4];

    fixture_read_batch(&batch, family->model);
    forward(whole, &batch, model, NULL);
    assert_ok(clora_session_create(&session, model, batch.B, batch.T));
    for (int t = 0; t < batch.T; t++) {
        for (int b = 0; b < batch.B; b++)
            column[b] = batch.ids[b * batch.T + t];
        assert_ok(clora_session_forward(session, last, column, 1, 0));
        assert_int_equal(clora_session_length(session), t + 1);
        for (int b = 0; b < batch.B; b++)
            assert_true(relative_error(last + b * V, whole + (b * batch.T + t) * V, V) < 1e-5);
    }
    assert_int_equal(clora_session_forward(session, last, column, 1, 0), CLORA_ERROR_SHAPE);
    clora_session_free(session);
}

/* A session's rotations are made of the configuration as it is then. */
static void test_each_layer_is_rotated_by_its_own_settings_or_not_at_all(void **state) {
    model_config *c = &model->config;
    const model_config usual = *c;
    fixture_batch batch;
    static float first[64 * V], other[64 * V];

    if (c->layer_rope[0] == ROPE_NONE)
        skip();
    fixture_read_batch(&batch, family->model);
    memset(c->layer_rope, ROPE_FIRST, (size_t)c->layers);
    forward(first, &batch, model, NULL);
    c->rope[ROPE_SECOND] = c->rope[ROPE_FIRST];
    c->rope[ROPE_FIRST].theta = 7.0f;
    memset(c->layer_rope, ROPE_SECOND, (size_t)c->layers);
    forward(other, &batch, model, NULL);
    assert_memory_equal(first, other, sizeof(float) * (size_t)(batch.B * batch.T) * V);
    c->layer_rope[0] = ROPE_FIRST;
    forward(other, &batch, model, NULL);
    assert_true(relative_error(other, first, (size_t)batch.T * V) > 1e-3);
    test_cached_steps_give_the_logits_of_one_pass(state);
    c->layer_rope[1] = ROPE_NONE;
    test_cached_steps_give_the_logits_of_one_pass(state);
    *c = usual;
}

static void test_sequences_of_different_lengths_go_on_side_by_side(void **state) {
    (void)state;
    fixture_batch batch;
    static float whole[64 * V], last[4 * V];
    clora_session *session = NULL;
    int32_t column[4];

    fixture_read_batch(&batch, family->model);
    forward(whole, &batch, model, NULL);
    assert_ok(clora_session_create(&session, model, batch.B, batch.T));
    for (int b = batch.B - 1; b >= 0; b--) { /* sequence b begins with b + 1 tokens */
        const int32_t *ids = batch.ids + b * batch.T;
        /* an earlier text leaves nothing behind */
        assert_ok(session_prefill(session, &session->select, b, last, ids + 1, 1));
        session_forget(session, b);
        assert_ok(session_prefill(session, &session->select, b, last, ids, b + 1));
        assert_true(relative_error(last, whole + (b * batch.T + b) * V, V) < 1e-5);
    }
    for (int step = 1; step <= 3; step++) {
        for (int b = 0; b < batch.B; b++)
            column[b] = batch.ids[b * batch.T + b + step];
        assert_ok(session_step(session, &session->select, last, column, batch.B));
        for (int b = 0; b < batch.B; b++)
            assert_true(relative_error(last + b * V, whole + (b * batch.T + b + step) * V, V) < 1e-5);
    }
    clora_session_free(session);
}

static void test_greedy_texts_are_those_of_transformers(void **state) {
    (void)state;
    fixture_batch batch;
    int32_t wanted[FIXTURE_GREEDY];
    float logits[V];
    clora_session *session = NULL;

    fixture_read_batch(&batch, family->model);
    assert_ok(clora_session_create(&session, model, 1, least(batch.T + FIXTURE_GREEDY, model->config.max_positions)));
    for (int b = 0; b < batch.B; b++) {
        const int count = fixture_greedy(wanted, family->model, b);
        clora_session_reset(session);
        assert_ok(clora_session_forward(session, logits, batch.ids + b * batch.T, batch.lengths[b], 0));
        for (int i = 0; i < count; i++) {
            int32_t id = 0;
            for (int32_t v = 1; v < V; v++)
                id = logits[v] > logits[id] ? v : id;
            assert_int_equal(id, wanted[i]);
            assert_ok(clora_session_forward(session, logits, &id, 1, 0));
        }
    }
    clora_session_free(session);
}

/* What it has decides what a trace of it launches. */
static void test_a_skeleton_has_the_weights_and_biases_of_its_model(void **state) {
    (void)state;
    clora_model *skeleton = NULL;

    assert_ok(model_skeleton(&skeleton, context, fixture_path(family->model), -1));
    assert_int_equal(skeleton->projections, model->projections);
    for (int i = 0; i < model->projections; i++) {
        const weight *bare = skeleton->projection[i].weight, *full = model->projection[i].weight;
        assert_int_equal(bare->N, full->N);
        assert_int_equal(bare->K, full->K);
        assert_int_equal(bare->modules, full->modules);
        assert_int_equal(bare->bias ? clora_tensor_count(bare->bias) : 0,
                         full->bias ? clora_tensor_count(full->bias) : 0);
    }
    clora_model_free(skeleton);
}

static void test_training_follows_pytorch(void **state) {
    (void)state;
    for (int i = 0; i < family->count; i++) {
        fixture_batch batch;
        clora_dataset *dataset = NULL;
        fixture_read_batch(&batch, family->adapter[i]);
        fixture_tensors *f = fixture_open(family->adapter[i]);
        clora_adapter *adapter = fixture_adapter(model, family->adapter[i]);
        clora_trainer *trainer = fixture_trainer(model, adapter, &dataset, &batch, 0);

        for (int step = 0; step < 10; step++) {
            clora_train_step done = CLORA_TRAIN_STEP_INIT;
            assert_ok(clora_trainer_step(&done, trainer));
            const double expected = fixture_number(family->adapter[i], "loss_trace", step);
            if (!(fabs((double)done.loss - expected) <= 1e-4))
                fail_msg("%s: step %d: loss %g, expected %g", family->adapter[i], step, (double)done.loss, expected);
            if (step == 0)
                assert_factors(adapter, &trainer->parameters, 1.0f / (float)batch.learnt, f, "grad.", tolerance);
        }
        clora_train_step past = CLORA_TRAIN_STEP_INIT;
        assert_int_equal(clora_trainer_step(&past, trainer), CLORA_ERROR_NOT_FOUND);
        assert_factors(adapter, NULL, 1.0f, f, "final.", 1e-3);
        clora_trainer_free(trainer);
        clora_dataset_free(dataset);
        clora_adapter_free(adapter);
        fixture_close(f);
    }
}

/* A step's loss is made of the parameters that the one before left. */
static void test_what_is_recomputed_gives_the_same_losses(void **state) {
    static const int ways[] = {CLORA_RECOMPUTE_NONE, CLORA_RECOMPUTE_LAYER, CLORA_RECOMPUTE_ATTENTION};
    enum { STEPS = 3 };
    float losses[3][STEPS];
    fixture_batch batch;

    (void)state;
    fixture_read_batch(&batch, family->adapter[0]);
    for (int way = 0; way < 3; way++) {
        clora_dataset *dataset = NULL;
        clora_adapter *adapter = fixture_adapter(model, family->adapter[0]);
        clora_trainer *trainer = fixture_trainer(model, adapter, &dataset, &batch, ways[way]);
        for (int step = 0; step < STEPS; step++) {
            clora_train_step done = CLORA_TRAIN_STEP_INIT;
            assert_ok(clora_trainer_step(&done, trainer));
            losses[way][step] = done.loss;
        }
        clora_trainer_free(trainer);
        clora_dataset_free(dataset);
        clora_adapter_free(adapter);
    }
    assert_memory_equal(losses[1], losses[0], sizeof(losses[0]));
    assert_memory_equal(losses[2], losses[0], sizeof(losses[0]));
}

static void force_choice(const char *row, int value) {
    const int values[KERNEL_PARAMETERS] = {value};
    assert_ok(tuning_force(context, kernel_find(row), value ? values : NULL));
}

/* Forward, backward and updates, each product with W0 + s B A of that moment. */
static void test_training_with_merged_weights_follows_pytorch(void **state) {
    force_choice("path_term", TERM_MERGED);
    force_choice("path_dx_term", TERM_MERGED);
    test_adapter_logits_are_those_of_peft(state);
    test_training_follows_pytorch(state);
    force_choice("path_term", 0);
    force_choice("path_dx_term", 0);
}

/* The layout is chosen when weights are loaded, and all that reads them follows. */
static void test_a_model_in_the_plain_layout_is_the_same(void **state) {
    clora_model *usual = model;

    force_choice("weight_layout", LAYOUT_PLAIN);
    assert_ok(clora_model_load(&model, context, fixture_path(family->model), NULL));
    force_choice("weight_layout", 0);
    assert_int_equal(model->layer[0].w[DECODER_OUT]->layout, WEIGHT_PLAIN);
    assert_int_equal(model->embedding->layout, WEIGHT_PLAIN);
    test_base_logits_are_those_of_pytorch(state);
    test_adapter_logits_are_those_of_peft(state);
    test_training_follows_pytorch(state);
    clora_model_free(model);
    model = usual;
}

static int load(const tenant *t) {
    family = t;
    if (clora_model_load(&model, context, fixture_path(t->model), NULL) == CLORA_OK)
        return 0;
    fprintf(stderr, "%s\n", clora_last_error());
    return 1;
}

static int load_llama(void **state) {
    (void)state;
    return load(&LLAMA);
}

static int load_qwen2(void **state) {
    (void)state;
    return load(&QWEN2);
}

static int load_phi3(void **state) {
    (void)state;
    return load(&PHI3);
}

static int load_mistral(void **state) {
    (void)state;
    return load(&MISTRAL);
}

static int load_gemma(void **state) {
    (void)state;
    return load(&GEMMA);
}

static int load_gemma2(void **state) {
    (void)state;
    return load(&GEMMA2);
}

static int load_gemma3(void **state) {
    (void)state;
    return load(&GEMMA3);
}

static int load_qwen3(void **state) {
    (void)state;
    return load(&QWEN3);
}

static int load_smollm3(void **state) {
    (void)state;
    return load(&SMOLLM3);
}

static int load_granite(void **state) {
    (void)state;
    return load(&GRANITE);
}

static int load_olmo2(void **state) {
    (void)state;
    return load(&OLMO2);
}

static int load_olmo3(void **state) {
    (void)state;
    return load(&OLMO3);
}

static int load_gpt2(void **state) {
    (void)state;
    return load(&GPT2);
}

static int free_model(void **state) {
    (void)state;
    clora_model_free(model);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base_logits_are_those_of_pytorch),
        cmocka_unit_test(test_adapter_logits_are_those_of_peft),
        cmocka_unit_test(test_cached_steps_give_the_logits_of_one_pass),
        cmocka_unit_test(test_each_layer_is_rotated_by_its_own_settings_or_not_at_all),
        cmocka_unit_test(test_sequences_of_different_lengths_go_on_side_by_side),
        cmocka_unit_test(test_greedy_texts_are_those_of_transformers),
        cmocka_unit_test(test_a_skeleton_has_the_weights_and_biases_of_its_model),
        cmocka_unit_test(test_training_follows_pytorch),
        cmocka_unit_test(test_what_is_recomputed_gives_the_same_losses),
        cmocka_unit_test(test_training_with_merged_weights_follows_pytorch),
        cmocka_unit_test(test_a_model_in_the_plain_layout_is_the_same),
    };
    if (clora_context_create(&context, NULL) != CLORA_OK) {
        fprintf(stderr, "skipped: %s\n", clora_last_error());
        return 77;
    }
    const int failed = cmocka_run_group_tests_name("llama", tests, load_llama, free_model) +
                       cmocka_run_group_tests_name("qwen2", tests, load_qwen2, free_model) +
                       cmocka_run_group_tests_name("phi3", tests, load_phi3, free_model) +
                       cmocka_run_group_tests_name("mistral", tests, load_mistral, free_model) +
                       cmocka_run_group_tests_name("gemma", tests, load_gemma, free_model) +
                       cmocka_run_group_tests_name("gemma2", tests, load_gemma2, free_model) +
                       cmocka_run_group_tests_name("gemma3_text", tests, load_gemma3, free_model) +
                       cmocka_run_group_tests_name("qwen3", tests, load_qwen3, free_model) +
                       cmocka_run_group_tests_name("smollm3", tests, load_smollm3, free_model) +
                       cmocka_run_group_tests_name("granite", tests, load_granite, free_model) +
                       cmocka_run_group_tests_name("olmo2", tests, load_olmo2, free_model) +
                       cmocka_run_group_tests_name("olmo3", tests, load_olmo3, free_model) +
                       cmocka_run_group_tests_name("gpt2", tests, load_gpt2, free_model);
    clora_context_free(context);
    return failed;
}
