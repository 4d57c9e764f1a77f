#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <clora/clora.h>

#include "files/safetensors.h"
#include "support/fixture.h"
#include "support/scratch.h"

/* Models of texts and images, whose texts alone are taken. tiny-gemma3 has the texts of tiny-gemma3_text. */

static clora_context *context;

enum { V = 97, MOST = 64 * V };

static fixture_batch batch;

/* Of a model with an adapter, or NULL. */
static void run(float *logits, const char *directory, const char *adapter_directory) {
    clora_adapter *adapter = NULL;
    clora_model *model = NULL;
    clora_session *session = NULL;

    assert_ok(clora_model_load(&model, context, directory, NULL));
    if (adapter_directory)
        assert_ok(clora_adapter_load(&adapter, model, adapter_directory));
    assert_ok(clora_session_create(&session, model, batch.B, batch.T));
    assert_ok(clora_session_set_adapter(session, adapter));
    assert_ok(clora_session_forward(session, logits, batch.ids, batch.T, 1));
    clora_session_free(session);
    clora_adapter_free(adapter);
    clora_model_free(model);
}

static void assert_same_logits(const char *directory, const char *adapter, const char *as, const char *as_adapter) {
    static float logits[MOST], expected[MOST];

    memset(logits, 0, sizeof(logits));
    memset(expected, 0, sizeof(expected));
    run(logits, directory, adapter);
    run(expected, as, as_adapter);
    assert_memory_equal(logits, expected, sizeof(logits));
}

/* A copy of a file with names that begin with `from` and the like beginning with `to`. */
static void rename_tensors(const char *to_file, const char *from_file, const char *const pairs[][2], int n) {
    safetensors *file = NULL;
    safetensors_writer writer;

    assert_ok(safetensors_open(&file, from_file));
    safetensors_entry *entries = calloc(file->count, sizeof(*entries));
    char(*names)[256] = calloc(file->count, sizeof(*names));
    assert_true(entries && names);
    for (size_t i = 0; i < file->count; i++) {
        const stored_tensor *t = &file->tensors[i];
        snprintf(names[i], sizeof(names[i]), "%s", t->name);
        for (int p = 0; p < n; p++)
            if (strncmp(t->name, pairs[p][0], strlen(pairs[p][0])) == 0)
                snprintf(names[i], sizeof(names[i]), "%s%s", pairs[p][1], t->name + strlen(pairs[p][0]));
        entries[i] = (safetensors_entry){.name = names[i], .dtype = t->dtype, .ndim = t->ndim};
        memcpy(entries[i].shape, t->shape, sizeof(t->shape));
    }
    assert_ok(safetensors_writer_begin(&writer, to_file, entries, file->count, NULL));
    while (writer.next < writer.count) {
        const stored_tensor *t = &file->tensors[writer.order[writer.next]];
        assert_ok(safetensors_writer_tensor(&writer, t->data, t->size));
    }
    assert_ok(safetensors_writer_finish(&writer));
    free(names);
    free(entries);
    safetensors_close(file);
}

/* The fixture as transformers has it in memory, and as versions before it wrote it. */
static void write_as_in_memory(const char *name) {
    static const char *const pairs[][2] = {{"language_model.model.", "model.language_model."},
                                           {"vision_tower.", "model.vision_tower."},
                                           {"multi_modal_projector.", "model.multi_modal_projector."}};
    char path[64];

    scratch_mkdir(name);
    snprintf(path, sizeof(path), "%s/config.json", name);
    scratch_copy(path, fixture_path("tiny-gemma3/config.json"));
    snprintf(path, sizeof(path), "%s/model.safetensors", name);
    rename_tensors(scratch_path(path), fixture_path("tiny-gemma3/model.safetensors"), pairs, 3);
}

static void test_its_texts_are_those_of_the_model_of_texts(void **state) {
    (void)state;
    assert_same_logits(fixture_path("tiny-gemma3"), NULL, fixture_path("tiny-gemma3_text"), NULL);
    assert_same_logits(fixture_path("tiny-gemma3"), fixture_path("tiny-gemma3-lora"), fixture_path("tiny-gemma3_text"),
                       fixture_path("tiny-gemma3_text-lora"));
    write_as_in_memory("memory");
    assert_same_logits(scratch_path("memory"), fixture_path("tiny-gemma3-lora"), fixture_path("tiny-gemma3_text"),
                       fixture_path("tiny-gemma3_text-lora"));
}

