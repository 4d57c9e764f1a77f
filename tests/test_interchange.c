/* What PEFT's LoRA has besides factors on linear layers: against PEFT, and against what it means. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <clora/clora.h>

#include "files/stamp.h"
#include "methods/peft_config.h"
#include "model/session.h"
#include "support/fixture.h"
#include "support/logits.h"
#include "support/scratch.h"
#include "support/training.h"

enum { V = LOGITS_VOCAB, MOST = 64 * V, LLAMA = 0, QWEN2 = 1 };
static const double tolerance = 1e-4;

static clora_context *context;
static clora_model *models[2];
static const char *const bases[2] = {"tiny-llama", "tiny-qwen2"};

/* PEFT's adapters, of tests/fixtures/make_features.py. */
static const struct {
    const char *name;
    int model;
} cases[] = {
    {"tiny-llama-saved", LLAMA},
    {"tiny-qwen2-saved", QWEN2},
    {"tiny-llama-embedding", LLAMA},
    {"tiny-qwen2-embedding", QWEN2},
};
enum { CASES = sizeof(cases) / sizeof(cases[0]) };

static clora_adapter *load(int i) {
    return fixture_adapter(models[cases[i].model], cases[i].name);
}

static void test_logits_are_those_of_peft(void **state) {
    static float logits[MOST];
    fixture_batch batch;

    (void)state;
    for (int i = 0; i < CASES; i++) {
        clora_adapter *adapter = load(i);
        fixture_tensors *f = fixture_open(cases[i].name);
        fixture_read_batch(&batch, cases[i].name);
        for (int cached = 0; cached < 2; cached++) {
            forward_logits(logits, &batch, models[cases[i].model], adapter, cached);
            assert_logits(logits, fixture_tensor(f, "logits", (size_t)(batch.B * batch.T * V)), &batch, tolerance,
                          cases[i].name);
        }
        clora_adapter_free(adapter);
        fixture_close(f);
    }
}

static void train_like_peft(int i, int recompute) {
    const char *name = cases[i].name;
    clora_dataset *dataset = NULL;
    clora_train_step done = CLORA_TRAIN_STEP_INIT;
    fixture_batch batch;
    clora_adapter *adapter = load(i);

    fixture_read_batch(&batch, name);
    clora_trainer *trainer = fixture_trainer(models[cases[i].model], adapter, &dataset, &batch, recompute);
    for (int step = 0; step < 10; step++) {
        assert_ok(clora_trainer_step(&done, trainer));
        const double expected = fixture_number(name, "loss_trace", step);
        if (!(fabs((double)done.loss - expected) <= tolerance))
            fail_msg("%s: step %d: loss %g, expected %g", name, step, (double)done.loss, expected);
    }
    clora_trainer_free(trainer);
    clora_dataset_free(dataset);
    clora_adapter_free(adapter);
}

/* The base is what it was, whatever trained beside it. */
static void test_ten_steps_are_those_of_peft_and_leave_the_base(void **state) {
    static float before[2][MOST], after[MOST];
    fixture_batch batch;

    (void)state;
    fixture_read_batch(&batch, cases[0].name);
    for (int m = 0; m < 2; m++)
        forward_logits(before[m], &batch, models[m], NULL, false);
    for (int i = 0; i < CASES; i++)
        train_like_peft(i, i % 2 ? CLORA_RECOMPUTE_LAYER : CLORA_RECOMPUTE_NONE);
    for (int m = 0; m < 2; m++) {
        forward_logits(after, &batch, models[m], NULL, false);
        assert_memory_equal(after, before[m], sizeof(float) * (size_t)(batch.B * batch.T * V));
    }
}

/* ---- files ---- */

static void save(clora_adapter *adapter, const char *to, clora_dtype dtype) {
    clora_adapter_save_options options = CLORA_ADAPTER_SAVE_OPTIONS_INIT;

    options.dtype = dtype;
    assert_ok(clora_adapter_save(adapter, to, &options));
}

