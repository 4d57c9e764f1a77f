#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <clora/adapter.h>

#include "base/json.h"
#include "files/safetensors.h"
#include "support/scratch.h"
#include "support/small_model.h"

static const char *fixture(const char *name) {
    static char paths[4][1024];
    static int next;
    const char *folder = getenv("CLORA_TEST_FIXTURES");
    char *path = paths[next = (next + 1) % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", folder ? folder : "tests/fixtures", name);
    return path;
}

static clora_status merge(const char *model, const char *adapter, const char *out) {
    return clora_merge(model, adapter, out, NULL, NULL);
}

static safetensors *open_model(const char *directory) {
    safetensors *file = NULL;
    char path[1024];

    snprintf(path, sizeof(path), "%s/model.safetensors", directory);
    assert_ok(safetensors_open(&file, path));
    return file;
}

static const stored_tensor *tensor(const safetensors *file, const char *name) {
    const stored_tensor *t = safetensors_find(file, name);

    if (!t)
        fail_msg("%s has no tensor %s", file->path, name);
    return t;
}

static float element(const stored_tensor *t, size_t i) {
    float value;

    dtype_to_f32(&value, (const char *)t->data + i * dtype_size(t->dtype), t->dtype, 1);
    return value;
}

/* ---- against PEFT ---- */

/* Every base parameter is either as the reference's merged.NAME or the base's own bytes. */
static void assert_merged_as_peft(const char *model, const char *adapter, int modules) {
    char path[128];
    safetensors *reference = NULL;

    assert_ok(merge(fixture(model), fixture(adapter), scratch_path(adapter)));
    snprintf(path, sizeof(path), "reference/%s.safetensors", adapter);
    assert_ok(safetensors_open(&reference, fixture(path)));
    safetensors *base = open_model(fixture(model)), *merged = open_model(scratch_path(adapter));
    int changed = 0;
    assert_int_equal(base->count, merged->count);
    for (size_t i = 0; i < merged->count; i++) {
        const stored_tensor *t = &merged->tensors[i];
        char key[256];
        snprintf(key, sizeof(key), "merged.%s", t->name);
        const stored_tensor *expected = safetensors_find(reference, key);
        assert_int_equal(t->dtype, CLORA_DTYPE_F32);
        if (!expected) {
            assert_memory_equal(t->data, tensor(base, t->name)->data, t->size);
            continue;
        }
        changed++;
        assert_int_equal(t->size, expected->size);
        for (size_t k = 0; k < stored_elements(t); k++) {
            const double difference = fabs((double)element(t, k) - (double)element(expected, k));
            if (!(difference <= 1e-6))
                fail_msg("%s[%zu]: %g, PEFT has %g", t->name, k, (double)element(t, k), (double)element(expected, k));
        }
    }
    assert_int_equal(changed, modules);
    safetensors_close(reference);
    safetensors_close(base);
    safetensors_close(merged);
}

static void test_merged_weights_are_those_of_peft(void **state) {
    (void)state;
    assert_merged_as_peft("tiny-llama", "tiny-llama-lora", 6);
    assert_merged_as_peft("tiny-llama", "tiny-llama-rslora", 6);
    assert_merged_as_peft("tiny-llama", "tiny-llama-patterns", 6);
    assert_merged_as_peft("tiny-qwen2", "tiny-qwen2-lora", 21);
    assert_merged_as_peft("tiny-phi3", "tiny-phi3-lora", 8);
    assert_merged_as_peft("tiny-llama", "tiny-llama-dora", 6);
    assert_merged_as_peft("tiny-qwen2", "tiny-qwen2-dora", 21);
    assert_merged_as_peft("tiny-qwen2", "tiny-qwen2-lora-bias", 12);
    assert_merged_as_peft("tiny-gpt2", "tiny-gpt2-lora", 8);
}

static void test_the_other_files_come_along(void **state) {
    (void)state;
    assert_ok(merge(fixture("tiny-llama"), fixture("tiny-llama-lora"), scratch_path("out")));
    assert_same_file(scratch_path("out/config.json"), fixture("tiny-llama/config.json"));
    assert_same_file(scratch_path("out/generation_config.json"), fixture("tiny-llama/generation_config.json"));
    assert_int_equal(scratch_entries(scratch_path("out")), 3);
}

typedef struct seen {
    char kinds[256];
    clora_merge_result total;
} seen;

static void note_kind(void *user, const char *kind, const clora_merge_result *report) {
    seen *s = user;

    snprintf(s->kinds + strlen(s->kinds), sizeof(s->kinds) - strlen(s->kinds), "%s:%d ", kind, report->modules);
    assert_true(report->max_change > 0.0);
    s->total.modules += report->modules;
    s->total.max_change = fmax(s->total.max_change, report->max_change);
    s->total.max_rounding_error = fmax(s->total.max_rounding_error, report->max_rounding_error);
}

static void test_each_kind_of_module_is_reported(void **state) {
    (void)state;
    clora_merge_result report = CLORA_MERGE_RESULT_INIT;
    seen s = {.kinds = ""};
    clora_merge_options options = CLORA_MERGE_OPTIONS_INIT;

    options.callback = note_kind;
    options.user = &s;
    assert_ok(clora_merge(fixture("tiny-llama"), fixture("tiny-llama-lora"), scratch_path("out"), &options, &report));
    assert_string_equal(s.kinds, "down_proj:2 q_proj:2 v_proj:2 ");
    assert_int_equal(report.modules, 6);
    assert_true(report.max_change == s.total.max_change);
    assert_true(report.max_rounding_error == s.total.max_rounding_error);

    safetensors *base = open_model(fixture("tiny-llama")), *merged = open_model(scratch_path("out"));
    double change = 0.0;
    for (size_t i = 0; i < merged->count; i++)
        for (size_t k = 0; k < stored_elements(&merged->tensors[i]); k++)
            change = fmax(change, fabs((double)element(&merged->tensors[i], k) -
                                       (double)element(tensor(base, merged->tensors[i].name), k)));
    assert_true(fabs(report.max_change - change) < 1e-6);
    assert_true(report.max_rounding_error > 0.0 && report.max_rounding_error < 1e-6);
    safetensors_close(base);
    safetensors_close(merged);
}

/* ---- models of our own ---- */

/* bf16 keeps 8 bits: between 1 and 2 its step is 2^-7. */
static void test_a_sum_is_rounded_once(void **state) {
    (void)state;
    /*
     * exact sums: 1 + 2^-8 + 2^-33 is above the middle of 1 and 1 + 2^-7 by less than a float can say, so rounding to
     * float first would find a tie and go to 1; 1 + 3 * 2^-8 - 2^-33 likewise, downwards
     */
    const float w[2] = {1.0f, 1.0f}, b[1] = {1.0f};
    const float a[2] = {0x1p-8f + 0x1p-31f, 0x1.8p-7f - 0x1p-30f};
    const small_model t = {
        .N = 1, .K = 2, .dtype = CLORA_DTYPE_BF16, .w = w, .a = a, .b = b, .target = "q_proj", .scale = 1};
    clora_merge_result report = CLORA_MERGE_RESULT_INIT;

    write_small_model(&t);
    assert_true((float)(1.0 + (double)a[0]) == 1.0f + 0x1p-8f); /* what a float would make of it */
    assert_true((float)(1.0 + (double)a[1]) == 1.0f + 0x1.8p-7f);
    assert_ok(clora_merge(scratch_path("model"), scratch_path("adapter"), scratch_path("out"), NULL, &report));
    safetensors *merged = open_model(scratch_path("out"));
    const stored_tensor *q = tensor(merged, SMALL_WEIGHT);
    assert_int_equal(q->dtype, CLORA_DTYPE_BF16);
    assert_true(element(q, 0) == 1.0f + 0x1p-7f);
    assert_true(element(q, 1) == 1.0f + 0x1p-7f);
    assert_true(fabs(report.max_rounding_error - 0x1p-8) < 1e-8);
    safetensors_close(merged);
}

static void test_a_type_can_be_asked_for(void **state) {
    (void)state;
    const float w[4] = {1.0f / 3, -2.5f, 1e-3f, 7.0f}, a[2] = {0.25f, -0.5f}, b[2] = {1.0f, 3.0f};
    const small_model t = {
        .N = 2, .K = 2, .dtype = CLORA_DTYPE_F32, .w = w, .a = a, .b = b, .target = "q_proj", .scale = 2};
    static const char *const names[] = {"float32", "float16", "bfloat16"};

    write_small_model(&t);
    for (int dtype = CLORA_DTYPE_F16; dtype <= CLORA_DTYPE_BF16; dtype++) {
        const char *out = dtype == CLORA_DTYPE_F16 ? "f16" : "bf16", *name;
        char path[64];
        json_t *config = NULL;
        assert_ok(clora_merge(scratch_path("model"), scratch_path("adapter"), scratch_path(out),
                              &(clora_merge_options){.size = sizeof(clora_merge_options), .dtype = dtype}, NULL));
        safetensors *merged = open_model(scratch_path(out));
        assert_int_equal(tensor(merged, SMALL_WEIGHT)->dtype, dtype);
        assert_int_equal(tensor(merged, "model.embed_tokens.weight")->dtype, dtype);
        assert_int_equal(tensor(merged, "model.norm.weight")->dtype, CLORA_DTYPE_F32);
        for (size_t i = 0; i < 4; i++) {
            const float exact = w[i] + 2.0f * b[i / 2] * a[i % 2];
            const float expected = dtype == CLORA_DTYPE_F16 ? dtype_f16_to_f32(dtype_f32_to_f16(exact))
                                                            : dtype_bf16_to_f32(dtype_f32_to_bf16(exact));
            assert_true(element(tensor(merged, SMALL_WEIGHT), i) == expected);
        }
        safetensors_close(merged);
        snprintf(path, sizeof(path), "%s/config.json", out);
        assert_ok(json_load_path(&config, scratch_path(path), 1 << 20));
        assert_ok(json_get_text(&name, config, "torch_dtype", "", path));
        assert_string_equal(name, names[dtype]);
        json_decref(config);
    }
    assert_refused(clora_merge(scratch_path("model"), scratch_path("adapter"), scratch_path("x"),
                               &(clora_merge_options){.size = sizeof(clora_merge_options), .dtype = CLORA_DTYPE_I32},
                               NULL),
                   CLORA_ERROR_ARGUMENT, "type 3");
}

/* config.json is written anew for another type: what clora does not read is as it was. */
static void test_numbers_that_nobody_reads_come_along(void **state) {
    (void)state;
    const float w[4] = {1, 2, 3, 4}, a[2] = {0, 0}, b[2] = {0, 0};
    const small_model t = {
        .N = 2, .K = 2, .dtype = CLORA_DTYPE_F32, .w = w, .a = a, .b = b, .target = "q_proj", .scale = 1};
    size_t size;

    write_small_model(&t);
    scratch_text("model/config.json", "{\"model_type\": \"llama\", \"some_limit\": 1000000000000000019884624838656, "
                                      "\"task_specific_params\": {\"scale\": NaN, \"least\": [-Infinity, 1e400]}}");
    assert_ok(clora_merge(scratch_path("model"), scratch_path("adapter"), scratch_path("out"),
                          &(clora_merge_options){.size = sizeof(clora_merge_options), .dtype = CLORA_DTYPE_BF16},
                          NULL));
    char *config = read_whole(&size, scratch_path("out/config.json"));
    assert_non_null(strstr(config, "\"some_limit\": 1000000000000000019884624838656,"));
    assert_non_null(strstr(config, "\"scale\": NaN"));
    assert_non_null(strstr(config, "      -Infinity,\n      1e400\n"));
    assert_non_null(strstr(config, "bfloat16"));
    free(config);
}

static void test_a_large_weight_is_the_sum_of_its_parts_in_every_row(void **state) {
    (void)state;
    enum { N = 517, K = 301 }; /* several threads, uneven shares */
    float *w = calloc((size_t)N * K, sizeof(*w)), a[K], b[N];
    const small_model t = {
        .N = N, .K = K, .dtype = CLORA_DTYPE_F32, .w = w, .a = a, .b = b, .target = "q_proj", .scale = 1};

    for (int i = 0; i < N * K; i++)
        w[i] = (float)(i % 1009) - 500.0f;
    for (int k = 0; k < K; k++)
        a[k] = (float)(k % 7) - 3.0f;
    for (int n = 0; n < N; n++)
        b[n] = (float)(n % 11) * 0.5f;
    scratch_mkdir("model");
    write_tensors("model/model.safetensors", (const char *const[]){SMALL_WEIGHT}, (const int[][2]){{N, K}},
                  (const float *const[]){w}, 1, CLORA_DTYPE_F32);
    scratch_text("model/config.json", "{\"model_type\": \"llama\"}");
    write_small_adapter(&t);
    assert_ok(merge(scratch_path("model"), scratch_path("adapter"), scratch_path("out")));
    safetensors *merged = open_model(scratch_path("out"));
    for (int i = 0; i < N * K; i++)
        if (element(tensor(merged, SMALL_WEIGHT), (size_t)i) != w[i] + b[i / K] * a[i % K])
            fail_msg("row %d, column %d", i / K, i % K);
    safetensors_close(merged);
    free(w);
}

/* ---- the head ---- */

/* The head is adapted; beside a tied embedding the files may hold one of their own, all ones. */
static void merge_tied(bool own_head) {
    const float w[2] = {1.0f, 2.0f}, a[2] = {0.5f, -1.0f}, b[3] = {1.0f, 2.0f, 4.0f};
    const small_model t = {.N = 1,
                           .K = 2,
                           .dtype = CLORA_DTYPE_F32,
                           .tied = true,
                           .head = own_head,
                           .w = w,
                           .a = a,
                           .b = b,
                           .target = "lm_head",
                           .scale = 1};
    clora_merge_result report = CLORA_MERGE_RESULT_INIT;
    json_t *config = NULL;

    write_small_model(&t);
    assert_ok(clora_merge(scratch_path("model"), scratch_path("adapter"), scratch_path("out"), NULL, &report));
    assert_int_equal(report.own_head, own_head);
    safetensors *merged = open_model(scratch_path("out"));
    assert_int_equal(merged->count, 4);
    for (size_t i = 0; i < 6; i++) {
        const float head = own_head ? 1.0f : SMALL_TABLE[i];
        assert_true(element(tensor(merged, "model.embed_tokens.weight"), i) == SMALL_TABLE[i]);
        assert_true(element(tensor(merged, "lm_head.weight"), i) == head + b[i / 2] * a[i % 2]);
    }
    safetensors_close(merged);
    assert_ok(json_load_path(&config, scratch_path("out/config.json"), 1 << 20));
    assert_true(json_is_false(json_object_get(config, "tie_word_embeddings")));
    json_decref(config);
}

static void test_a_tied_head_that_is_adapted_comes_off_the_embedding(void **state) {
    (void)state;
    merge_tied(false);
}

static void test_a_head_that_differs_from_the_embedding_is_merged_into(void **state) {
    (void)state;
    merge_tied(true);
}

/* ---- shards ---- */

static void write_shards(const char *config) {
    const float w[4] = {1, 2, 3, 4}, a[2] = {1, 1}, b[2] = {1, 1};
    const small_model t = {.N = 2, .K = 2, .w = w, .a = a, .b = b, .target = "q_proj", .scale = 1};

    scratch_mkdir("model");
    write_tensors("model/model-00001-of-00002.safetensors", (const char *const[]){"model.embed_tokens.weight"},
                  (const int[][2]){{3, 2}}, (const float *const[]){SMALL_TABLE}, 1, CLORA_DTYPE_F32);
    write_tensors("model/model-00002-of-00002.safetensors", (const char *const[]){SMALL_WEIGHT},
                  (const int[][2]){{2, 2}}, (const float *const[]){w}, 1, CLORA_DTYPE_F32);
    scratch_text("model/model.safetensors.index.json",
                 "{\"metadata\": {\"total_size\": 40}, \"weight_map\": {"
                 "\"model.embed_tokens.weight\": \"model-00001-of-00002.safetensors\", "
                 "\"model.layers.0.self_attn.q_proj.weight\": \"model-00002-of-00002.safetensors\"}}");
    scratch_text("model/config.json", config);
    write_small_adapter(&t);
}

static void test_shards_keep_their_names_and_index(void **state) {
    (void)state;
    model_files *set = NULL;
    json_t *index = NULL;

    write_shards("{\"model_type\": \"llama\"}");
    assert_ok(clora_merge(scratch_path("model"), scratch_path("adapter"), scratch_path("out"),
                          &(clora_merge_options){.size = sizeof(clora_merge_options), .dtype = CLORA_DTYPE_BF16},
                          NULL));
    assert_int_equal(scratch_entries(scratch_path("out")), 4);
    assert_ok(model_files_open(&set, scratch_path("out")));
    assert_int_equal(model_files_file_count(set), 2);
    const stored_tensor *q = model_files_find(set, SMALL_WEIGHT);
    assert_non_null(strstr(model_files_path(set, q->file), "model-00002-of-00002.safetensors"));
    assert_true(element(q, 0) == 2.0f && element(q, 3) == 5.0f);
    model_files_close(set);
    assert_ok(json_load_path(&index, scratch_path("out/model.safetensors.index.json"), 1 << 20));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(index, "metadata"), "total_size")), 20);
    json_decref(index);
}

