#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <clora/clora.h>

#include "base/rng.h"
#include "methods/lora_adapter.h"
#include "model/decoder.h"
#include "model/family.h"
#include "model/session.h"
#include "ops/attention.h"
#include "support/fixture.h"
#include "support/optimise.h"
#include "support/sample.h"
#include "support/scratch.h"
#include "support/wide_model.h"
#include "tuning/table.h"
#include "tuning/tuning.h"

/* A step's calls in one launch against a launch each: no bit may differ. */

static clora_context *context;
static test_sample sample;

enum { V = 97, CAPACITY = 80, STEPS = 4, MOST_B = 17 };

/* Take this path of a choice; 0: the one that would be taken. */
static void force(const char *choice, int path) {
    const int values[KERNEL_PARAMETERS] = {path};
    assert_ok(tuning_force(context, kernel_find(choice), path ? values : NULL));
}

static int launches(const char *kernel) {
    size_t count = 0;
    const clora_profile_entry *const *entry = clora_context_profile_read(context, &count);

    for (size_t i = 0; i < count; i++)
        if (strcmp(entry[i]->kernel, kernel) == 0)
            return (int)entry[i]->launches;
    return 0;
}

/* How texts go on: B of them, of prompts that grow by one token each, T tokens a step. */
typedef struct text {
    int B, T, prompt;
} text;

static int capacity_of(const clora_model *model) {
    return model->config.max_positions < CAPACITY ? model->config.max_positions : CAPACITY;
}

static clora_session *begin(float *logits, clora_model *model, clora_adapter *adapter, const text *t) {
    clora_session *session = NULL;
    int32_t ids[CAPACITY];

    assert_ok(clora_session_create(&session, model, t->B, capacity_of(model)));
    assert_ok(clora_session_set_adapter(session, adapter));
    for (int i = 0; i < CAPACITY; i++)
        ids[i] = (i * 37 + 11) % V;
    for (int b = 0; b < t->B; b++)
        assert_ok(session_prefill(session, &session->select, b, logits, ids + b, t->prompt + b));
    clora_context_profile_reset(context);
    return session;
}

/* Logits (STEPS, B, V). Another adapter, or none, has the second step. */
static void decode(float *logits, clora_model *model, clora_adapter *adapter, clora_adapter *second, const text *t) {
    clora_session *session = begin(logits, model, adapter, t);
    int32_t ids[CAPACITY];

    for (int i = 0; i < CAPACITY; i++)
        ids[i] = (i * 31 + 5) % V;
    for (int s = 0; s < STEPS; s++) {
        float *out = logits + (size_t)s * (size_t)t->B * V;
        assert_ok(clora_session_set_adapter(session, s == 1 ? second : adapter));
        assert_ok(t->T == 1 ? session_step(session, &session->select, out, ids + 7 * s, t->B)
                            : clora_session_forward(session, out, ids + 7 * s, t->T, 0));
    }
    clora_session_free(session);
}

/* Launches of a step where a weight of another storage type needs another program. */
enum { SOME = -1 };

/* `expected` launches in all steps where attention goes by rows; else, and for 0, an operation is a launch. */
static void check_both(clora_model *model, clora_adapter *adapter, clora_adapter *second, text t, int expected) {
    static float apart[STEPS * MOST_B * V], one[STEPS * MOST_B * V];
    const model_config *c = &model->config;
    const attention_shape shape = {
        .B = t.B, .T = t.T, .S = capacity_of(model), .H = c->heads, .G = c->kv_heads, .D = c->head_dim};

    force("path_tape", TAPE_APART);
    decode(apart, model, adapter, second, &t);
    force("path_tape", TAPE_TOGETHER);
    decode(one, model, adapter, second, &t);
    const int seen = launches("tape"), wanted = attention_by_rows(context, shape) ? expected : 0;
    if (wanted == SOME ? seen < STEPS || seen % STEPS != 0 : seen != wanted)
        fail_msg("B %d T %d: %d launches of tape, %d expected", t.B, t.T, seen, wanted);
    assert_memory_equal(one, apart, (size_t)STEPS * (size_t)t.B * V * sizeof(float));
    force("path_tape", 0);
}

