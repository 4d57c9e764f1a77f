/* Labels of texts: a head on the last token, as PEFT has it (SEQ_CLS). */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <clora/generate.h>
#include <clora/inspect.h>

#include "base/json.h"
#include "data/dataset_store.h"
#include "support/fixture.h"
#include "support/fresh_context.h"
#include "support/scratch.h"
#include "train/classify.h"
#include "train/trainer.h"

enum { LABELS = 3, HIDDEN = 32 };

static const char NAME[] = "tiny-llama-classify";
static clora_model *model;
static clora_adapter *adapter;

static int setup(void **state) {
    fresh_context_setup(state);
    assert_ok(clora_model_load(&model, context, fixture_path("tiny-llama"), NULL));
    assert_ok(clora_adapter_load(&adapter, model, fixture_path(NAME)));
    return 0;
}

static int teardown(void **state) {
    clora_adapter_free(adapter);
    clora_model_free(model);
    return fresh_context_teardown(state);
}

/* The fixture's rows without their padding, and which label each has. */
static clora_dataset *texts(const char *const *names) {
    fixture_batch batch;
    clora_dataset *dataset;
    int32_t number;

    fixture_read_batch(&batch, NAME);
    assert_ok(dataset_new(&dataset));
    dataset->kind = CLORA_DATA_LABELS;
    for (int i = 0; names[i]; i++)
        assert_ok(dataset_find_label(&number, dataset, names[i], true));
    for (int b = 0; b < batch.B; b++)
        assert_ok(dataset_add_labelled(dataset, batch.ids + b * batch.T, (size_t)batch.lengths[b],
                                       (int32_t)fixture_number(NAME, "wanted", b)));
    return dataset;
}

static const char *const unnamed[] = {"LABEL_0", "LABEL_1", "LABEL_2", NULL}; /* PEFT keeps no names */

static clora_trainer *make_trainer(clora_adapter *trained, clora_dataset *dataset, int pack) {
    clora_train_options o = CLORA_TRAIN_OPTIONS_INIT;
    clora_trainer *trainer;

    o.steps = 10;
    o.batch_size = 2;
    o.shuffle = 0;
    o.lr = 1e-2f;
    o.weight_decay = 0.01f;
    o.clip = 0.0f;
    o.pack = pack;
    o.max_length = pack ? 24 : 0;
    assert_ok(clora_trainer_create(&trainer, model, trained, dataset, &o));
    return trainer;
}

/* Of score.weight, before the first update. */
static void assert_gradient(const clora_trainer *trainer) {
    const classifier *c = adapter->classifier;
    const clora_tensor view = parameters_gradient(&trainer->parameters, &c->head->a);
    fixture_tensors *f = fixture_open(NAME);
    float found[LABELS * HIDDEN], *panels = malloc(c->head->a_count * sizeof(float));

    assert_non_null(panels);
    assert_ok(clora_tensor_read(&view, panels));
    lowrank_unpack_a(c->head, 0, found, panels);
    for (int i = 0; i < LABELS * HIDDEN; i++)
        found[i] /= 2.0f; /* texts, of whose losses PyTorch has the mean */
    const float *wanted = fixture_tensor(f, "grad.base_model.model.score.weight", LABELS * HIDDEN);
    assert_true(relative_error(found, wanted, LABELS * HIDDEN) <= 1e-4);
    free(panels);
    fixture_close(f);
}

static void assert_follows_peft(int pack) {
    clora_dataset *dataset = texts(unnamed);
    clora_trainer *trainer = make_trainer(adapter, dataset, pack);
    clora_evaluate_result result = CLORA_EVALUATE_RESULT_INIT;
    clora_train_step done = CLORA_TRAIN_STEP_INIT;

    assert_ok(clora_evaluate(&result, model, adapter, dataset, NULL));
    assert_true(fabs(result.loss - fixture_number(NAME, "loss_trace", 0)) <= 1e-4);
    assert_true(result.accuracy == 0.0 && result.f1 == 0.0 && result.target_tokens == 2);
    for (int step = 0; step < 10; step++) {
        assert_ok(clora_trainer_step(&done, trainer));
        const double expected = fixture_number(NAME, "loss_trace", step);
        if (!(fabs((double)done.loss - expected) <= 1e-4))
            fail_msg("step %d: loss %g, expected %g", step, (double)done.loss, expected);
        if (step == 0)
            assert_gradient(trainer);
    }
    assert_ok(clora_evaluate(&result, model, adapter, dataset, NULL));
    assert_true(result.accuracy == 1.0 && result.f1 == 1.0);
    clora_trainer_free(trainer);
    clora_dataset_free(dataset);
}

static void test_ten_steps_follow_peft(void **state) {
    (void)state;
    assert_follows_peft(0);
}

static void test_a_cap_of_logits_is_none_of_labels(void **state) {
    (void)state;
    model->config.logit_cap = 0.1f;
    assert_follows_peft(0);
}

static void test_packed_texts_learn_the_same(void **state) {
    (void)state;
    assert_follows_peft(1);
}