static void test_an_untied_head_is_in_the_index(void **state) {
    (void)state;
    const float a[2] = {1, 1}, b[3] = {1, 2, 3};
    const small_model t = {.N = 2, .K = 2, .a = a, .b = b, .target = "lm_head", .scale = 1};
    model_files *set = NULL;

    write_shards("{\"model_type\": \"llama\", \"tie_word_embeddings\": true}");
    assert_int_equal(rename(scratch_path("adapter"), scratch_path("unused")), 0);
    write_small_adapter(&t);
    assert_ok(merge(scratch_path("model"), scratch_path("adapter"), scratch_path("out")));
    assert_ok(model_files_open(&set, scratch_path("out")));
    assert_true(element(model_files_find(set, "lm_head.weight"), 5) == SMALL_TABLE[5] + 3.0f);
    model_files_close(set);
}

/* ---- what is copied ---- */

static void test_weights_of_other_formats_and_hidden_files_stay_behind(void **state) {
    (void)state;
    const float w[4] = {1, 2, 3, 4}, a[2] = {1, 1}, b[2] = {1, 1};
    const small_model t = {.N = 2, .K = 2, .w = w, .a = a, .b = b, .target = "q_proj", .scale = 1};
    static const char *const copied[] = {"tokenizer.json", "tokenizer.model", "merges.txt",
                                         "LICENSE",        "README.md",       "chat_template.jinja"};
    static const char *const left[] = {
        "pytorch_model.bin", "pytorch_model.bin.index.json", "model.gguf", ".hidden", "consolidated.00.pth",
        "other.safetensors", "adapter_config.json"};
    char path[128];

    write_small_model(&t);
    for (size_t i = 0; i < sizeof(copied) / sizeof(copied[0]); i++) {
        snprintf(path, sizeof(path), "model/%s", copied[i]);
        scratch_text(path, copied[i]);
    }
    for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
        snprintf(path, sizeof(path), "model/%s", left[i]);
        scratch_text(path, "x");
    }
    scratch_mkdir("model/onnx");
    assert_ok(merge(scratch_path("model"), scratch_path("adapter"), scratch_path("out")));
    for (size_t i = 0; i < sizeof(copied) / sizeof(copied[0]); i++) {
        char from[128];
        snprintf(path, sizeof(path), "out/%s", copied[i]);
        snprintf(from, sizeof(from), "model/%s", copied[i]);
        assert_same_file(scratch_path(path), scratch_path(from));
    }
    assert_int_equal(scratch_entries(scratch_path("out")), (int)(sizeof(copied) / sizeof(copied[0])) + 2);
}