static void check(clora_model *model, clora_adapter *adapter, text t, int expected) {
    check_both(model, adapter, adapter, t, expected);
}

static clora_model *load(const char *path, int storage) {
    const clora_model_options options = {.size = sizeof(options), .dtype = storage};
    clora_model *model = NULL;

    assert_ok(clora_model_load(&model, context, path, &options));
    return model;
}

static clora_model *load_tiny(int storage) {
    return load(fixture_path("tiny-llama"), storage);
}

/* Random factors, B too. */
static clora_adapter *make_adapter(clora_model *model, const clora_adapter_options *options) {
    clora_adapter *adapter = NULL;

    assert_ok(clora_adapter_create(&adapter, model, options));
    for (int c = 0; c < lora_of(adapter)->chunks; c++) {
        clora_tensor *chunk = lora_of(adapter)->chunk[c];
        const size_t n = clora_tensor_count(chunk);
        float *values = malloc(n * sizeof(*values));
        for (size_t i = 0; i < n; i++)
            values[i] = 0.2f * rng_normal(3, (uint32_t)c, i);
        assert_ok(clora_tensor_write(chunk, values));
        free(values);
    }
    return adapter;
}

/* ---- tests ---- */

static int setup(void **state) {
    (void)state;
    return clora_context_create(&context, NULL) == CLORA_OK && clora_context_profile(context, 1) == CLORA_OK ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    clora_context_free(context);
    return 0;
}

/* The optimiser, which may change bits, sees what a third of the models takes: it needs most of the time. In a new
 * context, so that one launch and many are compiled alike. */
static void draw_optimiser(void) {
    teardown(NULL);
    assert_int_equal(setup(NULL), 0);
    optimise(sample_takes(&sample, 3));
}

static void test_one_launch_gives_the_same_bits(void **state) {
    static const clora_dtype types[] = {CLORA_DTYPE_F32, CLORA_DTYPE_F16, CLORA_DTYPE_BF16};

    (void)state;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        draw_optimiser();
        clora_model *model = load_tiny(types[i]);
        check(model, NULL, (text){1, 1, 3}, STEPS);
        check(model, NULL, (text){3, 1, 2}, STEPS);
        check(model, NULL, (text){1, 3, 5}, STEPS);
        clora_model_free(model);
    }
}

/* Rows, also more than the device would take so: those whose gate is summed half by half, and normalised rows. */
static void test_more_rows_give_the_same_bits(void **state) {
    static const struct {
        clora_dtype dtype;
        int rows, rank;
    } cases[] = {{CLORA_DTYPE_F32, 5, 5}, {CLORA_DTYPE_F32, 7, 2}, {CLORA_DTYPE_F16, 8, 0}, {CLORA_DTYPE_BF16, 4, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
        draw_optimiser();
        force("path_rows", PATH_GEMV);
        clora_model *model = load_tiny(cases[i].dtype);
        options.rank = cases[i].rank;
        clora_adapter *adapter = options.rank ? make_adapter(model, &options) : NULL;
        check(model, adapter, (text){cases[i].rows, 1, 3}, STEPS);
        clora_adapter_free(adapter);
        clora_model_free(model);
    }
    force("path_rows", 0);
}

/* More than one block of keys, rotations by vectors, and terms of every projection. */
static void test_three_layers_of_a_wider_model_go_as_one(void **state) {
    static const clora_dtype types[] = {CLORA_DTYPE_F32, CLORA_DTYPE_BF16};
    const char *path = write_wide_model(3);
    clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;

    (void)state;
    options.rank = 5;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        draw_optimiser();
        clora_model *model = load(path, types[i]);
        clora_adapter *adapter = make_adapter(model, &options);
        check(model, adapter, (text){1, 1, 67}, STEPS);
        check(model, adapter, (text){2, 1, 9}, STEPS);
        clora_adapter_free(adapter);
        clora_model_free(model);
    }
}

