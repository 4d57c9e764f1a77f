#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "methods/peft_config.h"
#include "support/scratch.h"
#include "support/tiny_llama.h"

static const char *fixture(const char *name) {
    static char path[1024];
    const char *folder = getenv("CLORA_TEST_FIXTURES");

    snprintf(path, sizeof(path), "%s/%s", folder ? folder : "tests/fixtures", name);
    return path;
}

/* Check adapter_config.json with one key of the fixture's set to a JSON text, or removed (NULL). */
static clora_status check_settings(json_t **out, const char *key, const char *value) {
    json_t *config = json_load_file(fixture("tiny-llama-lora/adapter_config.json"), 0, NULL);

    assert_non_null(config);
    if (value)
        assert_int_equal(json_object_set_new(config, key, json_loads(value, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL)),
                         0);
    else
        json_object_del(config, key);
    char *text = json_dumps(config, 0);
    scratch_text("adapter_config.json", text);
    free(text);
    json_decref(config);
    return peft_config_load(out, scratch_path("adapter_config.json"), tiny_llama, TINY_MODULES);
}

static void test_settings_that_are_not_plain_lora_are_refused_by_key(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"layer_replication", "[[0, 1]]"},
        {"use_qalora", "true"},
        {"target_parameters", "[\"experts.up\"]"},
        {"trainable_token_indices", "[1, 2]"},
        {"trainable_token_indices", "{\"embed_tokens\": [1]}"},
        {"alora_invocation_tokens", "[5]"},
        {"megatron_config", "{\"a\": 1}"},
        {"use_bdlora", "{\"nblocks\": 2}"},
        {"arrow_config", "{\"top_k\": 3}"},
        {"kasa_config", "{\"beta\": 1}"},
        {"monteclora_config", "{\"num_samples\": 4}"},
        {"velora_config", "{\"num_groups\": 4}"},
        {"ensure_weight_tying", "true"},
        {"a_key_of_the_future", "\"on\""},
        {"bias", "\"all\""},
        {"bias", "\"lora_only\""},
        {"peft_type", "\"IA3\""},
        {"peft_type", "\"PREFIX_TUNING\""},
        {"init_lora_weights", "\"pissa\""},
        {"init_lora_weights", "\"pissa_niter_16\""},
        {"init_lora_weights", "\"olora\""},
        {"init_lora_weights", "\"corda\""},
        {"init_lora_weights", "\"loftq\""},
        {"init_lora_weights", "\"lora_ga\""},
        {"init_lora_weights", "\"something new\""},
    };
    json_t *config = NULL;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char key[64];
        snprintf(key, sizeof(key), "\"%s\"", cases[i][0]);
        assert_refused(check_settings(&config, cases[i][0], cases[i][1]), CLORA_ERROR_UNSUPPORTED, key);
        assert_null(config);
    }
}

static void test_settings_of_a_wrong_type_or_range_are_refused_by_key(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"peft_type", NULL},
        {"peft_type", "3"},
        {"r", "0"},
        {"r", "-4"},
        {"r", "1.5"},
        {"r", "\"8\""},
        {"r", "4000000000"},
        {"lora_alpha", "\"16\""},
        {"lora_alpha", "1e300"},
        {"lora_dropout", "1.0"},
        {"lora_dropout", "-0.1"},
        {"lora_dropout", "true"},
        {"use_rslora", "1"},
        {"fan_in_fan_out", "\"yes\""},
        {"task_type", "[]"},
        {"base_model_name_or_path", "\"a\\u0000b\""},
        {"target_modules", "[]"},
        {"target_modules", "\"\""},
        {"target_modules", "[1]"},
        {"target_modules", "[\"q\\u0000\"]"},
        {"target_modules", "{}"},
        {"exclude_modules", "[1]"},
        {"exclude_modules", "3"},
        {"layers_to_transform", "\"all\""},
        {"layers_to_transform", "[\"0\"]"},
        {"layers_pattern", "\"layers\""},
        {"layers_pattern", "[2]"},
        {"rank_pattern", "[]"},
        {"rank_pattern", "{\"q_proj\": 0}"},
        {"rank_pattern", "{\"q_proj\": 2.5}"},
        {"rank_pattern", "{\"q_proj\": \"4\"}"},
        {"alpha_pattern", "{\"q_proj\": null}"},
        {"alpha_pattern", "7"},
    };
    json_t *config = NULL;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char key[64];
        snprintf(key, sizeof(key), "\"%s\"", cases[i][0]);
        assert_refused(check_settings(&config, cases[i][0], cases[i][1]), CLORA_ERROR_FORMAT, key);
        assert_null(config);
    }
}

