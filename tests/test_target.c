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

static target_choice choice[TINY_MODULES];

/* Settings with r 4 and alpha 8, the given ones added or in their place. */
static json_t *settings(const char *text) {
    json_t *config = json_loads("{\"r\": 4, \"lora_alpha\": 8, \"rank_pattern\": {}, \"alpha_pattern\": {}}", 0, NULL);
    json_t *given = json_loads(text, 0, NULL);

    assert_non_null(given);
    assert_int_equal(json_object_update(config, given), 0);
    json_decref(given);
    return config;
}

static clora_status resolve(const char *text, bool strict) {
    json_t *config = settings(text);
    const clora_status status = target_resolve(choice, config, tiny_llama, TINY_MODULES, strict);

    json_decref(config);
    return status;
}

/* Exactly the modules of layers 0 and 1 whose place in a layer is in the list (-1 ends it), and the head or not. */
static void assert_adapted(const int *places0, const int *places1, bool head) {
    bool expected[TINY_MODULES] = {false};

    for (; *places0 >= 0; places0++)
        expected[*places0] = true;
    for (; *places1 >= 0; places1++)
        expected[7 + *places1] = true;
    expected[14] = head;
    for (int i = 0; i < TINY_MODULES; i++)
        if ((choice[i].R > 0) != expected[i])
            fail_msg("%s: rank %d", tiny_llama[i].name, choice[i].R);
}

enum { Q, K, V, O, GATE, UP, DOWN };
#define PLACES(...) ((const int[]){__VA_ARGS__, -1})
static const int none[] = {-1};

static void test_a_list_matches_endings_after_a_dot(void **state) {
    (void)state;
    assert_ok(resolve("{\"target_modules\": [\"q_proj\", \"mlp.up_proj\"]}", true));
    assert_adapted(PLACES(Q, UP), PLACES(Q, UP), false);
    assert_ok(resolve("{\"target_modules\": [\"layers.1.mlp.down_proj\", \"lm_head\"]}", true));
    assert_adapted(none, PLACES(DOWN), true);
    assert_refused(resolve("{\"target_modules\": [\"proj\"]}", true), CLORA_ERROR_NOT_FOUND, "\"proj\"");
    assert_refused(resolve("{\"target_modules\": [\"_proj\"]}", false), CLORA_ERROR_NOT_FOUND, "target_modules");
}

static void test_an_expression_must_match_the_whole_name(void **state) {
    (void)state;
    assert_ok(resolve("{\"target_modules\": \".*\\\\.(q|v)_proj\"}", true));
    assert_adapted(PLACES(Q, V), PLACES(Q, V), false);
    assert_ok(resolve("{\"target_modules\": \"model\\\\.layers\\\\.[1-9]\\\\.mlp\\\\..*\"}", true));
    assert_adapted(none, PLACES(GATE, UP, DOWN), false);
    assert_refused(resolve("{\"target_modules\": \"q_proj\"}", true), CLORA_ERROR_NOT_FOUND, "\"q_proj\"");
    assert_refused(resolve("{\"target_modules\": \"model\\\\.layers\"}", true), CLORA_ERROR_NOT_FOUND, "model");
}

static void test_a_target_that_matches_nothing_lists_what_there_is(void **state) {
    (void)state;
    assert_refused(resolve("{\"target_modules\": [\"q_proj\", \"query\"]}", true), CLORA_ERROR_NOT_FOUND,
                   "\"query\" matches no linear layer; here are q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, "
                   "down_proj, lm_head");
    assert_refused(resolve("{\"target_modules\": [\"key\", \"query\"]}", false), CLORA_ERROR_NOT_FOUND,
                   "\"key,query\" matches no linear layer");
    /* a file's list may serve several models, as in PEFT: its tensors decide */
    assert_ok(resolve("{\"target_modules\": [\"q_proj\", \"query\"]}", false));
    assert_adapted(PLACES(Q), PLACES(Q), false);
}

