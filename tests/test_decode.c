#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <clora/clora.h>

#include "device/tuning.h"
#include "model/session.h"
#include "support/fixture.h"

/* A layer in one launch against the same layer in several: no bit may differ. */

static clora_context *context;

enum { V = 97, CAPACITY = 24, PROMPT = 3, STEPS = 5, MOST_B = 7 };

static void assert_ok(clora_status status) {
    if (status != CLORA_OK)
        fail_msg("%s: %s", clora_status_name(status), clora_last_error());
}

static void force_layers(int path) {
    const int values[KERNEL_PARAMETERS] = {path};
    assert_ok(tuning_force(context, kernel_find("path_layer"), path ? values : NULL));
}

static int launches(const char *kernel) {
    int count = 0;
    const clora_profile_entry *entry = clora_context_profile_read(context, &count);

    for (int i = 0; i < count; i++)
        if (strcmp(entry[i].kernel, kernel) == 0)
            return (int)entry[i].launches;
    return 0;
}

/* Logits (STEPS, B, V) of texts that go on by T tokens a step. */
static void decode(float *logits, clora_model *model, clora_adapter *adapter, int B, int T) {
    clora_session *session = NULL;
    int32_t ids[MOST_B * PROMPT];

    assert_ok(clora_session_create(&session, model, B, CAPACITY));
    assert_ok(clora_session_select(session, adapter));
    for (int i = 0; i < B * PROMPT; i++)
        ids[i] = (i * 37 + 11) % V;
    assert_ok(clora_session_forward(session, logits, ids, PROMPT, 0));
    clora_context_profile_reset(context);
    for (int s = 0; s < STEPS; s++) {
        for (int i = 0; i < B * T; i++)
            ids[i] = (s * 29 + i * 7 + 5) % V;
        assert_ok(clora_session_forward(session, logits + (size_t)s * (size_t)B * V, ids, T, 0));
    }
    clora_session_free(session);
}

/* `expected` launches a step for both layers. */
static void check(clora_model *model, clora_adapter *adapter, int B, int T, int expected) {
    static float apart[STEPS * MOST_B * V], one[STEPS * MOST_B * V];

    force_layers(LAYER_APART);
    decode(apart, model, adapter, B, T);
    force_layers(LAYER_TOGETHER);
    decode(one, model, adapter, B, T);
    const int seen = launches("decode_layers");
    if (seen != STEPS * expected)
        fail_msg("B %d T %d: %d launches of decode_layers", B, T, seen);
    assert_memory_equal(one, apart, (size_t)STEPS * (size_t)B * V * sizeof(float));
    force_layers(0);
}

static clora_model *load(clora_dtype dtype) {
    const clora_model_options options = {.dtype = dtype};
    clora_model *model = NULL;

    assert_ok(clora_model_load(&model, context, fixture_path("tiny-llama"), &options));
    return model;
}

static void test_one_launch_gives_the_same_bits(void **state) {
    static const clora_dtype types[] = {CLORA_DTYPE_F32, CLORA_DTYPE_F16, CLORA_DTYPE_BF16};

    (void)state;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        clora_model *model = load(types[i]);
        check(model, NULL, 1, 1, 1);
        check(model, NULL, 3, 1, 1);
        check(model, NULL, 1, 3, 1);
        clora_model_free(model);
    }
}

/* Terms of every site, and of some sites and layers with ranks of their own. */
static void test_adapters_go_with_it(void **state) {
    static const char *const names[] = {"tiny-llama-lora", "tiny-llama-patterns"};
    static const int expected[] = {1, 2};
    clora_model *model = load(CLORA_DTYPE_F32);

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        clora_adapter *adapter = NULL;
        assert_ok(clora_adapter_load(&adapter, model, fixture_path(names[i])));
        check(model, adapter, 1, 1, expected[i]);
        check(model, adapter, 3, 1, expected[i]);
        clora_adapter_free(adapter);
    }
    clora_model_free(model);
}

static void test_biases_go_with_it(void **state) {
    clora_model *model = load(CLORA_DTYPE_F32);
    float bias[128];

    (void)state;
    for (int i = 0; i < 128; i++)
        bias[i] = 0.01f * (float)(i % 13);
    for (int l = 0; l < model->config.layers; l++)
        for (int site = 0; site < SITES_PER_LAYER; site++)
            for (int m = 0; m < model->layer[l].w[site]->modules; m++)
                assert_ok(weight_set_bias(model->layer[l].w[site], m, bias));
    check(model, NULL, 2, 1, 2);
    clora_model_free(model);
}

/* More groups than threads, and one alone: none may wait for one that has not begun. */
static void test_any_number_of_groups_comes_to_an_end(void **state) {
    static const unsigned units[] = {1, 3, 17, 64};
    const unsigned usual = context->info.compute_units;
    clora_model *model = load(CLORA_DTYPE_F32);

    (void)state;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        context->info.compute_units = units[i];
        tuning_forget(context);
        check(model, NULL, 1, 1, 1);
    }
    context->info.compute_units = usual;
    tuning_forget(context);
    clora_model_free(model);
}

/* The gate holds two sums a row: with more rows there are several launches. */
static void test_more_rows_take_several_launches(void **state) {
    clora_model *model = load(CLORA_DTYPE_F32);

    (void)state;
    check(model, NULL, 4, 1, 0);
    check(model, NULL, MOST_B, 1, 0);
    clora_model_free(model);
}

/* A step that fails before the launch leaves the counters alone, and a session made later has its own. */
static void test_sessions_side_by_side_do_not_disturb_each_other(void **state) {
    clora_model *model = load(CLORA_DTYPE_F32);
    clora_session *a = NULL, *b = NULL;
    float first[V], second[V];
    const int32_t id = 5, wrong = V;

    (void)state;
    force_layers(LAYER_TOGETHER);
    assert_ok(clora_session_create(&a, model, 1, CAPACITY));
    assert_ok(clora_session_create(&b, model, 1, CAPACITY));
    for (int step = 0; step < STEPS; step++) {
        assert_ok(clora_session_forward(a, first, &id, 1, 0));
        assert_int_equal(clora_session_forward(a, first, &wrong, 1, 0), CLORA_ERROR_ARGUMENT);
        assert_ok(clora_session_forward(b, second, &id, 1, 0));
        assert_memory_equal(first, second, sizeof(first));
    }
    clora_session_free(a);
    clora_session_free(b);
    clora_model_free(model);
    force_layers(0);
}

static int setup(void **state) {
    (void)state;
    return clora_context_create(&context, NULL) == CLORA_OK && clora_context_profile(context, 1) == CLORA_OK ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    clora_context_free(context);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_launch_gives_the_same_bits),
        cmocka_unit_test(test_adapters_go_with_it),
        cmocka_unit_test(test_biases_go_with_it),
        cmocka_unit_test(test_any_number_of_groups_comes_to_an_end),
        cmocka_unit_test(test_more_rows_take_several_launches),
        cmocka_unit_test(test_sessions_side_by_side_do_not_disturb_each_other),
    };

    if (clora_context_create(&context, NULL) != CLORA_OK) {
        print_message("skipped: %s\n", clora_last_error());
        return 77; /* Meson: skipped */
    }
    const bool suits = context_is_pocl(context) && kernel_explicit_vectors(context);
    clora_context_free(context);
    if (!suits) {
        print_message("skipped: layers in one launch are for PoCL on a CPU\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, setup, teardown);
}
