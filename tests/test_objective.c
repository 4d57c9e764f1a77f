#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ref/ref.h"
#include "support/assert.h"
#include "support/fixture.h"
#include "support/fresh_context.h"
#include "support/scratch.h"
#include "train/trainer.h"

/* What training minimises: with smoothed labels, and by a function of the program's own. */

enum { VOCAB = 97, ROWS = 22, MODULE = 1 /* of the adapter, whose A is looked at */ };

static clora_model *model;
static clora_adapter *adapter;
static fixture_batch batch;

static int setup(void **state) {
    fresh_context_setup(state);
    fixture_read_batch(&batch, "tiny-llama-lora");
    assert_ok(clora_model_load(&model, context, fixture_path("tiny-llama"), NULL));
    assert_ok(clora_adapter_load(&adapter, model, fixture_path("tiny-llama-lora")));
    return 0;
}

static int teardown(void **state) {
    clora_adapter_free(adapter);
    clora_model_free(model);
    return fresh_context_teardown(state);
}

/* As the fixtures were trained. */
static clora_train_options fixture_options(void) {
    clora_train_options o = CLORA_TRAIN_OPTIONS_INIT;

    o.steps = 10;
    o.batch_size = batch.B;
    o.shuffle = 0;
    o.lr = 1e-2f;
    o.weight_decay = 0.01f;
    o.clip = 0.0f;
    return o;
}

static clora_status create(clora_trainer **out, const clora_train_options *options) {
    clora_dataset *dataset;

    assert_ok(clora_dataset_from_ids(&dataset, batch.ids, batch.labels, (const int[]){batch.T, batch.T}, batch.B));
    const clora_status status = clora_trainer_create(out, model, adapter, dataset, options);
    clora_dataset_free(dataset);
    return status;
}

static void read_factor(float a[1024]) {
    const clora_adapter_module_info *m = clora_adapter_module(adapter, MODULE);

    memset(a, 0, 1024 * sizeof(float));
    assert_true(m->rank * m->in <= 1024);
    assert_ok(clora_adapter_read_module(a, NULL, adapter, MODULE));
}

static void assert_trace(const clora_train_options *options, const char *key) {
    clora_trainer *trainer;
    clora_train_step done = CLORA_TRAIN_STEP_INIT;

    assert_ok(create(&trainer, options));
    for (int step = 0; step < options->steps; step++) {
        assert_ok(clora_trainer_step(&done, trainer));
        const double expected = fixture_number("objectives", key, step);
        if (!(fabs((double)done.loss - expected) <= 1e-4))
            fail_msg("step %d: loss %g, expected %g", step, (double)done.loss, expected);
    }
    clora_trainer_free(trainer);
}

static void test_label_smoothing_follows_pytorch(void **state) {
    clora_train_options o = fixture_options();

    (void)state;
    o.label_smoothing = (float)fixture_number("objectives", "label_smoothing", -1);
    assert_trace(&o, "smoothed_trace");
}

static void test_an_evaluation_is_of_the_plain_likelihood(void **state) {
    clora_train_options o = fixture_options();
    clora_evaluate_result before = CLORA_EVALUATE_RESULT_INIT, after = CLORA_EVALUATE_RESULT_INIT;
    clora_dataset *dataset;
    clora_trainer *trainer;
    clora_train_step done = CLORA_TRAIN_STEP_INIT;

    (void)state;
    o.lr = 0.0f;
    assert_ok(clora_dataset_from_ids(&dataset, batch.ids, batch.labels, (const int[]){batch.T, batch.T}, batch.B));
    assert_ok(clora_evaluate(&before, model, adapter, dataset, NULL));
    o.label_smoothing = 0.5f;
    assert_ok(create(&trainer, &o));
    assert_ok(clora_trainer_step(&done, trainer));
    assert_ok(clora_evaluate(&after, model, adapter, dataset, NULL));
    assert_true(before.loss == after.loss && fabs(before.loss - (double)done.loss) > 1e-2);
    clora_trainer_free(trainer);
    clora_dataset_free(dataset);
}

/* ---- an objective of the program's own ---- */

typedef struct own {
    int calls, rows; /* so far */
    clora_status answer;
    bool fails; /* a call of the library within */
    bool bad_loss, bad_gradient;
} own;