static void test_all_linear_leaves_the_head_out(void **state) {
    (void)state;
    json_t *targets = NULL;

    assert_ok(target_parse_modules(&targets, "all-linear", tiny_llama, TINY_MODULES));
    char *text = target_modules_text(targets);
    assert_string_equal(text, "down_proj,gate_proj,k_proj,o_proj,q_proj,up_proj,v_proj");
    free(text);
    json_decref(targets);
}

static void test_all_linear_names_layers_in_full_when_an_ending_is_the_heads(void **state) {
    (void)state;
    const target_module modules[] = {{"a.out", 2, 2, false}, {"b.in", 2, 2, false}, {"head.out", 2, 2, true}};
    json_t *targets = NULL;

    assert_ok(target_parse_modules(&targets, "all-linear", modules, 3));
    char *text = target_modules_text(targets);
    assert_string_equal(text, "a.out,b.in");
    free(text);
    json_decref(targets);
}

static void test_plain_names_are_a_list_and_all_else_an_expression(void **state) {
    (void)state;
    json_t *targets = NULL;

    assert_ok(target_parse_modules(&targets, " v_proj, q_proj ,v_proj", tiny_llama, TINY_MODULES));
    assert_true(json_is_array(targets));
    char *text = target_modules_text(targets);
    assert_string_equal(text, "q_proj,v_proj");
    free(text);
    json_decref(targets);
    assert_ok(target_parse_modules(&targets, ".*q_proj", tiny_llama, TINY_MODULES));
    assert_true(json_is_string(targets));
    json_decref(targets);
    assert_refused(target_parse_modules(&targets, "q_proj,,v_proj", tiny_llama, TINY_MODULES), CLORA_ERROR_ARGUMENT,
                   "q_proj,,v_proj");
    assert_refused(target_parse_modules(&targets, "q_proj v_proj", tiny_llama, TINY_MODULES), CLORA_ERROR_ARGUMENT,
                   "with commas");
    assert_refused(target_parse_modules(&targets, "", tiny_llama, TINY_MODULES), CLORA_ERROR_ARGUMENT,
                   "target_modules");
}

static void test_excluded_modules_are_left_alone(void **state) {
    (void)state;
    assert_ok(resolve("{\"target_modules\": [\"q_proj\", \"k_proj\"], \"exclude_modules\": [\"k_proj\"]}", false));
    assert_adapted(PLACES(Q), PLACES(Q), false);
    assert_ok(resolve("{\"target_modules\": [\"q_proj\"], \"exclude_modules\": \".*layers\\\\.0\\\\..*\"}", false));
    assert_adapted(none, PLACES(Q), false);
}

static void test_layers_to_transform_chooses_layers(void **state) {
    (void)state;
    assert_ok(resolve("{\"target_modules\": [\"q_proj\"], \"layers_to_transform\": 1}", true));
    assert_adapted(none, PLACES(Q), false);
    assert_ok(resolve("{\"target_modules\": [\"q_proj\"], \"layers_to_transform\": [0, 7]}", false));
    assert_adapted(PLACES(Q), none, false);
    assert_refused(resolve("{\"target_modules\": [\"q_proj\"], \"layers_to_transform\": [0, 7]}", true),
                   CLORA_ERROR_NOT_FOUND, "\"7\"");
    assert_ok(resolve("{\"target_modules\": [\"q_proj\"], \"layers_to_transform\": [0], \"layers_pattern\": "
                      "[\"h\", \"layers\"]}",
                      true));
    assert_adapted(PLACES(Q), none, false);
    assert_refused(resolve("{\"target_modules\": [\"q_proj\"], \"layers_to_transform\": [0], \"layers_pattern\": "
                           "\"h\"}",
                           false),
                   CLORA_ERROR_NOT_FOUND, "target_modules");
    /* a full name is taken whatever its layer */
    assert_ok(resolve("{\"target_modules\": [\"model.layers.1.mlp.up_proj\"], \"layers_to_transform\": 0}", false));
    assert_adapted(none, PLACES(UP), false);
}

