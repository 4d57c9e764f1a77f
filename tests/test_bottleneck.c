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

#include "methods/bottleneck_adapter.h"
#include "methods/bottleneck_config.h"
#include "model/session.h"
#include "support/scratch.h"
#include "support/training.h"

/* Bottleneck adapters against PyTorch (tests/fixtures/make_bottleneck.py), of either style: of plain families, of one
 * that multiplies what sublayers add, and of one that normalises it. */

enum { V = 97, GOLDEN = 8, BASES = 4 };

static clora_context *context;
static const char *const bases[BASES] = {"tiny-llama", "tiny-qwen2", "tiny-granite", "tiny-olmo2"};
static clora_model *models[BASES], *llama;
static const char *const golden[GOLDEN] = {"tiny-llama-pfeiffer", "tiny-llama-houlsby",    "tiny-qwen2-pfeiffer",
                                           "tiny-qwen2-houlsby",  "tiny-granite-pfeiffer", "tiny-granite-houlsby",
                                           "tiny-olmo2-pfeiffer", "tiny-olmo2-houlsby"};
static const double tolerance = 1e-4;

static clora_model *model_of(const char *name) {
    int i = 0;

    while (strncmp(name, bases[i], strlen(bases[i])) != 0)
        i++;
    return models[i];
}

static clora_adapter *load(const char *name) {
    clora_adapter *adapter = NULL;

    assert_ok(clora_adapter_load(&adapter, model_of(name), fixture_path(name)));
    return adapter;
}

static void forward(float *logits, const fixture_batch *batch, clora_model *model, clora_adapter *adapter) {
    clora_session *session = NULL;

    assert_ok(clora_session_create(&session, model, batch->B, batch->T));
    assert_ok(clora_session_set_adapter(session, adapter));
    assert_ok(clora_session_forward(session, logits, batch->ids, batch->T, 1));
    clora_session_free(session);
}

/* What follows a sequence's real length saw padding. */
static void assert_logits(const float *actual, const float *expected, const fixture_batch *batch) {
    for (int b = 0; b < batch->B; b++) {
        const size_t start = (size_t)b * (size_t)batch->T * V;
        const double error = relative_error(actual + start, expected + start, (size_t)batch->lengths[b] * V);
        if (!(error <= tolerance))
            fail_msg("sequence %d: relative error %g", b, error);
    }
}

static void test_logits_are_those_of_pytorch(void **state) {
    (void)state;
    for (int i = 0; i < GOLDEN; i++) {
        fixture_batch batch;
        static float logits[64 * V];
        fixture_read_batch(&batch, golden[i]);
        fixture_tensors *f = fixture_open(golden[i]);
        clora_adapter *adapter = load(golden[i]);

        forward(logits, &batch, model_of(golden[i]), adapter);
        assert_logits(logits, fixture_tensor(f, "logits_adapter", (size_t)(batch.B * batch.T * V)), &batch);
        clora_adapter_free(adapter);
        fixture_close(f);
    }
}

/* One bottleneck's four tensors, or their gradients, times `factor`, against those of the file. */
static void assert_rows(const bottleneck *b, const clora_tensor *image, int sublayer, float factor,
                        const fixture_tensors *f, const char *prefix, double limit) {
    static const char *const parts[] = {"adapter_down.0.weight", "adapter_down.0.bias", "adapter_up.weight",
                                        "adapter_up.bias"};
    const size_t C = (size_t)b->C, R = (size_t)b->R, count[] = {C * R, R, C * R, C};
    bottleneck_rows rows;
    float *values = malloc(bottleneck_count(b) * sizeof(float));

    assert_ok(clora_tensor_read(image, values));
    assert_ok(bottleneck_rows_create(&rows, b));
    bottleneck_unpack(b, &rows, values);
    float *const part[] = {rows.down, rows.down_bias, rows.up, rows.up_bias};
    for (int i = 0; i < 4; i++) {
        char key[256];
        snprintf(key, sizeof(key), "%smodel.layers.%d.%s.adapters.golden.%s", prefix, sublayer / SUBLAYERS,
                 sublayer % SUBLAYERS == SUBLAYER_MLP ? "output_adapters" : "attention_adapters", parts[i]);
        for (size_t k = 0; k < count[i]; k++)
            part[i][k] *= factor;
        const double error = relative_error(part[i], fixture_tensor(f, key, count[i]), count[i]);
        if (!(error <= limit))
            fail_msg("%s: relative error %g", key, error);
    }
    bottleneck_rows_free(&rows);
    free(values);
}

