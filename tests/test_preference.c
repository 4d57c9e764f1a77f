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
#include <jansson.h>

#include "data/dataset_store.h"
#include "support/scratch.h"
#include "support/training.h"

/* Trainings on preferences against TRL's (fixtures/make_preferences.py). */

enum { EOS = 2, STEPS = 10 };

static clora_context *context;
static clora_model *model;
static json_t *reference; /* reference/preferences.json */

/* ---- The data ---- */

static void push(clora_dataset *d, const json_t *ids, bool learnt) {
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const int32_t id = (int32_t)json_integer_value(json_array_get(ids, i));
        assert_ok(dataset_push(d, &id, learnt ? &id : NULL, 1));
    }
}

static void add_answer(clora_dataset *d, const json_t *prompt, const json_t *answer, bool desirable) {
    const int32_t eos = EOS;
    size_t learnt;

    push(d, prompt, false);
    push(d, answer, true);
    assert_ok(dataset_push(d, &eos, &eos, 1));
    assert_ok(dataset_mark_answer(d, (dataset_answer){(int)json_array_size(prompt), desirable}));
    assert_ok(dataset_close_sequence(d, &learnt));
}

static clora_dataset *load_data(clora_data_kind kind) {
    const bool paired = kind == CLORA_DATA_PREFERENCE;
    const json_t *rows = json_object_get(reference, paired ? "pairs" : "unpaired");
    clora_dataset *d = NULL;

    assert_ok(dataset_new(&d));
    d->kind = kind;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i), *prompt = json_array_get(row, 0);
        add_answer(d, prompt, json_array_get(row, 1), paired || json_is_true(json_array_get(row, 2)));
        if (paired)
            add_answer(d, prompt, json_array_get(row, 2), false);
    }
    return d;
}

/* ---- Trainings ---- */

static clora_adapter *load_adapter(void) {
    clora_adapter *adapter = NULL;

    assert_ok(clora_adapter_load(&adapter, model, fixture_path("tiny-llama-lora")));
    return adapter;
}

static clora_train_options options_of(clora_preference preference) {
    clora_train_options o = CLORA_TRAIN_OPTIONS_INIT;

    o.steps = STEPS;
    o.batch_size = 2;
    o.shuffle = 0;
    o.lr = 1e-2f;
    o.weight_decay = 0.01f;
    o.clip = 0.0f;
    o.preference = preference;
    o.beta = 0.3f;
    return o;
}

static void assert_near(const char *name, int step, const char *what, float actual, const json_t *expected) {
    const double wanted = json_number_value(expected);

    if (!(fabs((double)actual - wanted) <= 1e-4 * fmax(1.0, fabs(wanted))))
        fail_msg("%s: step %d: %s %.8g; TRL has %.8g", name, step, what, (double)actual, wanted);
}

/* TRL logs what there is. */
static void assert_rewards(const char *name, const clora_train_step *s, const json_t *line) {
    const struct {
        const char *key;
        float value;
    } all[] = {{"rewards/chosen", s->rewards->chosen},
               {"rewards/rejected", s->rewards->rejected},
               {"rewards/margins", s->rewards->margin},
               {"rewards/accuracies", s->rewards->accuracy},
               {"kl", s->rewards->kl}};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        const json_t *expected = json_object_get(line, all[i].key);
        if (expected)
            assert_near(name, s->step, all[i].key, all[i].value, expected);
        else
            assert_true(isnan(all[i].value));
    }
}

static int units_of(const clora_trainer *t) {
    return t->options.batch_size;
}

static const json_t *expected_of(const char *name, const char *key, int step) {
    return json_array_get(json_object_get(json_object_get(json_object_get(reference, "cases"), name), key),
                          (size_t)step);
}

static void compare(const char *name, const clora_train_options *options) {
    clora_adapter *adapter = load_adapter();
    clora_dataset *data =
        load_data(options->preference == CLORA_PREFERENCE_KTO ? CLORA_DATA_UNPAIRED_PREFERENCE : CLORA_DATA_PREFERENCE);
    fixture_tensors *f = fixture_open("preferences");
    clora_trainer *trainer = NULL;
    clora_train_step step = CLORA_TRAIN_STEP_INIT;
    char prefix[64];

    assert_ok(clora_trainer_create(&trainer, model, adapter, data, options));
    for (int i = 0; i < STEPS; i++) {
        assert_ok(clora_trainer_step(&step, trainer));
        assert_near(name, i + 1, "loss", step.loss, expected_of(name, "losses", i));
        assert_rewards(name, &step, expected_of(name, "log", i));
        snprintf(prefix, sizeof(prefix), "%s.grad.", name);
        if (i == 0)
            assert_factors(adapter, &trainer->parameters, 1.0f / (float)units_of(trainer), f, prefix, 1e-4);
    }
    snprintf(prefix, sizeof(prefix), "%s.final.", name);
    assert_factors(adapter, NULL, 1.0f, f, prefix, 1e-3);
    clora_trainer_free(trainer);
    fixture_close(f);
    clora_dataset_free(data);
    clora_adapter_free(adapter);
}

