#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/decoder.h"
#include "model/family.h"
#include "model/layer_types.h"
#include "model/rope_table.h"
#include "support/fixture.h"
#include "support/scratch.h"
#include "support/small_model.h"

#define NUMBERS                                                                   \
    "\"hidden_size\": 64, \"num_hidden_layers\": 1, \"num_attention_heads\": 2, " \
    "\"intermediate_size\": 48, \"vocab_size\": 16"
#define SIZES "\"model_type\": \"llama\", \"max_position_embeddings\": 4096, " NUMBERS
#define MISTRAL "\"model_type\": \"mistral\", " NUMBERS
#define QWEN2 "\"model_type\": \"qwen2\", " NUMBERS
#define GEMMA2 "\"model_type\": \"gemma2\", " NUMBERS
#define SMOLLM3 "\"model_type\": \"smollm3\", " NUMBERS

static clora_status load(model_config *out, const char *text) {
    scratch_text("config.json", text);
    return config_load(out, scratch_path(""));
}

/* The largest difference of row `position` of the table from what these frequencies make of it. */
static double difference(const rope_settings *s, bool longer, const json_t *wanted, double attention, int position) {
    enum { MOST_WIDTH = 32, POSITIONS = 512 };
    static float table[POSITIONS * MOST_WIDTH];
    const int half = s->width / 2;
    double largest = 0;

    assert_true(s->width <= MOST_WIDTH && position < POSITIONS);
    assert_int_equal(json_array_size(wanted), half);
    rope_table(table, s, position + 1, longer);
    for (int i = 0; i < half; i++) {
        const float angle = (float)position * (float)json_number_value(json_array_get(wanted, (size_t)i));
        const float *row = &table[position * s->width];
        largest = fmax(largest, fabs((double)row[i] - attention * cos((double)angle)));
        largest = fmax(largest, fabs((double)row[half + i] - attention * sin((double)angle)));
    }
    return largest;
}

/* A form names the frequencies of its layers, and of longer texts, under these keys. */
static const struct {
    const char *key;
    int which;
    bool longer;
} wanted[] = {
    {"inv_freq", ROPE_FIRST, false}, {"long_inv_freq", ROPE_FIRST, true}, {"sliding_inv_freq", ROPE_SECOND, false}};

/* The form's one layer is a sliding one where it tells of these. */
static void load_form(model_config *out, const json_t *form) {
    json_t *plain = json_deep_copy(json_object_get(form, "config"));
    char *text;

    if (json_object_get(form, "sliding_inv_freq")) {
        json_object_del(plain, "rope_parameters");
        json_object_del(plain, "rope_scaling");
    }
    text = json_dumps(plain, 0);
    assert_ok(load(out, text));
    out->layer_rope[0] = json_object_get(form, "sliding_inv_freq") ? ROPE_SECOND : ROPE_FIRST;
    for (size_t i = 0; out->layer_rope[0] == ROPE_SECOND && family_at(i); i++)
        if (strcmp(family_at(i)->model_type, "gemma3_text") == 0)
            out->family = family_at(i);
    assert_ok(config_read_rope(out, json_object_get(form, "config"), "config.json"));
    free(text);
    json_decref(plain);
}

static void assert_form(const json_t *form) {
    char *text = json_dumps(json_object_get(form, "config"), 0);
    const json_t *attention = json_object_get(form, "attention");
    model_config config;

    load_form(&config, form);
    for (size_t k = 0; k < sizeof(wanted) / sizeof(wanted[0]); k++) {
        const json_t *frequencies = json_object_get(form, wanted[k].key);
        const double scale = attention && wanted[k].which == ROPE_FIRST ? json_number_value(attention) : 1.0;
        for (int position = 1; frequencies && position < 512; position += 299)
            if (!(difference(&config.rope[wanted[k].which], wanted[k].longer, frequencies, scale, position) <= 1e-4))
                fail_msg("another %s than transformers': %s", wanted[k].key, text);
    }
    free(text);
}