/* gradients: NULL compares the values. */
static void assert_adapter(const clora_adapter *adapter, const parameters *gradients, float factor,
                           const fixture_tensors *f, const char *prefix, double limit) {
    for (int i = 0; i < adapter->base.layers * SUBLAYERS; i++) {
        const bottleneck *b = adapter_sublayer(adapter, i);
        if (!b)
            continue;
        const clora_tensor first = gradients ? parameters_gradient(gradients, &b->values.down) : b->values.down;
        clora_tensor image = first;
        image.shape[1] = image.stride = (int)bottleneck_count(b); /* the three lie side by side */
        assert_rows(b, &image, i, factor, f, prefix, limit);
    }
}

static void assert_training(const char *name, int recompute) {
    fixture_batch batch;
    clora_dataset *dataset = NULL;
    fixture_read_batch(&batch, name);
    fixture_tensors *f = fixture_open(name);
    clora_adapter *adapter = load(name);
    clora_trainer *trainer = fixture_trainer(model_of(name), adapter, &dataset, &batch, recompute);

    for (int step = 0; step < 10; step++) {
        clora_train_step done = CLORA_TRAIN_STEP_INIT;
        assert_ok(clora_trainer_step(&done, trainer));
        const double expected = fixture_number(name, "loss_trace", step);
        if (!(fabs((double)done.loss - expected) <= 1e-4))
            fail_msg("%s: step %d: loss %g, expected %g", name, step, (double)done.loss, expected);
        if (step == 0)
            assert_adapter(adapter, &trainer->parameters, 1.0f / (float)batch.learnt, f, "grad.", tolerance);
    }
    assert_adapter(adapter, NULL, 1.0f, f, "final.", 1e-3);
    clora_trainer_free(trainer);
    clora_dataset_free(dataset);
    clora_adapter_free(adapter);
    fixture_close(f);
}

static void test_training_follows_pytorch(void **state) {
    (void)state;
    for (int i = 0; i < GOLDEN; i++)
        assert_training(golden[i], CLORA_RECOMPUTE_NONE);
}

static void test_training_with_recomputed_layers_follows_pytorch(void **state) {
    (void)state;
    for (int i = 0; i < GOLDEN; i++) {
        assert_training(golden[i], CLORA_RECOMPUTE_ATTENTION);
        assert_training(golden[i], CLORA_RECOMPUTE_LAYER);
    }
}

static float *read_values(const clora_adapter *adapter) {
    const clora_tensor *values = ((const bottleneck_adapter *)adapter)->values;
    float *out = malloc(clora_tensor_count(values) * sizeof(float));

    assert_ok(clora_tensor_read(values, out));
    return out;
}

/* The loss of a first step with dropout, with the adapter's values moved along a direction, and its gradient. */
static double first_loss(float *gradient, const char *name, const float *direction, float far, int recompute) {
    fixture_batch batch;
    clora_dataset *dataset = NULL;
    clora_train_step done = CLORA_TRAIN_STEP_INIT;
    clora_adapter *adapter = load(name);
    float *values = read_values(adapter);
    const clora_tensor *stored = ((const bottleneck_adapter *)adapter)->values;
    const size_t n = clora_tensor_count(stored);

    for (size_t i = 0; direction && i < n; i++)
        values[i] += far * direction[i];
    assert_ok(clora_tensor_write(((bottleneck_adapter *)adapter)->values, values));
    assert_ok(clora_adapter_set_dropout(adapter, 0.5f));
    fixture_read_batch(&batch, name);
    clora_trainer *trainer = fixture_trainer(model_of(name), adapter, &dataset, &batch, recompute);
    assert_ok(clora_trainer_step(&done, trainer));
    if (gradient)
        assert_ok(clora_tensor_read(trainer->parameters.gradient[0], gradient));
    for (size_t i = 0; gradient && i < n; i++)
        gradient[i] /= (float)batch.learnt;
    clora_trainer_free(trainer);
    clora_dataset_free(dataset);
    clora_adapter_free(adapter);
    free(values);
    return (double)done.loss;
}

