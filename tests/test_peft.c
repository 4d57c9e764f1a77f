#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "methods/peft.h"
#include "methods/peft_config.h"
#include "support/scratch.h"
#include "support/tiny_llama.h"

enum { Q = 0, V = 2, DOWN = 6 }; /* places of modules in a layer */

static const char *fixture(const char *name) {
    static char path[1024];
    const char *folder = getenv("CLORA_TEST_FIXTURES");

    snprintf(path, sizeof(path), "%s/%s", folder ? folder : "tests/fixtures", name);
    return path;
}

static clora_status open_path(peft_adapter *out, const char *path) {
    return peft_open(out, path, &(peft_base){tiny_llama, TINY_MODULES, NULL, 0});
}

/* ---- reading what PEFT wrote ---- */

static void test_ranks_and_scales_follow_the_settings(void **state) {
    (void)state;
    peft_adapter p;

    assert_ok(open_path(&p, fixture("tiny-llama-lora")));
    for (int i = 0; i < TINY_MODULES; i++) {
        const int place = i % 7;
        const bool adapted = i < 14 && (place == Q || place == V || place == DOWN);
        assert_int_equal(p.choice[i].R, adapted ? 4 : 0);
        assert_true(p.choice[i].scale == (adapted ? 2.0f : 0.0f));
    }
    peft_close(&p);
    assert_ok(open_path(&p, fixture("tiny-llama-rslora")));
    assert_true(p.choice[Q].scale == 4.0f);
    peft_close(&p);
    assert_ok(open_path(&p, fixture("tiny-llama-patterns")));
    assert_int_equal(p.choice[Q].R, 2);
    assert_int_equal(p.choice[7 + DOWN].R, 6);
    assert_int_equal(p.choice[DOWN].R, 4);
    assert_true(p.choice[Q].scale == 2.5f && p.choice[7 + Q].scale == 4.0f);
    assert_true(p.choice[V].scale == 0.75f && p.choice[7 + V].scale == 0.75f);
    assert_true(p.choice[DOWN].scale == 2.0f && p.choice[7 + DOWN].scale == (float)(8.0 / 6.0));
    peft_close(&p);
}

static void test_factors_are_the_values_of_the_file(void **state) {
    (void)state;
    peft_adapter p;
    float a[4 * 56];

    assert_ok(open_path(&p, fixture("tiny-llama-lora")));
    assert_ok(peft_read(a, &p, p.part[PEFT_A][7 + DOWN]));
    assert_string_equal(p.part[PEFT_A][7 + DOWN]->name, "base_model.model.model.layers.1.mlp.down_proj.lora_A.weight");
    assert_memory_equal(a, p.part[PEFT_A][7 + DOWN]->data, sizeof(a));
    assert_true(a[0] != 0.0f);
    peft_close(&p);
}

static void test_dora_has_magnitudes(void **state) {
    (void)state;
    peft_adapter p;
    float m[32];

    assert_ok(open_path(&p, fixture("tiny-llama-dora")));
    assert_string_equal(p.part[PEFT_MAGNITUDE][7 + DOWN]->name,
                        "base_model.model.model.layers.1.mlp.down_proj.lora_magnitude_vector");
    assert_ok(peft_read(m, &p, p.part[PEFT_MAGNITUDE][7 + DOWN]));
    assert_true(m[0] > 0.0f);
    assert_null(p.part[PEFT_BIAS][7 + DOWN]);
    peft_close(&p);
}

/* ---- files ---- */

/* A directory "bad" with the fixture's settings and tensors of its own. */
static void copy_settings(const char *adapter) {
    char from[256];

    scratch_mkdir("bad");
    snprintf(from, sizeof(from), "%s/adapter_config.json", adapter);
    scratch_copy("bad/adapter_config.json", fixture(from));
}

/* The fixture's tensors, one of them changed by `change`, which may also return false to leave it out. */
typedef bool (*tensor_change)(safetensors_entry *entry, float *values, const char *name);