/* The likelihood, by the host. */
static clora_status likelihood(void *user, const clora_objective_rows *rows) {
    float logits[ROWS * VOCAB], nll[ROWS], hit[ROWS];
    own *o = user;

    assert_true(rows->count <= ROWS && rows->B == batch.B && rows->T == batch.T);
    assert_int_equal(clora_tensor_shape(rows->logits)[1], VOCAB);
    for (int i = 0; i < rows->count; i++) {
        const int row = rows->rows[i];
        const bool last = row % batch.T == batch.T - 1; /* after which nothing stands */
        assert_int_equal(row, o->rows++ % (batch.B * batch.T));
        assert_int_equal(rows->ids[row], batch.ids[row]);
        assert_int_equal(rows->first[row], 0);
        assert_int_equal(rows->targets[i], last || batch.labels[row + 1] < 0 ? -1 : batch.labels[row + 1]);
    }
    o->calls++;
    assert_ok(clora_tensor_read(rows->logits, logits));
    ref_cross_entropy(nll, hit, logits, rows->targets, NULL, 0.0f, rows->count, VOCAB, true);
    nll[0] = o->bad_loss ? INFINITY : nll[0];
    logits[0] = o->bad_gradient ? NAN : logits[0];
    assert_ok(clora_tensor_write(rows->logits, logits));
    assert_ok(clora_tensor_write(rows->loss, nll));
    if (o->fails)
        return clora_adapter_load(&adapter, NULL, "none");
    return o->answer;
}

static void test_an_objective_of_the_programs_own_takes_the_place_of_the_likelihood(void **state) {
    clora_train_options o = fixture_options();
    own seen = {0};
    const clora_objective objective = {sizeof(objective), likelihood, &seen};

    (void)state;
    o.objective = &objective;
    assert_trace(&o, "plain_trace");
    assert_int_equal(seen.rows, o.steps * batch.B * batch.T);
}

static void take_losses(float losses[3], const clora_train_options *options) {
    clora_adapter *kept = adapter;
    clora_trainer *trainer;
    clora_train_step done = CLORA_TRAIN_STEP_INIT;

    assert_ok(clora_adapter_load(&adapter, model, fixture_path("tiny-llama-lora")));
    assert_ok(create(&trainer, options));
    for (int step = 0; step < 3; step++) {
        assert_ok(clora_trainer_step(&done, trainer));
        losses[step] = done.loss;
    }
    clora_trainer_free(trainer);
    clora_adapter_free(adapter);
    adapter = kept;
}

/* Capped logits are what it sees, and its gradient is of these. */
static void test_an_objective_of_the_programs_own_sees_capped_logits(void **state) {
    clora_train_options o = fixture_options();
    own seen = {0};
    const clora_objective objective = {sizeof(objective), likelihood, &seen};
    float capped[3], own_capped[3], plain[3];

    (void)state;
    take_losses(plain, &o);
    model->config.logit_cap = 0.8f;
    take_losses(capped, &o);
    o.objective = &objective;
    take_losses(own_capped, &o);
    for (int step = 0; step < 3; step++) {
        assert_true(fabs((double)own_capped[step] - (double)capped[step]) <= 1e-5);
        assert_true(fabs((double)capped[step] - (double)plain[step]) > 1e-2);
    }
}

static void assert_ends(const clora_train_options *o, clora_status status, const char *words) {
    float before[1024], after[1024];
    clora_trainer *trainer;
    clora_train_step done = CLORA_TRAIN_STEP_INIT;

    read_factor(before);
    assert_ok(create(&trainer, o));
    assert_refused(clora_trainer_step(&done, trainer), status, words);
    clora_trainer_free(trainer);
    read_factor(after);
    assert_memory_equal(before, after, sizeof(before));
}

static void test_an_objective_that_does_not_go_on_ends_the_step(void **state) {
    clora_train_options o = fixture_options();
    clora_adapter *kept = adapter;
    own seen = {.answer = CLORA_ERROR_IO};
    const clora_objective objective = {sizeof(objective), likelihood, &seen};

    (void)state;
    o.objective = &objective;
    assert_ends(&o, CLORA_ERROR_IO, "the objective ended the step");
    assert_int_equal(seen.calls, 1);
    seen = (own){.fails = true};
    clora_trainer *trainer;
    clora_train_step done = CLORA_TRAIN_STEP_INIT;
    assert_ok(create(&trainer, &o));
    assert_refused(clora_trainer_step(&done, trainer), CLORA_ERROR_ARGUMENT, "clora_adapter_load: model is NULL");
    adapter = kept;
    clora_trainer_free(trainer);
}