/* Along its gradient the loss rises by that one's length, with the same parts dropped. */
static void test_gradients_with_dropout_are_slopes(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        float gradient[2048], again[2048];
        double square = 0.0;
        clora_adapter *adapter = load(golden[i]);
        const size_t n = clora_tensor_count(((bottleneck_adapter *)adapter)->values);
        assert_true(n <= sizeof(gradient) / sizeof(gradient[0]));
        first_loss(gradient, golden[i], NULL, 0.0f, CLORA_RECOMPUTE_NONE);
        first_loss(again, golden[i], NULL, 0.0f, CLORA_RECOMPUTE_LAYER);
        assert_memory_equal(again, gradient, n * sizeof(float));
        for (size_t k = 0; k < n; k++)
            square += (double)gradient[k] * (double)gradient[k];
        const float far = 0.01f / (float)sqrt(square);
        const double slope = (first_loss(NULL, golden[i], gradient, far, CLORA_RECOMPUTE_NONE) -
                              first_loss(NULL, golden[i], gradient, -far, CLORA_RECOMPUTE_NONE)) /
                             (2.0 * (double)far);
        if (!(fabs(slope - square) <= 5e-3 * square))
            fail_msg("%s: the loss rises by %g, expected %g", golden[i], slope, square);
        clora_adapter_free(adapter);
    }
}

/* Half of what is added is dropped in training alone; files say how much it is. */
static void test_dropout_is_of_training_and_saved(void **state) {
    fixture_batch batch;
    static float before[64 * V], after[64 * V];
    clora_adapter *adapter = load(golden[0]), *again = NULL;
    const double whole = fixture_number(golden[0], "loss_trace", 0);

    (void)state;
    fixture_read_batch(&batch, golden[0]);
    forward(before, &batch, llama, adapter);
    assert_true(fabs(first_loss(NULL, golden[0], NULL, 0.0f, CLORA_RECOMPUTE_NONE) - whole) > 1e-3);
    assert_ok(clora_adapter_set_dropout(adapter, 0.1f));
    assert_ok(clora_adapter_save(adapter, scratch_path("dropping"), NULL));
    assert_ok(clora_adapter_load(&again, llama, scratch_path("dropping")));
    assert_true(clora_bottleneck_get_info(again)->dropout == 0.1f);
    forward(after, &batch, llama, again);
    assert_memory_equal(before, after, 11 * V * sizeof(float));
    assert_refused(clora_adapter_set_dropout(again, 1.0f), CLORA_ERROR_ARGUMENT, "dropout 1");
    clora_adapter_free(adapter);
    clora_adapter_free(again);
}

/* Each new token by itself; on a CPU its calls are one launch. */
static void test_cached_steps_give_the_logits_of_one_pass(void **state) {
    (void)state;
    for (int i = 0; i < GOLDEN; i++) {
        fixture_batch batch;
        static float whole[64 * V], last[4 * V];
        clora_session *session = NULL;
        int32_t column[4];
        clora_adapter *adapter = load(golden[i]);

        fixture_read_batch(&batch, golden[i]);
        forward(whole, &batch, model_of(golden[i]), adapter);
        assert_ok(clora_session_create(&session, model_of(golden[i]), batch.B, batch.T));
        assert_ok(clora_session_set_adapter(session, adapter));
        for (int t = 0; t < batch.T; t++) {
            for (int b = 0; b < batch.B; b++)
                column[b] = batch.ids[b * batch.T + t];
            assert_ok(clora_session_forward(session, last, column, 1, 0));
            for (int b = 0; b < batch.B; b++)
                assert_true(relative_error(last + b * V, whole + (b * batch.T + t) * V, V) < 1e-5);
        }
        assert_true(tape_holds(session->tape, (tape_key){batch.B, 1, 0}) || !kernel_runs_tapes(context));
        clora_session_free(session);
        clora_adapter_free(adapter);
    }
}