static void test_rope_is_found_where_transformers_finds_it(void **state) {
    (void)state;
    json_t *forms = json_load_file(fixture_path("reference/rope_forms.json"), 0, NULL), *form;
    size_t i;

    assert_true(json_array_size(forms) > 30);
    json_array_foreach (forms, i, form)
        assert_form(form);
    json_decref(forms);
}

static void test_rope_that_cannot_be_meant_is_refused_by_key(void **state) {
    (void)state;
    static const struct {
        const char *settings;
        clora_status status;
        const char *words;
    } cases[] = {
        {"\"rope_theta\": 0", CLORA_ERROR_FORMAT, "\"rope_theta\""},
        {"\"rope_theta\": \"1e4\"", CLORA_ERROR_FORMAT, "\"rope_theta\""},
        {"\"rope_theta\": 1e-50", CLORA_ERROR_FORMAT, "\"rope_theta\""},
        {"\"rope_scaling\": NaN", CLORA_ERROR_FORMAT, "\"rope_scaling\""},
        {"\"rope_scaling\": {\"type\": \"linear\", \"factor\": 1e400}", CLORA_ERROR_FORMAT, "\"factor\""},
        {"\"rope_parameters\": {\"rope_theta\": 1e400}", CLORA_ERROR_FORMAT, "\"rope_theta\""},
        {"\"rope_scaling\": \"linear\"", CLORA_ERROR_FORMAT, "\"rope_scaling\""},
        {"\"rope_scaling\": [1]", CLORA_ERROR_FORMAT, "\"rope_scaling\""},
        {"\"rope_parameters\": true", CLORA_ERROR_FORMAT, "\"rope_parameters\""},
        {"\"rope_scaling\": {\"type\": \"ntk\", \"factor\": 2}", CLORA_ERROR_UNSUPPORTED, "\"ntk\""},
        {"\"rope_theta\": 1, \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 2}", CLORA_ERROR_FORMAT,
         "\"rope_theta\" is 1"},
        {"\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 2, \"beta_fast\": 1, \"beta_slow\": 2}",
         CLORA_ERROR_FORMAT, "\"beta_fast\" must be above"},
        {"\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 2, \"attention_factor\": -1}", CLORA_ERROR_FORMAT,
         "\"attention_factor\" is -1"},
        {"\"rope_scaling\": {\"type\": \"longrope\", \"factor\": 2}", CLORA_ERROR_FORMAT,
         "\"short_factor\" must be a list of 16 numbers"},
        {"\"rope_scaling\": {\"type\": \"su\", \"short_factor\": [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0]}",
         CLORA_ERROR_FORMAT, "\"short_factor\" holds something"},
        {"\"rope_scaling\": {\"rope_type\": null, \"type\": \"dynamic\"}", CLORA_ERROR_UNSUPPORTED, "\"dynamic\""},
        {"\"rope_parameters\": {\"rope_type\": 3}", CLORA_ERROR_FORMAT, "\"rope_type\""},
        {"\"rope_parameters\": {\"rope_theta\": {}}", CLORA_ERROR_UNSUPPORTED, "\"rope_theta\""},
        {"\"rope_parameters\": {\"rope_theta\": [1]}", CLORA_ERROR_FORMAT, "\"rope_theta\""},
        {"\"rope_parameters\": {\"full_attention\": {\"rope_theta\": 1e4}, \"sliding_attention\": null}",
         CLORA_ERROR_UNSUPPORTED, "\"full_attention\""},
        {"\"rope_scaling\": {\"sliding_attention\": {}}", CLORA_ERROR_UNSUPPORTED, "\"sliding_attention\""},
        {"\"rope_scaling\": {\"type\": \"linear\"}", CLORA_ERROR_FORMAT, "\"factor\" is missing"},
        {"\"rope_scaling\": {\"type\": \"linear\", \"factor\": null}", CLORA_ERROR_FORMAT, "\"factor\" is missing"},
        {"\"rope_scaling\": {\"type\": \"linear\", \"factor\": 0}", CLORA_ERROR_FORMAT, "\"factor\" is 0"},
        {"\"rope_scaling\": {\"type\": \"linear\", \"factor\": \"2\"}", CLORA_ERROR_FORMAT, "\"factor\" must be"},
        {"\"rope_scaling\": {\"type\": \"llama3\", \"factor\": 2, \"high_freq_factor\": 4}", CLORA_ERROR_FORMAT,
         "\"low_freq_factor\" is missing"},
        {"\"rope_scaling\": {\"type\": \"llama3\", \"factor\": 2, \"low_freq_factor\": 1}", CLORA_ERROR_FORMAT,
         "\"high_freq_factor\" is missing"},
        {"\"rope_scaling\": {\"type\": \"llama3\", \"factor\": 2, \"low_freq_factor\": 4, \"high_freq_factor\": 4}",
         CLORA_ERROR_FORMAT, "\"high_freq_factor\" must be above"},
        {"\"rope_scaling\": {\"type\": \"llama3\", \"factor\": 2, \"low_freq_factor\": 1, \"high_freq_factor\": 4, "
         "\"original_max_position_embeddings\": 0.5}",
         CLORA_ERROR_FORMAT, "\"original_max_position_embeddings\""},
        {"\"partial_rotary_factor\": 0.5", CLORA_ERROR_UNSUPPORTED, "\"partial_rotary_factor\""},
        {"\"rope_parameters\": {\"partial_rotary_factor\": 0.25}", CLORA_ERROR_UNSUPPORTED,
         "\"partial_rotary_factor\""},
    };
    model_config config;
    char text[1024];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(text, sizeof(text), "{" SIZES ", %s}", cases[i].settings);
        assert_refused(load(&config, text), cases[i].status, cases[i].words);
    }
}

