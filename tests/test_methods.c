/* What all methods have in common: attach points, what trains, joined adapters. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

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
    assert_int_equal(clora_adapter_get_info(joined).parameters, clora_adapter_get_info(part).parameters);
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients_lie_where_values_do),
        cmocka_unit_test(test_joined_adapters_act_as_their_parts),
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
