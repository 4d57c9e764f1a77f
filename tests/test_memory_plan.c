#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <clora/full.h>
#include <clora/prefix.h>

#include "support/assert.h"
#include "support/fixture.h"
#include "support/fresh_context.h"
#include "support/scratch.h"
#include "train/trainer.h"

/* What a plan says is what the context counts, because both are made by the same calls. */

static const char *const models[] = {"tiny-llama", "tiny-qwen2", "tiny-phi3"};
enum { MODELS = 3, LENGTH = 11, BATCH = 3 };

static void assert_same_plan(const clora_memory_plan *a, const clora_memory_plan *b) {
    assert_int_equal(a->weights, b->weights);
    assert_int_equal(a->adapter, b->adapter);
    assert_int_equal(a->gradients, b->gradients);
    assert_int_equal(a->optimizer, b->optimizer);
    assert_int_equal(a->activations, b->activations);
    assert_int_equal(a->scratch, b->scratch);
    assert_int_equal(a->total, b->total);
}

static clora_dataset *make_dataset(void) {
    static const int32_t ids[LENGTH] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    clora_dataset *dataset;

    assert_ok(clora_dataset_from_ids(&dataset, ids, NULL, (const int[]){LENGTH}, 1));
    return dataset;
}

/* A method and its options. */
typedef struct method_use {
    const clora_adapter_options *lora; /* else NULL */
    const clora_full_options *full;
    const clora_prefix_options *prefix;
} method_use;

static clora_adapter *make_adapter(clora_model *model, const method_use *method) {
    clora_adapter *adapter;

    if (method->full)
        assert_ok(clora_full_create(&adapter, model, method->full));
    else if (method->prefix)
        assert_ok(clora_prefix_create(&adapter, model, method->prefix));
    else
        assert_ok(clora_adapter_create(&adapter, model, method->lora));
    return adapter;
}

/* The plan of a run that is made, which is all that its context has. */
static clora_memory_plan plan_of_run(const char *path, const clora_model_options *storage, const method_use *method,
                                     const clora_train_options *options) {
    clora_dataset *dataset = make_dataset();
    clora_model *model;
    clora_adapter *adapter;
    clora_trainer *trainer;
    size_t before, after;

    clora_context_memory(context, &before, NULL);
    assert_ok(clora_model_load(&model, context, path, storage));
    adapter = make_adapter(model, method);
    assert_ok(clora_trainer_create(&trainer, model, adapter, dataset, options));
    const clora_memory_plan plan = *clora_trainer_plan(trainer);
    clora_context_memory(context, &after, NULL);
    assert_int_equal(plan.total, after - before);
    clora_trainer_free(trainer);
    clora_adapter_free(adapter);
    clora_model_free(model);
    clora_dataset_free(dataset);
    return plan;
}

static clora_memory_plan plan_of_outline(const char *path, const clora_model_options *storage, const method_use *method,
                                         const clora_train_options *options, int validate) {
    clora_memory_plan plan = CLORA_MEMORY_PLAN_INIT;
    clora_model *model;
    clora_adapter *adapter;
    size_t taken, before, after, most;

    clora_context_memory(context, &before, NULL);
    assert_ok(clora_model_outline(&model, context, path, storage));
    adapter = make_adapter(model, method);
    assert_ok(clora_train_plan(&plan, model, adapter, options, LENGTH, validate));
    clora_context_memory(clora_model_context(model), &taken, &most);
    assert_int_equal(taken, plan.weights + plan.adapter + plan.scratch);
    assert_int_equal(most, plan.total - plan.evaluation);
    clora_adapter_free(adapter);
    clora_model_free(model);
    clora_context_memory(context, &after, NULL);
    assert_int_equal(after, before); /* of the device nothing is taken */
    return plan;
}