static void test_a_rope_setting_of_null_is_not_set(void **state) {
    (void)state;
    model_config config;

    assert_ok(load(
        &config, "{" SIZES ", \"rope_theta\": null, \"head_dim\": null, \"rope_scaling\": "
                 "{\"rope_theta\": null, \"unused\": NaN, \"rope_type\": null, \"type\": \"linear\", \"factor\": 2}}"));
    assert_float_equal(config.rope[ROPE_FIRST].theta, 10000.0f, 0.0f);
    assert_int_equal(config.rope[ROPE_FIRST].kind, ROPE_LINEAR);
    assert_int_equal(config.head_dim, 32);
}

static void test_swish_is_another_name_of_silu(void **state) {
    (void)state;
    model_config config;

    assert_ok(load(&config, "{" SIZES ", \"hidden_act\": \"swish\"}"));
    assert_refused(load(&config, "{" SIZES ", \"hidden_act\": \"gelu\"}"), CLORA_ERROR_UNSUPPORTED, "\"gelu\"");
}

/* Older files of Gemma say gelu. */
static void test_gemmas_activation_is_gelu_by_tanh_under_all_its_names(void **state) {
    static const char *const names[] = {"", ", \"hidden_act\": \"gelu\"", ", \"hidden_act\": \"gelu_pytorch_tanh\"",
                                        ", \"hidden_act\": \"silu\", \"hidden_activation\": \"gelu_pytorch_tanh\"",
                                        ", \"hidden_act\": \"gelu\", \"hidden_activation\": null"};
    model_config config;
    char text[512];

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(text, sizeof(text), "{\"model_type\": \"gemma\", " NUMBERS "%s}", names[i]);
        assert_ok(load(&config, text));
        assert_true(config.gelu && config.norm_plus_one && config.tied);
        assert_int_equal(config.head_dim, 256);
        assert_float_equal(config.embedding_scale, 8.0f, 0.0f);
    }
    assert_ok(load(&config, "{" SIZES ", \"hidden_act\": \"gelu_new\"}"));
    assert_true(config.gelu && !config.norm_plus_one && !config.tied);
    assert_refused(load(&config, "{\"model_type\": \"gemma\", " NUMBERS ", \"use_bidirectional_attention\": true}"),
                   CLORA_ERROR_UNSUPPORTED, "causal");
}