/* ---- refusals ---- */

static void write_small(clora_dtype dtype, float w, float a) {
    const float ws[4] = {w, 2, 3, 4}, as[2] = {a, 1}, b[2] = {1, 1};
    const small_model t = {.N = 2, .K = 2, .dtype = dtype, .w = ws, .a = as, .b = b, .target = "q_proj", .scale = 1};

    write_small_model(&t);
}

static void refuse_merge(clora_status expected, const char *words) {
    assert_refused(merge(scratch_path("model"), scratch_path("adapter"), scratch_path("out")), expected, words);
    assert_int_equal(scratch_entries(scratch_path("out")), -1);
}

static void test_a_sum_beyond_the_type_is_refused_and_leaves_nothing(void **state) {
    (void)state;
    write_small(CLORA_DTYPE_F16, 65000.0f, 1000.0f);
    refuse_merge(CLORA_ERROR_FORMAT, "q_proj.weight: a merged value is not finite in f16");
    /* in a wider type it fits */
    assert_ok(clora_merge(scratch_path("model"), scratch_path("adapter"), scratch_path("out"),
                          &(clora_merge_options){.size = sizeof(clora_merge_options), .dtype = CLORA_DTYPE_F32}, NULL));
}

static void test_a_base_that_is_not_finite_is_refused_and_leaves_nothing(void **state) {
    (void)state;
    write_small(CLORA_DTYPE_BF16, (float)NAN, 1.0f);
    refuse_merge(CLORA_ERROR_FORMAT, "q_proj.weight: a merged value is not finite");
}