static void test_the_first_pattern_that_matches_decides(void **state) {
    (void)state;
    assert_ok(resolve("{\"target_modules\": [\"q_proj\", \"v_proj\"], "
                      "\"rank_pattern\": {\"layers.0.self_attn.q_proj\": 2, \"q_proj\": 16, \"[vx]_proj\": 1}, "
                      "\"alpha_pattern\": {\".*q_proj\": 32, \"layers.0.self_attn.q_proj\": 1}}",
                      false));
    assert_int_equal(choice[Q].R, 2);
    assert_int_equal(choice[7 + Q].R, 16);
    assert_int_equal(choice[V].R, 1);
    assert_true(choice[Q].scale == 16.0f);
    assert_true(choice[7 + Q].scale == 2.0f);
    assert_true(choice[V].scale == 8.0f);
    /* keys are for the end of a name after a dot */
    assert_ok(resolve("{\"target_modules\": [\"q_proj\"], \"rank_pattern\": {\"_proj\": 2, \"q_pro\": 3}}", false));
    assert_int_equal(choice[Q].R, 4);
}

/* A key without special characters is not compiled; grouped, so that it is, it must say the same. */
static void test_plain_keys_mean_what_their_expressions_mean(void **state) {
    (void)state;
    static const char *const keys[] = {"q_proj",
                                       "_proj",
                                       "proj",
                                       "q.proj",
                                       ".q_proj",
                                       "self_attn.q_proj",
                                       "model.layers.1.self_attn.q_proj",
                                       "odel.layers.1.self_attn.q_proj",
                                       "layers.1.mlp.down_proj",
                                       "layers.1.mlp..own_proj",
                                       "lm_head",
                                       "m_head",
                                       ".",
                                       "......",
                                       "",
                                       "x.model.layers.1.self_attn.q_proj"};
    target_choice plain[TINY_MODULES];
    char text[256];

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        for (int grouped = 0; grouped < 2; grouped++) {
            snprintf(text, sizeof(text), "{\"target_modules\": \".*\", \"rank_pattern\": {\"%s%s%s\": 2}}",
                     grouped ? "(?:" : "", keys[i], grouped ? ")" : "");
            assert_ok(resolve(text, false));
            if (!grouped)
                memcpy(plain, choice, sizeof(plain));
        }
        for (int m = 0; m < TINY_MODULES; m++)
            if (plain[m].R != choice[m].R)
                fail_msg("\"%s\" for %s: rank %d, as an expression %d", keys[i], tiny_llama[m].name, plain[m].R,
                         choice[m].R);
    }
}

static void test_groups_in_a_pattern_for_layers_do_not_hide_the_number(void **state) {
    (void)state;
    assert_ok(resolve("{\"target_modules\": [\"q_proj\"], \"layers_to_transform\": [1], "
                      "\"layers_pattern\": \"(la)(y(er)s)\"}",
                      true));
    assert_adapted(none, PLACES(Q), false);
}

static void test_rslora_divides_by_the_root_of_the_rank(void **state) {
    (void)state;
    assert_ok(resolve("{\"target_modules\": [\"q_proj\"], \"use_rslora\": true, \"rank_pattern\": "
                      "{\"layers.1.self_attn.q_proj\": 8}}",
                      true));
    assert_true(choice[Q].scale == 4.0f);
    assert_true(choice[7 + Q].scale == (float)(8.0 / sqrt(8.0)));
}

static void test_a_pattern_that_changes_nothing_is_refused_when_asked_for(void **state) {
    (void)state;
    assert_refused(resolve("{\"target_modules\": [\"q_proj\"], \"rank_pattern\": {\"v_proj\": 2}}", true),
                   CLORA_ERROR_NOT_FOUND, "rank_pattern: \"v_proj\"");
    assert_refused(resolve("{\"target_modules\": [\"q_proj\"], \"alpha_pattern\": {\"q_proj\": 1, "
                           "\"layers.0.self_attn.q_proj\": 2}}",
                           true),
                   CLORA_ERROR_NOT_FOUND, "alpha_pattern: \"layers.0.self_attn.q_proj\"");
}