/* Ranks and scales that differ by layer and by module, modules and layers without a term: one launch a step. */
static void test_adapters_that_differ_by_layer_go_as_one(void **state) {
    static const struct {
        const char *targets, *ranks, *alphas;
    } cases[] = {
        {"all-linear", NULL, NULL},
        {"all-linear", "layers.1.mlp.up_proj=3", NULL},
        {"all-linear", NULL, "layers.1.self_attn.o_proj=5"},
        {".*layers\\.0\\..*_proj", NULL, NULL},
        {"q_proj,v_proj", NULL, NULL},
    };
    clora_model *model = load_tiny(CLORA_DTYPE_F32);

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
        options.target_modules = cases[i].targets;
        options.rank_pattern = cases[i].ranks;
        options.alpha_pattern = cases[i].alphas;
        clora_adapter *adapter = make_adapter(model, &options);
        check_both(model, adapter, NULL, (text){1, 1, 4}, STEPS);
        clora_adapter_free(adapter);
    }
    clora_model_free(model);
}

/* More ranks than a program has variants: a term of another rank shares its work out as one of the others does. */
static void test_many_ranks_go_as_one(void **state) {
    clora_model *model = load(write_wide_model(WIDE_MOST_LAYERS), CLORA_DTYPE_F32);
    clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
    char ranks[512] = "";

    (void)state;
    for (int l = 0; l < WIDE_MOST_LAYERS; l++)
        snprintf(ranks + strlen(ranks), sizeof(ranks) - strlen(ranks), "%slayers.%d.self_attn.q_proj=%d", l ? "," : "",
                 l, 1 + 3 * l);
    options.rank_pattern = ranks;
    clora_adapter *adapter = make_adapter(model, &options);
    check(model, adapter, (text){1, 1, 4}, STEPS);
    clora_adapter_free(adapter);
    clora_model_free(model);
}

/* Biases of the first `projections` products of each layer. */
static void set_biases(clora_model *model, int projections) {
    float bias[256];

    for (int i = 0; i < 256; i++)
        bias[i] = 0.01f * (float)(i % 13);
    for (int l = 0; l < model->config.layers; l++)
        for (int k = 0; k < projections; k++)
            for (int m = 0; m < model->layer[l].w[k]->modules; m++)
                assert_ok(weight_set_bias(model->layer[l].w[k], m, bias));
}

static void test_biases_go_along(void **state) {
    static const int projections[] = {1, DECODER_PROJECTIONS};
    clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof(projections) / sizeof(projections[0]); i++) {
        clora_model *model = load_tiny(CLORA_DTYPE_F32);
        set_biases(model, projections[i]);
        clora_adapter *adapter = make_adapter(model, &options);
        check(model, NULL, (text){2, 1, 3}, STEPS);
        check(model, adapter, (text){1, 1, 3}, STEPS);
        clora_adapter_free(adapter);
        clora_model_free(model);
    }
}

static void test_capped_scores_of_another_scale_go_along(void **state) {
    clora_model *model = load_tiny(CLORA_DTYPE_F32);

    (void)state;
    model->config.attention_scale = 0.8f;
    model->config.attention_cap = 0.5f;
    check(model, NULL, (text){2, 1, 3}, STEPS);
    clora_model_free(model);
}

static void test_biases_of_files_lie_in_one_buffer(void **state) {
    clora_model *model = load(fixture_path("tiny-qwen2"), CLORA_DTYPE_F32);

    (void)state;
    for (int l = 1; l < model->config.layers; l++)
        assert_ptr_equal(model->layer[l].w[DECODER_QKV]->bias->buffer, model->layer[0].w[DECODER_QKV]->bias->buffer);
    clora_model_free(model);
}

