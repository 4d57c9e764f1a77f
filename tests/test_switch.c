#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include <cmocka.h>

#include <clora/clora.h>

#include "base/rng.h"
#include "model/model.h"
#include "support/failing.h"
#include "support/fixture.h"
#include "support/scratch.h"

/* An adapter merged into a running model, taken out again, and switched for another. */

enum { CYCLES = 1000, SWITCHED = 32 };

static clora_context *context;

static clora_model *load(const char *name, int storage) {
    const clora_model_options options = {.size = sizeof(options), .dtype = storage};
    clora_model *model;

    assert_ok(clora_model_load(&model, context, name, &options));
    return model;
}

static clora_model *load_tiny(int storage) {
    return load(fixture_path("tiny-llama"), storage);
}

/* All bytes of all weights. */
static uint64_t weights_of(const clora_model *model) {
    XXH3_state_t *hash = XXH3_createState();
    uint64_t digest;

    (void)XXH3_64bits_reset(hash);
    for (int p = 0; p < model->projections; p++)
        for (int i = 0; i < model->projection[p].weight->parts; i++) {
            const clora_tensor *t = model->projection[p].weight->part[i].data;
            const size_t bytes = clora_tensor_count(t) * dtype_size(t->dtype);
            void *data = malloc(bytes);
            assert_ok(clora_tensor_read(t, data));
            (void)XXH3_64bits_update(hash, data, bytes);
            free(data);
        }
    digest = XXH3_64bits_digest(hash);
    XXH3_freeState(hash);
    return digest;
}

/* Random factors, B times `size`. */
static void fill(clora_adapter *adapter, uint64_t seed, float size) {
    uint64_t at = 0;

    for (int p = 0; p < adapter->base.projections; p++) {
        lowrank *lr = adapter->term[p];
        if (!lr)
            continue;
        float *a = calloc(lr->a_count, sizeof(*a)), *b = calloc(lr->b_count, sizeof(*b));
        for (int m = 0; m < lr->modules; m++) {
            const size_t na = (size_t)lr->module[m].R * (size_t)lr->base->K;
            const size_t nb = (size_t)lr->module[m].R * (size_t)lr->base->module[m].N;
            float *va = calloc(na + 1, sizeof(*va)), *vb = calloc(nb + 1, sizeof(*vb));
            for (size_t i = 0; i < na; i++)
                va[i] = rng_normal(seed, 1, at++) * 0.2f;
            for (size_t i = 0; i < nb; i++)
                vb[i] = rng_normal(seed, 1, at++) * size;
            lowrank_pack_a(lr, m, a, va);
            lowrank_pack_b(lr, m, b, vb);
            free(va);
            free(vb);
        }
        assert_ok(clora_tensor_write(&lr->a, a));
        assert_ok(clora_tensor_write(&lr->b, b));
        free(a);
        free(b);
    }
}

static clora_adapter *adapter_on(clora_model *model, const char *targets, int rank, uint64_t seed) {
    clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
    clora_adapter *adapter;

    options.rank = rank;
    options.target_modules = targets;
    assert_ok(clora_adapter_create(&adapter, model, &options));
    fill(adapter, seed, 0.1f);
    return adapter;
}

static clora_status merge(clora_adapter *adapter, clora_keep_base where) {
    clora_adapter_merge_options options = CLORA_ADAPTER_MERGE_OPTIONS_INIT;

    options.keep_base = where;
    return clora_adapter_merge((clora_model *)adapter->base.model, adapter, &options);
}

/* The logits of a prompt in one step and of some tokens after it, one at a time. */
enum { PROMPT = 5, STEPS = 3, VOCAB = 97 };
static void run_session(float out[(STEPS + 1) * VOCAB], clora_model *model, clora_adapter *adapter) {
    const int32_t ids[] = {1, 17, 33, 60, 5, 9, 80, 44};
    clora_session *session;

    assert_ok(clora_session_create(&session, model, 1, 16));
    assert_ok(clora_session_set_adapter(session, adapter));
    assert_ok(clora_session_forward(session, out, ids, PROMPT, 0));
    for (int i = 0; i < STEPS; i++)
        assert_ok(clora_session_forward(session, out + (i + 1) * VOCAB, ids + PROMPT + i, 1, 0));
    clora_session_free(session);
}