static void test_a_plan_is_what_a_run_takes(void **state) {
    static const struct {
        int rank, recompute, dtype;
        clora_optimizer optimizer;
        float momentum, dropout;
    } uses[] = {
        {3, CLORA_RECOMPUTE_NONE, -1, CLORA_OPTIMIZER_ADAMW, 0, 0},
        {64, CLORA_RECOMPUTE_ATTENTION, CLORA_STORAGE_BF16, CLORA_OPTIMIZER_ADAMW8BIT, 0, 0},
        {8, CLORA_RECOMPUTE_LAYER, CLORA_STORAGE_F16, CLORA_OPTIMIZER_SGD, 0.9f, 0.1f},
        {1, CLORA_RECOMPUTE_NONE, CLORA_STORAGE_F32, CLORA_OPTIMIZER_SGD, 0, 0.5f},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++)
        for (int m = 0; m < MODELS; m++) {
            clora_train_options options = CLORA_TRAIN_OPTIONS_INIT;
            clora_adapter_options method = CLORA_ADAPTER_OPTIONS_INIT;
            const clora_model_options storage = {.size = sizeof(storage), .dtype = uses[i].dtype};
            options.batch_size = BATCH;
            options.recompute = uses[i].recompute;
            options.optimizer = uses[i].optimizer;
            options.momentum = uses[i].momentum;
            method.rank = uses[i].rank;
            method.dropout = uses[i].dropout;
            const clora_memory_plan made =
                plan_of_run(fixture_path(models[m]), &storage, &(method_use){.lora = &method}, &options);
            const clora_memory_plan planned =
                plan_of_outline(fixture_path(models[m]), &storage, &(method_use){.lora = &method}, &options, 0);
            assert_same_plan(&planned, &made);
        }
}

/* Of what makes it the projection is the adapter's, and the prefix has a gradient too. */
static void test_a_plan_of_a_projected_prefix_is_what_a_run_takes(void **state) {
    (void)state;
    clora_prefix_options prefix = CLORA_PREFIX_OPTIONS_INIT;
    clora_train_options options = CLORA_TRAIN_OPTIONS_INIT;

    options.batch_size = BATCH;
    prefix.tokens = 3;
    prefix.projection = 20;
    const method_use method = {.prefix = &prefix};
    const clora_memory_plan made = plan_of_run(fixture_path(models[0]), NULL, &method, &options);
    const clora_memory_plan planned = plan_of_outline(fixture_path(models[0]), NULL, &method, &options, 0);
    assert_same_plan(&planned, &made);
}

/* Beside factors on linear layers: on the embedding, whole copies, and terms that do not train. */
static void test_a_plan_counts_all_that_an_adapter_has(void **state) {
    const clora_train_options options = CLORA_TRAIN_OPTIONS_INIT;
    clora_adapter_options methods[2] = {CLORA_ADAPTER_OPTIONS_INIT, CLORA_ADAPTER_OPTIONS_INIT};

    (void)state;
    methods[0].target_modules = "embed_tokens,o_proj";
    methods[0].modules_to_save = "lm_head,norm";
    methods[1].init = CLORA_INIT_PISSA;
    for (int i = 0; i < 2; i++)
        for (int m = 0; m < MODELS; m++) {
            const method_use method = {.lora = &methods[i]};
            const clora_memory_plan made = plan_of_run(fixture_path(models[m]), NULL, &method, &options);
            const clora_memory_plan planned = plan_of_outline(fixture_path(models[m]), NULL, &method, &options, 0);
            assert_same_plan(&planned, &made);
        }
}

/* A model's own weights train in place in f32; in 16 bits with or without a copy in f32. */
static void test_a_plan_of_a_whole_model_is_what_a_run_takes(void **state) {
    (void)state;
    for (int i = 0; i < 8; i++) {
        const clora_model_options storage = {.size = sizeof(storage),
                                             .dtype = i < 2 ? CLORA_STORAGE_F32 : CLORA_STORAGE_BF16};
        clora_full_options full = CLORA_FULL_OPTIONS_INIT;
        clora_train_options options = CLORA_TRAIN_OPTIONS_INIT;
        full.part = i == 1 ? CLORA_FULL_PART_NORMS : CLORA_FULL_PART_ALL;
        full.master = i % 2 ? CLORA_FULL_MASTER_NONE : CLORA_FULL_MASTER_F32;
        options.clip = i < 6 ? options.clip : 0.0f; /* gradients are used up one by one */
        options.optimizer = i < 4 ? CLORA_OPTIMIZER_ADAMW : CLORA_OPTIMIZER_ADAMW8BIT;
        options.batch_size = BATCH;
        const method_use method = {.full = &full};
        const clora_memory_plan made = plan_of_run(fixture_path(models[i % MODELS]), &storage, &method, &options);
        const clora_memory_plan planned =
            plan_of_outline(fixture_path(models[i % MODELS]), &storage, &method, &options, 0);
        assert_same_plan(&planned, &made);
    }
}