/* Sequences of a step with no adapter and one of either style. */
static void test_sequences_have_an_adapter_each(void **state) {
    fixture_batch batch;
    float expected[3][V], logits[3 * V];
    clora_adapter *adapters[3] = {NULL, load(golden[0]), load(golden[1])};
    const clora_adapter *each[3] = {adapters[0], adapters[1], adapters[2]};
    clora_session *session = NULL;

    (void)state;
    fixture_read_batch(&batch, golden[0]);
    for (int i = 0; i < 3; i++) {
        assert_ok(clora_session_create(&session, llama, 1, batch.T));
        assert_ok(clora_session_set_adapter(session, adapters[i]));
        assert_ok(clora_session_forward(session, expected[i], batch.ids, 1, 0));
        clora_session_free(session);
    }
    assert_true(relative_error(expected[1], expected[0], V) > 1e-2);
    assert_true(relative_error(expected[1], expected[2], V) > 1e-2);
    assert_ok(clora_session_create(&session, llama, 3, batch.T));
    for (int i = 0; i < 3; i++)
        assert_ok(session_prepare(session, adapters[i]));
    const selection select = selection_of(each, 3);
    const int32_t ids[3] = {batch.ids[0], batch.ids[0], batch.ids[0]};
    assert_ok(session_step(session, &select, logits, ids, 3));
    for (int i = 0; i < 3; i++)
        assert_true(relative_error(logits + i * V, expected[i], V) < 1e-5);
    clora_session_free(session);
    clora_adapter_free(adapters[1]);
    clora_adapter_free(adapters[2]);
}

static void test_what_was_loaded_is_saved_as_it_was(void **state) {
    (void)state;
    for (int i = 0; i < GOLDEN; i++) {
        clora_adapter *adapter = load(golden[i]), *again = NULL;

        assert_string_equal(clora_adapter_method(adapter), "adapter");
        assert_ok(clora_adapter_save(adapter, scratch_path("a"), NULL));
        assert_ok(clora_adapter_load(&again, model_of(golden[i]), scratch_path("a")));
        float *before = read_values(adapter), *after = read_values(again);
        assert_memory_equal(before, after, clora_tensor_count(((bottleneck_adapter *)adapter)->values) * sizeof(float));
        assert_refused(clora_adapter_save(again, scratch_path("a"), NULL), CLORA_ERROR_ARGUMENT,
                       "holds an adapter already");
        assert_ok(clora_adapter_save(again, scratch_path("b"), NULL));
        assert_same_file(scratch_path("a/adapter.safetensors"), scratch_path("b/adapter.safetensors"));
        assert_same_file(scratch_path("a/adapter_config.json"), scratch_path("b/adapter_config.json"));
        free(before);
        free(after);
        clora_adapter_free(adapter);
        clora_adapter_free(again);
        scratch_teardown(state);
        scratch_setup(state);
    }
}

static clora_adapter *create(int columns, clora_bottleneck_style style, clora_bottleneck_init init) {
    clora_bottleneck_options options = CLORA_BOTTLENECK_OPTIONS_INIT;
    clora_adapter *adapter = NULL;

    options.columns = columns;
    options.style = style;
    options.init = init;
    assert_ok(clora_bottleneck_create(&adapter, llama, &options));
    return adapter;
}