static void write_changed(const char *adapter, tensor_change change, const char *extra) {
    enum { MOST = 32 };
    safetensors_entry entries[MOST];
    float *values[MOST] = {NULL};
    safetensors *file = NULL;
    safetensors_writer writer;
    char path[256];
    size_t n = 0;

    snprintf(path, sizeof(path), "%s/adapter_model.safetensors", adapter);
    assert_ok(safetensors_open(&file, fixture(path)));
    for (size_t i = 0; i < file->count; i++) {
        const stored_tensor *t = &file->tensors[i];
        values[n] = calloc(1, t->size * 4);
        assert_non_null(values[n]);
        memcpy(values[n], t->data, t->size);
        entries[n] = (safetensors_entry){.name = t->name, .dtype = t->dtype, .ndim = t->ndim};
        memcpy(entries[n].shape, t->shape, sizeof(t->shape));
        if (change(&entries[n], values[n], t->name))
            n++;
        else
            free(values[n]);
    }
    if (extra) {
        values[n] = calloc(4, sizeof(float));
        entries[n++] = (safetensors_entry){.name = extra, .dtype = CLORA_DTYPE_F32, .ndim = 2, .shape = {2, 2}};
    }
    assert_ok(safetensors_writer_begin(&writer, scratch_path("bad/adapter_model.safetensors"), entries, n, NULL));
    while (writer.next < writer.count) {
        const float *from = values[writer.order[writer.next]];
        assert_ok(safetensors_writer_tensor(&writer, from, writer.bytes[writer.next]));
    }
    assert_ok(safetensors_writer_finish(&writer));
    for (size_t i = 0; i < n; i++)
        free(values[i]);
    safetensors_close(file);
}

static bool keep(safetensors_entry *entry, float *values, const char *name) {
    (void)entry;
    (void)values;
    (void)name;
    return true;
}

static const char CHOSEN[] = "base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight";

static bool leave_out(safetensors_entry *entry, float *values, const char *name) {
    (void)entry;
    (void)values;
    return strcmp(name, CHOSEN) != 0;
}

static bool transpose(safetensors_entry *entry, float *values, const char *name) {
    const int64_t rows = entry->shape[0];

    (void)values;
    if (strcmp(name, CHOSEN) == 0) {
        entry->shape[0] = entry->shape[1];
        entry->shape[1] = rows;
    }
    return true;
}

static bool flatten(safetensors_entry *entry, float *values, const char *name) {
    (void)values;
    if (strcmp(name, CHOSEN) == 0) {
        entry->shape[0] *= entry->shape[1];
        entry->ndim = 1;
    }
    return true;
}

static bool make_integers(safetensors_entry *entry, float *values, const char *name) {
    (void)values;
    if (strcmp(name, CHOSEN) == 0)
        entry->dtype_text = "I32";
    return true;
}

static bool put_nan(safetensors_entry *entry, float *values, const char *name) {
    (void)entry;
    if (strcmp(name, CHOSEN) == 0)
        values[63] = (float)NAN;
    return true;
}

static bool put_infinity(safetensors_entry *entry, float *values, const char *name) {
    (void)entry;
    if (strcmp(name, CHOSEN) == 0)
        values[0] = -(float)INFINITY;
    return true;
}

static bool narrow_f16(safetensors_entry *entry, float *values, const char *name) {
    (void)name;
    const size_t n = (size_t)(entry->shape[0] * entry->shape[1]);
    uint16_t *half = calloc(n, sizeof(*half));
    assert_non_null(half);
    dtype_from_f32(half, CLORA_DTYPE_F16, values, n);
    memcpy(values, half, n * sizeof(*half));
    free(half);
    entry->dtype = CLORA_DTYPE_F16;
    return true;
}

static void refuse_tensors(tensor_change change, clora_status expected, const char *words) {
    peft_adapter p;

    copy_settings("tiny-llama-lora");
    write_changed("tiny-llama-lora", change, NULL);
    assert_refused(open_path(&p, scratch_path("bad")), expected, words);
    assert_non_null(strstr(clora_last_error(), CHOSEN));
}

static void test_a_missing_tensor_is_refused_by_name(void **state) {
    (void)state;
    refuse_tensors(leave_out, CLORA_ERROR_FORMAT, "missing");
}

static void test_a_mis_shaped_tensor_is_refused_by_name(void **state) {
    (void)state;
    refuse_tensors(transpose, CLORA_ERROR_FORMAT, "(4, 16)");
}

static void test_a_tensor_with_other_dimensions_is_refused_by_name(void **state) {
    (void)state;
    refuse_tensors(flatten, CLORA_ERROR_FORMAT, "(64)");
}

static void test_a_tensor_of_integers_is_refused_by_name(void **state) {
    (void)state;
    refuse_tensors(make_integers, CLORA_ERROR_UNSUPPORTED, "I32");
}

