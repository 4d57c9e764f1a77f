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

#include "methods/lora_adapter.h"
#include "model/session.h"
#include "support/fixture.h"
#include "support/scratch.h"
#include "support/training.h"
#include "train/trainer.h"

static clora_context *context;
static clora_model *model;

enum { V = 97 };

static const char *const adapters[] = {"tiny-llama-lora", "tiny-llama-patterns"};

static void test_switching_adapters_needs_no_reload(void **state) {
    (void)state;
    fixture_batch batch;
    static float first[64 * V], again[64 * V], other[64 * V];
    clora_session *session = NULL;
    clora_adapter *a = fixture_adapter(model, adapters[0]), *b = fixture_adapter(model, adapters[1]);

    fixture_read_batch(&batch, adapters[0]);
    assert_ok(clora_session_create(&session, model, batch.B, batch.T));
    assert_ok(clora_session_set_adapter(session, a));
    assert_ok(clora_session_forward(session, first, batch.ids, batch.T, 1));
    clora_session_reset(session);
    assert_ok(clora_session_set_adapter(session, b));
    assert_ok(clora_session_forward(session, other, batch.ids, batch.T, 1));
    clora_session_reset(session);
    assert_ok(clora_session_set_adapter(session, a));
    assert_ok(clora_session_forward(session, again, batch.ids, batch.T, 1));
    const size_t n = (size_t)(batch.B * batch.T * V);
    assert_memory_equal(first, again, n * sizeof(float));
    assert_true(relative_error(other, first, n) > 1e-3);
    clora_session_free(session);
    clora_adapter_free(a);
    clora_adapter_free(b);
}

static void test_refuses_ids_outside_the_vocabulary(void **state) {
    (void)state;
    clora_session *session = NULL;
    float logits[V];

    assert_ok(clora_session_create(&session, model, 1, 4));
    assert_int_equal(clora_session_forward(session, logits, &(int32_t){V}, 1, 0), CLORA_ERROR_ARGUMENT);
    assert_int_equal(clora_session_forward(session, logits, &(int32_t){-1}, 1, 0), CLORA_ERROR_ARGUMENT);
    clora_session_free(session);
}

static void test_training_never_writes_the_frozen_weights(void **state) {
    (void)state;
    fixture_batch batch;
    clora_dataset *dataset = NULL;
    clora_train_step done = CLORA_TRAIN_STEP_INIT;
    const size_t size = weights_snapshot(NULL, model);
    unsigned char *before = malloc(size), *after = malloc(size);
    clora_adapter *adapter = fixture_adapter(model, adapters[0]);

    fixture_read_batch(&batch, adapters[0]);
    weights_snapshot(before, model);
    clora_trainer *trainer = fixture_trainer(model, adapter, &dataset, &batch, 0);
    for (int step = 0; step < 3; step++)
        assert_ok(clora_trainer_step(&done, trainer));
    weights_snapshot(after, model);
    assert_memory_equal(before, after, size);
    clora_trainer_free(trainer);
    clora_dataset_free(dataset);
    clora_adapter_free(adapter);
    free(before);
    free(after);
}

static void read_chunk(float **out, size_t *n, clora_adapter *adapter) {
    *n = clora_tensor_count(lora_of(adapter)->chunk[0]);
    *out = malloc(*n * sizeof(float));
    assert_ok(clora_tensor_read(lora_of(adapter)->chunk[0], *out));
}

/* The factors after some steps with dropout; the bytes of the arena. */
static size_t train_with_dropout(float **out, size_t *n, int recompute) {
    fixture_batch batch;
    clora_dataset *dataset = NULL;
    clora_train_step done = CLORA_TRAIN_STEP_INIT;
    clora_adapter *adapter = fixture_adapter(model, adapters[1]);

    assert_ok(clora_adapter_set_dropout(adapter, 0.25f));
    fixture_read_batch(&batch, adapters[1]);
    clora_trainer *trainer = fixture_trainer(model, adapter, &dataset, &batch, recompute);
    for (int step = 0; step < 4; step++)
        assert_ok(clora_trainer_step(&done, trainer));
    const size_t bytes = clora_trainer_plan(trainer)->activations;
    read_chunk(out, n, adapter);
    clora_trainer_free(trainer);
    clora_dataset_free(dataset);
    clora_adapter_free(adapter);
    return bytes;
}