/* Models of one layer, with the caps of Gemma 2 unless a key says otherwise. */
static void test_caps_and_scale_are_what_the_file_or_the_family_says(void **state) {
    static const struct {
        const char *family, *settings;
        float scores, logits, scale;
    } fine[] = {
        {"gemma2", "\"head_dim\": 256", 50.0f, 30.0f, 0.0f},
        {"gemma2", "\"query_pre_attn_scalar\": 64", 50.0f, 30.0f, 0.125f},
        {"gemma2", "\"attn_logit_softcapping\": null, \"final_logit_softcapping\": 7.5", 0.0f, 7.5f, 0.0f},
        {"gemma2", "\"attn_logit_softcapping\": 3, \"final_logit_softcapping\": null", 3.0f, 0.0f, 0.0f},
        {"gemma3_text", "\"head_dim\": 64", 0.0f, 0.0f, 0.0625f},
        {"gemma3_text", "\"attn_logit_softcapping\": 5, \"final_logit_softcapping\": 2", 5.0f, 2.0f, 0.0f},
        {"gemma3_text", "\"attn_logit_softcapping\": null, \"final_logit_softcapping\": null", 0.0f, 0.0f, 0.0f},
        {"gemma", "\"final_logit_softcapping\": 2", 0.0f, 0.0f, 0.0f},
    };
    static const char *const cases[] = {"attn_logit_softcapping", "final_logit_softcapping", "query_pre_attn_scalar"};
    model_config config;
    char text[512];

    (void)state;
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        snprintf(text, sizeof(text), "{\"model_type\": \"%s\", " NUMBERS ", %s}", fine[i].family, fine[i].settings);
        assert_ok(load(&config, text));
        assert_float_equal(config.attention_cap, fine[i].scores, 0.0f);
        assert_float_equal(config.logit_cap, fine[i].logits, 0.0f);
        assert_float_equal(config.attention_scale, fine[i].scale, 0.0f);
    }
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(text, sizeof(text), "{\"model_type\": \"gemma2\", " NUMBERS ", \"%s\": 0}", cases[i]);
        assert_refused(load(&config, text), CLORA_ERROR_FORMAT, cases[i]);
    }
}

static void test_an_unknown_family_is_refused_with_those_there_are(void **state) {
    static const char *const near[] = {
        "granitemoe", "granitemoehybrid", "olmo",    "olmoe",  "qwen2_moe", "qwen3_moe", "qwen3_next", "mixtral",
        "phi",        "phimoe",           "gemma3n", "llama4", "cohere2",   "nemotron",  "stablelm",   "gpt_bigcode"};
    char text[512], words[96];

    (void)state;
    model_config config;

    assert_refused(load(&config, "{\"model_type\": \"gpt_neox\"}"), CLORA_ERROR_UNSUPPORTED, "\"gpt_neox\"");
    assert_refused(load(&config, "{\"model_type\": \"gpt_neox\"}"), CLORA_ERROR_UNSUPPORTED,
                   "these are: llama, mistral, qwen2");
    for (size_t i = 0; i < sizeof(near) / sizeof(near[0]); i++) {
        snprintf(text, sizeof(text), "{\"model_type\": \"%s\", " NUMBERS "}", near[i]);
        snprintf(words, sizeof(words), "model_type \"%s\" is not supported; these are: llama, ", near[i]);
        assert_refused(load(&config, text), CLORA_ERROR_UNSUPPORTED, words);
        assert_non_null(strstr(clora_last_error(), ", granite, "));
        assert_non_null(strstr(clora_last_error(), ", gpt2"));
    }
    assert_refused(load(&config, "{\"model_type\": null}"), CLORA_ERROR_FORMAT, "\"model_type\" is missing");
}