static void test_ten_steps_of_pairs_are_those_of_trl(void **state) {
    (void)state;
    static const struct {
        const char *name;
        clora_preference preference;
    } cases[] = {{"dpo", CLORA_PREFERENCE_DPO},
                 {"ipo", CLORA_PREFERENCE_IPO},
                 {"hinge", CLORA_PREFERENCE_HINGE},
                 {"orpo", CLORA_PREFERENCE_ORPO}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const clora_train_options options = options_of(cases[i].preference);
        compare(cases[i].name, &options);
    }
}

static void test_smoothed_labels_are_those_of_trl(void **state) {
    (void)state;
    clora_train_options options = options_of(CLORA_PREFERENCE_DPO);

    options.batch_size = 1;
    options.label_smoothing = 0.2f;
    compare("dpo-smoothed", &options);
}

static void test_ten_steps_of_single_answers_are_those_of_trl(void **state) {
    (void)state;
    const clora_train_options options = options_of(CLORA_PREFERENCE_KTO);

    compare("kto", &options);
}

static void test_an_adapter_that_is_trained_on_is_its_own_reference(void **state) {
    (void)state;
    clora_train_options options = options_of(CLORA_PREFERENCE_DPO);

    options.reference = load_adapter();
    compare("dpo-continued", &options);
    clora_adapter_free(options.reference);
}

static void load_whole_model(clora_model **own, clora_adapter **all) {
    assert_ok(clora_model_load(own, context, fixture_path("tiny-llama"), NULL));
    assert_ok(clora_full_create(all, *own, NULL));
}

/* The head trains too, whose gradient is not one of rows apart, and the model is its own reference. */
static void compare_whole_model(const char *name, clora_preference preference) {
    clora_train_options options = options_of(preference);
    clora_dataset *data = load_data(CLORA_DATA_PREFERENCE);
    clora_model *own = NULL; /* which changes */
    clora_adapter *all = NULL;
    clora_trainer *trainer = NULL;
    clora_train_step step = CLORA_TRAIN_STEP_INIT;

    options.weight_decay = 0.0f;
    load_whole_model(&own, &all);
    assert_ok(clora_trainer_create(&trainer, own, all, data, &options));
    for (int i = 0; i < STEPS; i++) {
        assert_ok(clora_trainer_step(&step, trainer));
        assert_near(name, i + 1, "loss", step.loss, expected_of(name, "losses", i));
    }
    clora_trainer_free(trainer);
    clora_adapter_free(all);
    clora_model_free(own);
    clora_dataset_free(data);
}

static void test_ten_steps_of_all_weights_are_those_of_trl(void **state) {
    (void)state;
    compare_whole_model("orpo-full", CLORA_PREFERENCE_ORPO);
    compare_whole_model("dpo-full", CLORA_PREFERENCE_DPO);
}

/* ---- The reference ---- */

static void test_the_reference_scores_an_answer_once(void **state) {
    (void)state;
    const clora_train_options options = options_of(CLORA_PREFERENCE_DPO);
    clora_adapter *adapter = load_adapter();
    clora_dataset *data = load_data(CLORA_DATA_PREFERENCE);
    clora_trainer *trainer = NULL;
    clora_train_step step = CLORA_TRAIN_STEP_INIT;
    int i;

    assert_ok(clora_trainer_create(&trainer, model, adapter, data, &options));
    for (i = 0; i < 2; i++) {
        assert_false(reference_scores_hold_all(trainer->references));
        assert_ok(clora_trainer_step(&step, trainer));
    }
    assert_true(reference_scores_hold_all(trainer->references));
    for (size_t k = 0; k < data->count; k += 2) /* which the next steps are to be seen to use */
        trainer->references->score[k] -= 10.0;
    assert_ok(clora_trainer_step(&step, trainer));
    assert_true(fabs((double)step.rewards->chosen - 3.0 -
                     json_number_value(json_object_get(expected_of("dpo", "log", i), "rewards/chosen"))) < 1e-3);
    clora_trainer_free(trainer);
    clora_dataset_free(data);
    clora_adapter_free(adapter);
}

