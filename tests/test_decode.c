#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <clora/clora.h>

#include "base/rng.h"
#include "files/safetensors.h"
#include "model/decoder.h"
#include "model/session.h"
#include "ops/attention.h"
#include "support/fixture.h"
#include "support/scratch.h"
#include "tuning/table.h"
#include "tuning/tuning.h"

/* All layers in one launch against an operation a launch: no bit may differ. */

static clora_context *context;

enum { V = 97, CAPACITY = 80, STEPS = 4, MOST_B = 17 };

/* Take this path of a choice; 0: the one that would be taken. */
static void force(const char *choice, int path) {
    const int values[KERNEL_PARAMETERS] = {path};
    assert_ok(tuning_force(context, kernel_find(choice), path ? values : NULL));
}

static int launches(const char *kernel) {
    int count = 0;
    const clora_profile_entry *entry = clora_context_profile_read(context, &count);

    for (int i = 0; i < count; i++)
        if (strcmp(entry[i].kernel, kernel) == 0)
            return (int)entry[i].launches;
    return 0;
}

/* How texts go on: B of them, of prompts that grow by one token each, T tokens a step. */
typedef struct text {
    int B, T, prompt;
} text;

static int capacity_of(const clora_model *model) {
    return model->config.max_positions < CAPACITY ? model->config.max_positions : CAPACITY;
}

/* Logits (STEPS, B, V). An adapter sits out the second step. */
static void decode(float *logits, clora_model *model, clora_adapter *adapter, const text *t) {
    clora_session *session = NULL;
    int32_t ids[CAPACITY];

    assert_ok(clora_session_create(&session, model, t->B, capacity_of(model)));
    assert_ok(clora_session_select(session, adapter));
    for (int i = 0; i < CAPACITY; i++)
        ids[i] = (i * 37 + 11) % V;
    for (int b = 0; b < t->B; b++)
        assert_ok(session_prefill(session, b, logits, ids + b, t->prompt + b));
    clora_context_profile_reset(context);
    for (int s = 0; s < STEPS; s++) {
        float *out = logits + (size_t)s * (size_t)t->B * V;
        assert_ok(clora_session_select(session, s == 1 ? NULL : adapter));
        assert_ok(t->T == 1 ? session_step(session, out, ids + 7 * s, t->B)
                            : clora_session_forward(session, out, ids + 7 * s, t->T, 0));
    }
    clora_session_free(session);
}

/* `expected` launches in all steps where attention goes by rows; else, and for 0, an operation is a launch. */
static void check(clora_model *model, clora_adapter *adapter, text t, int expected) {
    static float apart[STEPS * MOST_B * V], one[STEPS * MOST_B * V];
    const model_config *c = &model->config;
    const attention_shape shape = {t.B, t.T, capacity_of(model), c->heads, c->kv_heads, c->head_dim};

    force("path_layer", LAYER_APART);
    decode(apart, model, adapter, &t);
    force("path_layer", LAYER_TOGETHER);
    decode(one, model, adapter, &t);
    const int seen = launches("decode_layers"), wanted = attention_by_rows(context, shape) ? expected : 0;
    if (seen != wanted)
        fail_msg("B %d T %d: %d launches of decode_layers, %d expected", t.B, t.T, seen, wanted);
    assert_memory_equal(one, apart, (size_t)STEPS * (size_t)t.B * V * sizeof(float));
    force("path_layer", 0);
}

static clora_model *load(const char *path, clora_dtype dtype) {
    const clora_model_options options = {.dtype = dtype};
    clora_model *model = NULL;

    assert_ok(clora_model_load(&model, context, path, &options));
    return model;
}

static clora_model *load_tiny(clora_dtype dtype) {
    return load(fixture_path("tiny-llama"), dtype);
}

/* Random factors, B too. */
static clora_adapter *make_adapter(clora_model *model, const clora_adapter_options *options) {
    clora_adapter *adapter = NULL;

    assert_ok(clora_adapter_create(&adapter, model, options));
    for (int c = 0; c < adapter->chunks; c++) {
        const size_t n = clora_tensor_count(adapter->chunk[c]);
        float *values = malloc(n * sizeof(*values));
        for (size_t i = 0; i < n; i++)
            values[i] = 0.2f * rng_normal(3, (uint32_t)c, i);
        assert_ok(clora_tensor_write(adapter->chunk[c], values));
        free(values);
    }
    return adapter;
}

/* ---- a model whose heads and rows fill vectors, of three layers ---- */

enum { WIDE_LAYERS = 3, C = 96, F = 160, H = 6, G = 2, D = 32, TENSORS = WIDE_LAYERS * 9 + 2 };