/* ---- bytes ---- */

static void test_the_weights_come_back_bit_by_bit_however_often(void **state) {
    (void)state;
    static const int types[] = {CLORA_STORAGE_F32, CLORA_STORAGE_F16, CLORA_STORAGE_BF16, CLORA_STORAGE_Q8_0};

    for (int i = 0; i < 4; i++) {
        clora_model *model = load_tiny(types[i]);
        clora_adapter *adapter = adapter_on(model, i % 2 ? "q_proj,v_proj,down_proj" : "all-linear", 3 + i, 7);
        const uint64_t base = weights_of(model);
        assert_ok(merge(adapter, CLORA_KEEP_BASE_DEVICE));
        const uint64_t merged = weights_of(model);
        assert_true(merged != base);
        assert_ok(clora_adapter_merge(model, adapter, NULL));
        assert_true(weights_of(model) == merged);
        for (int n = 0; n < CYCLES; n++) {
            assert_ok(clora_adapter_unmerge(model));
            assert_ok(clora_adapter_merge(model, adapter, NULL));
        }
        assert_true(weights_of(model) == merged);
        assert_ok(clora_adapter_unmerge(model));
        assert_true(weights_of(model) == base);
        clora_adapter_free(adapter);
        clora_model_free(model);
    }
}

static void test_a_switch_gives_the_bytes_of_a_fresh_merge(void **state) {
    (void)state;
    static const char *const targets[] = {"all-linear", "q_proj,v_proj", "gate_proj,up_proj,down_proj",
                                          "lm_head,k_proj"};
    clora_model *model = load_tiny(CLORA_STORAGE_BF16);
    clora_adapter *adapter[SWITCHED];
    uint64_t fresh[SWITCHED];
    const uint64_t base = weights_of(model);

    for (int i = 0; i < SWITCHED; i++) {
        adapter[i] = adapter_on(model, targets[i % 4], 1 + i % 7, (uint64_t)i);
        assert_ok(clora_adapter_merge(model, adapter[i], NULL));
        fresh[i] = weights_of(model);
        assert_ok(clora_adapter_unmerge(model));
    }
    assert_ok(clora_adapter_merge(model, adapter[0], NULL));
    for (int n = 0, i = 0; n < CYCLES; n++) {
        i = (int)(rng_uniform(3, 1, (uint64_t)n) * SWITCHED) % SWITCHED;
        assert_ok(clora_adapter_switch(model, adapter[i]));
        assert_true(clora_adapter_is_merged(model, adapter[i]));
        assert_true(weights_of(model) == fresh[i]);
    }
    assert_ok(clora_adapter_unmerge(model));
    assert_true(weights_of(model) == base);
    for (int i = 0; i < SWITCHED; i++)
        clora_adapter_free(adapter[i]);
    clora_model_free(model);
}

/* ---- what is computed ---- */

static void assert_merged_as_unmerged(const char *base, const char *name) {
    clora_model *model = load(fixture_path(base), -1);
    clora_adapter *adapter = name ? fixture_adapter(model, name) : adapter_on(model, "all-linear", 4, 11);
    float plain[(STEPS + 1) * VOCAB], apart[(STEPS + 1) * VOCAB], merged[(STEPS + 1) * VOCAB];

    run_session(plain, model, NULL);
    run_session(apart, model, adapter);
    assert_ok(clora_adapter_merge(model, adapter, NULL));
    run_session(merged, model, NULL);
    assert_true(relative_error(merged, apart, (STEPS + 1) * VOCAB) < 1e-4);
    assert_true(relative_error(merged, plain, (STEPS + 1) * VOCAB) > 1e-2);
    run_session(apart, model, adapter); /* it is in the weights: not added once more */
    assert_memory_equal(apart, merged, sizeof(merged));
    clora_adapter_free(adapter);
    clora_model_free(model);
}