/* Beside what stands before every text: read, trained and written as PEFT's. */
static void follow_past(const char *name) {
    clora_dataset *dataset = texts(unnamed);
    clora_adapter *past, *again, *joined;
    clora_evaluate_result result = CLORA_EVALUATE_RESULT_INIT;
    clora_train_step done = CLORA_TRAIN_STEP_INIT;

    assert_ok(clora_adapter_load(&past, model, fixture_path(name)));
    assert_refused(clora_adapter_join(&joined, (clora_adapter *[]){adapter, past}, 2), CLORA_ERROR_ARGUMENT,
                   "the head of labels");
    clora_trainer *trainer = make_trainer(past, dataset, 0);
    for (int step = 0; step < 10; step++) {
        assert_ok(clora_trainer_step(&done, trainer));
        const double expected = fixture_number(name, "loss_trace", step);
        if (!(fabs((double)done.loss - expected) <= 1e-4))
            fail_msg("%s: step %d: loss %g, expected %g", name, step, (double)done.loss, expected);
    }
    assert_ok(clora_adapter_save(
        past, scratch_path(name),
        &(clora_adapter_save_options){.size = sizeof(clora_adapter_save_options), .base_name = "../tiny-llama"}));
    assert_ok(clora_adapter_load(&again, model, scratch_path(name)));
    assert_int_equal(clora_adapter_get_info(again)->parameters, clora_adapter_get_info(past)->parameters);
    assert_ok(clora_evaluate(&result, model, again, dataset, NULL));
    assert_true(result.accuracy == 1.0 && result.f1 == 1.0);
    clora_trainer_free(trainer);
    clora_adapter_free(past);
    clora_adapter_free(again);
    clora_dataset_free(dataset);
}

static void test_a_head_beside_a_prefix_or_a_prompt_follows_peft(void **state) {
    (void)state;
    follow_past("tiny-llama-classify-prefix");
    follow_past("tiny-llama-classify-prompt");
}

static void test_what_is_saved_is_what_was_loaded(void **state) {
    clora_adapter *again;
    float first[LABELS * HIDDEN], second[LABELS * HIDDEN];

    (void)state;
    assert_ok(clora_adapter_save(
        adapter, scratch_path("saved"),
        &(clora_adapter_save_options){.size = sizeof(clora_adapter_save_options), .base_name = "../tiny-llama"}));
    assert_ok(clora_adapter_load(&again, model, scratch_path("saved")));
    assert_ok(classifier_read(first, adapter->classifier));
    assert_ok(classifier_read(second, again->classifier));
    assert_memory_equal(first, second, sizeof(first));
    assert_int_equal(clora_adapter_get_info(again)->parameters, clora_adapter_get_info(adapter)->parameters);
    clora_adapter_free(again);
}

/* Names go into the settings, where PEFT passes them over. */
static void test_a_new_adapter_keeps_the_names_of_its_labels(void **state) {
    static const char *const names[] = {"bad", "good", "\"so-so\"", NULL};
    clora_adapter_options o = CLORA_ADAPTER_OPTIONS_INIT;
    clora_inspected_adapter *seen;
    clora_adapter *fresh, *again;
    json_t *config;

    (void)state;
    o.labels = names;
    assert_ok(clora_adapter_create(&fresh, model, &o));
    assert_ok(clora_adapter_save(fresh, scratch_path("named"), NULL));
    assert_ok(clora_adapter_load(&again, model, scratch_path("named")));
    assert_ok(clora_inspect_adapter(&seen, scratch_path("named")));
    for (int i = 0; i < LABELS; i++) {
        assert_string_equal(clora_adapter_get_info(again)->labels[i], names[i]);
        assert_string_equal(seen->labels[i], names[i]);
    }
    assert_null(clora_adapter_get_info(again)->labels[LABELS]);
    assert_null(seen->labels[LABELS]);
    assert_ok(json_load_path(&config, scratch_path("named/adapter_config.json"), 1 << 20));
    assert_string_equal(json_string_value(json_object_get(config, "task_type")), "SEQ_CLS");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(config, "label2id"), "good")), 1);
    json_decref(config);
    clora_inspected_adapter_free(seen);
    clora_adapter_free(again);
    clora_adapter_free(fresh);
}

static void test_the_mean_f1_is_that_of_the_labels_that_occur(void **state) {
    int64_t right[4] = {2, 0, 1, 0}, wanted[4] = {3, 1, 1, 0}, told[4] = {2, 1, 2, 0};
    const label_counts c = {.labels = 4, .right = right, .wanted = wanted, .told = told};

    (void)state;
    assert_true(fabs(label_counts_f1(&c) - (4.0 / 5.0 + 0.0 + 2.0 / 3.0) / 3.0) < 1e-12);
}