/* The next step, with what is bad of it; what it does to a factor. */
static clora_train_step step_with(clora_trainer *trainer, own *o, bool bad_loss, bool bad_gradient, bool changes) {
    float before[1024], after[1024];
    clora_train_step done = CLORA_TRAIN_STEP_INIT;

    o->bad_loss = bad_loss;
    o->bad_gradient = bad_gradient;
    read_factor(before);
    assert_ok(clora_trainer_step(&done, trainer));
    read_factor(after);
    assert_int_equal(memcmp(before, after, sizeof(before)) != 0, changes);
    return done;
}

static void test_steps_that_are_not_finite_are_passed_over_and_counted(void **state) {
    clora_train_options o = fixture_options();
    own seen = {0};
    const clora_objective objective = {sizeof(objective), likelihood, &seen};
    float expected[1024], found[1024];
    clora_trainer *trainer;

    (void)state;
    o.objective = &objective;
    o.skip_nonfinite = 2;
    assert_ok(create(&trainer, &o));
    (void)step_with(trainer, &seen, false, false, true);
    (void)step_with(trainer, &seen, false, false, true);
    read_factor(expected);
    clora_trainer_free(trainer);
    clora_adapter_free(adapter);
    assert_ok(clora_adapter_load(&adapter, model, fixture_path("tiny-llama-lora")));

    assert_ok(create(&trainer, &o));
    assert_int_equal(step_with(trainer, &seen, false, false, true).skipped, 0);
    clora_train_step done = step_with(trainer, &seen, true, false, false);
    assert_true(!isfinite(done.loss) && isfinite(done.grad_norm) && done.skipped == 1);
    done = step_with(trainer, &seen, false, true, false);
    assert_true(isfinite(done.loss) && !isfinite(done.grad_norm) && done.skipped == 2);
    done = step_with(trainer, &seen, false, false, true);
    assert_true(done.step == 4 && done.skipped == 2);
    read_factor(found); /* as if the two had not been */
    assert_memory_equal(found, expected, sizeof(found));
    seen.bad_gradient = true;
    assert_refused(clora_trainer_step(&done, trainer), CLORA_ERROR_FORMAT, "step 5: the gradient of ");
    assert_non_null(strstr(clora_last_error(), "layers."));
    read_factor(found);
    assert_memory_equal(found, expected, sizeof(found));
    clora_trainer_free(trainer);
    o.skip_nonfinite = -1;
    assert_refused(create(&trainer, &o), CLORA_ERROR_ARGUMENT, "-1 steps");
}

static void test_objectives_that_are_none_are_refused(void **state) {
    static const float bad[] = {-0.1f, 1.1f, NAN, INFINITY};
    const clora_objective none = CLORA_OBJECTIVE_INIT;
    clora_train_options o = fixture_options();
    clora_trainer *trainer;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        o.label_smoothing = bad[i];
        assert_refused(create(&trainer, &o), CLORA_ERROR_ARGUMENT, "label smoothing");
    }
    o.label_smoothing = 0.1f;
    o.objective = &none;
    assert_refused(create(&trainer, &o), CLORA_ERROR_ARGUMENT, "label smoothing");
    o.label_smoothing = 0.0f;
    assert_refused(create(&trainer, &o), CLORA_ERROR_ARGUMENT, "an objective without a function");
}

int main(void) {
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_label_smoothing_follows_pytorch),
        TEST(test_an_evaluation_is_of_the_plain_likelihood),
        TEST(test_an_objective_of_the_programs_own_takes_the_place_of_the_likelihood),
        TEST(test_an_objective_of_the_programs_own_sees_capped_logits),
        TEST(test_an_objective_that_does_not_go_on_ends_the_step),
        TEST(test_steps_that_are_not_finite_are_passed_over_and_counted),
        TEST(test_objectives_that_are_none_are_refused),
    };
    return cmocka_run_group_tests_name("objective", tests, NULL, NULL);
}