static void test_settings_that_change_nothing_are_accepted(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"task_type", "null"},
        {"a_key_of_the_future", "null"},
        {"a_key_of_the_future", "false"},
        {"a_key_of_the_future", "{}"},
        {"a_key_of_the_future", "[]"},
        {"a_key_of_the_future", "0"},
        {"fan_in_fan_out", "true"},
        {"loftq_config", "{\"loftq_bits\": 4}"},
        {"auto_mapping", "{\"base_model_class\": \"LlamaForCausalLM\"}"},
        {"init_lora_weights", "false"},
        {"init_lora_weights", "\"gaussian\""},
        {"init_lora_weights", "\"eva\""},
        {"r", "4.0"},
        {"lora_alpha", "8.5"},
        {"target_modules", "null"},
        {"target_modules", "\"all-linear\""},
        {"modules_to_save", "[]"},
        {"modules_to_save", NULL},
        {"bias", "null"},
        {"rank_pattern", NULL},
        {"layers_to_transform", "[]"},
        {"exclude_modules", "\"\""},
        {"peft_version", "\"99.0\""},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *config = NULL;
        assert_ok(check_settings(&config, cases[i][0], cases[i][1]));
        assert_int_equal(json_integer_value(json_object_get(config, "r")), 4);
        json_decref(config);
    }
}

static void test_layers_to_transform_does_not_go_with_an_expression(void **state) {
    (void)state;
    json_t *config = NULL;

    scratch_text("adapter_config.json",
                 "{\"peft_type\": \"LORA\", \"target_modules\": \".*q_proj\", \"layers_to_transform\": 1}");
    assert_refused(peft_config_load(&config, scratch_path("adapter_config.json"), tiny_llama, TINY_MODULES),
                   CLORA_ERROR_FORMAT, "\"layers_to_transform\"");
}

static void test_the_least_settings_are_pefts_defaults(void **state) {
    (void)state;
    json_t *config = NULL;

    scratch_text("adapter_config.json", "{\"peft_type\": \"LORA\"}");
    assert_ok(peft_config_load(&config, scratch_path("adapter_config.json"), tiny_llama, TINY_MODULES));
    assert_int_equal(json_integer_value(json_object_get(config, "r")), 8);
    assert_int_equal(json_integer_value(json_object_get(config, "lora_alpha")), 8);
    char *targets = target_modules_text(json_object_get(config, "target_modules"));
    assert_string_equal(targets, "q_proj,v_proj");
    free(targets);
    json_decref(config);
}

static void test_fresh_settings_are_written_in_the_old_set_of_keys(void **state) {
    (void)state;
    clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
    json_t *config = NULL;
    size_t size;

    options.alpha = 0.3f;
    options.dropout = 0.1f;
    options.rank_pattern = "q_proj=2,layers.1.mlp.down_proj=6";
    options.alpha_pattern = "v_proj=3.5";
    options.target_modules = "q_proj,v_proj,down_proj";
    assert_ok(peft_config_create(&config, &options, tiny_llama, TINY_MODULES));
    assert_ok(peft_config_save(config, scratch_path("c.json"), "base/model"));
    char *text = read_whole(&size, scratch_path("c.json"));
    assert_string_equal(text, "{\n"
                              "  \"alpha_pattern\": {\n"
                              "    \"v_proj\": 3.5\n"
                              "  },\n"
                              "  \"base_model_name_or_path\": \"base/model\",\n"
                              "  \"bias\": \"none\",\n"
                              "  \"fan_in_fan_out\": false,\n"
                              "  \"inference_mode\": true,\n"
                              "  \"init_lora_weights\": \"gaussian\",\n"
                              "  \"layers_pattern\": null,\n"
                              "  \"layers_to_transform\": null,\n"
                              "  \"lora_alpha\": 0.3,\n"
                              "  \"lora_dropout\": 0.1,\n"
                              "  \"modules_to_save\": null,\n"
                              "  \"peft_type\": \"LORA\",\n"
                              "  \"r\": 8,\n"
                              "  \"rank_pattern\": {\n"
                              "    \"q_proj\": 2,\n"
                              "    \"layers.1.mlp.down_proj\": 6\n"
                              "  },\n"
                              "  \"revision\": null,\n"
                              "  \"target_modules\": [\n"
                              "    \"down_proj\",\n"
                              "    \"q_proj\",\n"
                              "    \"v_proj\"\n"
                              "  ],\n"
                              "  \"task_type\": \"CAUSAL_LM\",\n"
                              "  \"use_rslora\": false\n"
                              "}\n");
    free(text);
    json_decref(config);
}