static void test_a_tensor_to_be_copied_that_is_not_finite_is_refused_and_leaves_nothing(void **state) {
    (void)state;
    static const float w[4] = {1, 2, 3, 4}, table[6] = {1, 2, 3, 4, 5, (float)NAN}, norm[2] = {1, (float)-INFINITY};
    static const char *const names[] = {SMALL_WEIGHT, "model.embed_tokens.weight", "model.norm.weight"};
    static const int shapes[][2] = {{2, 2}, {3, 2}, {0, 2}};

    write_small(CLORA_DTYPE_F32, 1.0f, 1.0f);
    for (int dtype = CLORA_DTYPE_F32; dtype <= CLORA_DTYPE_BF16; dtype++) {
        write_tensors("model/model.safetensors", names, shapes, (const float *const[]){w, table, SMALL_TABLE}, 3,
                      dtype);
        refuse_merge(CLORA_ERROR_FORMAT, "tensor model.embed_tokens.weight holds a value that is not finite");
        write_tensors("model/model.safetensors", names, shapes, (const float *const[]){w, SMALL_TABLE, norm}, 3, dtype);
        refuse_merge(CLORA_ERROR_FORMAT, "tensor model.norm.weight holds a value that is not finite");
    }
}

static void test_a_link_that_leads_nowhere_is_refused_and_leaves_nothing(void **state) {
    (void)state;
    write_small(CLORA_DTYPE_F32, 1.0f, 1.0f);
    assert_int_equal(symlink("../blobs/none", scratch_path("model/tokenizer_config.json")), 0);
    refuse_merge(CLORA_ERROR_NOT_FOUND, "tokenizer_config.json: it is a link to ../blobs/none, which is not there");
}