static void assert_biases(const model_config *c, bool qkv, bool out, bool gate_up, bool down) {
    assert_int_equal(model_projection_bias(c, DECODER_QKV), qkv);
    assert_int_equal(model_projection_bias(c, DECODER_OUT), out);
    assert_int_equal(model_projection_bias(c, DECODER_GATE_UP), gate_up);
    assert_int_equal(model_projection_bias(c, DECODER_DOWN), down);
}

static void test_biases_are_where_the_family_has_them(void **state) {
    (void)state;
    model_config config;

    assert_ok(load(&config, "{" SIZES "}"));
    assert_biases(&config, false, false, false, false);
    assert_ok(load(&config, "{" SIZES ", \"attention_bias\": true}"));
    assert_biases(&config, true, true, false, false);
    assert_ok(load(&config, "{" SIZES ", \"mlp_bias\": true}"));
    assert_biases(&config, false, false, true, true);
    assert_ok(load(&config, "{" QWEN2 ", \"attention_bias\": false, \"mlp_bias\": true}"));
    assert_biases(&config, true, false, false, false);
}

/* Models of one layer. */
static void test_a_layer_has_the_window_that_its_family_gives_it(void **state) {
    static const struct {
        const char *family, *settings;
        int window;
    } fine[] = {
        {QWEN2, "\"use_sliding_window\": false, \"sliding_window\": 4, \"max_window_layers\": 0", 0},
        {QWEN2, "\"sliding_window\": 4, \"max_window_layers\": 0", 0},
        {QWEN2, "\"use_sliding_window\": true, \"sliding_window\": 4, \"max_window_layers\": 1", 0},
        {QWEN2, "\"use_sliding_window\": true, \"sliding_window\": 4, \"max_window_layers\": 0", 4},
        {QWEN2, "\"use_sliding_window\": true, \"max_window_layers\": 0", 4096},
        {QWEN2, "\"use_sliding_window\": true", 0},
        {QWEN2, "\"use_sliding_window\": true, \"sliding_window\": null, \"max_window_layers\": 0", 0},
        {QWEN2, "\"use_sliding_window\": true, \"max_window_layers\": 0, \"layer_types\": [\"full_attention\"]", 0},
        {QWEN2, "\"use_sliding_window\": true, \"layer_types\": [\"sliding_attention\"]", 4096},
        {QWEN2, "\"layer_types\": null", 0},
        {MISTRAL, "\"sliding_window\": 7", 7},
        {MISTRAL, "\"sliding_window\": null", 0},
        {MISTRAL, "\"sliding_window\": 7, \"layer_types\": [\"full_attention\"]", 0},
        {MISTRAL, "\"sliding_window\": 4096, \"max_position_embeddings\": 4096", 0}, /* as if there were none */
        {MISTRAL, "\"attention_dropout\": 0.0", 4096},
        {GEMMA2, "\"sliding_window\": 5", 5},
        {GEMMA2, "\"sliding_window\": null", 0},
        {GEMMA2, "\"sliding_window\": 5, \"layer_types\": [\"full_attention\"]", 0},
    };
    static const struct {
        const char *settings;
        clora_status status;
        const char *words;
    } cases[] = {
        {"\"layer_types\": [\"sliding_attention\"]", CLORA_ERROR_FORMAT, "no window"},
        {"\"layer_types\": [\"chunked_attention\"]", CLORA_ERROR_UNSUPPORTED, "\"layer_types\""},
        {"\"layer_types\": []", CLORA_ERROR_FORMAT, "lists 0 layers"},
        {"\"use_sliding_window\": true, \"sliding_window\": 0", CLORA_ERROR_FORMAT, "1 is the least"},
        {"\"use_sliding_window\": true, \"sliding_window\": 1.5", CLORA_ERROR_FORMAT, "\"sliding_window\""},
        {"\"layer_types\": [7]", CLORA_ERROR_UNSUPPORTED, "\"layer_types\""},
        {"\"layer_types\": \"full_attention\"", CLORA_ERROR_FORMAT, "\"layer_types\" must be a list"},
        {"\"use_sliding_window\": 1", CLORA_ERROR_FORMAT, "\"use_sliding_window\""},
        {"\"max_window_layers\": \"28\"", CLORA_ERROR_FORMAT, "\"max_window_layers\""},
    };
    model_config config;
    char text[1024];

    (void)state;
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        snprintf(text, sizeof(text), "{%s, %s}", fine[i].family, fine[i].settings);
        assert_ok(load(&config, text));
        assert_int_equal(model_window(&config, 0), fine[i].window);
        assert_int_equal(model_largest_window(&config), fine[i].window);
    }
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(text, sizeof(text), "{" QWEN2 ", %s}", cases[i].settings);
        assert_refused(load(&config, text), cases[i].status, cases[i].words);
    }
    assert_ok(load(&config, "{" SIZES ", \"use_sliding_window\": true, \"max_window_layers\": 0}"));
}