static void refuse_values(tensor_change change) {
    peft_adapter p;
    float b[16 * 4];

    copy_settings("tiny-llama-lora");
    write_changed("tiny-llama-lora", change, NULL);
    assert_ok(open_path(&p, scratch_path("bad")));
    assert_refused(peft_read(b, &p, p.part[PEFT_B][7 + V]), CLORA_ERROR_FORMAT, CHOSEN);
    peft_close(&p);
}

static void test_a_value_that_is_no_number_is_refused_by_name(void **state) {
    (void)state;
    refuse_values(put_nan);
}

static void test_an_infinite_value_is_refused_by_name(void **state) {
    (void)state;
    refuse_values(put_infinity);
}

static void refuse_extra(const char *extra, const char *words) {
    peft_adapter p;

    copy_settings("tiny-llama-lora");
    write_changed("tiny-llama-lora", keep, extra);
    assert_refused(open_path(&p, scratch_path("bad")), CLORA_ERROR_FORMAT, words);
    assert_non_null(strstr(clora_last_error(), extra));
}

static void test_a_tensor_of_a_layer_that_is_not_targeted_is_refused(void **state) {
    (void)state;
    refuse_extra("base_model.model.model.layers.0.self_attn.k_proj.lora_A.weight", "targets no such layer");
}

static void test_a_tensor_of_a_layer_that_is_not_there_is_refused(void **state) {
    (void)state;
    refuse_extra("base_model.model.model.layers.7.self_attn.q_proj.lora_A.weight", "targets no such layer");
}

static void test_a_copy_of_a_base_weight_is_refused(void **state) {
    (void)state;
    refuse_extra("base_model.model.lm_head.base_layer.bias", "save_embedding_layers=False");
}

static void test_magnitudes_that_the_settings_do_not_name_are_refused(void **state) {
    (void)state;
    refuse_extra("base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector", "\"use_dora\"");
}

static void test_a_bias_of_b_that_the_settings_do_not_name_is_refused(void **state) {
    (void)state;
    refuse_extra("base_model.model.model.layers.0.self_attn.q_proj.lora_B.bias", "\"lora_bias\"");
}

static void test_magnitudes_that_are_missing_or_of_another_size_are_named(void **state) {
    (void)state;
    static const char name[] = "model.layers.0.self_attn.q_proj.lora_magnitude_vector";
    peft_adapter p;

    copy_settings("tiny-llama-dora");
    write_changed("tiny-llama-lora", keep, NULL);
    assert_refused(open_path(&p, scratch_path("bad")), CLORA_ERROR_FORMAT, name);
    write_changed("tiny-llama-lora", keep, "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector");
    assert_refused(open_path(&p, scratch_path("bad")), CLORA_ERROR_FORMAT, "the base makes it (32)");
}

static void test_ranks_of_settings_and_tensors_must_agree(void **state) {
    (void)state;
    peft_adapter p;

    copy_settings("tiny-llama-patterns");
    write_changed("tiny-llama-lora", keep, NULL);
    assert_refused(open_path(&p, scratch_path("bad")), CLORA_ERROR_FORMAT, "rank 2 of adapter_config.json");
}

static void test_half_precision_is_widened_exactly(void **state) {
    (void)state;
    peft_adapter p, wide;
    float b[16 * 4], expected[16 * 4];

    copy_settings("tiny-llama-lora");
    write_changed("tiny-llama-lora", narrow_f16, NULL);
    assert_ok(open_path(&p, scratch_path("bad")));
    assert_ok(open_path(&wide, fixture("tiny-llama-lora")));
    assert_ok(peft_read(b, &p, p.part[PEFT_B][V]));
    assert_ok(peft_read(expected, &wide, wide.part[PEFT_B][V]));
    for (int i = 0; i < 16 * 4; i++)
        assert_true(b[i] == dtype_f16_to_f32(dtype_f32_to_f16(expected[i])));
    peft_close(&p);
    peft_close(&wide);
}

static void test_a_pickle_is_refused_with_its_remedy(void **state) {
    (void)state;
    peft_adapter p;

    copy_settings("tiny-llama-lora");
    scratch_text("bad/adapter_model.bin", "PK");
    assert_refused(open_path(&p, scratch_path("bad")), CLORA_ERROR_UNSUPPORTED, "safe_serialization");
}