/* Where all weights train, of each layer neither attention's output nor the sum after it: they are made again. */
static void test_a_whole_model_keeps_less_of_a_step(void **state) {
    clora_full_options full = CLORA_FULL_OPTIONS_INIT;
    clora_memory_plan plan[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        full.part = i == 0 ? CLORA_FULL_PART_NORMS : CLORA_FULL_PART_ALL;
        plan[i] = plan_of_outline(fixture_path("tiny-smollm3"), NULL, &(method_use){.full = &full}, NULL, 0);
    }
    assert_true(plan[1].activations < plan[0].activations);
}

static void test_a_validation_has_an_arena_of_its_own(void **state) {
    (void)state;
    const clora_memory_plan without =
        plan_of_outline(fixture_path(models[0]), NULL, &(method_use){.lora = NULL}, NULL, 0);
    const clora_memory_plan with = plan_of_outline(fixture_path(models[0]), NULL, &(method_use){.lora = NULL}, NULL, 1);
    assert_int_equal(without.evaluation, 0);
    assert_true(with.evaluation > 0 && with.evaluation < with.activations);
    assert_int_equal(with.total, without.total + with.evaluation);
}

/* An outline is planned whatever the device has; the trainer would be refused. */
static void test_a_plan_may_be_larger_than_the_device(void **state) {
    const size_t all = context->info.global_memory;

    (void)state;
    context->info.global_memory = 1000;
    const clora_memory_plan plan = plan_of_outline(fixture_path(models[0]), NULL, &(method_use){.lora = NULL}, NULL, 0);
    context->info.global_memory = all;
    assert_true(plan.total > 1000);
}

static void test_a_model_with_weights_has_no_plan(void **state) {
    clora_model *model;
    clora_adapter *adapter;
    clora_memory_plan plan = CLORA_MEMORY_PLAN_INIT;

    (void)state;
    assert_ok(clora_model_load(&model, context, fixture_path(models[0]), NULL));
    assert_ok(clora_adapter_create(&adapter, model, NULL));
    assert_refused(clora_train_plan(&plan, model, adapter, NULL, LENGTH, 0), CLORA_ERROR_ARGUMENT,
                   "a model of clora_model_outline");
    clora_adapter_free(adapter);
    clora_model_free(model);
    assert_ok(clora_model_outline(&model, context, fixture_path(models[0]), NULL));
    assert_ok(clora_adapter_create(&adapter, model, NULL));
    assert_refused(clora_train_plan(&plan, model, adapter, NULL, 0, 0), CLORA_ERROR_ARGUMENT, "rows of 0 tokens");
    clora_adapter_free(adapter);
    clora_model_free(model);
}

int main(void) {
#define TEST(function) cmocka_unit_test_setup_teardown(function, fresh_context_setup, fresh_context_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_plan_is_what_a_run_takes),
        TEST(test_a_plan_counts_all_that_an_adapter_has),
        TEST(test_a_plan_of_a_projected_prefix_is_what_a_run_takes),
        TEST(test_a_plan_of_a_whole_model_is_what_a_run_takes),
        TEST(test_a_whole_model_keeps_less_of_a_step),
        TEST(test_a_validation_has_an_arena_of_its_own),
        TEST(test_a_plan_may_be_larger_than_the_device),
        TEST(test_a_model_with_weights_has_no_plan),
    };
    const clora_device_info **devices = NULL;
    size_t count = 0;

    if (clora_devices_list(&devices, &count) != CLORA_OK || count == 0)
        return 77;
    free(devices);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