static void test_a_broken_expression_is_refused_with_its_place(void **state) {
    (void)state;
    assert_refused(resolve("{\"target_modules\": \"q_(proj\"}", true), CLORA_ERROR_ARGUMENT,
                   "target_modules: \"q_(proj\" is not a regular expression");
    assert_refused(resolve("{\"target_modules\": [\"q_proj\"], \"rank_pattern\": {\"[\": 2}}", true),
                   CLORA_ERROR_ARGUMENT, "rank_pattern: \"[\"");
}

static void test_an_expression_that_would_run_forever_is_given_up(void **state) {
    (void)state;
    assert_refused(resolve("{\"target_modules\": \"(([a-z0-9_.]+)+)+[XY]\"}", true), CLORA_ERROR_ARGUMENT,
                   "cannot be matched");
}

static void test_pattern_texts_keep_their_order(void **state) {
    (void)state;
    json_t *pattern = NULL;

    assert_ok(target_parse_pattern(&pattern, "v_proj=3,layers.0.*q_proj=0.5", false, "alpha_pattern"));
    char *text = target_pattern_text(pattern);
    assert_string_equal(text, "v_proj=3,layers.0.*q_proj=0.5");
    free(text);
    json_decref(pattern);
    assert_ok(target_parse_pattern(&pattern, NULL, true, "rank_pattern"));
    assert_int_equal(json_object_size(pattern), 0);
    json_decref(pattern);
}

static void test_pattern_texts_that_say_nothing_clear_are_refused(void **state) {
    (void)state;
    static const char *const texts[] = {"q_proj",    "=3",         "q_proj=",   "q_proj=x",          "q_proj=0",
                                        "q_proj=-1", "q_proj=1.5", "q_proj=3,", "q_proj=3,q_proj=4", "q_proj=1e9",
                                        "q_proj=nan"};
    json_t *pattern = NULL;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_refused(target_parse_pattern(&pattern, texts[i], true, "rank_pattern"), CLORA_ERROR_ARGUMENT,
                       "rank_pattern");
        assert_null(pattern);
    }
    assert_refused(target_parse_pattern(&pattern, "q_proj=0", false, "alpha_pattern"), CLORA_ERROR_ARGUMENT, "above 0");
    assert_refused(target_parse_pattern(&pattern, "q_proj=-2", false, "alpha_pattern"), CLORA_ERROR_ARGUMENT,
                   "above 0");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_list_matches_endings_after_a_dot),
        cmocka_unit_test(test_an_expression_must_match_the_whole_name),
        cmocka_unit_test(test_a_target_that_matches_nothing_lists_what_there_is),
        cmocka_unit_test(test_all_linear_leaves_the_head_out),
        cmocka_unit_test(test_all_linear_names_layers_in_full_when_an_ending_is_the_heads),
        cmocka_unit_test(test_plain_names_are_a_list_and_all_else_an_expression),
        cmocka_unit_test(test_excluded_modules_are_left_alone),
        cmocka_unit_test(test_layers_to_transform_chooses_layers),
        cmocka_unit_test(test_the_first_pattern_that_matches_decides),
        cmocka_unit_test(test_plain_keys_mean_what_their_expressions_mean),
        cmocka_unit_test(test_groups_in_a_pattern_for_layers_do_not_hide_the_number),
        cmocka_unit_test(test_rslora_divides_by_the_root_of_the_rank),
        cmocka_unit_test(test_a_pattern_that_changes_nothing_is_refused_when_asked_for),
        cmocka_unit_test(test_a_broken_expression_is_refused_with_its_place),
        cmocka_unit_test(test_an_expression_that_would_run_forever_is_given_up),
        cmocka_unit_test(test_pattern_texts_keep_their_order),
        cmocka_unit_test(test_pattern_texts_that_say_nothing_clear_are_refused),
    };
    return cmocka_run_group_tests_name("target", tests, NULL, NULL);
}