static void test_merged_logits_are_the_unmerged_ones(void **state) {
    (void)state;
    assert_merged_as_unmerged("tiny-llama", "tiny-llama-lora");
    assert_merged_as_unmerged("tiny-llama", "tiny-llama-rslora");
    assert_merged_as_unmerged("tiny-llama", "tiny-llama-patterns");
    assert_merged_as_unmerged("tiny-qwen2", "tiny-qwen2-lora");
    assert_merged_as_unmerged("tiny-phi3", "tiny-phi3-lora");
    assert_merged_as_unmerged("tiny-gpt2", "tiny-gpt2-lora");
    assert_merged_as_unmerged("tiny-granite", "tiny-granite-lora");
    assert_merged_as_unmerged("tiny-olmo2", "tiny-olmo2-lora");
    assert_merged_as_unmerged("tiny-llama", NULL);
}

/* The rounding that a merge on disk reports is that of the weights here too. */
static void test_weights_of_16_bits_are_within_the_reported_rounding(void **state) {
    (void)state;
    clora_merge_result report = CLORA_MERGE_RESULT_INIT;

    for (int type = CLORA_STORAGE_F16; type <= CLORA_STORAGE_BF16; type++) {
        clora_model *exact = load_tiny(CLORA_STORAGE_F32), *model = load_tiny(type);
        clora_adapter *a = fixture_adapter(exact, "tiny-llama-lora"), *b = fixture_adapter(model, "tiny-llama-lora");
        double most = 0.0;
        assert_ok(clora_merge(fixture_path("tiny-llama"), fixture_path("tiny-llama-lora"),
                              scratch_path(type == CLORA_STORAGE_F16 ? "f16" : "bf16"),
                              &(clora_merge_options){.size = sizeof(clora_merge_options), .dtype = type}, &report));
        assert_ok(clora_adapter_merge(exact, a, NULL));
        assert_ok(clora_adapter_merge(model, b, NULL));
        for (int i = 0; i < clora_model_module_count(model); i++) {
            const clora_module_info *m = clora_model_module(model, i);
            const size_t n = (size_t)m->out * (size_t)m->in;
            float *x = calloc(n, sizeof(*x)), *y = calloc(n, sizeof(*y));
            assert_ok(clora_model_read_module(x, exact, i));
            assert_ok(clora_model_read_module(y, model, i));
            for (size_t k = 0; k < n; k++)
                most = fmax(most, fabs((double)x[k] - (double)y[k]));
            free(x);
            free(y);
        }
        /* W0 itself is rounded when it is loaded, which the merge of f32 files is not: twice the error at most. */
        assert_true(most > 0.0 && most <= 2.0 * report.max_rounding_error);
        clora_adapter_free(a);
        clora_adapter_free(b);
        clora_model_free(exact);
        clora_model_free(model);
    }
}

/* Launches of a prompt and of a step in a session that was there before the merge, in which a token is one launch where
 * the device can. */
static long launches(clora_session *session, float *logits) {
    const int32_t ids[] = {1, 17, 33};

    clora_session_reset(session);
    failing_from("clEnqueueNDRangeKernel", -1, false);
    for (int i = 0; i < 3; i++)
        assert_ok(clora_session_forward(session, logits, ids + i, 1, 0));
    const long count = failing_count();
    failing_from(NULL, 0, false);
    return count;
}