static void test_missing_files_are_named(void **state) {
    (void)state;
    peft_adapter p;

    assert_refused(open_path(&p, scratch_path("nowhere")), CLORA_ERROR_NOT_FOUND, "nowhere: no such directory");
    copy_settings("tiny-llama-lora");
    assert_refused(open_path(&p, scratch_path("bad")), CLORA_ERROR_NOT_FOUND, "bad/adapter_model.safetensors");
}

static void test_a_broken_expression_in_a_file_names_the_file(void **state) {
    (void)state;
    peft_adapter p;

    scratch_mkdir("bad");
    scratch_text("bad/adapter_config.json", "{\"peft_type\": \"LORA\", \"target_modules\": \"q_(proj\"}");
    assert_refused(open_path(&p, scratch_path("bad")), CLORA_ERROR_FORMAT, "bad/adapter_config.json");
}

static void test_settings_that_are_not_json_are_refused(void **state) {
    (void)state;
    static const char *const texts[] = {"", "{", "[]", "{\"r\": 1, \"r\": 2}", "{\"peft_type\": \"LORA\"} x"};
    peft_adapter p;

    scratch_mkdir("bad");
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        scratch_text("bad/adapter_config.json", texts[i]);
        assert_refused(open_path(&p, scratch_path("bad")), CLORA_ERROR_FORMAT, "adapter_config.json");
    }
    char *deep = malloc(200001);
    memset(deep, '[', 200000);
    deep[200000] = '\0';
    scratch_text("bad/adapter_config.json", deep);
    free(deep);
    assert_refused(open_path(&p, scratch_path("bad")), CLORA_ERROR_FORMAT, "adapter_config.json");
}

/* ---- writing ---- */

static clora_status from_file(void *user, float *out, int module, peft_part part) {
    const peft_adapter *p = user;

    return peft_read(out, p, p->part[part][module]);
}

static clora_status copy_adapter(const char *to, const char *from, const char *base_name) {
    peft_adapter p;
    clora_status status = open_path(&p, from);

    if (status == CLORA_OK) {
        const peft_contents contents = {p.config, tiny_llama, p.choice, TINY_MODULES, NULL, 0, from_file, &p};
        status = peft_write(to, &contents, &(clora_adapter_save_options){.base_name = base_name, .overwrite = 1});
        peft_close(&p);
    }
    return status;
}

static void test_what_peft_wrote_keeps_its_tensors_bytes(void **state) {
    (void)state;
    static const char *const names[] = {"tiny-llama-lora", "tiny-llama-rslora", "tiny-llama-patterns",
                                        "tiny-llama-dora"};

    for (int i = 0; i < 4; i++) {
        char path[128];
        assert_ok(copy_adapter(scratch_path(names[i]), fixture(names[i]), NULL));
        snprintf(path, sizeof(path), "%s/adapter_model.safetensors", names[i]);
        assert_same_file(scratch_path(path), fixture(path)); /* header and all */
    }
}

static void test_saved_loaded_and_saved_again_is_the_same_bytes(void **state) {
    (void)state;
    static const char *const names[] = {"tiny-llama-lora", "tiny-llama-rslora", "tiny-llama-patterns"};

    for (int i = 0; i < 3; i++) {
        char one[64], two[64];
        snprintf(one, sizeof(one), "one-%d", i);
        snprintf(two, sizeof(two), "two-%d", i);
        assert_ok(copy_adapter(scratch_path(one), fixture(names[i]), "a/base"));
        assert_ok(copy_adapter(scratch_path(two), scratch_path(one), NULL));
        for (int file = 0; file < 2; file++) {
            const char *name = file ? "adapter_model.safetensors" : "adapter_config.json";
            char x[128], y[128];
            snprintf(x, sizeof(x), "%s/%s", one, name);
            snprintf(y, sizeof(y), "%s/%s", two, name);
            assert_same_file(scratch_path(x), scratch_path(y));
        }
        assert_int_equal(scratch_entries(scratch_path(one)), 2);
    }
}

static void test_the_bases_name_is_kept_or_replaced(void **state) {
    (void)state;
    json_t *config = NULL;
    const char *name;

    assert_ok(copy_adapter(scratch_path("kept"), fixture("tiny-llama-lora"), NULL));
    assert_ok(peft_config_load(&config, scratch_path("kept/adapter_config.json"), tiny_llama, TINY_MODULES));
    assert_ok(json_get_text(&name, config, "base_model_name_or_path", "", ""));
    assert_string_equal(name, "../tiny-llama");
    json_decref(config);
    assert_ok(copy_adapter(scratch_path("other"), fixture("tiny-llama-lora"), "elsewhere"));
    assert_ok(peft_config_load(&config, scratch_path("other/adapter_config.json"), tiny_llama, TINY_MODULES));
    assert_ok(json_get_text(&name, config, "base_model_name_or_path", "", ""));
    assert_string_equal(name, "elsewhere");
    json_decref(config);
}