static void test_what_peft_wrote_is_saved_in_the_same_bytes(void **state) {
    char path[128];

    (void)state;
    for (int i = 0; i < 2; i++) { /* PEFT saves the base's tables with the others */
        clora_adapter *adapter = load(i);
        save(adapter, scratch_path(cases[i].name), CLORA_DTYPE_F32);
        snprintf(path, sizeof(path), "%s/adapter_model.safetensors", cases[i].name);
        assert_same_file(scratch_path(path), fixture_path(path)); /* header and all */
        clora_adapter_free(adapter);
    }
}

/* Every value of a file of 16 bits is the nearest to that of the f32 file, and such a file is read. */
static void test_files_of_16_bits_hold_the_nearest_values(void **state) {
    static const clora_dtype types[] = {CLORA_DTYPE_F16, CLORA_DTYPE_BF16};
    clora_adapter *adapter = load(0), *again = NULL;
    safetensors *wide = NULL, *narrow = NULL;

    (void)state;
    assert_ok(safetensors_open(&wide, fixture_path("tiny-llama-saved/adapter_model.safetensors")));
    for (int k = 0; k < 2; k++) {
        save(adapter, scratch_path(k ? "bf16" : "f16"), types[k]);
        assert_ok(safetensors_open(
            &narrow, scratch_path(k ? "bf16/adapter_model.safetensors" : "f16/adapter_model.safetensors")));
        assert_int_equal(narrow->count, wide->count);
        for (size_t i = 0; i < wide->count; i++) {
            const stored_tensor *from = &wide->tensors[i], *to = safetensors_find(narrow, from->name);
            uint16_t *expected = malloc(from->size / 2);
            assert_true(to && to->dtype == types[k] && to->size == from->size / 2);
            float *values = malloc(from->size);
            assert_ok(safetensors_read(values, wide, from, 0, from->size));
            dtype_from_f32(expected, types[k], values, from->size / sizeof(float));
            assert_memory_equal(to->data, expected, to->size);
            free(values);
            free(expected);
        }
        safetensors_close(narrow);
        assert_ok(clora_adapter_load(&again, models[0], scratch_path(k ? "bf16" : "f16")));
        clora_adapter_free(again);
    }
    clora_adapter_save_options options = CLORA_ADAPTER_SAVE_OPTIONS_INIT;
    options.dtype = CLORA_DTYPE_I32;
    assert_refused(clora_adapter_save(adapter, scratch_path("i32"), &options), CLORA_ERROR_ARGUMENT, "type");
    safetensors_close(wide);
    clora_adapter_free(adapter);
}

static bool is_tied(const char *directory) {
    json_t *config = NULL;
    char path[1100];
    bool tied;

    snprintf(path, sizeof(path), "%s/config.json", directory);
    assert_ok(json_load_path(&config, path, 1 << 20));
    assert_ok(json_get_bool(&tied, config, "tie_word_embeddings", true, path));
    json_decref(config);
    return tied;
}

static void test_merged_models_are_the_same_function(void **state) {
    static float expected[MOST], logits[MOST];
    clora_merge_result report = CLORA_MERGE_RESULT_INIT;
    fixture_batch batch;

    (void)state;
    for (int i = 0; i < CASES; i++) {
        const char *name = cases[i].name, *base = fixture_path(bases[cases[i].model]), *to = scratch_path(name);
        clora_adapter *adapter = load(i);
        clora_model *merged = NULL;
        fixture_read_batch(&batch, name);
        forward_logits(expected, &batch, models[cases[i].model], adapter, false);
        assert_ok(clora_merge(base, fixture_path(name), to, NULL, &report));
        assert_ok(clora_model_load(&merged, context, to, NULL));
        forward_logits(logits, &batch, merged, NULL, false);
        assert_logits(logits, expected, &batch, 1e-5, name);
        assert_false(is_tied(to)); /* each of them changes one of the two */
        clora_model_free(merged);
        clora_adapter_free(adapter);
    }
}