static void assert_same_training(int recompute, size_t *bytes, size_t *again_bytes) {
    float *first, *again;
    size_t n;

    *bytes = train_with_dropout(&first, &n, 0);
    *again_bytes = train_with_dropout(&again, &n, recompute);
    assert_memory_equal(first, again, n * sizeof(float));
    free(first);
    free(again);
}

static void test_two_runs_give_the_same_bits(void **state) {
    size_t bytes, again_bytes;

    (void)state;
    assert_same_training(0, &bytes, &again_bytes);
    assert_int_equal(bytes, again_bytes);
}

static void test_recomputed_layers_give_the_same_bits_in_less_memory(void **state) {
    size_t bytes, again_bytes;

    (void)state;
    assert_same_training(CLORA_RECOMPUTE_LAYER, &bytes, &again_bytes);
    assert_true(again_bytes < bytes);
}

/* Of each layer but one, which the others share: the queries, keys and values, their output and the sums. */
static void test_recomputed_attention_gives_the_same_bits_in_less_memory(void **state) {
    const model_config *c = &model->config;
    const size_t kept = (size_t)((2 * c->heads + 2 * c->kv_heads) * c->head_dim + c->heads) * sizeof(float);
    size_t bytes, again_bytes;
    fixture_batch batch;

    (void)state;
    fixture_read_batch(&batch, adapters[1]);
    assert_same_training(CLORA_RECOMPUTE_ATTENTION, &bytes, &again_bytes);
    assert_in_range(bytes - again_bytes, (size_t)(c->layers - 1) * (size_t)(batch.B * batch.T) * kept, bytes / 3);
}

static void test_activations_that_do_not_fit_are_refused_with_a_remedy(void **state) {
    fixture_batch batch;
    clora_dataset *dataset = NULL;
    clora_trainer *trainer = NULL;
    clora_train_options options = CLORA_TRAIN_OPTIONS_INIT;
    const size_t all = context->info.global_memory;
    clora_adapter *adapter = fixture_adapter(model, adapters[0]);

    (void)state;
    fixture_read_batch(&batch, adapters[0]);
    const int lengths[4] = {batch.T, batch.T, batch.T, batch.T};
    assert_ok(clora_dataset_from_ids(&dataset, batch.ids, batch.labels, lengths, batch.B));
    context->info.global_memory = context->memory_now + 1000;
    assert_int_equal(clora_trainer_create(&trainer, model, adapter, dataset, &options), CLORA_ERROR_MEMORY);
    context->info.global_memory = all;
    assert_non_null(strstr(clora_last_error(), "recomputed layers, or a smaller batch"));
    clora_dataset_free(dataset);
    clora_adapter_free(adapter);
}

static void test_a_loss_that_is_not_finite_stops_before_the_update(void **state) {
    (void)state;
    fixture_batch batch;
    clora_dataset *dataset = NULL;
    clora_train_step done = CLORA_TRAIN_STEP_INIT;
    float *before, *after;
    size_t n;
    clora_adapter *adapter = fixture_adapter(model, adapters[0]);

    fixture_read_batch(&batch, adapters[0]);
    clora_trainer *trainer = fixture_trainer(model, adapter, &dataset, &batch, 0);
    assert_ok(clora_trainer_step(&done, trainer));
    read_chunk(&before, &n, adapter);
    before[0] = INFINITY;
    assert_ok(clora_tensor_write(lora_of(adapter)->chunk[0], before));
    assert_int_equal(clora_trainer_step(&done, trainer), CLORA_ERROR_FORMAT);
    assert_non_null(strstr(clora_last_error(), "step 2"));
    read_chunk(&after, &n, adapter);
    assert_memory_equal(before, after, n * sizeof(float));
    free(before);
    free(after);
    clora_trainer_free(trainer);
    clora_dataset_free(dataset);
    clora_adapter_free(adapter);
}

static workspace *plan_training(const clora_adapter *adapter, const clora_batch *batch, bool dropout) {
    int *ranks = adapter_list_ranks(adapter, model->projections);
    workspace *ws;

    assert_ok(workspace_plan(&ws, model,
                             &(workspace_options){.B = batch->B,
                                                  .T = batch->T,
                                                  .positions = batch->T,
                                                  .train = true,
                                                  .loss = true,
                                                  .dropout = dropout,
                                                  .ranks = ranks}));
    assert_ok(workspace_commit(ws));
    free(ranks);
    return ws;
}