static void test_a_merged_model_launches_what_the_base_does_in_sessions_that_go_on(void **state) {
    (void)state;
    clora_model *model = load_tiny(CLORA_STORAGE_BF16);
    clora_adapter *adapter = adapter_on(model, "all-linear", 4, 5), *other = adapter_on(model, "q_proj", 9, 6);
    float base[VOCAB], with[VOCAB], merged[VOCAB], again[VOCAB];
    clora_session *plain, *selected;

    assert_ok(clora_session_create(&plain, model, 1, 8));
    assert_ok(clora_session_create(&selected, model, 1, 8));
    assert_ok(clora_adapter_merge(model, adapter, NULL));
    assert_ok(clora_session_set_adapter(selected, adapter)); /* with no room for its term as yet */
    assert_refused(clora_session_set_adapter(plain, other), CLORA_ERROR_ARGUMENT, "another adapter is merged");
    assert_ok(clora_adapter_unmerge(model));
    launches(plain, base);
    const long count = launches(plain, base);
    launches(selected, with);
    assert_ok(clora_adapter_merge(model, adapter, NULL));
    launches(plain, merged); /* recorded anew */
    assert_int_equal(launches(plain, merged), count);
    launches(selected, again);
    assert_int_equal(launches(selected, again), count);
    assert_memory_equal(merged, again, sizeof(merged));
    assert_true(relative_error(merged, base, VOCAB) > 1e-2);
    assert_true(relative_error(merged, with, VOCAB) < 2e-2);
    assert_ok(clora_adapter_unmerge(model));
    launches(plain, merged);
    launches(selected, again);
    assert_memory_equal(merged, base, sizeof(base));
    assert_memory_equal(again, with, sizeof(with));
    assert_ok(clora_session_set_adapter(plain, other));
    assert_ok(clora_adapter_merge(model, adapter, NULL));
    assert_refused(clora_session_forward(plain, merged, (const int32_t[]){1}, 1, 0), CLORA_ERROR_ARGUMENT,
                   "another adapter is merged");
    assert_ok(clora_adapter_switch(model, other));
    assert_ok(clora_session_forward(plain, merged, (const int32_t[]){1}, 1, 0));
    clora_session_free(plain);
    clora_session_free(selected);
    clora_adapter_free(adapter);
    clora_adapter_free(other);
    clora_model_free(model);
}

/* ---- what is refused ---- */

static void test_training_wants_the_own_weights(void **state) {
    (void)state;
    clora_model *model = load_tiny(-1);
    clora_adapter *adapter = adapter_on(model, "q_proj", 2, 5), *full, *begun;
    clora_adapter_options part = CLORA_ADAPTER_OPTIONS_INIT;
    clora_train_step first = CLORA_TRAIN_STEP_INIT;
    clora_trainer *trainer, *late;
    clora_dataset *data;

    assert_ok(clora_dataset_from_ids(&data, (const int32_t[]){1, 2, 3, 4}, NULL, (const int[]){4}, 1));
    part.init = CLORA_INIT_PISSA;
    assert_ok(clora_trainer_create(&trainer, model, adapter, data, NULL));
    assert_ok(clora_adapter_merge(model, adapter, NULL));
    assert_refused(clora_trainer_create(&late, model, adapter, data, NULL), CLORA_ERROR_ARGUMENT, "unmerge");
    assert_refused(clora_trainer_step(&first, trainer), CLORA_ERROR_ARGUMENT, "clora_adapter_unmerge() first");
    assert_refused(clora_full_create(&full, model, NULL), CLORA_ERROR_ARGUMENT, "unmerge");
    assert_refused(clora_adapter_create(&begun, model, &part), CLORA_ERROR_ARGUMENT, "unmerge");
    assert_ok(clora_adapter_unmerge(model));
    assert_ok(clora_trainer_step(&first, trainer));
    assert_int_equal(first.step, 1);
    clora_trainer_free(trainer);
    clora_dataset_free(data);
    clora_adapter_free(adapter);
    clora_model_free(model);
}