/* ---- factors on the embedding ---- */

/* The adapted modules of tiny-llama, "0q 1v" for layers' q_proj and v_proj. */
static void assert_chosen(const clora_adapter_options *options, const char *expected) {
    clora_adapter *adapter = NULL;
    char chosen[256] = "";

    assert_ok(clora_adapter_create(&adapter, models[LLAMA], options));
    for (int i = 0; i < clora_adapter_get_info(adapter)->modules; i++) {
        const char *name = clora_adapter_module(adapter, i)->name;
        const size_t used = strlen(chosen);
        snprintf(chosen + used, sizeof(chosen) - used, "%s%c%c", i ? " " : "", name[strlen("model.layers.")],
                 strrchr(name, '.')[1]);
    }
    assert_string_equal(chosen, expected);
    clora_adapter_free(adapter);
}

static void test_modules_are_left_out_by_name_and_by_layer(void **state) {
    clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
    clora_adapter *adapter = NULL;

    (void)state;
    options.target_modules = "q_proj,v_proj";
    assert_chosen(&options, "0q 0v 1q 1v");
    options.exclude_modules = "layers.1.self_attn.v_proj";
    assert_chosen(&options, "0q 0v 1q");
    options.exclude_modules = ".*\\.1\\..*v_proj";
    assert_chosen(&options, "0q 0v 1q");
    options.layers_to_transform = "1";
    assert_chosen(&options, "1q");
    options.exclude_modules = NULL;
    options.layers_to_transform = "0-1,1";
    options.layers_pattern = "layers";
    assert_chosen(&options, "0q 0v 1q 1v");
    options.layers_to_transform = "1-2";
    assert_refused(clora_adapter_create(&adapter, models[0], &options), CLORA_ERROR_NOT_FOUND, "\"2\"");
    options.layers_to_transform = "2-1";
    assert_refused(clora_adapter_create(&adapter, models[0], &options), CLORA_ERROR_ARGUMENT, "\"2-1\"");
    options.layers_to_transform = NULL;
    assert_refused(clora_adapter_create(&adapter, models[0], &options), CLORA_ERROR_ARGUMENT, "layers_pattern needs");
    options.layers_pattern = NULL;
    options.exclude_modules = "up_project";
    assert_refused(clora_adapter_create(&adapter, models[0], &options), CLORA_ERROR_NOT_FOUND, "up_project");
    options.exclude_modules = NULL;
    options.layers_to_transform = "1";
    options.target_modules = ".*\\.q_proj";
    assert_refused(clora_adapter_create(&adapter, models[0], &options), CLORA_ERROR_ARGUMENT, "a list of names");
}

/* A copy of a fixture in the scratch, whose tensors `change` renames, reshapes or leaves out (it returns false). */
typedef bool (*change)(safetensors_entry *entry, float *values);

static void copy_changed(int i, change change) {
    enum { MORE = 64 };
    safetensors_entry entries[MORE];
    float *values[MORE];
    safetensors *file = NULL;
    safetensors_writer writer;
    char path[128];
    size_t n = 0;

    snprintf(path, sizeof(path), "%s/adapter_config.json", cases[i].name);
    scratch_copy("changed/adapter_config.json", fixture_path(path));
    snprintf(path, sizeof(path), "%s/adapter_model.safetensors", cases[i].name);
    assert_ok(safetensors_open(&file, fixture_path(path)));
    for (size_t t = 0; t < file->count; t++) {
        const stored_tensor *from = &file->tensors[t];
        entries[n] = (safetensors_entry){.name = from->name, .dtype = from->dtype, .ndim = from->ndim};
        memcpy(entries[n].shape, from->shape, sizeof(from->shape));
        values[n] = malloc(from->size);
        memcpy(values[n], from->data, from->size);
        if (change(&entries[n], values[n]))
            n++;
        else
            free(values[n]);
    }
    assert_ok(safetensors_writer_begin(&writer, scratch_path("changed/adapter_model.safetensors"), entries, n, NULL));
    while (writer.next < writer.count) {
        const size_t at = writer.order[writer.next];
        assert_ok(safetensors_writer_tensor(&writer, values[at], writer.bytes[writer.next]));
    }
    assert_ok(safetensors_writer_finish(&writer));
    for (size_t t = 0; t < n; t++)
        free(values[t]);
    safetensors_close(file);
}