/* Loss of each row and the adapter's gradients on a batch. */
static float *losses_and_gradients(float *loss, workspace *ws, clora_adapter *adapter, const clora_batch *batch,
                                   const float *row_weights) {
    parameters trained = {0};
    clora_tensor *weights = NULL;

    assert_ok(adapter->method->list_parameters(&trained, adapter, &(clora_train_options)CLORA_TRAIN_OPTIONS_INIT));
    const selection select = {.adapter = adapter, .trains = &trained};
    float *g = malloc(parameters_scalars(&trained) * sizeof(*g));
    assert_ok(batch_upload(ws, batch));
    if (row_weights) {
        assert_ok(tensor_new(&weights, context, CLORA_DTYPE_F32, ws->M, 1));
        assert_ok(clora_tensor_write(weights, row_weights));
    }
    assert_ok(model_forward(ws, &select, NULL));
    assert_ok(objective_run(objective_likelihood, ws, &select, weights, true));
    assert_ok(model_backward(ws, &select));
    assert_ok(clora_tensor_read(&ws->nll, loss));
    assert_ok(clora_tensor_read(trained.gradient[0], g));
    clora_tensor_free(weights);
    parameters_finish(&trained);
    return g;
}

static void test_rows_count_as_often_as_their_weights_say(void **state) {
    (void)state;
    fixture_batch raw;
    clora_batch batch;
    clora_adapter *adapter = fixture_adapter(model, adapters[0]);
    float loss[3][64], weights[64], *g[3], *p;
    size_t n;

    fixture_read_batch(&raw, adapters[0]);
    fixture_make_batch(&batch, &raw);
    const int M = batch.B * batch.T;
    workspace *ws = plan_training(adapter, &batch, false);
    ws->logits.shape[0] = 5; /* several chunks */
    read_chunk(&p, &n, adapter);
    for (int i = 0; i < M; i++)
        weights[i] = i % 3 == 0 ? 0.0f : (float)(i % 3);
    g[0] = losses_and_gradients(loss[0], ws, adapter, &batch, weights);
    for (int i = 0; i < M; i++) /* the sum of once without the rows of weight 0 and once with those of weight 2 alone */
        batch.targets[i] = weights[i] > 0.0f ? batch.targets[i] : -1;
    g[1] = losses_and_gradients(loss[1], ws, adapter, &batch, NULL);
    for (int i = 0; i < M; i++)
        batch.targets[i] = weights[i] > 1.0f ? batch.targets[i] : -1;
    g[2] = losses_and_gradients(loss[2], ws, adapter, &batch, NULL);
    for (int i = 0; i < M; i++)
        assert_true(loss[0][i] == loss[1][i] + loss[2][i]);
    for (size_t i = 0; i < n; i++)
        g[1][i] += g[2][i];
    assert_true(relative_error(g[0], g[1], n) < 1e-5);
    for (int i = 0; i < 3; i++)
        free(g[i]);
    free(p);
    workspace_free(ws);
    fixture_batch_free(&batch);
    clora_adapter_free(adapter);
}

static void test_the_head_leaves_out_rows_without_a_target(void **state) {
    (void)state;
    fixture_batch raw;
    clora_batch batch;
    clora_adapter *adapter = fixture_adapter(model, adapters[0]);
    const selection select = {.adapter = adapter};
    float loss[64], logits[64 * 97];
    int learnt = 0;

    fixture_read_batch(&raw, adapters[0]);
    fixture_make_batch(&batch, &raw);
    const int M = batch.B * batch.T;
    workspace *ws = plan_training(adapter, &batch, false);
    for (int i = 0; i < M; i++)
        learnt += batch.targets[i] >= 0;
    assert_true(learnt > 0 && learnt < M);
    assert_int_equal(clora_tensor_count(&ws->logits), (size_t)M * 97);
    assert_ok(batch_upload(ws, &batch));
    assert_ok(model_forward(ws, &select, NULL));
    assert_ok(clora_tensor_zero(&ws->logits)); /* where layers have put what they share */
    assert_ok(objective_run(objective_likelihood, ws, &select, NULL, true));
    assert_ok(clora_tensor_read(&ws->nll, loss));
    assert_ok(clora_tensor_read(&ws->logits, logits));
    for (int i = 0; i < M; i++) { /* softmax minus one is not zero */
        assert_int_equal(logits[i * 97] == 0.0f, i >= learnt);
        assert_int_equal(loss[i] == 0.0f, batch.targets[i] < 0);
    }
    workspace_free(ws);
    fixture_batch_free(&batch);
    clora_adapter_free(adapter);
}

