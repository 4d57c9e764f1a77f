#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <clora/adapter.h>

#include "support/scratch.h"
#include "support/small_model.h"

/* Merging of what adapters have besides A and B: magnitudes of rows (DoRA), a bias of B. */

static clora_status merge(void) {
    return clora_merge(scratch_path("model"), scratch_path("adapter"), scratch_path("out"), NULL, NULL);
}

static safetensors *open_merged(void) {
    safetensors *file = NULL;

    assert_ok(safetensors_open(&file, scratch_path("out/model.safetensors")));
    return file;
}

static const stored_tensor *tensor(const safetensors *file, const char *name) {
    const stored_tensor *t = safetensors_find(file, name);

    assert_non_null(t);
    return t;
}

static float element(const stored_tensor *t, size_t i) {
    float value;

    dtype_to_f32(&value, (const char *)t->data + i * dtype_size(t->dtype), t->dtype, 1);
    return value;
}

static void write_model(void) {
    static const float w[4] = {1, 2, 3, 4}, ones[2] = {1, 1};

    write_small_model(&(small_model){
        .N = 2, .K = 2, .dtype = CLORA_DTYPE_F32, .w = w, .a = ones, .b = ones, .target = "q_proj", .scale = 1});
}

/* The small model's adapter with one vector more, of the kind that the setting says. */
static void write_vector(const char *setting, const char *ending, const float *values) {
    static const char stem[] = "base_model.model.model.layers.0.self_attn.q_proj";
    static const float ones[2] = {1, 1};
    char name[3][128], config[160];

    snprintf(name[0], sizeof(name[0]), "%s.lora_A.weight", stem);
    snprintf(name[1], sizeof(name[1]), "%s.lora_B.weight", stem);
    snprintf(name[2], sizeof(name[2]), "%s%s", stem, ending);
    snprintf(config, sizeof(config),
             "{\"peft_type\": \"LORA\", \"r\": 1, \"lora_alpha\": 1, \"target_modules\": [\"q_proj\"], \"%s\": true}",
             setting);
    scratch_text("adapter/adapter_config.json", config);
    write_tensors("adapter/adapter_model.safetensors", (const char *const[]){name[0], name[1], name[2]},
                  (const int[][2]){{1, 2}, {2, 1}, {0, 2}}, (const float *const[]){ones, ones, values}, 3,
                  CLORA_DTYPE_F32);
}

static void test_a_bias_of_b_is_merged_where_the_base_has_one(void **state) {
    (void)state;
    static const float w[4] = {1, 2, 3, 4}, bias[2] = {10, 20}, extra[2] = {0.5f, -0.25f};
    static const char *const names[] = {SMALL_WEIGHT, "model.layers.0.self_attn.q_proj.bias"};

    write_model();
    write_vector("lora_bias", ".lora_B.bias", extra);
    assert_refused(merge(), CLORA_ERROR_UNSUPPORTED, "a bias (lora_bias) at model.layers.0.self_attn.q_proj");
    assert_int_equal(scratch_entries(scratch_path("out")), -1);
    write_tensors("model/model.safetensors", names, (const int[][2]){{2, 2}, {0, 2}}, (const float *const[]){w, bias},
                  2, CLORA_DTYPE_F32);
    assert_ok(merge());
    safetensors *merged = open_merged();
    assert_true(element(tensor(merged, SMALL_WEIGHT), 0) == 2.0f);
    assert_true(element(tensor(merged, names[1]), 0) == 10.5f && element(tensor(merged, names[1]), 1) == 19.75f);
    safetensors_close(merged);
}

static void test_magnitudes_scale_merged_rows(void **state) {
    (void)state;
    static const float w[4] = {2, 3, -1, -1}, m[2] = {10, 7};

    write_model();
    write_vector("use_dora", ".lora_magnitude_vector", m);
    write_tensors("model/model.safetensors", (const char *const[]){SMALL_WEIGHT}, (const int[][2]){{2, 2}},
                  (const float *const[]){w}, 1, CLORA_DTYPE_F32);
    assert_ok(merge());
    safetensors *merged = open_merged();
    const stored_tensor *t = tensor(merged, SMALL_WEIGHT);
    assert_true(element(t, 0) == 6.0f && element(t, 1) == 8.0f); /* (3, 4) of norm 5 */
    assert_true(element(t, 2) == 0.0f && element(t, 3) == 0.0f); /* a row of zeros has no direction */
    safetensors_close(merged);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_a_bias_of_b_is_merged_where_the_base_has_one),
        TEST(test_magnitudes_scale_merged_rows),
    };
    return cmocka_run_group_tests_name("merge_vectors", tests, NULL, NULL);
}
