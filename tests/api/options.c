/*
 * Programs that were built with older and with newer headers call one library. Each is played by a struct of its own,
 * as its headers had it; the library knows them by their sizes.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "api/check.h"

static clora_context *context;
static clora_model *model;
static clora_dataset *dataset;

/* The members that an older release had: the first ones, where they are now, without padding after the last. */
typedef struct older_train_options {
    size_t size;
    int steps;
    double epochs;
    int batch_size, accumulate;
} older_train_options;

static_assert(sizeof(older_train_options) == offsetof(clora_train_options, pack), "a member moved");

typedef struct newer_train_options {
    clora_train_options known;
    int64_t added; /* as wide as padding would be, which no initialiser needs to clear */
} newer_train_options;

/* clora_train() with options of any size. */
static clora_status train_with(const void *options, float *loss) {
    clora_trainer *trainer;
    clora_train_step step = CLORA_TRAIN_STEP_INIT;
    clora_adapter *adapter;

    OK(clora_adapter_create(&adapter, model, NULL));
    clora_status status = clora_trainer_create(&trainer, model, adapter, dataset, options);
    while (status == CLORA_OK && step.step < clora_trainer_steps(trainer))
        status = clora_trainer_step(&step, trainer);
    *loss = step.loss;
    clora_trainer_free(trainer);
    clora_adapter_free(adapter);
    return status;
}

static void an_older_caller_gets_the_defaults_of_what_it_does_not_know(void) {
    const older_train_options older = {sizeof(older), 3, 1.0, 1, 1};
    clora_train_options now = CLORA_TRAIN_OPTIONS_INIT;
    float with_older, with_now;

    now.steps = 3;
    now.batch_size = 1;
    OK(train_with(&now, &with_now));
    OK(train_with(&older, &with_older));
    CHECK(with_older == with_now);
}

static void a_newer_caller_works_that_asks_for_nothing_unknown(void) {
    newer_train_options newer = {CLORA_TRAIN_OPTIONS_INIT, 0};
    clora_train_options now = CLORA_TRAIN_OPTIONS_INIT;
    float with_newer, with_now;

    now.steps = newer.known.steps = 2;
    now.lr = newer.known.lr = 0.01f;
    newer.known.size = sizeof(newer);
    OK(train_with(&now, &with_now));
    OK(train_with(&newer, &with_newer));
    CHECK(with_newer == with_now);
    newer.added = 1;
    CHECK(train_with(&newer, &with_newer) == CLORA_ERROR_UNSUPPORTED);
    CHECK(strstr(clora_last_error(), "options that clora"));
}

/* ---- Results ---- */

/* An older release's, with room for no more than this. */
typedef struct older_evaluate_result {
    size_t size;
    double loss;
} older_evaluate_result;

static_assert(offsetof(older_evaluate_result, loss) == offsetof(clora_evaluate_result, loss), "a member moved");

typedef struct newer_evaluate_result {
    clora_evaluate_result known;
    double added;
} newer_evaluate_result;

static void callers_get_as_much_of_a_result_as_they_know(void) {
    clora_evaluate_result now = CLORA_EVALUATE_RESULT_INIT;
    newer_evaluate_result newer = {CLORA_EVALUATE_RESULT_INIT, 7.0};
    struct {
        older_evaluate_result result;
        double beyond;
    } older = {{sizeof(older.result), 0.0}, 7.0};

    newer.known.size = sizeof(newer);
    OK(clora_evaluate(&now, model, NULL, dataset, NULL));
    OK(clora_evaluate((clora_evaluate_result *)(void *)&older, model, NULL, dataset, NULL));
    CHECK(older.result.loss == now.loss && older.result.size == sizeof(older.result) && older.beyond == 7.0);
    OK(clora_evaluate(&newer.known, model, NULL, dataset, NULL));
    CHECK(newer.known.loss == now.loss && newer.known.size == sizeof(newer) && newer.added == 7.0);
}

static void a_size_that_none_has_is_refused(void) {
    clora_train_options options = CLORA_TRAIN_OPTIONS_INIT;
    float loss;

    options.size = 0; /* a caller that forgot its _INIT */
    CHECK(train_with(&options, &loss) == CLORA_ERROR_ARGUMENT);
    CHECK(strstr(clora_last_error(), "size 0"));
}

int main(void) {
    static const int32_t ids[] = {1, 2, 3, 1, 5, 6, 7};
    static const int lengths[] = {3, 4};

    context = open_context();
    model = open_model(context);
    OK(clora_dataset_from_ids(&dataset, ids, NULL, lengths, 2));
    an_older_caller_gets_the_defaults_of_what_it_does_not_know();
    a_newer_caller_works_that_asks_for_nothing_unknown();
    callers_get_as_much_of_a_result_as_they_know();
    a_size_that_none_has_is_refused();
    clora_dataset_free(dataset);
    clora_model_free(model);
    clora_context_free(context);
    return 0;
}