static void test_an_adapter_that_is_not_finite_is_refused_and_leaves_nothing(void **state) {
    (void)state;
    write_small(CLORA_DTYPE_F32, 1.0f, (float)INFINITY);
    refuse_merge(CLORA_ERROR_FORMAT, "q_proj.lora_A.weight holds a value that is not finite");
}

static void test_an_existing_directory_is_left_empty_on_failure(void **state) {
    (void)state;
    write_small(CLORA_DTYPE_F16, 65000.0f, 1000.0f);
    scratch_mkdir("out");
    assert_refused(merge(scratch_path("model"), scratch_path("adapter"), scratch_path("out")), CLORA_ERROR_FORMAT,
                   "not finite");
    assert_int_equal(scratch_entries(scratch_path("out")), 0);
}

static void test_the_model_directory_is_never_the_output(void **state) {
    (void)state;
    write_small(CLORA_DTYPE_F32, 1.0f, 1.0f);
    static const char *const places[] = {"model", "model/",     "model/merged", "model/../model/merged",
                                         "link",  "link/merged"};
    assert_int_equal(symlink(scratch_path("model"), scratch_path("link")), 0);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        assert_refused(merge(scratch_path("model"), scratch_path("adapter"), scratch_path(places[i])),
                       CLORA_ERROR_ARGUMENT, "never written to");
        assert_int_equal(scratch_entries(scratch_path("model")), 2);
    }
    /* a neighbour whose name begins the same is not inside */
    assert_ok(merge(scratch_path("model"), scratch_path("adapter"), scratch_path("model-merged")));
}