static void test_whole_numbers_are_written_as_peft_writes_them(void **state) {
    (void)state;
    clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
    json_t *config = NULL;
    size_t size;

    options.init = CLORA_INIT_KAIMING;
    assert_ok(peft_config_create(&config, &options, tiny_llama, TINY_MODULES));
    assert_ok(peft_config_save(config, scratch_path("c.json"), NULL));
    char *text = read_whole(&size, scratch_path("c.json"));
    assert_non_null(strstr(text, "\"lora_alpha\": 16,\n"));
    assert_non_null(strstr(text, "\"lora_dropout\": 0.0,\n"));
    assert_non_null(strstr(text, "\"init_lora_weights\": true,\n"));
    assert_non_null(strstr(text, "\"base_model_name_or_path\": null,\n"));
    free(text);
    assert_ok(peft_config_save(config, scratch_path("c.json"), "not\xff UTF-8"));
    text = read_whole(&size, scratch_path("c.json"));
    assert_non_null(strstr(text, "\"base_model_name_or_path\": null,\n"));
    free(text);
    json_decref(config);
}

static void test_options_out_of_range_are_refused(void **state) {
    (void)state;
    const clora_adapter_options good = CLORA_ADAPTER_OPTIONS_INIT;
    clora_adapter_options bad[9];
    static const char *const words[] = {"rank 0",  "rank -1", "rank",    "alpha",         "alpha",
                                        "dropout", "dropout", "dropout", "initialisation"};
    json_t *config = NULL;

    for (int i = 0; i < 9; i++)
        bad[i] = good;
    bad[0].rank = 0;
    bad[1].rank = -1;
    bad[2].rank = 1 << 30;
    bad[3].alpha = 0.0f;
    bad[4].alpha = (float)NAN;
    bad[5].dropout = 1.0f;
    bad[6].dropout = -0.5f;
    bad[7].dropout = (float)NAN;
    bad[8].init = (clora_init)5;
    for (int i = 0; i < 9; i++)
        assert_refused(peft_config_create(&config, &bad[i], tiny_llama, TINY_MODULES), CLORA_ERROR_ARGUMENT, words[i]);
}

static void test_layers_and_exclusions_survive_saving(void **state) {
    (void)state;
    json_t *config = NULL, *again = NULL;

    scratch_text("c.json",
                 "{\"peft_type\": \"LORA\", \"target_modules\": [\"q_proj\"], \"exclude_modules\": [\"k_proj\"], "
                 "\"layers_to_transform\": [1], \"layers_pattern\": \"layers\", \"revision\": \"main\", "
                 "\"lora_alpha\": 0.1, \"rank_pattern\": {\"q_proj\": 3}, \"fan_in_fan_out\": true}");
    assert_ok(peft_config_load(&config, scratch_path("c.json"), tiny_llama, TINY_MODULES));
    assert_ok(peft_config_save(config, scratch_path("d.json"), NULL));
    assert_ok(peft_config_load(&again, scratch_path("d.json"), tiny_llama, TINY_MODULES));
    assert_true(json_equal(config, again));
    assert_string_equal(json_string_value(json_object_get(again, "layers_pattern")), "layers");
    assert_int_equal(json_array_size(json_object_get(again, "exclude_modules")), 1);
    assert_true(json_real_value(json_object_get(again, "lora_alpha")) == 0.1);
    json_decref(config);
    json_decref(again);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_settings_that_are_not_plain_lora_are_refused_by_key),
        TEST(test_settings_of_a_wrong_type_or_range_are_refused_by_key),
        TEST(test_settings_that_change_nothing_are_accepted),
        TEST(test_layers_to_transform_does_not_go_with_an_expression),
        TEST(test_the_least_settings_are_pefts_defaults),
        TEST(test_fresh_settings_are_written_in_the_old_set_of_keys),
        TEST(test_whole_numbers_are_written_as_peft_writes_them),
        TEST(test_options_out_of_range_are_refused),
        TEST(test_layers_and_exclusions_survive_saving),
    };
    return cmocka_run_group_tests_name("peft_config", tests, NULL, NULL);
}