static bool with_other_table(safetensors_entry *entry, float *values) {
    if (strcmp(entry->name, "base_model.model.model.embed_tokens.base_layer.weight") == 0)
        values[5] += 0.01f;
    return true;
}

static bool without_half(safetensors_entry *entry, float *values) {
    (void)values;
    return strcmp(entry->name, "base_model.model.model.embed_tokens.lora_embedding_B") != 0;
}

static bool without_tables(safetensors_entry *entry, float *values) {
    (void)values;
    if (strcmp(entry->name, "base_model.model.model.embed_tokens.lora_embedding_A") == 0)
        entry->name = "model.embed_tokens.lora_embedding_A.default";
    return !strstr(entry->name, "base_layer");
}

static void refuse_embedding(change change, const char *words) {
    clora_adapter *adapter = NULL;

    copy_changed(2, change);
    assert_refused(clora_adapter_load(&adapter, models[0], scratch_path("changed")), CLORA_ERROR_FORMAT, words);
    assert_refused(clora_merge(fixture_path("tiny-llama"), scratch_path("changed"), scratch_path("merged"), NULL, NULL),
                   CLORA_ERROR_FORMAT, words);
}

/* The file that is there when its header is read is another one before its values are. */
static int replace_adapter(void *user, int64_t done, int64_t total) {
    bool *replaced = user;

    (void)done;
    (void)total;
    if (!*replaced)
        scratch_copy("changed/adapter_model.safetensors", fixture_path("tiny-llama-saved/adapter_model.safetensors"));
    *replaced = true;
    return 0;
}

static void test_a_directory_that_changes_while_it_is_read_is_refused(void **state) {
    clora_merge_options options = CLORA_MERGE_OPTIONS_INIT;
    bool replaced = false;

    (void)state;
    scratch_mkdir("changed");
    scratch_copy("changed/adapter_config.json", fixture_path("tiny-llama-saved/adapter_config.json"));
    scratch_copy("changed/adapter_model.safetensors", fixture_path("tiny-llama-saved/adapter_model.safetensors"));
    const stamp before = stamp_adapter(scratch_path("changed"));
    assert_ok(stamp_check(&before, scratch_path("changed")));
    options.progress = replace_adapter;
    options.user = &replaced;
    assert_refused(
        clora_merge(fixture_path("tiny-llama"), scratch_path("changed"), scratch_path("merged"), &options, NULL),
        CLORA_ERROR_IO, "changed while it was read");
    assert_int_equal(scratch_entries(scratch_path("merged")), -1);
    assert_refused(stamp_check(&before, scratch_path("changed")), CLORA_ERROR_IO, "changed while it was read");
}

static void test_factors_on_an_embedding_are_checked_by_name(void **state) {
    static float expected[MOST], logits[MOST];
    clora_adapter *adapter = load(2), *again = NULL;
    fixture_batch batch;

    (void)state;
    scratch_mkdir("changed");
    refuse_embedding(with_other_table, "embed_tokens.base_layer.weight differs from that of the base");
    refuse_embedding(without_half, "embed_tokens.lora_embedding_B is missing");
    copy_changed(2, without_tables);
    assert_ok(clora_adapter_load(&again, models[0], scratch_path("changed")));
    fixture_read_batch(&batch, cases[2].name);
    forward_logits(expected, &batch, models[0], adapter, false);
    forward_logits(logits, &batch, models[0], again, false);
    assert_memory_equal(logits, expected, sizeof(float) * (size_t)(batch.B * batch.T * V));
    clora_adapter_free(adapter);
    clora_adapter_free(again);
}