static void test_the_model_is_not_changed(void **state) {
    (void)state;
    write_small(CLORA_DTYPE_F32, 1.0f, 1.0f);
    scratch_copy("weights", scratch_path("model/model.safetensors"));
    scratch_copy("config", scratch_path("model/config.json"));
    assert_ok(merge(scratch_path("model"), scratch_path("adapter"), scratch_path("out")));
    assert_same_file(scratch_path("weights"), scratch_path("model/model.safetensors"));
    assert_same_file(scratch_path("config"), scratch_path("model/config.json"));
    assert_int_equal(scratch_entries(scratch_path("model")), 2);
}

static void test_an_output_that_holds_files_is_refused_and_kept(void **state) {
    (void)state;
    write_small(CLORA_DTYPE_F32, 1.0f, 1.0f);
    scratch_mkdir("out");
    scratch_text("out/precious", "x");
    assert_refused(merge(scratch_path("model"), scratch_path("adapter"), scratch_path("out")), CLORA_ERROR_ARGUMENT,
                   "not empty");
    assert_int_equal(scratch_entries(scratch_path("out")), 1);
    assert_refused(merge(scratch_path("model"), scratch_path("adapter"), scratch_path("out/precious")), CLORA_ERROR_IO,
                   "precious");
    assert_refused(merge(scratch_path("model"), scratch_path("adapter"), scratch_path("no/parent")), CLORA_ERROR_IO,
                   "no/parent");
}