/* Of 1 to 40 for a width of 32, whole parts of it or not. */
static void test_a_fresh_one_has_the_columns_that_its_file_says(void **state) {
    (void)state;
    for (int columns = 1; columns <= 40; columns += 3) {
        clora_adapter *adapter =
            create(columns, columns % 2 ? CLORA_BOTTLENECK_STYLE_HOULSBY : CLORA_BOTTLENECK_STYLE_PFEIFFER,
                   CLORA_BOTTLENECK_INIT_BERT);
        const clora_bottleneck_info *info = clora_bottleneck_get_info(adapter);

        assert_int_equal(info->columns, columns);
        assert_int_equal(info->swish, columns % 2);
        assert_int_equal(info->reads_stream, !(columns % 2));
        assert_int_equal(info->after_attention, columns % 2);
        assert_int_equal(info->after_mlp, 1);
        assert_int_equal(info->sublayers, columns % 2 ? 4 : 2);
        clora_adapter_free(adapter);
    }
    assert_int_equal(clora_bottleneck_get_info(NULL)->columns, 0);
}

/* With U zero nothing changes; with small weights little does, and something. */
static void test_a_fresh_one_changes_next_to_nothing(void **state) {
    fixture_batch batch;
    static float base[64 * V], logits[64 * V];
    const size_t n = 11 * V;

    (void)state;
    fixture_read_batch(&batch, golden[0]);
    forward(base, &batch, llama, NULL);
    for (int style = 0; style < 2; style++) {
        clora_adapter *adapter = create(8, (clora_bottleneck_style)style, CLORA_BOTTLENECK_INIT_MAM);
        forward(logits, &batch, llama, adapter);
        assert_true(relative_error(logits, base, n) < 1e-5);
        clora_adapter_free(adapter);
        adapter = create(8, (clora_bottleneck_style)style, CLORA_BOTTLENECK_INIT_BERT);
        forward(logits, &batch, llama, adapter);
        const double change = relative_error(logits, base, n);
        assert_true(change > 1e-6 && change < 0.05);
        clora_adapter_free(adapter);
    }
}

/* Low-rank terms inside of the layers, bottlenecks after them: both are there at once. */
static void test_is_joined_with_low_rank_terms(void **state) {
    fixture_batch batch;
    static float together[64 * V], alone[64 * V];
    clora_adapter *parts[2] = {NULL, load(golden[1])}, *joined = NULL, *twice = NULL;
    const size_t n = 11 * V;

    (void)state;
    assert_ok(clora_adapter_load(&parts[0], llama, fixture_path("tiny-llama-lora")));
    assert_ok(clora_adapter_join(&joined, parts, 2));
    fixture_read_batch(&batch, golden[1]);
    forward(together, &batch, llama, joined);
    for (int i = 0; i < 2; i++) {
        forward(alone, &batch, llama, parts[i]);
        assert_true(relative_error(together, alone, n) > 1e-2);
    }
    assert_refused(clora_adapter_join(&twice, (clora_adapter *[]){parts[1], parts[1]}, 2), CLORA_ERROR_ARGUMENT,
                   "sublayers");
    clora_adapter_free(joined);
    clora_adapter_free(parts[0]);
    clora_adapter_free(parts[1]);
}

static void test_refuses_options_that_say_nothing(void **state) {
    clora_adapter *adapter = NULL;
    clora_bottleneck_options o = CLORA_BOTTLENECK_OPTIONS_INIT;

    (void)state;
    o.columns = 0;
    assert_refused(clora_bottleneck_create(&adapter, llama, &o), CLORA_ERROR_ARGUMENT, "0 columns");
    o.columns = 8;
    o.style = (clora_bottleneck_style)2;
    assert_refused(clora_bottleneck_create(&adapter, llama, &o), CLORA_ERROR_ARGUMENT, "style");
    o.style = CLORA_BOTTLENECK_STYLE_PFEIFFER;
    o.nonlinearity = (clora_nonlinearity)3;
    assert_refused(clora_bottleneck_create(&adapter, llama, &o), CLORA_ERROR_ARGUMENT, "nonlinearity");
    o.nonlinearity = CLORA_NONLINEARITY_STYLES;
    o.init = (clora_bottleneck_init)2;
    assert_refused(clora_bottleneck_create(&adapter, llama, &o), CLORA_ERROR_ARGUMENT, "initialisation");
    o.init = CLORA_BOTTLENECK_INIT_BERT;
    o.dropout = 1.0f;
    assert_refused(clora_bottleneck_create(&adapter, llama, &o), CLORA_ERROR_ARGUMENT, "dropout");
    assert_null(adapter);
}