static void test_a_fresh_adapter_of_the_embedding_changes_nothing(void **state) {
    static float expected[MOST], logits[MOST], a[16 * 32], b[V * 16];
    clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
    clora_adapter *adapter = NULL;
    fixture_batch batch;

    (void)state;
    options.target_modules = "embed_tokens";
    options.rank = 16;
    assert_ok(clora_adapter_create(&adapter, models[LLAMA], &options));
    fixture_read_batch(&batch, cases[0].name);
    forward_logits(expected, &batch, models[LLAMA], NULL, false);
    forward_logits(logits, &batch, models[LLAMA], adapter, false);
    assert_memory_equal(logits, expected, sizeof(float) * (size_t)(batch.B * batch.T * V));
    const clora_adapter_module_info *m = clora_adapter_module(adapter, 0);
    assert_ok(clora_adapter_read_module(a, b, adapter, 0));
    assert_string_equal(m->name, "model.embed_tokens");
    assert_true(m->rank == 16 && m->in == 32 && m->out == V && a[0] != 0.0f && b[0] == 0.0f);
    assert_int_equal(clora_adapter_get_info(adapter)->parameters, 16 * (V + 32));
    assert_refused(clora_adapter_merge(models[LLAMA], adapter, NULL), CLORA_ERROR_UNSUPPORTED, "embedding");
    clora_adapter_free(adapter);
    options.rank = 17;
    assert_refused(clora_adapter_create(&adapter, models[LLAMA], &options), CLORA_ERROR_UNSUPPORTED, "embedding");
}

/* ---- copies of modules ---- */

static void test_a_fresh_copy_is_the_models_own(void **state) {
    static float expected[MOST], logits[MOST];
    static const char *const lists[2] = {"lm_head,norm", "embed_tokens, lm_head"};
    fixture_batch batch;

    (void)state;
    fixture_read_batch(&batch, cases[0].name);
    for (int m = 0; m < 2; m++) {
        clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
        clora_adapter *plain = NULL, *adapter = NULL;
        options.target_modules = "q_proj";
        assert_ok(clora_adapter_create(&plain, models[m], &options));
        options.modules_to_save = lists[m];
        assert_ok(clora_adapter_create(&adapter, models[m], &options));
        const int copied = m == LLAMA ? V * 32 + 5 * 32 : 2 * V * 48;
        assert_int_equal(clora_adapter_get_info(adapter)->parameters - clora_adapter_get_info(plain)->parameters,
                         copied);
        assert_string_equal(clora_adapter_get_info(adapter)->modules_to_save, m ? "embed_tokens,lm_head" : lists[0]);
        forward_logits(expected, &batch, models[m], NULL, false);
        forward_logits(logits, &batch, models[m], adapter, false);
        assert_logits(logits, expected, &batch, 1e-6, lists[m]);
        clora_adapter_free(plain);
        clora_adapter_free(adapter);
    }
}

/* Whatever the base is stored in, a copy is f32 and begins with its values. */
static void test_copies_of_a_base_of_few_bits_begin_as_it_is(void **state) {
    static const int types[] = {CLORA_STORAGE_BF16, CLORA_STORAGE_Q8_0};
    static float expected[MOST], logits[MOST];
    clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
    fixture_batch batch;

    (void)state;
    fixture_read_batch(&batch, cases[0].name);
    options.modules_to_save = "lm_head,embed_tokens";
    for (int i = 0; i < 2; i++) {
        clora_model *model = NULL;
        clora_adapter *adapter = NULL;
        assert_ok(clora_model_load(&model, context, fixture_path("tiny-llama"),
                                   &(clora_model_options){.size = sizeof(clora_model_options), .dtype = types[i]}));
        assert_ok(clora_adapter_create(&adapter, model, &options));
        forward_logits(expected, &batch, model, NULL, false);
        forward_logits(logits, &batch, model, adapter, false);
        assert_logits(logits, expected, &batch, 1e-2, "16 and 8 bits"); /* products round x as the base's do */
        clora_adapter_free(adapter);
        clora_model_free(model);
    }
}