static void test_a_name_that_is_not_utf8_is_left_out(void **state) {
    (void)state;
    size_t size;

    assert_ok(copy_adapter(scratch_path("x"), fixture("tiny-llama-lora"), "\xff"));
    char *text = read_whole(&size, scratch_path("x/adapter_config.json"));
    assert_non_null(strstr(text, "\"base_model_name_or_path\": null"));
    free(text);
}

static void test_a_full_disk_leaves_nothing_half_written(void **state) {
    (void)state;
    disk_full_after(1000);
    const clora_status status = copy_adapter(scratch_path("full"), fixture("tiny-llama-lora"), NULL);
    disk_is_free();
    assert_refused(status, CLORA_ERROR_IO, "adapter_model.safetensors");
    assert_int_equal(scratch_entries(scratch_path("full")), -1);
}

static void test_a_full_disk_keeps_the_adapter_that_was_there(void **state) {
    (void)state;
    assert_ok(copy_adapter(scratch_path("old"), fixture("tiny-llama-lora"), NULL));
    disk_full_after(1000);
    const clora_status status = copy_adapter(scratch_path("old"), fixture("tiny-llama-rslora"), NULL);
    disk_is_free();
    assert_refused(status, CLORA_ERROR_IO, "adapter_model.safetensors");
    assert_int_equal(scratch_entries(scratch_path("old")), 2);
    assert_same_file(scratch_path("old/adapter_model.safetensors"),
                     fixture("tiny-llama-lora/adapter_model.safetensors"));
}

static void test_a_place_that_cannot_be_written_is_named(void **state) {
    (void)state;
    scratch_text("file", "x");
    assert_refused(copy_adapter(scratch_path("file/below"), fixture("tiny-llama-lora"), NULL), CLORA_ERROR_IO,
                   "file/below");
    assert_refused(copy_adapter(scratch_path("file"), fixture("tiny-llama-lora"), NULL), CLORA_ERROR_IO, "file");
    assert_refused(copy_adapter(scratch_path("no/parent"), fixture("tiny-llama-lora"), NULL), CLORA_ERROR_IO,
                   "create the directory above");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_ranks_and_scales_follow_the_settings),
        TEST(test_factors_are_the_values_of_the_file),
        TEST(test_dora_has_magnitudes),
        TEST(test_a_missing_tensor_is_refused_by_name),
        TEST(test_a_mis_shaped_tensor_is_refused_by_name),
        TEST(test_a_tensor_with_other_dimensions_is_refused_by_name),
        TEST(test_a_tensor_of_integers_is_refused_by_name),
        TEST(test_a_value_that_is_no_number_is_refused_by_name),
        TEST(test_an_infinite_value_is_refused_by_name),
        TEST(test_a_tensor_of_a_layer_that_is_not_targeted_is_refused),
        TEST(test_a_tensor_of_a_layer_that_is_not_there_is_refused),
        TEST(test_a_copy_of_a_base_weight_is_refused),
        TEST(test_magnitudes_that_the_settings_do_not_name_are_refused),
        TEST(test_a_bias_of_b_that_the_settings_do_not_name_is_refused),
        TEST(test_magnitudes_that_are_missing_or_of_another_size_are_named),
        TEST(test_ranks_of_settings_and_tensors_must_agree),
        TEST(test_half_precision_is_widened_exactly),
        TEST(test_a_pickle_is_refused_with_its_remedy),
        TEST(test_missing_files_are_named),
        TEST(test_a_broken_expression_in_a_file_names_the_file),
        TEST(test_settings_that_are_not_json_are_refused),
        TEST(test_what_peft_wrote_keeps_its_tensors_bytes),
        TEST(test_saved_loaded_and_saved_again_is_the_same_bytes),
        TEST(test_the_bases_name_is_kept_or_replaced),
        TEST(test_a_name_that_is_not_utf8_is_left_out),
        TEST(test_a_full_disk_leaves_nothing_half_written),
        TEST(test_a_full_disk_keeps_the_adapter_that_was_there),
        TEST(test_a_place_that_cannot_be_written_is_named),
    };
    return cmocka_run_group_tests_name("peft", tests, NULL, NULL);
}