static void test_what_is_no_sum_with_weights_is_refused_by_name(void **state) {
    (void)state;
    static const char *const loaded[][2] = {{"tiny-llama-pfeiffer", "method adapter"},
                                            {"tiny-llama-prefix", "method prefix"},
                                            {"tiny-llama-prompt", "method prompt"},
                                            {"tiny-llama-saved", "modules_to_save"},
                                            {"tiny-llama-classify", "classifies"}};
    clora_model *model = load_tiny(-1), *twin = load_tiny(-1);
    clora_adapter *lora = adapter_on(model, "q_proj", 2, 5), *others = adapter_on(twin, "q_proj", 2, 5), *joined;

    for (size_t i = 0; i < sizeof(loaded) / sizeof(loaded[0]); i++) {
        clora_adapter *adapter;
        assert_ok(clora_adapter_load(&adapter, model, fixture_path(loaded[i][0])));
        assert_refused(clora_adapter_merge(model, adapter, NULL), CLORA_ERROR_UNSUPPORTED, loaded[i][1]);
        clora_adapter_free(adapter);
    }
    assert_ok(clora_adapter_join(&joined, &lora, 1));
    assert_refused(clora_adapter_merge(model, joined, NULL), CLORA_ERROR_UNSUPPORTED, "joined");
    assert_refused(clora_adapter_merge(model, others, NULL), CLORA_ERROR_ARGUMENT, "another model");
    assert_refused(clora_adapter_switch(model, lora), CLORA_ERROR_ARGUMENT, "no adapter is merged");
    assert_refused(clora_adapter_unmerge(model), CLORA_ERROR_ARGUMENT, "no adapter is merged");
    assert_refused(merge(lora, (clora_keep_base)9), CLORA_ERROR_ARGUMENT, "no place 9");
    assert_ok(clora_adapter_merge(model, lora, NULL));
    clora_adapter *second = adapter_on(model, "q_proj", 2, 6);
    assert_refused(clora_adapter_merge(model, second, NULL), CLORA_ERROR_ARGUMENT, "clora_adapter_switch()");
    clora_adapter_free(second);
    clora_adapter_free(joined);
    clora_adapter_free(lora);
    clora_adapter_free(others);
    clora_model_free(twin);
    clora_model_free(model);
}

static void test_a_head_that_is_the_embedding_is_refused(void **state) {
    (void)state;
    clora_model *model = load(fixture_path("tiny-qwen2"), -1);
    clora_adapter *adapter = adapter_on(model, "lm_head,q_proj", 2, 5);

    assert_true(clora_model_get_info(model)->tied);
    assert_refused(clora_adapter_merge(model, adapter, NULL), CLORA_ERROR_UNSUPPORTED, "lm_head is the embedding");
    clora_adapter_free(adapter);
    clora_model_free(model);
}

static void test_a_sum_that_is_not_finite_leaves_what_there_was(void **state) {
    (void)state;
    static const int types[] = {CLORA_STORAGE_F16, CLORA_STORAGE_Q8_0, CLORA_STORAGE_F32};

    for (int i = 0; i < 3; i++)
        for (int where = CLORA_KEEP_BASE_DEVICE; where <= CLORA_KEEP_BASE_FILE; where++) {
            clora_model *model = load_tiny(types[i]);
            clora_adapter *good = adapter_on(model, "q_proj", 2, 5), *bad = adapter_on(model, "all-linear", 2, 6);
            const uint64_t base = weights_of(model);
            fill(bad, 6, i == 2 ? 3e38f : 1e8f);
            assert_refused(merge(bad, (clora_keep_base)where), CLORA_ERROR_FORMAT, "not finite in");
            assert_true(weights_of(model) == base && !clora_adapter_is_merged(model, NULL));
            assert_ok(merge(good, (clora_keep_base)where));
            const uint64_t merged = weights_of(model);
            assert_refused(clora_adapter_switch(model, bad), CLORA_ERROR_FORMAT, "not finite in");
            assert_true(weights_of(model) == merged && clora_adapter_is_merged(model, good));
            assert_ok(clora_adapter_unmerge(model));
            assert_true(weights_of(model) == base);
            clora_adapter_free(good);
            clora_adapter_free(bad);
            clora_model_free(model);
        }
}

static void test_an_adapter_that_is_freed_stays_in_the_weights(void **state) {
    (void)state;
    clora_model *model = load_tiny(CLORA_STORAGE_F16);
    clora_adapter *adapter = adapter_on(model, "all-linear", 2, 5);
    const uint64_t base = weights_of(model);

    assert_ok(clora_adapter_merge(model, adapter, NULL));
    const uint64_t merged = weights_of(model);
    clora_adapter_free(adapter);
    assert_true(clora_adapter_is_merged(model, NULL) && weights_of(model) == merged);
    adapter = adapter_on(model, "q_proj", 2, 6);
    assert_false(clora_adapter_is_merged(model, adapter));
    assert_refused(clora_adapter_merge(model, adapter, NULL), CLORA_ERROR_ARGUMENT, "already");
    assert_ok(clora_adapter_switch(model, adapter));
    assert_ok(clora_adapter_unmerge(model));
    assert_true(weights_of(model) == base);
    clora_model_free(model); /* the adapter keeps it */
    assert_ok(clora_adapter_merge((clora_model *)adapter->base.model, adapter, NULL));
    clora_adapter_free(adapter);
}