/* A copy of the first golden adapter whose settings have a text in another's place. */
static void write_changed(const char *from, const char *to) {
    size_t size;
    char *text = read_whole(&size, fixture_path("tiny-llama-pfeiffer/adapter_config.json"));
    char *at = strstr(text, from), changed[4096];

    if (!at)
        fail_msg("the settings have no %s", from);
    snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    scratch_text("adapter_config.json", changed);
    scratch_copy("adapter.safetensors", fixture_path("tiny-llama-pfeiffer/adapter.safetensors"));
    free(text);
}

static void test_refuses_settings_that_are_another_function(void **state) {
    static const struct {
        const char *from, *to, *words;
    } wrong[] = {
        {"\"is_parallel\": false", "\"is_parallel\": true", "\"is_parallel\" is set"},
        {"\"scaling\": 1.0", "\"scaling\": 4.0", "\"scaling\" is not 1"},
        {"\"scaling\": 1.0", "\"scaling\": \"learned\"", "\"scaling\" is not 1"},
        {"\"ln_after\": false", "\"ln_after\": true", "\"ln_after\" is set"},
        {"\"inv_adapter\": null", "\"inv_adapter\": \"nice\"", "\"inv_adapter\" is set"},
        {"\"dropout\": 0.0", "\"dropout\": 1.0", "\"dropout\" is 1"},
        {"\"dropout\": 0.0", "\"dropout\": \"some\"", "\"dropout\""},
        {"\"original_ln_after\": true", "\"original_ln_after\": false", "\"original_ln_after\" is not true"},
        {"\"residual_before_ln\": true", "\"residual_before_ln\": \"post_add\"", "\"residual_before_ln\" is not true"},
        {"\"non_linearity\": \"relu\"", "\"non_linearity\": \"gelu\"", "\"non_linearity\" is \"gelu\""},
        {"\"reduction_factor\": 8", "\"reduction_factor\": 0", "\"reduction_factor\""},
        {"\"reduction_factor\": 8", "\"reduction_factor\": {\"0\": 8}", "\"reduction_factor\""},
        {"\"reduction_factor\": 8", "\"reduction_factor\": 4", "\"reduction_factor\""},
        {"\"reduction_factor\": 8", "\"reduction_factor\": 1e-30", "\"reduction_factor\""},
        {"\"output_adapter\": true", "\"output_adapter\": false", "neither \"mh_adapter\" nor"},
        {"\"mh_adapter\": false", "\"mh_adapter\": true", "is missing"},
        {"\"leave_out\": []", "\"leave_out\": [0, 1]", "\"leave_out\" names every layer"},
        {"\"leave_out\": []", "\"leave_out\": [1]", "is not part of the adapter"},
        {"\"name\": \"golden\"", "\"name\": \"\"", "\"name\""},
        {"\"name\": \"golden\"", "\"name\": \"other\"", "is missing"},
        {"\"phm_layer\": false", "\"architecture\": \"lora\"", "\"architecture\" is \"lora\""},
        {"\"phm_layer\": false", "\"newer\": 1", "\"newer\" is set"},
    };
    clora_adapter *adapter = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        write_changed(wrong[i].from, wrong[i].to);
        const clora_status status = clora_adapter_load(&adapter, llama, scratch_path(""));
        if (status == CLORA_OK || !strstr(clora_last_error(), wrong[i].words) || strchr(clora_last_error(), '\n'))
            fail_msg("%s: %s", wrong[i].to, status == CLORA_OK ? "loaded" : clora_last_error());
    }
}