/* Models of one layer. */
static void test_a_layer_is_rotated_unless_smollm3_lists_it(void **state) {
    static const struct {
        const char *settings;
        int rope, window;
    } fine[] = {
        {"\"no_rope_layers\": [1]", ROPE_FIRST, 0},
        {"\"no_rope_layers\": [0]", ROPE_NONE, 0},
        {"\"no_rope_layers\": null", ROPE_FIRST, 0},
        {"\"no_rope_layer_interval\": 1", ROPE_NONE, 0},
        {"\"no_rope_layer_interval\": 1, \"no_rope_layers\": [1]", ROPE_FIRST, 0},
        {"\"no_rope_layers\": [0], \"use_sliding_window\": true, \"sliding_window\": 5", ROPE_NONE, 5},
        {"\"no_rope_layers\": [1], \"use_sliding_window\": true, \"sliding_window\": 5", ROPE_FIRST, 0},
        {"\"no_rope_layers\": [0], \"use_sliding_window\": true", ROPE_NONE, 0},
        {"\"no_rope_layers\": [0], \"sliding_window\": 5", ROPE_NONE, 0},
    };
    static const struct {
        const char *settings, *words;
    } cases[] = {
        {"\"no_rope_layers\": [1, 0]", "\"no_rope_layers\" must list"},
        {"\"no_rope_layers\": 1", "\"no_rope_layers\" must list"},
        {"\"no_rope_layers\": [true]", "\"no_rope_layers\" holds"},
        {"\"no_rope_layer_interval\": 0", "\"no_rope_layer_interval\" is 0"},
    };
    model_config config;
    char text[1024];

    (void)state;
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        snprintf(text, sizeof(text), "{" SMOLLM3 ", %s}", fine[i].settings);
        assert_ok(load(&config, text));
        assert_int_equal(config.layer_rope[0], fine[i].rope);
        assert_int_equal(model_window(&config, 0), fine[i].window);
    }
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(text, sizeof(text), "{" SMOLLM3 ", %s}", cases[i].settings);
        assert_refused(load(&config, text), CLORA_ERROR_FORMAT, cases[i].words);
    }
}

static void test_what_a_file_leaves_out_is_the_family_s_own(void **state) {
    (void)state;
    model_config config;

    assert_ok(load(&config, "{\"model_type\": \"llama\", " NUMBERS "}"));
    assert_int_equal(config.max_positions, 2048);
    assert_ok(load(&config, "{" QWEN2 "}"));
    assert_int_equal(config.max_positions, 32768);
    assert_float_equal(config.rope[ROPE_FIRST].theta, 10000.0f, 0.0f);
    assert_int_equal(config.head_dim, 32);
    assert_false(config.tied);
    assert_ok(load(&config, "{\"model_type\": \"qwen3\", " NUMBERS "}"));
    assert_int_equal(config.head_dim, 128);
    assert_ok(load(&config, "{" SMOLLM3 "}"));
    assert_float_equal(config.rope[ROPE_FIRST].theta, 2e6f, 0.0f);
    assert_true(config.tied);
}