static void test_adapters_of_older_versions_are_the_same(void **state) {
    static const char *const pairs[][2] = {
        {"base_model.model.model.language_model.", "base_model.model.language_model.model."}};

    (void)state;
    scratch_mkdir("old");
    scratch_copy("old/adapter_config.json", fixture_path("tiny-gemma3-lora/adapter_config.json"));
    rename_tensors(scratch_path("old/adapter_model.safetensors"),
                   fixture_path("tiny-gemma3-lora/adapter_model.safetensors"), pairs, 1);
    assert_same_logits(fixture_path("tiny-gemma3"), scratch_path("old"), fixture_path("tiny-gemma3"),
                       fixture_path("tiny-gemma3-lora"));
}

static bool is_of_images(const char *name) {
    return strstr(name, "vision_tower") || strstr(name, "multi_modal_projector");
}

/* Every tensor of images in one file is in another, or in one of its shards, byte for byte. Returns how many. */
static int assert_images(const char *file, const char *given) {
    safetensors *a = NULL, *b = NULL;
    int seen = 0;

    assert_ok(safetensors_open(&a, file));
    assert_ok(safetensors_open(&b, given));
    for (size_t i = 0; i < b->count; i++) {
        const stored_tensor *t = &b->tensors[i], *copy = safetensors_find(a, t->name);
        if (!is_of_images(t->name))
            continue;
        assert_non_null(copy);
        assert_int_equal(copy->size, t->size);
        assert_memory_equal(copy->data, t->data, t->size);
        seen++;
    }
    safetensors_close(a);
    safetensors_close(b);
    return seen;
}

static void assert_same_names(const char *a_path, const char *b_path) {
    safetensors *a = NULL, *b = NULL;

    assert_ok(safetensors_open(&a, a_path));
    assert_ok(safetensors_open(&b, b_path));
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++)
        assert_string_equal(a->tensors[i].name, b->tensors[i].name);
    safetensors_close(a);
    safetensors_close(b);
}

static void test_a_merge_changes_texts_alone_and_no_name(void **state) {
    (void)state;
    write_as_in_memory("memory");
    assert_ok(clora_merge(fixture_path("tiny-gemma3"), fixture_path("tiny-gemma3-lora"), scratch_path("a"),
                          &(clora_merge_options){.size = sizeof(clora_merge_options), .dtype = CLORA_DTYPE_F16}, NULL));
    assert_true(assert_images(scratch_path("a/model.safetensors"), fixture_path("tiny-gemma3/model.safetensors")) > 9);
    assert_ok(
        clora_merge(fixture_path("tiny-gemma3"), fixture_path("tiny-gemma3-lora"), scratch_path("b"), NULL, NULL));
    assert_same_names(scratch_path("b/model.safetensors"), fixture_path("tiny-gemma3/model.safetensors"));
    assert_ok(clora_merge(scratch_path("memory"), fixture_path("tiny-gemma3-lora"), scratch_path("c"), NULL, NULL));
    assert_same_names(scratch_path("c/model.safetensors"), scratch_path("memory/model.safetensors"));
    assert_ok(clora_merge(fixture_path("tiny-gemma3_text"), fixture_path("tiny-gemma3_text-lora"), scratch_path("d"),
                          NULL, NULL));
    assert_same_logits(scratch_path("b"), NULL, scratch_path("d"), NULL);
    assert_same_logits(scratch_path("c"), NULL, scratch_path("d"), NULL);
}

/* Its settings keep other programs from adapting what has the same names elsewhere in the model. */
static void test_a_new_adapter_leaves_images_out(void **state) {
    clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
    clora_adapter *adapter = NULL;
    clora_model *model = NULL;
    safetensors *file = NULL;

    (void)state;
    options.target_modules = "q_proj";
    assert_ok(clora_model_load(&model, context, fixture_path("tiny-gemma3"), NULL));
    assert_ok(clora_adapter_create(&adapter, model, &options));
    assert_ok(clora_adapter_save(adapter, scratch_path("new"), NULL));
    char *settings = read_whole(NULL, scratch_path("new/adapter_config.json"));
    assert_non_null(strstr(settings, "\"exclude_modules\": \".*(vision_tower|multi_modal_projector).*\""));
    free(settings);
    assert_ok(safetensors_open(&file, scratch_path("new/adapter_model.safetensors")));
    assert_non_null(
        safetensors_find(file, "base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_A.weight"));
    safetensors_close(file);
    clora_adapter_free(adapter);
    assert_ok(clora_adapter_load(&adapter, model, scratch_path("new")));
    assert_ok(clora_adapter_save(adapter, scratch_path("again"), NULL));
    assert_same_file(scratch_path("again/adapter_config.json"), scratch_path("new/adapter_config.json"));
    clora_adapter_free(adapter);
    clora_model_free(model);
}