static void test_dropout_gradients_are_those_of_the_masked_loss(void **state) {
    (void)state;
    /* With the mask fixed by the seed the loss is a smooth function of the factors: a central difference along the
     * gradient must give the gradient's squared length. */
    fixture_batch raw;
    clora_batch batch;
    parameters trained = {0};
    clora_adapter *adapter = fixture_adapter(model, adapters[0]);
    float staging[64], *p, *g;
    size_t n;

    fixture_read_batch(&raw, adapters[0]);
    fixture_make_batch(&batch, &raw);
    workspace *ws = plan_training(adapter, &batch, true);
    assert_ok(adapter->method->list_parameters(&trained, adapter, &(clora_train_options)CLORA_TRAIN_OPTIONS_INIT));
    const selection select = {.adapter = adapter, .trains = &trained, .dropout = 0.3f, .dropout_seed = 77};
    assert_ok(batch_upload(ws, &batch));
    assert_ok(model_forward(ws, &select, NULL));
    assert_ok(objective_run(objective_likelihood, ws, &select, NULL, true));
    assert_ok(model_backward(ws, &select));
    read_chunk(&p, &n, adapter);
    g = malloc(n * sizeof(float));
    assert_ok(clora_tensor_read(trained.gradient[0], g));
    double length = 0.0, side[2];
    for (size_t i = 0; i < n; i++)
        length += (double)g[i] * (double)g[i];
    const double h = 1e-3 / sqrt(length);
    for (int s = 0; s < 2; s++) {
        float *moved = malloc(n * sizeof(float));
        for (size_t i = 0; i < n; i++)
            moved[i] = p[i] + (float)((s ? -h : h) * (double)g[i]);
        assert_ok(clora_tensor_write(lora_of(adapter)->chunk[0], moved));
        assert_ok(model_forward(ws, &select, NULL));
        assert_ok(objective_run(objective_likelihood, ws, &select, NULL, false));
        assert_ok(batch_results(ws, staging, &side[s], NULL));
        free(moved);
    }
    const double slope = (side[0] - side[1]) / (2.0 * h);
    if (!(fabs(slope - length) <= 0.01 * length))
        fail_msg("slope %g, squared length of the gradient %g", slope, length);
    free(p);
    free(g);
    parameters_finish(&trained);
    workspace_free(ws);
    fixture_batch_free(&batch);
    clora_adapter_free(adapter);
}

/* sqrt(40) is 6.3246 and lies between 6.3125 and 6.34375 of bf16. */
static void test_the_scale_of_embeddings_is_a_number_of_the_weights_type(void **state) {
    static const struct {
        int dtype;
        float scale;
    } wanted[] = {{-1, 6.3245554f}, {CLORA_STORAGE_BF16, 6.3125f}, {CLORA_STORAGE_F16, 6.32421875f}};
    clora_model_options options = CLORA_MODEL_OPTIONS_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        clora_model *gemma = NULL;
        options.dtype = wanted[i].dtype;
        assert_ok(clora_model_load(&gemma, context, fixture_path("tiny-gemma"), &options));
        assert_float_equal(gemma->config.embedding_scale, wanted[i].scale, 0.0f);
        clora_model_free(gemma);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_switching_adapters_needs_no_reload),
        cmocka_unit_test(test_refuses_ids_outside_the_vocabulary),
        cmocka_unit_test(test_training_never_writes_the_frozen_weights),
        cmocka_unit_test(test_two_runs_give_the_same_bits),
        cmocka_unit_test(test_recomputed_attention_gives_the_same_bits_in_less_memory),
        cmocka_unit_test(test_recomputed_layers_give_the_same_bits_in_less_memory),
        cmocka_unit_test(test_activations_that_do_not_fit_are_refused_with_a_remedy),
        cmocka_unit_test(test_a_loss_that_is_not_finite_stops_before_the_update),
        cmocka_unit_test(test_rows_count_as_often_as_their_weights_say),
        cmocka_unit_test(test_the_scale_of_embeddings_is_a_number_of_the_weights_type),
        cmocka_unit_test(test_the_head_leaves_out_rows_without_a_target),
        cmocka_unit_test(test_dropout_gradients_are_those_of_the_masked_loss),
    };
    if (clora_context_create(&context, NULL) != CLORA_OK) {
        fprintf(stderr, "skipped: %s\n", clora_last_error());
        return 77;
    }
    if (clora_model_load(&model, context, fixture_path("tiny-llama"), NULL) != CLORA_OK) {
        fprintf(stderr, "%s\n", clora_last_error());
        return 1;
    }
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    clora_model_free(model);
    clora_context_free(context);
    return failed;
}