/* A model of one layer with the biases of q, k, v and one more, opened; only the heads of its files are read. */
static clora_status open_with(const char *bias, int length) {
    static const float zeros[64 * 64];
    const char *const names[] = {"model.embed_tokens.weight",
                                 "lm_head.weight",
                                 "model.norm.weight",
                                 "model.layers.0.input_layernorm.weight",
                                 "model.layers.0.post_attention_layernorm.weight",
                                 "model.layers.0.self_attn.q_proj.weight",
                                 "model.layers.0.self_attn.k_proj.weight",
                                 "model.layers.0.self_attn.v_proj.weight",
                                 "model.layers.0.self_attn.o_proj.weight",
                                 "model.layers.0.mlp.gate_proj.weight",
                                 "model.layers.0.mlp.up_proj.weight",
                                 "model.layers.0.mlp.down_proj.weight",
                                 "model.layers.0.self_attn.q_proj.bias",
                                 "model.layers.0.self_attn.k_proj.bias",
                                 "model.layers.0.self_attn.v_proj.bias",
                                 "model.layers.0.self_attn.o_proj.bias",
                                 bias};
    const int shapes[][2] = {{16, 64}, {16, 64}, {0, 64},  {0, 64}, {0, 64}, {64, 64}, {64, 64}, {64, 64},   {64, 64},
                             {48, 64}, {48, 64}, {64, 48}, {0, 64}, {0, 64}, {0, 64},  {0, 64},  {0, length}};
    const size_t n = sizeof(names) / sizeof(names[0]);
    const float *values[sizeof(names) / sizeof(names[0])];
    model_files *files = NULL;
    model_tables tables;
    model_config config;

    for (size_t i = 0; i < n; i++)
        values[i] = zeros;
    write_tensors("model.safetensors", names, shapes, values, bias ? n : n - 1, CLORA_DTYPE_F32);
    assert_ok(load(&config, "{" SIZES ", \"attention_bias\": true}"));
    const clora_status status = model_files_check(&files, &tables, &config, scratch_path(""));
    model_files_close(files);
    return status;
}

static void test_a_bias_that_no_projection_has_is_refused_by_name(void **state) {
    (void)state;
    assert_ok(open_with(NULL, 0));
    assert_refused(open_with("model.layers.0.mlp.up_proj.bias", 48), CLORA_ERROR_UNSUPPORTED,
                   "mlp.up_proj.bias is a bias, and config.json says that there are none");
    assert_refused(open_with("model.layers.0.input_layernorm.bias", 64), CLORA_ERROR_UNSUPPORTED,
                   "input_layernorm.bias is a bias");
    assert_refused(open_with("model.layers.0.self_attn.q_proj.base", 64), CLORA_ERROR_UNSUPPORTED,
                   "17 tensors in the files, of which the model uses 16");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rope_is_found_where_transformers_finds_it, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(test_rope_that_cannot_be_meant_is_refused_by_key, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(test_a_rope_setting_of_null_is_not_set, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_swish_is_another_name_of_silu, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_an_unknown_family_is_refused_with_those_there_are, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(test_biases_are_where_the_family_has_them, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_gemmas_activation_is_gelu_by_tanh_under_all_its_names, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(test_caps_and_scale_are_what_the_file_or_the_family_says, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(test_a_layer_has_the_window_that_its_family_gives_it, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(test_a_layer_is_rotated_unless_smollm3_lists_it, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(test_what_a_file_leaves_out_is_the_family_s_own, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(test_a_bias_that_no_projection_has_is_refused_by_name, scratch_setup,
                                        scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