/* A family whose forward pass does what a tape does not hold is as right as the others and slower: here it shows. Its
 * fixture is tiny-<model_type>. Of its storage types one. */
static void test_every_family_goes_as_one_from_every_storage_type(void **state) {
    clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
    const model_family *family;
    int types = 0;

    (void)state;
    options.target_modules = "all-linear";
    options.rank = 5;
    for (int type = 0; type < CLORA_STORAGE_END; type++)
        types += storage_of((clora_storage)type) != NULL;
    for (size_t f = 0; (family = family_at(f)) != NULL; f++)
        for (int type = 0, at = 0; type < CLORA_STORAGE_END; type++) {
            char name[64];
            snprintf(name, sizeof(name), "tiny-%s", family->model_type);
            if (!storage_of((clora_storage)type) || !sample_takes_one(&sample, at++, types))
                continue;
            print_message("%s %s\n", name, clora_storage_name((clora_storage)type));
            clora_model *model = load(fixture_path(name), type);
            clora_adapter *adapter = make_adapter(model, &options);
            check(model, adapter, (text){2, 1, 3}, SOME);
            clora_adapter_free(adapter);
            clora_model_free(model);
        }
}

/* All that there is of a method in the fixtures of a family. */
static void test_every_kind_of_adapter_goes_as_one(void **state) {
    clora_model *model = load_tiny(CLORA_DTYPE_F32);
    DIR *folder = opendir(fixture_path(""));
    int kinds = 0;

    (void)state;
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (strncmp(entry->d_name, "tiny-llama-", strlen("tiny-llama-")) != 0 || strstr(entry->d_name, "classify"))
            continue; /* who tells labels does not decode */
        /* Of these the step without an adapter alone goes as one: magnitudes and factors on the embedding go apart. */
        const bool apart = strstr(entry->d_name, "dora") || strstr(entry->d_name, "embedding");
        clora_adapter *adapter = fixture_adapter(model, entry->d_name);
        print_message("%s\n", entry->d_name);
        check_both(model, adapter, NULL, (text){1, 1, 3}, apart ? 1 : SOME);
        clora_adapter_free(adapter);
        kinds++;
    }
    closedir(folder);
    assert_true(kinds >= 3);
    clora_model_free(model);
}

/* A bias set by hand is a buffer of its own: ten layers have more than a launch has arguments. */
static void test_more_buffers_than_a_launch_holds_take_another(void **state) {
    clora_model *model = load(write_wide_model(WIDE_MOST_LAYERS), CLORA_DTYPE_F32);

    (void)state;
    set_biases(model, DECODER_PROJECTIONS);
    check(model, NULL, (text){1, 1, 4}, 2 * STEPS);
    clora_model_free(model);
}

/* More groups than threads, and one alone: none may wait for one that has not begun. */
static void test_any_number_of_groups_comes_to_an_end(void **state) {
    static const unsigned units[] = {1, 3, 17, 64};
    const unsigned usual = context->info.compute_units;
    clora_model *model = load_tiny(CLORA_DTYPE_F32);
    clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
    options.rank = 13;
    clora_adapter *adapter = make_adapter(model, &options);

    (void)state;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        context->info.compute_units = units[i];
        tuning_forget(context);
        check(model, adapter, (text){1, 1, 4}, STEPS);
    }
    context->info.compute_units = usual;
    tuning_forget(context);
    clora_adapter_free(adapter);
    clora_model_free(model);
}

static void test_many_rows_take_several_launches(void **state) {
    clora_model *model = load_tiny(CLORA_DTYPE_F32);

    (void)state;
    check(model, NULL, (text){MOST_B, 1, 3}, 0);
    clora_model_free(model);
}

/* One token in a session; the launches of tapes that it took. */
static int step(float *logits, clora_session *session, int32_t id) {
    clora_context_profile_reset(context);
    assert_ok(session_step(session, &session->select, logits, &id, 1));
    return launches("tape");
}

