/* What all methods have in common: attach points, what trains, joined adapters. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <clora/bottleneck.h>
#include <clora/full.h>
#include <clora/generate.h>
#include <clora/prefix.h>

#include "methods/lora_adapter.h"
#include "support/fixture.h"
#include "support/scratch.h"

static clora_context *context;
static clora_model *model;

static clora_adapter *make(const clora_adapter_options *options) {
    clora_adapter *adapter = NULL;

    assert_ok(clora_adapter_create(&adapter, model, options));
    return adapter;
}

static void test_gradients_lie_where_values_do(void **state) {
    (void)state;
    const clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
    const clora_train_options training = CLORA_TRAIN_OPTIONS_INIT;
    parameters list = {0};
    clora_adapter *adapter = make(&options), *other = make(&options);

    assert_ok(adapter->method->list_parameters(&list, adapter, &training));
    const clora_tensor *b = &adapter->term[3]->b, gradient = parameters_gradient(&list, b);
    assert_ptr_equal(gradient.buffer, list.gradient[0]->buffer);
    assert_int_equal(gradient.offset, b->offset);
    assert_int_equal(clora_tensor_count(&gradient), clora_tensor_count(b));
    assert_null(parameters_gradient(&list, &other->term[3]->b).buffer);
    assert_null(parameters_gradient(NULL, b).buffer);
    parameters_finish(&list);
    clora_adapter_free(adapter);
    clora_adapter_free(other);
}

static void test_joined_adapters_act_as_their_parts(void **state) {
    (void)state;
    const clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
    const clora_train_options training = CLORA_TRAIN_OPTIONS_INIT;
    parameters list = {0};
    clora_adapter *part = make(&options), *second = make(&options), *joined = NULL, *both[2] = {part, second};

    assert_ok(clora_adapter_join(&joined, &part, 1));
    assert_string_equal(clora_adapter_method(joined), "joined");
    assert_string_equal(clora_adapter_method(part), "lora");
    assert_int_equal(clora_adapter_get_info(joined)->parameters, clora_adapter_get_info(part)->parameters);
    clora_adapter_free(part); /* the joined one keeps it */
    for (int p = 0; p < part->base.projections; p++)
        assert_ptr_equal(adapter_term(joined, p), part->term[p]);
    assert_ok(joined->method->list_parameters(&list, joined, &training));
    assert_ptr_equal(list.value[0], lora_of(part)->chunk[0]);
    assert_refused(clora_adapter_save(joined, scratch_path("joined"), NULL), CLORA_ERROR_UNSUPPORTED, "each of them");
    assert_refused(clora_adapter_set_dropout(joined, 0.5f), CLORA_ERROR_ARGUMENT, "method joined");
    parameters_finish(&list);
    clora_adapter_free(joined);
    both[0] = make(&options);
    assert_refused(clora_adapter_join(&joined, both, 2), CLORA_ERROR_ARGUMENT, "on linear layers");
    assert_null(joined);
    assert_refused(clora_adapter_join(&joined, both, 0), CLORA_ERROR_ARGUMENT, "no adapters");
    clora_adapter_free(both[0]);
    clora_adapter_free(second);
}

/* ---- several at once, at the start ---- */

enum { OTHERS = 3, V = 97, T = 6 };
static const int32_t text[T] = {5, 17, 42, 3, 60, 8};

/* Beside low-rank terms: a prefix, bottlenecks, the gains of normalisations. */
static clora_adapter *make_other(int kind) {
    clora_prefix_options prefix = CLORA_PREFIX_OPTIONS_INIT;
    clora_full_options norms = CLORA_FULL_OPTIONS_INIT;
    clora_adapter *adapter = NULL;

    prefix.tokens = 3;
    norms.part = CLORA_FULL_PART_NORMS;
    assert_ok(kind == 0   ? clora_prefix_create(&adapter, model, &prefix)
              : kind == 1 ? clora_bottleneck_create(&adapter, model, NULL)
                          : clora_full_create(&adapter, model, &norms));
    return adapter;
}

static void logits_of(float *logits, clora_adapter *adapter) {
    clora_session *session = NULL;

    assert_ok(clora_session_create(&session, model, 1, T + 3));
    assert_ok(clora_session_set_adapter(session, adapter));
    assert_ok(clora_session_forward(session, logits, text, T, 1));
    clora_session_free(session);
}

/* The norm of the gradient before the first update, which moves nothing. */
static double first_norm(clora_adapter *adapter) {
    clora_train_options options = CLORA_TRAIN_OPTIONS_INIT;
    clora_trainer *trainer = NULL;
    clora_dataset *dataset = NULL;
    clora_train_step done = CLORA_TRAIN_STEP_INIT;

    options.lr = 0.0f;
    options.steps = options.batch_size = 1;
    assert_ok(clora_dataset_from_ids(&dataset, text, NULL, (const int[]){T}, 1));
    assert_ok(clora_trainer_create(&trainer, model, adapter, dataset, &options));
    assert_ok(clora_trainer_step(&done, trainer));
    clora_trainer_free(trainer);
    clora_dataset_free(dataset);
    return (double)done.grad_norm;
}

/* What each adds to the logits adds up, and where a part adds nothing yet so do the squares of gradients. */
static void test_parts_add_up_at_the_start(void **state) {
    const clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
    static float base[T * V], lora[T * V], other[T * V], both[T * V];
    clora_adapter *parts[2] = {make(&options), NULL}, *joined = NULL;
    const double norm = first_norm(parts[0]);

    (void)state;
    logits_of(base, NULL);
    logits_of(lora, parts[0]);
    for (int kind = 0; kind < OTHERS; kind++) {
        parts[1] = make_other(kind);
        assert_ok(clora_adapter_join(&joined, parts, 2));
        logits_of(other, parts[1]);
        logits_of(both, joined);
        assert_true(kind == 2 || relative_error(other, base, T * V) > 1e-6);
        for (int i = 0; i < T * V; i++)
            lora[i] += other[i] - base[i];
        assert_true(relative_error(both, lora, T * V) < 1e-6);
        logits_of(lora, parts[0]);
        if (kind > 0) /* a prefix moves what the low-rank terms read */
            assert_true(fabs(first_norm(joined) - hypot(norm, first_norm(parts[1]))) <
                        (kind == 2 ? 1e-5 : 1e-2) * norm);
        clora_adapter_free(joined);
        clora_adapter_free(parts[1]);
    }
    clora_adapter_free(parts[0]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients_lie_where_values_do),
        cmocka_unit_test(test_joined_adapters_act_as_their_parts),
        cmocka_unit_test(test_parts_add_up_at_the_start),
    };

    if (clora_context_create(&context, NULL) != CLORA_OK) {
        print_message("skipped: %s\n", clora_last_error());
        return 77; /* Meson: skipped */
    }
    if (clora_model_load(&model, context, fixture_path("tiny-llama"), NULL) != CLORA_OK) {
        print_message("%s\n", clora_last_error());
        return 1;
    }
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    clora_model_free(model);
    clora_context_free(context);
    return failed;
}