static size_t wide_entries(safetensors_entry *entries, char (*names)[96]) {
    static const struct {
        const char *name;
        int rows, cols; /* no rows: a vector */
    } inside[] = {{"input_layernorm", 0, C},          {"self_attn.q_proj", H * D, C}, {"self_attn.k_proj", G * D, C},
                  {"self_attn.v_proj", G * D, C},     {"self_attn.o_proj", C, H * D}, {"mlp.gate_proj", F, C},
                  {"post_attention_layernorm", 0, C}, {"mlp.up_proj", F, C},          {"mlp.down_proj", C, F}};
    const size_t each = sizeof(inside) / sizeof(inside[0]);
    size_t n = 0;

    for (; n < WIDE_LAYERS * each; n++) {
        const int rows = inside[n % each].rows, cols = inside[n % each].cols;
        snprintf(names[n], sizeof(names[n]), "model.layers.%zu.%s.weight", n / each, inside[n % each].name);
        entries[n] = (safetensors_entry){.ndim = rows ? 2 : 1, .shape = {rows ? rows : cols, rows ? cols : 0}};
    }
    snprintf(names[n], sizeof(names[n]), "model.embed_tokens.weight");
    entries[n++] = (safetensors_entry){.ndim = 2, .shape = {V, C}};
    snprintf(names[n], sizeof(names[n]), "model.norm.weight");
    entries[n++] = (safetensors_entry){.ndim = 1, .shape = {C}};
    return n;
}

static const char *write_wide_model(void) {
    safetensors_entry entries[TENSORS];
    char names[TENSORS][96];
    const size_t n = wide_entries(entries, names);
    safetensors_writer writer;

    for (size_t i = 0; i < n; i++) {
        entries[i].name = names[i];
        entries[i].dtype = CLORA_DTYPE_F32;
    }
    scratch_mkdir("wide");
    assert_ok(safetensors_writer_begin(&writer, scratch_path("wide/model.safetensors"), entries, n, NULL));
    while (writer.next < writer.count) {
        const size_t i = writer.order[writer.next], size = writer.bytes[writer.next];
        float *values = malloc(size);
        for (size_t e = 0; e < size / sizeof(float); e++)
            values[e] = (entries[i].ndim == 1 ? 1.0f : 0.0f) + 0.15f * rng_normal(5, (uint32_t)i, e);
        assert_ok(safetensors_writer_tensor(&writer, values, size));
        free(values);
    }
    assert_ok(safetensors_writer_finish(&writer));
    scratch_text("wide/config.json",
                 "{\"model_type\": \"llama\", \"hidden_size\": 96, \"intermediate_size\": 160, "
                 "\"num_hidden_layers\": 3, \"num_attention_heads\": 6, \"num_key_value_heads\": 2, \"head_dim\": 32, "
                 "\"vocab_size\": 97, \"max_position_embeddings\": 128, \"rms_norm_eps\": 1e-5, "
                 "\"tie_word_embeddings\": true, \"hidden_act\": \"silu\"}");
    return scratch_path("wide");
}

/* ---- tests ---- */

static void test_one_launch_gives_the_same_bits(void **state) {
    static const clora_dtype types[] = {CLORA_DTYPE_F32, CLORA_DTYPE_F16, CLORA_DTYPE_BF16};

    (void)state;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        clora_model *model = load_tiny(types[i]);
        check(model, NULL, (text){1, 1, 3}, STEPS);
        check(model, NULL, (text){3, 1, 2}, STEPS);
        check(model, NULL, (text){1, 3, 5}, STEPS);
        clora_model_free(model);
    }
}

/* Rows, also more than the device would take so: those whose gate is summed half by half, and normalised rows. */
static void test_more_rows_give_the_same_bits(void **state) {
    static const struct {
        clora_dtype dtype;
        int rows, rank;
    } cases[] = {{CLORA_DTYPE_F32, 5, 5}, {CLORA_DTYPE_F16, 8, 0}, {CLORA_DTYPE_BF16, 4, 0}};

    (void)state;
    force("path_rows", PATH_FEW_ROWS);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
        clora_model *model = load_tiny(cases[i].dtype);
        options.rank = cases[i].rank;
        clora_adapter *adapter = options.rank ? make_adapter(model, &options) : NULL;
        check(model, adapter, (text){cases[i].rows, 1, 3}, STEPS);
        clora_adapter_free(adapter);
        clora_model_free(model);
    }
    force("path_rows", 0);
}

/* More than one block of keys, rotations by vectors, and terms of every site. */
static void test_three_layers_of_a_wider_model_go_as_one(void **state) {
    static const clora_dtype types[] = {CLORA_DTYPE_F32, CLORA_DTYPE_BF16};
    const char *path = write_wide_model();
    clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;

    (void)state;
    options.rank = 5;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        clora_model *model = load(path, types[i]);
        clora_adapter *adapter = make_adapter(model, &options);
        check(model, adapter, (text){1, 1, 67}, STEPS);
        check(model, adapter, (text){2, 1, 9}, STEPS);
        clora_adapter_free(adapter);
        clora_model_free(model);
    }
}