/* A session whose steps are recorded, and one of the same texts in which each operation is a launch. */
typedef struct pair {
    clora_session *one, *apart;
} pair;

static pair begin_pair(clora_model *model, clora_adapter *adapter) {
    float logits[V];
    const text t = {1, 1, 4};

    return (pair){begin(logits, model, adapter, &t), begin(logits, model, adapter, &t)};
}

static void end_pair(pair *p) {
    clora_session_free(p->one);
    clora_session_free(p->apart);
}

/* The recorded session takes as many launches as said, and both give the same. */
static void check_step(const pair *p, int32_t id, int expected) {
    float one[V], apart[V];

    force("path_tape", TAPE_APART);
    assert_int_equal(step(apart, p->apart, id), 0);
    force("path_tape", TAPE_TOGETHER);
    assert_int_equal(step(one, p->one, id), expected);
    assert_memory_equal(one, apart, sizeof(one));
    force("path_tape", 0);
}

static void test_a_recorded_step_reads_weights_as_they_are(void **state) {
    clora_model *model = load_tiny(CLORA_DTYPE_F32);
    weight *w = model->layer[1].w[DECODER_DOWN];
    const size_t count = (size_t)w->N * (size_t)w->K;
    float *values = malloc(count * sizeof(*values));
    pair p = begin_pair(model, NULL);

    (void)state;
    check_step(&p, 5, 1);
    for (size_t i = 0; i < count; i++)
        values[i] = 0.1f * rng_normal(7, 0, i);
    assert_ok(weight_pack_rows(w, 0, 0, w->N, values, CLORA_DTYPE_F32));
    check_step(&p, 6, 1);
    end_pair(&p);
    free(values);
    clora_model_free(model);
}

/* The next adapter may lie where the one before lay. */
static void test_a_recorded_step_follows_the_selection(void **state) {
    static const int ranks[] = {8, 7, 8}; /* for two cores of one program */
    clora_model *model = load_tiny(CLORA_DTYPE_F32);
    pair p = begin_pair(model, NULL);

    (void)state;
    for (size_t i = 0; i < sizeof(ranks) / sizeof(ranks[0]); i++) {
        clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
        options.rank = ranks[i];
        clora_adapter *adapter = make_adapter(model, &options);
        assert_ok(clora_session_set_adapter(p.one, adapter));
        assert_ok(clora_session_set_adapter(p.apart, adapter));
        clora_adapter_free(adapter); /* the sessions hold it */
        check_step(&p, 5, 1);
        check_step(&p, 6, 1);
    }
    assert_ok(clora_session_set_adapter(p.one, NULL));
    assert_ok(clora_session_set_adapter(p.apart, NULL));
    check_step(&p, 7, 1);
    end_pair(&p);
    clora_model_free(model);
}

/* The tuner wants to see each operation; nothing recorded before is run meanwhile, nor lost. */
static void test_each_operation_is_a_launch_while_the_tuner_listens(void **state) {
    clora_model *model = load_tiny(CLORA_DTYPE_F32);
    pair p = begin_pair(model, NULL);
    recorder notes = {0};

    (void)state;
    check_step(&p, 5, 1);
    (void)recorder_attach(context, &notes);
    check_step(&p, 6, 0);
    (void)recorder_attach(context, NULL);
    assert_non_null(recorder_find(&notes, kernel_find("matvec_panel"), NULL));
    assert_null(recorder_find(&notes, kernel_find("tape"), NULL));
    check_step(&p, 7, 1);
    recorder_finish(&notes);
    end_pair(&p);
    clora_model_free(model);
}