/* ---- the base in the files ---- */

static void copy_model(void) {
    scratch_copy("model/config.json", fixture_path("tiny-llama/config.json"));
    scratch_copy("model/model.safetensors", fixture_path("tiny-llama/model.safetensors"));
}

/* Change a high bit of some values of all weights: it shows in each type. The same once more changes it back. */
static void change_file(void) {
    FILE *file = fopen(scratch_path("model/model.safetensors"), "r+b");

    assert_non_null(file);
    for (long at = 8194; fseek(file, at, SEEK_SET) == 0; at += 512) {
        const int byte = fgetc(file);
        if (byte == EOF)
            break;
        assert_int_equal(fseek(file, at, SEEK_SET), 0);
        fputc(byte ^ 0x40, file);
    }
    fclose(file);
}

static void test_the_base_is_read_again_from_its_files(void **state) {
    (void)state;
    static const int types[] = {-1, CLORA_STORAGE_BF16, CLORA_STORAGE_Q8_0};

    scratch_mkdir("model");
    for (int i = 0; i < 3; i++) {
        copy_model();
        clora_model *model = load(scratch_path("model"), types[i]);
        clora_adapter *a = adapter_on(model, "all-linear", 3, 1), *b = adapter_on(model, "q_proj,lm_head", 2, 2);
        const uint64_t base = weights_of(model);
        size_t before, after;
        assert_ok(merge(b, CLORA_KEEP_BASE_DEVICE));
        const uint64_t fresh = weights_of(model);
        assert_ok(clora_adapter_unmerge(model));
        clora_context_memory(context, &before, NULL);
        assert_ok(merge(a, CLORA_KEEP_BASE_FILE));
        clora_context_memory(context, &after, NULL);
        assert_true(after - before < 1024); /* no weight is there twice */
        assert_ok(clora_adapter_switch(model, b));
        assert_true(weights_of(model) == fresh);
        change_file();
        assert_refused(clora_adapter_switch(model, a), CLORA_ERROR_FORMAT, "the file has changed");
        assert_refused(clora_adapter_unmerge(model), CLORA_ERROR_FORMAT, "the file has changed");
        assert_true(weights_of(model) == fresh && clora_adapter_is_merged(model, b));
        change_file();
        assert_ok(clora_adapter_unmerge(model));
        assert_true(weights_of(model) == base);
        change_file();
        assert_refused(merge(a, CLORA_KEEP_BASE_FILE), CLORA_ERROR_FORMAT, "not the one that was loaded");
        assert_true(weights_of(model) == base && !clora_adapter_is_merged(model, NULL));
        clora_adapter_free(a);
        clora_adapter_free(b);
        clora_model_free(model);
    }
}

static void test_weights_that_are_in_no_file_stay_on_the_device(void **state) {
    (void)state;
    clora_model *model = load_tiny(-1);
    clora_adapter *adapter = adapter_on(model, "q_proj", 2, 5), *full;

    assert_ok(clora_full_create(&full, model, NULL));
    assert_refused(merge(adapter, CLORA_KEEP_BASE_FILE), CLORA_ERROR_ARGUMENT, "on the device alone");
    assert_ok(merge(adapter, CLORA_KEEP_BASE_AUTO));
    assert_refused(clora_adapter_save(full, scratch_path("out"), NULL), CLORA_ERROR_ARGUMENT,
                   "clora_adapter_unmerge()");
    assert_ok(clora_adapter_unmerge(model));
    assert_ok(clora_adapter_save(full, scratch_path("out"), NULL));
    clora_adapter_free(full);
    clora_adapter_free(adapter);
    clora_model_free(model);
}