static void test_a_model_that_trained_whole_keeps_its_images(void **state) {
    clora_full_options options = CLORA_FULL_OPTIONS_INIT;
    clora_adapter *full = NULL;
    clora_model *model = NULL;

    (void)state;
    assert_ok(clora_model_load(&model, context, fixture_path("tiny-gemma3"), NULL));
    assert_ok(clora_full_create(&full, model, &options));
    assert_ok(clora_adapter_save(full, scratch_path("whole"), NULL));
    assert_true(assert_images(scratch_path("whole/model-00002-of-00002.safetensors"),
                              fixture_path("tiny-gemma3/model.safetensors")) > 9);
    clora_adapter_free(full);
    clora_model_free(model);
    assert_same_logits(scratch_path("whole"), NULL, fixture_path("tiny-gemma3_text"), NULL);
}

static void test_what_is_of_images_is_refused_by_name(void **state) {
    static const char *const pairs[][2] = {
        {"base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_A.weight",
         "base_model.model.model.vision_tower.encoder.layers.0.self_attn.q_proj.lora_A.weight"},
        {"base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_B.weight",
         "base_model.model.model.vision_tower.encoder.layers.0.self_attn.q_proj.lora_B.weight"}};
    clora_adapter *adapter = NULL;
    clora_model *model = NULL;

    (void)state;
    scratch_mkdir("seeing");
    scratch_text("seeing/adapter_config.json",
                 "{\"peft_type\": \"LORA\", \"r\": 3, \"lora_alpha\": 6, \"target_modules\": [\"q_proj\", \"k_proj\", "
                 "\"o_proj\", \"gate_proj\", \"down_proj\"], \"exclude_modules\": "
                 "[\"model.language_model.layers.0.self_attn.q_proj\"], \"bias\": \"none\"}");
    rename_tensors(scratch_path("seeing/adapter_model.safetensors"),
                   fixture_path("tiny-gemma3-lora/adapter_model.safetensors"), pairs, 2);
    assert_ok(clora_model_load(&model, context, fixture_path("tiny-gemma3"), NULL));
    assert_refused(clora_adapter_load(&adapter, model, scratch_path("seeing")), CLORA_ERROR_FORMAT,
                   "vision_tower.encoder.layers.0.self_attn.q_proj.lora_A.weight is not part of the adapter: it "
                   "changes how the model sees images");
    clora_model_free(model);
    assert_refused(clora_merge(fixture_path("tiny-gemma3"), scratch_path("seeing"), scratch_path("out"), NULL, NULL),
                   CLORA_ERROR_FORMAT, "changes how the model sees images");
    assert_refused(clora_model_create(&model, context, fixture_path("tiny-gemma3"), NULL, 1), CLORA_ERROR_UNSUPPORTED,
                   "images");
}

int main(void) {
#define TEST(function) cmocka_unit_test_setup_teardown(function, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_its_texts_are_those_of_the_model_of_texts),   TEST(test_adapters_of_older_versions_are_the_same),
        TEST(test_a_merge_changes_texts_alone_and_no_name),     TEST(test_a_new_adapter_leaves_images_out),
        TEST(test_a_model_that_trained_whole_keeps_its_images), TEST(test_what_is_of_images_is_refused_by_name),
    };
    if (clora_context_create(&context, NULL) != CLORA_OK) {
        fprintf(stderr, "skipped: %s\n", clora_last_error());
        return 77;
    }
    fixture_read_batch(&batch, "tiny-gemma3_text");
    const int failed = cmocka_run_group_tests_name("text part", tests, NULL, NULL);
    clora_context_free(context);
    return failed;
}