/* What was recorded with other parameters is not run any more. */
static void test_a_recorded_step_follows_the_parameters(void **state) {
    clora_model *model = load_tiny(CLORA_DTYPE_F32);
    pair p = begin_pair(model, NULL);
    float one[V], apart[V];

    (void)state;
    check_step(&p, 5, 1);
    force("path_rows", PATH_GEMM); /* products that a tape does not hold */
    assert_int_equal(step(one, p.one, 6), 0);
    assert_int_equal(step(apart, p.apart, 6), 0);
    assert_memory_equal(one, apart, sizeof(one));
    force("path_rows", 0);
    check_step(&p, 7, 1);
    end_pair(&p);
    clora_model_free(model);
}

/* A step that is refused leaves the counters alone, and each session has its own. */
static void test_sessions_side_by_side_do_not_disturb_each_other(void **state) {
    clora_model *model = load_tiny(CLORA_DTYPE_F32);
    clora_session *a = NULL, *b = NULL;
    float first[V], second[V];
    const int32_t id = 5, wrong = V;

    (void)state;
    force("path_tape", TAPE_TOGETHER);
    assert_ok(clora_session_create(&a, model, 1, capacity_of(model)));
    assert_ok(clora_session_create(&b, model, 1, capacity_of(model)));
    for (int step = 0; step < STEPS; step++) {
        assert_ok(clora_session_forward(a, first, &id, 1, 0));
        assert_int_equal(clora_session_forward(a, first, &wrong, 1, 0), CLORA_ERROR_ARGUMENT);
        assert_ok(clora_session_forward(b, second, &id, 1, 0));
        assert_memory_equal(first, second, sizeof(first));
    }
    clora_session_free(a);
    clora_session_free(b);
    clora_model_free(model);
    force("path_tape", 0);
}

int main(int argc, char **argv) {
    const struct CMUnitTest bits[] = {
        cmocka_unit_test(test_one_launch_gives_the_same_bits),
        cmocka_unit_test_setup_teardown(test_three_layers_of_a_wider_model_go_as_one, scratch_setup, scratch_teardown),
        cmocka_unit_test(test_more_rows_give_the_same_bits),
    };
    const struct CMUnitTest launched[] = {
        cmocka_unit_test(test_adapters_that_differ_by_layer_go_as_one),
        cmocka_unit_test_setup_teardown(test_many_ranks_go_as_one, scratch_setup, scratch_teardown),
        cmocka_unit_test(test_biases_go_along),
        cmocka_unit_test(test_capped_scores_of_another_scale_go_along),
        cmocka_unit_test(test_biases_of_files_lie_in_one_buffer),
        cmocka_unit_test(test_every_family_goes_as_one_from_every_storage_type),
        cmocka_unit_test(test_every_kind_of_adapter_goes_as_one),
        cmocka_unit_test_setup_teardown(test_more_buffers_than_a_launch_holds_take_another, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test(test_any_number_of_groups_comes_to_an_end),
        cmocka_unit_test(test_many_rows_take_several_launches),
        cmocka_unit_test(test_a_recorded_step_reads_weights_as_they_are),
        cmocka_unit_test(test_a_recorded_step_follows_the_selection),
        cmocka_unit_test(test_a_recorded_step_follows_the_parameters),
        cmocka_unit_test(test_each_operation_is_a_launch_while_the_tuner_listens),
        cmocka_unit_test(test_sessions_side_by_side_do_not_disturb_each_other),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    if (clora_context_create(&context, NULL) != CLORA_OK) {
        print_message("skipped: %s\n", clora_last_error());
        return 77; /* Meson: skipped */
    }
    const bool suits = kernel_runs_tapes(context) && weight_layout_of(context, CLORA_STORAGE_F32, 1, 1) == WEIGHT_PANEL;
    clora_context_free(context);
    if (!suits) {
        print_message("skipped: steps in one launch are for PoCL on a CPU, with weights in panels\n");
        return 77;
    }
    sample_begin(&sample);
    const int failed = cmocka_run_group_tests(bits, setup, teardown);
    optimise(false); /* the optimiser may change bits, not what is launched */
    return failed + cmocka_run_group_tests(launched, setup, teardown);
}
