/* Adapters that begin as a part of the base: against PEFT, and against what they mean. */

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

#include "support/logits.h"
#include "support/scratch.h"
#include "support/training.h"

enum { MOST = 64 * LOGITS_VOCAB, LLAMA = 0, QWEN2 = 1 };
static const double tolerance = 1e-4;

static clora_context *context;
static clora_model *models[2];
static const char *const bases[2] = {"tiny-llama", "tiny-qwen2"};

static const struct {
    const char *name;
    int model;
    clora_adapter_options options;
} beginnings[] = {
    {"tiny-llama-pissa",
     LLAMA,
     {.size = sizeof(clora_adapter_options),
      .rank = 4,
      .alpha = 8.0f,
      .target_modules = "q_proj,v_proj,down_proj",
      .init = CLORA_INIT_PISSA}},
    {"tiny-qwen2-olora",
     QWEN2,
     {.size = sizeof(clora_adapter_options),
      .rank = 4,
      .alpha = 8.0f,
      .rslora = 1,
      .target_modules = "k_proj,up_proj",
      .init = CLORA_INIT_OLORA}},
};

/* As long as nothing is learnt it is the base; ten steps are PEFT's; what is saved is plain LoRA of twice the rank and
 * the same function. */
static void test_adapters_begin_as_a_part_of_the_base(void **state) {
    static float expected[MOST], logits[MOST];
    fixture_batch batch;

    (void)state;
    for (int i = 0; i < 2; i++) {
        const char *name = beginnings[i].name;
        char *base = strdup(fixture_path(bases[beginnings[i].model]));
        clora_model *model = models[beginnings[i].model], *merged = NULL;
        clora_adapter *adapter = NULL, *again = NULL;
        clora_dataset *dataset = NULL;
        clora_train_step done = CLORA_TRAIN_STEP_INIT;
        fixture_read_batch(&batch, name);
        assert_ok(clora_adapter_create(&adapter, model, &beginnings[i].options));
        forward_logits(expected, &batch, model, NULL, false);
        forward_logits(logits, &batch, model, adapter, true);
        assert_logits(logits, expected, &batch, 1e-5, name);
        clora_trainer *trainer = fixture_trainer(model, adapter, &dataset, &batch, i ? CLORA_RECOMPUTE_LAYER : 0);
        for (int step = 0; step < 10; step++) {
            assert_ok(clora_trainer_step(&done, trainer));
            const double loss = fixture_number(name, "loss_trace", step);
            if (!(fabs((double)done.loss - loss) <= tolerance))
                fail_msg("%s: step %d: loss %g, expected %g", name, step, (double)done.loss, loss);
        }
        forward_logits(expected, &batch, model, adapter, false);
        assert_ok(clora_adapter_save(adapter, scratch_path(name), NULL));
        assert_ok(clora_adapter_load(&again, model, scratch_path(name)));
        assert_int_equal(clora_adapter_get_info(again)->rank, 8);
        forward_logits(logits, &batch, model, again, false);
        assert_logits(logits, expected, &batch, 1e-5, name);
        assert_ok(clora_merge(base, scratch_path(name), scratch_path(i ? "m1" : "m0"), NULL, NULL));
        assert_ok(clora_model_load(&merged, context, scratch_path(i ? "m1" : "m0"), NULL));
        forward_logits(logits, &batch, merged, NULL, false);
        assert_logits(logits, expected, &batch, 1e-5, name);
        clora_model_free(merged);
        clora_trainer_free(trainer);
        clora_dataset_free(dataset);
        clora_adapter_free(adapter);
        clora_adapter_free(again);
        free(base);
    }
}

static void test_what_cannot_begin_as_a_part_is_refused(void **state) {
    clora_adapter_options options = beginnings[0].options;
    clora_adapter *adapter = NULL;

    (void)state;
    options.target_modules = "embed_tokens,q_proj";
    assert_refused(clora_adapter_create(&adapter, models[0], &options), CLORA_ERROR_ARGUMENT, "embed_tokens");
    options.target_modules = "k_proj"; /* of 16 rows */
    options.rank = 17;
    assert_refused(clora_adapter_create(&adapter, models[0], &options), CLORA_ERROR_ARGUMENT, "at most rank 16");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_adapters_begin_as_a_part_of_the_base, scratch_setup, scratch_teardown),
        cmocka_unit_test(test_what_cannot_begin_as_a_part_is_refused),
    };

    if (clora_context_create(&context, NULL) != CLORA_OK) {
        print_message("skipped: %s\n", clora_last_error());
        return 77; /* Meson: skipped */
    }
    for (int m = 0; m < 2; m++)
        if (clora_model_load(&models[m], context, fixture_path(bases[m]), NULL) != CLORA_OK) {
            print_message("%s\n", clora_last_error());
            return 1;
        }
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (int m = 0; m < 2; m++)
        clora_model_free(models[m]);
    clora_context_free(context);
    return failed;
}