static void test_understands_other_ways_to_say_the_same(void **state) {
    static const struct {
        const char *from, *to;
    } same[] = {
        {"\"reduction_factor\": 8", "\"reduction_factor\": {\"1\": 7.5, \"default\": 8}"},
        {"\"scaling\": 1.0", "\"scaling\": 1"},
        {"\"leave_out\": []", "\"leave_out\": null"},
        {"\"phm_layer\": false", "\"newer\": null"},
        {"\"non_linearity\": \"relu\"", "\"non_linearity\": \"silu\""},
    };
    clora_adapter *adapter = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        write_changed(same[i].from, same[i].to);
        assert_ok(clora_adapter_load(&adapter, llama, scratch_path("")));
        assert_int_equal(clora_bottleneck_get_info(adapter)->swish, strstr(same[i].to, "silu") != NULL);
        clora_adapter_free(adapter);
    }
}

static void test_a_first_layer_left_out_is_looked_past(void **state) {
    clora_inspected_adapter *seen;

    (void)state;
    write_changed("\"leave_out\": []", "\"leave_out\": [0]");
    assert_ok(clora_inspect_adapter(&seen, scratch_path("")));
    assert_int_equal(seen->columns, 4);
    clora_inspected_adapter_free(seen);
}

static void test_says_what_to_do_about_a_pickle(void **state) {
    clora_adapter *adapter = NULL;

    (void)state;
    scratch_copy("adapter_config.json", fixture_path("tiny-llama-pfeiffer/adapter_config.json"));
    assert_refused(clora_adapter_load(&adapter, llama, scratch_path("")), CLORA_ERROR_NOT_FOUND, "adapter.safetensors");
    scratch_text("pytorch_adapter.bin", "pickle");
    assert_refused(clora_adapter_load(&adapter, llama, scratch_path("")), CLORA_ERROR_UNSUPPORTED,
                   "use_safetensors=True");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logits_are_those_of_pytorch),
        cmocka_unit_test(test_training_follows_pytorch),
        cmocka_unit_test(test_training_with_recomputed_layers_follows_pytorch),
        cmocka_unit_test(test_gradients_with_dropout_are_slopes),
        cmocka_unit_test_setup_teardown(test_dropout_is_of_training_and_saved, scratch_setup, scratch_teardown),
        cmocka_unit_test(test_cached_steps_give_the_logits_of_one_pass),
        cmocka_unit_test(test_sequences_have_an_adapter_each),
        cmocka_unit_test_setup_teardown(test_what_was_loaded_is_saved_as_it_was, scratch_setup, scratch_teardown),
        cmocka_unit_test(test_a_fresh_one_has_the_columns_that_its_file_says),
        cmocka_unit_test(test_a_fresh_one_changes_next_to_nothing),
        cmocka_unit_test(test_is_joined_with_low_rank_terms),
        cmocka_unit_test(test_refuses_options_that_say_nothing),
        cmocka_unit_test_setup_teardown(test_refuses_settings_that_are_another_function, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(test_understands_other_ways_to_say_the_same, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_a_first_layer_left_out_is_looked_past, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_says_what_to_do_about_a_pickle, scratch_setup, scratch_teardown),
    };

    if (clora_context_create(&context, NULL) != CLORA_OK) {
        fprintf(stderr, "skipped: %s\n", clora_last_error());
        return 77;
    }
    for (int i = 0; i < BASES; i++)
        if (clora_model_load(&models[i], context, fixture_path(bases[i]), NULL) != CLORA_OK) {
            fprintf(stderr, "%s\n", clora_last_error());
            return 1;
        }
    llama = models[0];
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (int i = 0; i < BASES; i++)
        clora_model_free(models[i]);
    clora_context_free(context);
    return failed;
}