static void test_sequences_have_an_adapter_each(void **state) {
    fixture_batch batch;
    float expected[4][V], logits[4 * V];
    clora_adapter *plain = fixture_adapter(models[LLAMA], "tiny-llama-lora");
    const clora_adapter *each[4] = {plain, load(0), NULL, load(2)};
    clora_session *session = NULL;

    (void)state;
    fixture_read_batch(&batch, cases[0].name);
    for (int i = 0; i < 4; i++) {
        assert_ok(clora_session_create(&session, models[LLAMA], 1, batch.T));
        assert_ok(clora_session_set_adapter(session, (clora_adapter *)(uintptr_t)each[i]));
        assert_ok(clora_session_forward(session, expected[i], batch.ids, 1, 0));
        clora_session_free(session);
    }
    assert_true(relative_error(expected[1], expected[2], V) > 1e-2);
    assert_ok(clora_session_create(&session, models[LLAMA], 4, batch.T));
    for (int i = 0; i < 4; i++)
        assert_ok(session_prepare(session, each[i]));
    const selection select = selection_of(each, 4);
    const int32_t ids[4] = {batch.ids[0], batch.ids[0], batch.ids[0], batch.ids[0]};
    assert_ok(session_step(session, &select, logits, ids, 4));
    for (int i = 0; i < 4; i++)
        assert_true(relative_error(logits + i * V, expected[i], V) < 1e-5);
    clora_session_free(session);
    clora_adapter_free(plain);
    clora_adapter_free((clora_adapter *)(uintptr_t)each[1]);
    clora_adapter_free((clora_adapter *)(uintptr_t)each[3]);
}

static void test_other_modules_are_refused_by_name(void **state) {
    clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
    clora_adapter *adapter = NULL;

    (void)state;
    options.modules_to_save = "up_proj";
    assert_refused(clora_adapter_create(&adapter, models[0], &options), CLORA_ERROR_UNSUPPORTED,
                   "model.layers.0.mlp.up_proj.weight");
    options.modules_to_save = "lm_head,wte";
    assert_refused(clora_adapter_create(&adapter, models[0], &options), CLORA_ERROR_NOT_FOUND, "\"wte\"");
    options.modules_to_save = "lm_head";
    options.target_modules = "lm_head"; /* which is trained whole, as in PEFT */
    assert_refused(clora_adapter_create(&adapter, models[0], &options), CLORA_ERROR_NOT_FOUND, "lm_head");
    assert_null(adapter);
}

static bool is_last_norm(const safetensors_entry *entry) {
    return strcmp(entry->name, "base_model.model.model.norm.weight") == 0;
}

static bool without_last_norm(safetensors_entry *entry, float *values) {
    (void)values;
    return !is_last_norm(entry);
}

static bool with_long_norm(safetensors_entry *entry, float *values) {
    (void)values;
    if (is_last_norm(entry)) {
        entry->ndim = 2;
        entry->shape[0] = 4;
        entry->shape[1] = 8;
    }
    return true;
}

static bool with_nan(safetensors_entry *entry, float *values) {
    if (is_last_norm(entry))
        values[3] = NAN;
    return true;
}

static bool named_in_memory(safetensors_entry *entry, float *values) {
    (void)values;
    if (is_last_norm(entry))
        entry->name = "_orig_mod.base_model.model.model.norm.modules_to_save.default.weight";
    if (strcmp(entry->name, "base_model.model.lm_head.weight") == 0)
        entry->name = "lm_head.weight";
    if (strcmp(entry->name, "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight") == 0)
        entry->name = "module.model.layers.0.self_attn.q_proj.lora_A.default.weight";
    return true;
}