static void test_labels_are_read_sorted_or_as_they_are_given(void **state) {
    static const char *const known[] = {"good", "bad", NULL};
    clora_dataset_options o = CLORA_DATASET_OPTIONS_INIT;
    const int32_t *ids, *labels;
    clora_tokenizer *tokenizer;
    clora_dataset *dataset;
    size_t count;

    (void)state;
    o.kind = CLORA_DATA_LABELS;
    scratch_text("rows.jsonl",
                 "{\"text\": \"so nice\", \"label\": \"good\"}\n\n{\"context\": \"no\", \"label\": \"bad\"}\n");
    assert_ok(clora_tokenizer_load(&tokenizer, fixture_path("../../models/tiny")));
    for (int given = 0; given < 2; given++) {
        o.labels = given ? known : NULL;
        assert_ok(clora_dataset_load(&dataset, scratch_path("rows.jsonl"), tokenizer, &o));
        assert_string_equal(clora_dataset_labels(dataset, &count)[0], given ? "good" : "bad");
        assert_int_equal(count, 2);
        const int n = clora_dataset_sequence(dataset, 0, &ids, &labels);
        assert_int_equal(ids[0], clora_tokenizer_bos(tokenizer));
        for (int i = 0; i < n; i++)
            assert_int_equal(labels[i], i == n - 1 ? !given : -1);
        clora_dataset_free(dataset);
    }
    scratch_text("rows.jsonl", "{\"text\": \"x\", \"label\": \"good\"}\n{\"text\": \"y\", \"label\": \"odd\"}\n");
    assert_refused(clora_dataset_load(&dataset, scratch_path("rows.jsonl"), tokenizer, &o), CLORA_ERROR_FORMAT,
                   "line 2: the label \"odd\" is none of these: good, bad");
    o.labels = NULL;
#define REFUSED(text, words)               \
    scratch_text("rows.jsonl", text "\n"); \
    assert_refused(clora_dataset_load(&dataset, scratch_path("rows.jsonl"), tokenizer, &o), CLORA_ERROR_FORMAT, words)
    REFUSED("{\"text\": \"x\", \"label\": \"good\"}", "nothing to tell apart");
    REFUSED("{\"text\": \"x\"}", "line 1: needs \"text\" (or \"context\") and \"label\"");
    REFUSED("{\"text\": \"x\", \"label\": 1}", "line 1: \"label\" must be a string");
    REFUSED("{\"text\": \"x\", \"label\": \"\"}", "line 1: \"label\" is empty");
    clora_tokenizer_free(tokenizer);
}

static void test_what_does_not_fit_is_refused(void **state) {
    static const char *const other[] = {"LABEL_0", "LABEL_1", "x", NULL}, *const two[] = {"LABEL_0", "LABEL_1", NULL};
    const clora_train_options o = CLORA_TRAIN_OPTIONS_INIT;
    clora_dataset *odd = texts(other), *few = texts(two), *good = texts(unnamed), *plain;
    clora_adapter *without;
    clora_evaluate_result result = CLORA_EVALUATE_RESULT_INIT;
    clora_trainer *trainer;
    clora_session *session;

    (void)state;
    assert_ok(clora_adapter_create(&without, model, NULL));
    assert_ok(clora_dataset_from_ids(&plain, (const int32_t[]){1, 2, 3}, NULL, (const int[]){3}, 1));
    assert_refused(clora_trainer_create(&trainer, model, adapter, odd, &o), CLORA_ERROR_ARGUMENT,
                   "label 2 of the data is \"x\", of the adapter \"LABEL_2\"");
    assert_refused(clora_trainer_create(&trainer, model, adapter, few, &o), CLORA_ERROR_ARGUMENT, "2 labels");
    assert_refused(clora_trainer_create(&trainer, model, adapter, plain, &o), CLORA_ERROR_ARGUMENT, "have none");
    assert_refused(clora_trainer_create(&trainer, model, without, good, &o), CLORA_ERROR_ARGUMENT, "no head");
    assert_refused(clora_evaluate(&result, model, NULL, good, NULL), CLORA_ERROR_ARGUMENT, "a head");
    assert_ok(clora_session_create(&session, model, 1, 8));
    assert_refused(clora_session_set_adapter(session, adapter), CLORA_ERROR_ARGUMENT, "does not continue");
    assert_refused(clora_merge(fixture_path("tiny-llama"), fixture_path(NAME), scratch_path("merged"),
                               &(clora_merge_options){.size = sizeof(clora_merge_options), .dtype = CLORA_DTYPE_F32},
                               NULL),
                   CLORA_ERROR_UNSUPPORTED, "the adapter classifies");
    clora_session_free(session);
    clora_adapter_free(without);
    for (clora_dataset **d = (clora_dataset *[]){odd, few, good, plain, NULL}; *d; d++)
        clora_dataset_free(*d);
}

int main(void) {
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_ten_steps_follow_peft),
        TEST(test_a_cap_of_logits_is_none_of_labels),
        TEST(test_packed_texts_learn_the_same),
        TEST(test_a_head_beside_a_prefix_or_a_prompt_follows_peft),
        TEST(test_what_is_saved_is_what_was_loaded),
        TEST(test_a_new_adapter_keeps_the_names_of_its_labels),
        cmocka_unit_test(test_the_mean_f1_is_that_of_the_labels_that_occur),
        TEST(test_labels_are_read_sorted_or_as_they_are_given),
        TEST(test_what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests_name("classify", tests, NULL, NULL);
}
