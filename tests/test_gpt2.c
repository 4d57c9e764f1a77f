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
#include "model/config.h"
#include "support/fixture.h"
#include "support/scratch.h"

/* What GPT-2's files have that other families' do not; test_family.c and test_full.c have its mathematics. */

static clora_context *context;

enum { V = 97, MOST = 64 * V, PLACES = 4 };

static void run_model(float *logits, const char *directory) {
    clora_model *model = NULL;
    clora_session *session = NULL;
    fixture_batch batch;

    fixture_read_batch(&batch, "tiny-gpt2");
    assert_ok(clora_model_load(&model, context, directory, NULL));
    assert_ok(clora_session_create(&session, model, batch.B, batch.T));
    assert_ok(clora_session_forward(session, logits, batch.ids, batch.T, 1));
    clora_session_free(session);
    clora_model_free(model);
}

/* The fixture's model as it was first published: of names without "transformer.", with the masks of its time. */
static void write_old(const char *directory) {
    static const float mask[PLACES * PLACES] = {1.0f};
    static const char prefix[] = "transformer.";
    safetensors *file = NULL;
    safetensors_writer writer;
    char path[64];

    assert_ok(safetensors_open(&file, fixture_path("tiny-gpt2/model.safetensors")));
    safetensors_entry *entries = calloc(file->count + 1, sizeof(*entries));
    assert_non_null(entries);
    for (size_t i = 0; i < file->count; i++) {
        const stored_tensor *t = &file->tensors[i];
        entries[i] = (safetensors_entry){.name = t->name + strlen(prefix), .dtype = t->dtype, .ndim = t->ndim};
        memcpy(entries[i].shape, t->shape, sizeof(t->shape));
    }
    entries[file->count] = (safetensors_entry){.name = "h.0.attn.bias", .ndim = 4, .shape = {1, 1, PLACES, PLACES}};
    snprintf(path, sizeof(path), "%s/config.json", directory);
    scratch_copy(path, fixture_path("tiny-gpt2/config.json"));
    snprintf(path, sizeof(path), "%s/model.safetensors", directory);
    assert_ok(safetensors_writer_begin(&writer, scratch_path(path), entries, file->count + 1, NULL));
    while (writer.next < writer.count) {
        const size_t i = writer.order[writer.next];
        assert_ok(i < file->count ? safetensors_writer_tensor(&writer, file->tensors[i].data, file->tensors[i].size)
                                  : safetensors_writer_tensor(&writer, mask, sizeof(mask)));
    }
    assert_ok(safetensors_writer_finish(&writer));
    free(entries);
    safetensors_close(file);
}

static void test_files_as_they_were_first_published_are_the_same_model(void **state) {
    static float usual[MOST], old[MOST];

    (void)state;
    scratch_mkdir("old");
    write_old("old");
    run_model(usual, fixture_path("tiny-gpt2"));
    run_model(old, scratch_path("old"));
    assert_memory_equal(usual, old, sizeof(usual));
    assert_ok(clora_merge(fixture_path("tiny-gpt2"), fixture_path("tiny-gpt2-lora"), scratch_path("a"), NULL, NULL));
    assert_ok(clora_merge(scratch_path("old"), fixture_path("tiny-gpt2-lora"), scratch_path("b"), NULL, NULL));
    run_model(usual, scratch_path("a"));
    run_model(old, scratch_path("b"));
    assert_memory_equal(usual, old, sizeof(usual));
}

static clora_status read(model_config *out, const char *more) {
    char text[512];

    snprintf(text, sizeof(text), "{\"model_type\": \"gpt2\", \"n_layer\": 2, \"n_head\": 4, \"vocab_size\": 97%s}",
             more);
    scratch_text("model/config.json", text);
    return config_load(out, scratch_path("model"));
}

static void test_its_configuration_has_keys_of_its_own(void **state) {
    static const struct {
        const char *keys, *says;
    } refused[] = {
        {"", "the key \"n_embd\" is missing"},
        {", \"n_embd\": -32", "\"n_embd\" is -32"},
        {", \"n_embd\": 30", "no multiple"},
        {", \"n_embd\": 32, \"activation_function\": \"relu\"", "\"activation_function\" is \"relu\""},
        {", \"n_embd\": 32, \"scale_attn_weights\": false", "\"scale_attn_weights\" is false; only true"},
        {", \"n_embd\": 32, \"scale_attn_by_inverse_layer_idx\": true", "only false is supported"},
        {", \"n_embd\": 32, \"add_cross_attention\": true", "\"add_cross_attention\" is true"},
        {", \"n_embd\": 32, \"layer_norm_epsilon\": 2", "\"layer_norm_epsilon\" is 2"},
        {", \"n_embd\": 1024, \"n_positions\": 16777216", "sizes beyond any model"},
    };
    model_config c;

    (void)state;
    scratch_mkdir("model");
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        const clora_status status = read(&c, refused[i].keys);
        if (status == CLORA_OK || !strstr(clora_last_error(), refused[i].says))
            fail_msg("%s: %s", refused[i].keys, status == CLORA_OK ? "accepted" : clora_last_error());
    }
    assert_ok(read(&c, ", \"n_embd\": 32, \"n_inner\": null"));
    assert_int_equal(c.ffn, 128);
    assert_int_equal(c.max_positions, 1024);
    assert_true(c.tied);
    assert_true(c.norm_eps == 1e-5f);
    assert_ok(read(&c, ", \"n_embd\": 32, \"n_inner\": 56, \"n_positions\": 64, \"tie_word_embeddings\": false"));
    assert_int_equal(c.ffn, 56);
    assert_int_equal(c.max_positions, 64);
    assert_false(c.tied);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_files_as_they_were_first_published_are_the_same_model, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(test_its_configuration_has_keys_of_its_own, scratch_setup, scratch_teardown),
    };
    if (clora_context_create(&context, NULL) != CLORA_OK) {
        fprintf(stderr, "skipped: %s\n", clora_last_error());
        return 77;
    }
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    clora_context_free(context);
    return failed;
}