/* What it trains was the reference before the first step. */
static void test_a_model_that_changes_is_evaluated_against_itself_as_it_was(void **state) {
    (void)state;
    const clora_train_options options = options_of(CLORA_PREFERENCE_DPO);
    clora_dataset *data = load_data(CLORA_DATA_PREFERENCE), *other = load_data(CLORA_DATA_PREFERENCE);
    clora_model *own = NULL;
    clora_adapter *all = NULL;
    clora_trainer *trainer = NULL;
    clora_train_step step = CLORA_TRAIN_STEP_INIT;
    clora_evaluate_result before = CLORA_EVALUATE_RESULT_INIT, after = CLORA_EVALUATE_RESULT_INIT;

    load_whole_model(&own, &all);
    assert_ok(clora_trainer_create(&trainer, own, all, data, &options));
    assert_ok(clora_trainer_evaluate(&before, trainer, other, NULL, NULL));
    assert_true(fabs(before.loss - log(2.0)) < 1e-6);
    assert_ok(clora_trainer_step(&step, trainer));
    assert_ok(clora_trainer_step(&step, trainer));
    assert_ok(clora_trainer_evaluate(&after, trainer, other, NULL, NULL));
    assert_true(after.loss < 0.1 && after.accuracy == 1.0);
    clora_dataset_free(other);
    other = load_data(CLORA_DATA_PREFERENCE);
    assert_refused(clora_trainer_evaluate(&after, trainer, other, NULL, NULL), CLORA_ERROR_UNSUPPORTED,
                   "evaluate these data before the first step too");
    clora_trainer_free(trainer);
    clora_dataset_free(other);
    other = load_data(CLORA_DATA_UNPAIRED_PREFERENCE);
    const clora_train_options kto = options_of(CLORA_PREFERENCE_KTO);
    assert_refused(clora_trainer_create(&trainer, own, all, other, &kto), CLORA_ERROR_UNSUPPORTED,
                   "kto compares each batch with the model as it was");
    clora_dataset_free(other);
    clora_dataset_free(data);
    clora_adapter_free(all);
    clora_model_free(own);
}

/* ---- What is refused ---- */

static void refuse(const clora_train_options *options, clora_data_kind kind, const char *words) {
    clora_adapter *adapter = load_adapter();
    clora_dataset *data = load_data(kind);
    clora_trainer *trainer = NULL;

    assert_refused(clora_trainer_create(&trainer, model, adapter, data, options), CLORA_ERROR_ARGUMENT, words);
    assert_null(trainer);
    clora_dataset_free(data);
    clora_adapter_free(adapter);
}

static void test_refuses_what_does_not_fit(void **state) {
    (void)state;
    clora_train_options options = options_of(CLORA_PREFERENCE_KTO);

    refuse(&options, CLORA_DATA_PREFERENCE, "kto learns from answers with labels");
    options.batch_size = 1;
    refuse(&options, CLORA_DATA_UNPAIRED_PREFERENCE, "batches of 2");
    options = options_of(CLORA_PREFERENCE_NONE);
    refuse(&options, CLORA_DATA_PREFERENCE, "the data are preferences");
    options = options_of(CLORA_PREFERENCE_DPO);
    refuse(&options, CLORA_DATA_UNPAIRED_PREFERENCE, "dpo learns from pairs");
    options.beta = 0.0f;
    refuse(&options, CLORA_DATA_PREFERENCE, "beta");
    options = options_of(CLORA_PREFERENCE_DPO);
    options.pack = 1;
    refuse(&options, CLORA_DATA_PREFERENCE, "packed");
    options = options_of(CLORA_PREFERENCE_IPO);
    options.label_smoothing = 0.1f;
    refuse(&options, CLORA_DATA_PREFERENCE, "ipo has no label smoothing");
    options = options_of(CLORA_PREFERENCE_DPO);
    assert_ok(clora_adapter_load(&options.reference, model, fixture_path("tiny-llama-patterns")));
    refuse(&options, CLORA_DATA_PREFERENCE, "the reference is not the adapter as it was");
    clora_adapter_free(options.reference);
    options = options_of((clora_preference)9);
    refuse(&options, CLORA_DATA_PREFERENCE, "number 9");
}