static void refuse_changed(change change, const char *words) {
    clora_adapter *adapter = NULL;

    copy_changed(0, change);
    assert_refused(clora_adapter_load(&adapter, models[0], scratch_path("changed")), CLORA_ERROR_FORMAT, words);
    assert_refused(clora_adapter_load(&adapter, models[0], scratch_path("changed")), CLORA_ERROR_FORMAT,
                   "model.norm.weight");
    assert_refused(clora_merge(fixture_path("tiny-llama"), scratch_path("changed"), scratch_path("merged"), NULL, NULL),
                   CLORA_ERROR_FORMAT, "model.norm.weight");
    assert_int_equal(scratch_entries(scratch_path("merged")), -1);
}

static void test_damaged_copies_are_refused_by_name(void **state) {
    (void)state;
    scratch_mkdir("changed");
    refuse_changed(without_last_norm, "missing");
    refuse_changed(with_long_norm, "(4, 8)");
    refuse_changed(with_nan, "not finite");
}

static char noted[512];

static void keep_note(void *user, const char *text) {
    (void)user;
    snprintf(noted, sizeof(noted), "%s", text);
}

static void test_names_from_memory_are_understood(void **state) {
    clora_adapter *adapter = NULL;

    (void)state;
    scratch_mkdir("changed");
    copy_changed(0, named_in_memory);
    clora_set_note(keep_note, NULL);
    assert_ok(clora_adapter_load(&adapter, models[0], scratch_path("changed")));
    clora_set_note(NULL, NULL);
    assert_non_null(strstr(noted, "module.model.layers.0.self_attn.q_proj.lora_A.default.weight is read as"));
    save(adapter, scratch_path("again"), CLORA_DTYPE_F32);
    assert_same_file(scratch_path("again/adapter_model.safetensors"),
                     fixture_path("tiny-llama-saved/adapter_model.safetensors"));
    clora_adapter_free(adapter);
}

#define IN_SCRATCH(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logits_are_those_of_peft),
        cmocka_unit_test(test_ten_steps_are_those_of_peft_and_leave_the_base),
        IN_SCRATCH(test_what_peft_wrote_is_saved_in_the_same_bytes),
        IN_SCRATCH(test_files_of_16_bits_hold_the_nearest_values),
        IN_SCRATCH(test_merged_models_are_the_same_function),
        IN_SCRATCH(test_a_directory_that_changes_while_it_is_read_is_refused),
        IN_SCRATCH(test_factors_on_an_embedding_are_checked_by_name),
        cmocka_unit_test(test_a_fresh_adapter_of_the_embedding_changes_nothing),
        cmocka_unit_test(test_a_fresh_copy_is_the_models_own),
        cmocka_unit_test(test_copies_of_a_base_of_few_bits_begin_as_it_is),
        cmocka_unit_test(test_sequences_have_an_adapter_each),
        cmocka_unit_test(test_other_modules_are_refused_by_name),
        cmocka_unit_test(test_modules_are_left_out_by_name_and_by_layer),
        IN_SCRATCH(test_damaged_copies_are_refused_by_name),
        IN_SCRATCH(test_names_from_memory_are_understood),
    };

    if (clora_context_create(&context, NULL) != CLORA_OK) {
        print_message("skipped: %s\n", clora_last_error());
        return 77; /* Meson: skipped */
    }
    for (int m = 0; m < 2; m++)
        if (clora_model_load(&models[m], context, fixture_path(bases[m]), NULL) != CLORA_OK) {
            print_message("%s\n", clora_last_error());
            return 1;
        }
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (int m = 0; m < 2; m++)
        clora_model_free(models[m]);
    clora_context_free(context);
    return failed;
}