static void test_a_full_disk_leaves_nothing(void **state) {
    (void)state;
    disk_full_after(20000);
    const clora_status status = merge(fixture("tiny-llama"), fixture("tiny-llama-lora"), scratch_path("out"));
    disk_is_free();
    assert_refused(status, CLORA_ERROR_IO, "model.safetensors");
    assert_int_equal(scratch_entries(scratch_path("out")), -1);
}

static void test_an_adapter_for_another_base_is_refused(void **state) {
    (void)state;
    write_small(CLORA_DTYPE_F32, 1.0f, 1.0f);
    assert_refused(merge(scratch_path("model"), fixture("tiny-llama-lora"), scratch_path("out")), CLORA_ERROR_FORMAT,
                   "q_proj.lora_A.weight is (4, 32)");
    assert_refused(merge(fixture("tiny-llama"), scratch_path("adapter"), scratch_path("out")), CLORA_ERROR_FORMAT,
                   "q_proj.lora_A.weight is (1, 2)");
    assert_int_equal(scratch_entries(scratch_path("out")), -1);
}

static void test_models_that_cannot_be_merged_into_are_named(void **state) {
    (void)state;
    write_small(CLORA_DTYPE_F32, 1.0f, 1.0f);
    assert_refused(merge(scratch_path("nowhere"), scratch_path("adapter"), scratch_path("out")), CLORA_ERROR_NOT_FOUND,
                   "nowhere: no such directory");
    scratch_text("model/config.json", "{\"model_type\": \"gpt_neox\"}");
    refuse_merge(CLORA_ERROR_UNSUPPORTED, "\"gpt_neox\"");
    scratch_text("model/config.json", "{\"model_type\": \"llama\", \"tie_word_embeddings\": 1}");
    refuse_merge(CLORA_ERROR_FORMAT, "tie_word_embeddings");
    scratch_text("model/config.json", "{\"model_type\"");
    refuse_merge(CLORA_ERROR_FORMAT, "config.json");
    scratch_text("model/config.json", "{\"model_type\": \"llama\"}");
    assert_int_equal(unlink(scratch_path("model/model.safetensors")), 0);
    refuse_merge(CLORA_ERROR_NOT_FOUND, "model.safetensors");
    scratch_text("model/model.safetensors", "short");
    refuse_merge(CLORA_ERROR_FORMAT, "model.safetensors");
}