/* ---- calls that fail ---- */

typedef enum doing { MERGE, SWITCH, UNMERGE } doing;

static clora_status act(doing what, clora_model *model, clora_adapter *a, clora_adapter *b, clora_keep_base where) {
    (void)a;
    return what == MERGE    ? merge(a, where)
           : what == SWITCH ? clora_adapter_switch(model, b)
                            : clora_adapter_unmerge(model);
}

/* Each call of a kind fails once, or it and all later ones. The weights are as before, or nobody may use them until
 * they are whole again. */
static void fail_each(const char *kind, bool on, doing what, clora_keep_base where) {
    clora_model *model = load_tiny(CLORA_STORAGE_F16);
    clora_adapter *a = adapter_on(model, "q_proj,down_proj", 2, 5), *b = adapter_on(model, "v_proj", 2, 6);
    const uint64_t base = weights_of(model);
    float logits[(STEPS + 1) * VOCAB];
    clora_session *session;

    assert_ok(clora_session_create(&session, model, 1, 4));
    for (long at = 0, failed = 1; failed; at += 1 + at / 8) {
        if (what != MERGE)
            assert_ok(merge(a, where));
        const uint64_t before = weights_of(model);
        failing_from(kind, at, on);
        const clora_status status = act(what, model, a, b, where);
        failed = failing_count() > at;
        failing_from(NULL, 0, false);
        if (status != CLORA_OK && !model->merged.broken) {
            assert_true(weights_of(model) == before);
            assert_int_equal(clora_adapter_is_merged(model, a), what != MERGE);
        }
        if (model->merged.broken) {
            assert_true(status != CLORA_OK);
            assert_refused(clora_session_forward(session, logits, (const int32_t[]){1}, 1, 0), CLORA_ERROR_ARGUMENT,
                           "in between");
            assert_refused(clora_adapter_switch(model, a), CLORA_ERROR_ARGUMENT, "in between");
        }
        assert_true(status == CLORA_OK || failed);
        if (clora_adapter_is_merged(model, NULL) || model->merged.broken)
            assert_ok(clora_adapter_unmerge(model));
        assert_true(weights_of(model) == base);
        run_session(logits, model, a);
    }
    clora_session_free(session);
    clora_adapter_free(a);
    clora_adapter_free(b);
    clora_model_free(model);
}

static void test_calls_that_fail_leave_the_weights_whole(void **state) {
    (void)state;
    for (int what = MERGE; what <= UNMERGE; what++)
        for (int where = CLORA_KEEP_BASE_DEVICE; where <= CLORA_KEEP_BASE_FILE; where++)
            for (int on = 0; on < 2; on++) {
                fail_each("opencl", on, (doing)what, (clora_keep_base)where);
                fail_each("memory", on, (doing)what, (clora_keep_base)where);
            }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        TEST(test_the_weights_come_back_bit_by_bit_however_often),
        TEST(test_a_switch_gives_the_bytes_of_a_fresh_merge),
        TEST(test_merged_logits_are_the_unmerged_ones),
        TEST(test_weights_of_16_bits_are_within_the_reported_rounding),
        TEST(test_a_merged_model_launches_what_the_base_does_in_sessions_that_go_on),
        TEST(test_training_wants_the_own_weights),
        TEST(test_what_is_no_sum_with_weights_is_refused_by_name),
        TEST(test_a_head_that_is_the_embedding_is_refused),
        TEST(test_a_sum_that_is_not_finite_leaves_what_there_was),
        TEST(test_an_adapter_that_is_freed_stays_in_the_weights),
        TEST(test_the_base_is_read_again_from_its_files),
        TEST(test_weights_that_are_in_no_file_stay_on_the_device),
        TEST(test_calls_that_fail_leave_the_weights_whole),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    if (clora_context_create(&context, NULL) != CLORA_OK) {
        print_message("skipped: %s\n", clora_last_error());
        return 77; /* Meson: skipped */
    }
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    clora_context_free(context);
    return failed;
}