/* ---- What stands before both answers ---- */

/* The log-probability of all answers together, as an evaluation of them one by one has it. */
static double log_probability(clora_adapter *adapter) {
    clora_dataset *data = load_data(CLORA_DATA_PREFERENCE);
    clora_evaluate_result result = CLORA_EVALUATE_RESULT_INIT;

    data->kind = CLORA_DATA_PAIRS;
    assert_ok(clora_evaluate(&result, model, adapter, data, NULL));
    clora_dataset_free(data);
    return -result.loss * (double)result.target_tokens;
}

/* An adapter that the model as it was is compared with, or the same adapter is. */
static void learn_with(const char *fixture) {
    clora_train_options o = options_of(CLORA_PREFERENCE_DPO);
    clora_dataset *data = load_data(CLORA_DATA_PREFERENCE);
    clora_adapter *adapter = NULL, *same = NULL;
    clora_trainer *trainer = NULL;
    clora_train_step step[2] = {CLORA_TRAIN_STEP_INIT, CLORA_TRAIN_STEP_INIT};

    assert_ok(clora_adapter_load(&adapter, model, fixture_path(fixture)));
    assert_ok(clora_adapter_load(&same, model, fixture_path(fixture)));
    const double ratio = log_probability(adapter) - log_probability(NULL);
    o.batch_size = (int)data->count / 2;
    o.optimizer = CLORA_OPTIMIZER_SGD;
    o.weight_decay = 0.0f;
    o.lr = 1e-3f;
    assert_ok(clora_trainer_create(&trainer, model, adapter, data, &o));
    assert_ok(clora_trainer_step(&step[0], trainer));
    assert_true(fabs((double)(step[0].rewards->chosen + step[0].rewards->rejected) * o.batch_size -
                     (double)o.beta * ratio) < 1e-4);
    assert_ok(clora_trainer_step(&step[1], trainer));
    /* a small step along the gradient takes its squared length times the rate from the loss */
    const double less = (double)o.lr * (double)step[0].grad_norm * (double)step[0].grad_norm;
    if (!(fabs((double)step[0].loss - (double)step[1].loss - less) <= 0.02 * less))
        fail_msg("%s: the loss fell by %g, not by %g", fixture, (double)step[0].loss - (double)step[1].loss, less);
    clora_trainer_free(trainer);
    clora_adapter_free(adapter);
    assert_ok(clora_adapter_load(&adapter, model, fixture_path(fixture)));
    o.reference = same;
    assert_ok(clora_trainer_create(&trainer, model, adapter, data, &o));
    assert_ok(clora_trainer_step(&step[0], trainer));
    assert_true(fabs((double)step[0].loss - log(2.0)) < 1e-5);
    clora_trainer_free(trainer);
    clora_adapter_free(adapter);
    clora_adapter_free(same);
    clora_dataset_free(data);
}

static void test_prefixes_and_prompts_stand_before_both_answers(void **state) {
    (void)state;
    learn_with("tiny-llama-prefix");
    learn_with("tiny-llama-prompt");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ten_steps_of_pairs_are_those_of_trl),
        cmocka_unit_test(test_smoothed_labels_are_those_of_trl),
        cmocka_unit_test(test_ten_steps_of_single_answers_are_those_of_trl),
        cmocka_unit_test(test_an_adapter_that_is_trained_on_is_its_own_reference),
        cmocka_unit_test(test_ten_steps_of_all_weights_are_those_of_trl),
        cmocka_unit_test(test_the_reference_scores_an_answer_once),
        cmocka_unit_test(test_a_model_that_changes_is_evaluated_against_itself_as_it_was),
        cmocka_unit_test(test_refuses_what_does_not_fit),
        cmocka_unit_test(test_prefixes_and_prompts_stand_before_both_answers),
    };
    reference = json_load_file(fixture_path("reference/preferences.json"), 0, NULL);
    if (clora_context_create(&context, NULL) != CLORA_OK) {
        fprintf(stderr, "skipped: %s\n", clora_last_error());
        return 77;
    }
    if (!reference || clora_model_load(&model, context, fixture_path("tiny-llama"), NULL) != CLORA_OK) {
        fprintf(stderr, "%s\n", clora_last_error());
        return 1;
    }
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    clora_model_free(model);
    clora_context_free(context);
    json_decref(reference);
    return failed;
}