static void test_a_weight_of_another_type_is_refused_by_name(void **state) {
    (void)state;
    const safetensors_entry entry = {.name = SMALL_WEIGHT, .dtype_text = "I8", .ndim = 2, .shape = {2, 2}};
    safetensors_writer writer;

    write_small(CLORA_DTYPE_F32, 1.0f, 1.0f);
    assert_ok(safetensors_writer_begin(&writer, scratch_path("model/model.safetensors"), &entry, 1, NULL));
    assert_ok(safetensors_writer_tensor(&writer, "abcd", 4));
    assert_ok(safetensors_writer_finish(&writer));
    refuse_merge(CLORA_ERROR_UNSUPPORTED, "q_proj.weight has type I8");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_merged_weights_are_those_of_peft),
        TEST(test_the_other_files_come_along),
        TEST(test_each_kind_of_module_is_reported),
        TEST(test_a_sum_is_rounded_once),
        TEST(test_a_type_can_be_asked_for),
        TEST(test_numbers_that_nobody_reads_come_along),
        TEST(test_a_large_weight_is_the_sum_of_its_parts_in_every_row),
        TEST(test_a_tied_head_that_is_adapted_comes_off_the_embedding),
        TEST(test_a_head_that_differs_from_the_embedding_is_merged_into),
        TEST(test_shards_keep_their_names_and_index),
        TEST(test_an_untied_head_is_in_the_index),
        TEST(test_weights_of_other_formats_and_hidden_files_stay_behind),
        TEST(test_a_sum_beyond_the_type_is_refused_and_leaves_nothing),
        TEST(test_a_base_that_is_not_finite_is_refused_and_leaves_nothing),
        TEST(test_a_tensor_to_be_copied_that_is_not_finite_is_refused_and_leaves_nothing),
        TEST(test_a_link_that_leads_nowhere_is_refused_and_leaves_nothing),
        TEST(test_an_adapter_that_is_not_finite_is_refused_and_leaves_nothing),
        TEST(test_an_existing_directory_is_left_empty_on_failure),
        TEST(test_the_model_directory_is_never_the_output),
        TEST(test_the_model_is_not_changed),
        TEST(test_an_output_that_holds_files_is_refused_and_kept),
        TEST(test_a_full_disk_leaves_nothing),
        TEST(test_an_adapter_for_another_base_is_refused),
        TEST(test_models_that_cannot_be_merged_into_are_named),
        TEST(test_a_weight_of_another_type_is_refused_by_name),
    };
    return cmocka_run_group_tests_name("merge", tests, NULL, NULL);
}