/* A step without the adapter is one launch; one with it is as many as there are runs of equal layers. */
static void test_adapters_that_differ_by_layer_take_a_launch_each(void **state) {
    static const struct {
        const char *targets, *ranks, *alphas;
        int runs;
    } cases[] = {
        {"all-linear", NULL, NULL, 1},
        {"all-linear", "layers.1.mlp.up_proj=3", NULL, 2},
        {"all-linear", NULL, "layers.1.self_attn.o_proj=5", 2},
        {".*layers\\.0\\..*_proj", NULL, NULL, 2},
        {"q_proj,v_proj", NULL, NULL, 1},
    };
    clora_model *model = load_tiny(CLORA_DTYPE_F32);

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
        options.target_modules = cases[i].targets;
        options.rank_pattern = cases[i].ranks;
        options.alpha_pattern = cases[i].alphas;
        clora_adapter *adapter = make_adapter(model, &options);
        check(model, adapter, (text){1, 1, 4}, 1 + (STEPS - 1) * cases[i].runs);
        clora_adapter_free(adapter);
    }
    clora_model_free(model);
}

static void test_biases_take_a_launch_each(void **state) {
    clora_model *model = load_tiny(CLORA_DTYPE_F32);
    float bias[128];

    (void)state;
    for (int i = 0; i < 128; i++)
        bias[i] = 0.01f * (float)(i % 13);
    for (int l = 0; l < model->config.layers; l++)
        for (int site = 0; site < DECODER_PROJECTIONS; site++)
            for (int m = 0; m < model->layer[l].w[site]->modules; m++)
                assert_ok(weight_set_bias(model->layer[l].w[site], m, bias));
    check(model, NULL, (text){2, 1, 3}, 2 * STEPS);
    clora_model_free(model);
}

/* More groups than threads, and one alone: none may wait for one that has not begun. */
static void test_any_number_of_groups_comes_to_an_end(void **state) {
    static const unsigned units[] = {1, 3, 17, 64};
    const unsigned usual = context->info.compute_units;
    clora_model *model = load_tiny(CLORA_DTYPE_F32);
    clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
    options.rank = 13;
    clora_adapter *adapter = make_adapter(model, &options);

    (void)state;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        context->info.compute_units = units[i];
        tuning_forget(context);
        check(model, adapter, (text){1, 1, 4}, STEPS);
    }
    context->info.compute_units = usual;
    tuning_forget(context);
    clora_adapter_free(adapter);
    clora_model_free(model);
}

static void test_many_rows_take_several_launches(void **state) {
    clora_model *model = load_tiny(CLORA_DTYPE_F32);

    (void)state;
    check(model, NULL, (text){MOST_B, 1, 3}, 0);
    clora_model_free(model);
}

/* A step that is refused leaves the counters alone, and each session has its own. */
static void test_sessions_side_by_side_do_not_disturb_each_other(void **state) {
    clora_model *model = load_tiny(CLORA_DTYPE_F32);
    clora_session *a = NULL, *b = NULL;
    float first[V], second[V];
    const int32_t id = 5, wrong = V;

    (void)state;
    force("path_layer", LAYER_TOGETHER);
    assert_ok(clora_session_create(&a, model, 1, capacity_of(model)));
    assert_ok(clora_session_create(&b, model, 1, capacity_of(model)));
    for (int step = 0; step < STEPS; step++) {
        assert_ok(clora_session_forward(a, first, &id, 1, 0));
        assert_int_equal(clora_session_forward(a, first, &wrong, 1, 0), CLORA_ERROR_ARGUMENT);
        assert_ok(clora_session_forward(b, second, &id, 1, 0));
        assert_memory_equal(first, second, sizeof(first));
    }
    clora_session_free(a);
    clora_session_free(b);
    clora_model_free(model);
    force("path_layer", 0);
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
        cmocka_unit_test_setup_teardown(test_three_layers_of_a_wider_model_go_as_one, scratch_setup, scratch_teardown),
        cmocka_unit_test(test_adapters_that_differ_by_layer_take_a_launch_each),
        cmocka_unit_test(test_biases_take_a_launch_each),
        cmocka_unit_test(test_any_number_of_groups_comes_to_an_end),
        cmocka_unit_test(test_more_rows_give_the_same_bits),
        cmocka_unit_test(test_many_rows_take_several_launches),
        cmocka_unit_test(test_sessions_side_by_side_do_not_disturb_each_other),
    };

    if (clora_context_create(&context, NULL) != CLORA_OK) {
        print_message("skipped: %s\n", clora_last_error());
        return 77; /* Meson: skipped */
    }
    const bool suits =
        kernel_runs_layers(context) && weight_layout_of(context, CLORA_STORAGE_F32, 1, 1) == WEIGHT_PANEL;
    clora_context_free(context);
    if (!suits) {
        print_message("skipped: layers in one launch are for PoCL on a CPU, with weights in panels\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, setup, teardown);
}
