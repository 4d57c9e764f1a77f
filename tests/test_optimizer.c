#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "tuning/recorder.h"
#include "ref/ref.h"
#include "support/assert.h"
#include "support/fixture.h"
#include "support/fresh_context.h"
#include "support/scratch.h"
#include "train/optimizer.h"

/* Four parameters in two buffers: the first three lie side by side. */
enum { BUFFERS = 2, COUNT = 4 };
static const int sizes[BUFFERS] = {40, 9};
static const char *const names[COUNT] = {"up.weight", "up.bias", "up.gain", "norm.weight"};
static const int buffer_of[COUNT] = {0, 0, 0, 1};
static const size_t offset_of[COUNT] = {0, 24, 34, 0}, count_of[COUNT] = {24, 10, 6, 9};
static const parameter_group alike[COUNT] = {{1.0f, 0.1f}, {1.0f, 0.1f}, {1.0f, 0.1f}, {1.0f, 0.1f}};
static const parameter_group apart[COUNT] = {{1.0f, 0.1f}, {8.0f, 0.1f}, {8.0f, 0.0f}, {8.0f, 0.0f}};

static clora_train_options options = CLORA_TRAIN_OPTIONS_INIT;
static clora_tensor *value[BUFFERS];
static parameters list;
static optimizer *adamw;

static float initial(int buffer, int i) {
    return 0.1f * (float)(i + 1) - 2.0f * (float)buffer;
}

static float slope(int buffer, int i, int step) {
    return sinf((float)(7 * buffer + 3 * i + 5 * step));
}

static void write_gradients(int step) {
    for (int b = 0; b < BUFFERS; b++) {
        float g[64];
        for (int i = 0; i < sizes[b]; i++)
            g[i] = slope(b, i, step);
        assert_ok(clora_tensor_write(list.gradient[b], g));
    }
}

static void begin(const parameter_group *group) {
    for (int b = 0; b < BUFFERS; b++) {
        float v[64];
        for (int i = 0; i < sizes[b]; i++)
            v[i] = initial(b, i);
        assert_ok(tensor_new(&value[b], context, CLORA_DTYPE_F32, 1, sizes[b]));
        assert_ok(clora_tensor_write(value[b], v));
        assert_ok(parameters_add_buffer(&list, value[b]));
    }
    for (int i = 0; i < COUNT; i++) {
        const clora_tensor view = tensor_slice(value[buffer_of[i]], (size_t)offset_of[i], 1, (int)count_of[i]);
        assert_ok(parameters_add(&list, alloc_string(names[i]), &view, group[i]));
    }
    assert_ok(optimizer_create(&adamw, &optimizer_adamw, &list));
}

static int teardown(void **state) {
    optimizer_free(adamw);
    parameters_finish(&list);
    for (int b = 0; b < BUFFERS; b++) {
        clora_tensor_free(value[b]);
        value[b] = NULL;
    }
    adamw = NULL;
    return fresh_context_teardown(state);
}

/* What AdamW makes of one parameter in `steps` updates, each clipped with the norm of all. */
typedef struct trace {
    float p[64], m[64], v[64];
} trace;

static double norm_of_all(int step) {
    double sum = 0.0;

    for (int b = 0; b < BUFFERS; b++)
        for (int i = 0; i < sizes[b]; i++)
            sum += (double)slope(b, i, step) * (double)slope(b, i, step);
    return sqrt(sum);
}

static void follow(trace *out, int which, parameter_group group, float lr, int steps, float factor) {
    const int b = buffer_of[which], first = (int)offset_of[which], n = (int)count_of[which];

    memset(out, 0, sizeof(*out));
    for (int i = 0; i < n; i++)
        out->p[i] = initial(b, first + i);
    for (int step = 1; step <= steps; step++) {
        const double norm = norm_of_all(step) * (double)factor;
        const double scale = (double)factor * fmin(1.0, (double)options.clip / (norm + 1e-6));
        float g[64];
        for (int i = 0; i < n; i++)
            g[i] = slope(b, first + i, step);
        ref_adamw(out->p, out->m, out->v, g, (float)scale,
                  (ref_adamw_options){lr * group.lr_factor, options.beta1, options.beta2, options.eps,
                                      group.weight_decay, step},
                  (size_t)n);
    }
}

static void read_part(float *out, const clora_tensor *whole, int which) {
    const clora_tensor part = tensor_slice(whole, offset_of[which], 1, (int)count_of[which]);

    assert_ok(clora_tensor_read(&part, out));
}

static void test_each_group_has_its_own_learning_rate_and_decay(void **state) {
    enum { STEPS = 10 };
    const float lr = 0.01f, factor = 0.5f;
    float norm, got[64];
    trace expected;

    (void)state;
    begin(apart);
    for (int step = 1; step <= STEPS; step++) {
        write_gradients(step);
        assert_ok(optimizer_norm(adamw, &norm, factor, options.clip));
        assert_true(fabs((double)norm - norm_of_all(step) * (double)factor) < 1e-5);
        assert_ok(optimizer_update(adamw, &options, lr, step));
    }
    for (int i = 0; i < COUNT; i++) {
        follow(&expected, i, apart[i], lr, STEPS, factor);
        read_part(got, value[buffer_of[i]], i);
        assert_close(got, expected.p, count_of[i], 1e-5, 1e-6);
    }
}

static void test_what_is_kept_is_listed_by_name(void **state) {
    float norm, got[64];
    trace expected;

    (void)state;
    begin(apart);
    write_gradients(1);
    assert_ok(optimizer_norm(adamw, &norm, 1.0f, options.clip));
    assert_ok(optimizer_update(adamw, &options, 0.01f, 1));
    assert_int_equal(adamw->rule->states, 2);
    for (int i = 0; i < COUNT; i++) {
        follow(&expected, i, apart[i], 0.01f, 1, 1.0f);
        assert_string_equal(list.list[i].name, names[i]);
        for (int which = 0; which < 2; which++) {
            const clora_tensor kept = optimizer_view_state(adamw, (size_t)i, which);
            assert_string_equal(adamw->rule->state[which].name, which ? "exp_avg_sq" : "exp_avg");
            assert_int_equal(clora_tensor_count(&kept), count_of[i]);
            assert_ok(clora_tensor_read(&kept, got));
            assert_close(got, which ? expected.v : expected.m, count_of[i], 1e-5, 1e-9);
        }
    }
}

static void test_the_bytes_of_a_scalar_are_those_that_are_taken(void **state) {
    size_t before, after;

    (void)state;
    clora_context_memory(context, &before, NULL);
    begin(alike);
    clora_context_memory(context, &after, NULL);
    assert_int_equal(parameters_scalars(&list), sizes[0] + sizes[1]);
    const size_t own = (BUFFERS + 2) * sizeof(float); /* sums and scale */
    assert_int_equal(after - before, parameters_scalars(&list) * optimizer_scalar_bytes(&optimizer_adamw) + own);
}

static long launches_of_an_update(const parameter_group *group) {
    recorder notes = {.tracing = true};
    long launches;

    begin(group);
    recorder *before = recorder_attach(context, &notes);
    assert_ok(optimizer_update(adamw, &options, 0.01f, 1));
    recorder_attach(context, before);
    launches = 0;
    for (size_t i = 0; i < notes.count; i++)
        launches += notes.list[i].count;
    recorder_finish(&notes);
    return launches;
}

static void test_parameters_updated_alike_are_a_launch_a_buffer(void **state) {
    (void)state;
    assert_int_equal(launches_of_an_update(alike), BUFFERS);
}

static void test_parameters_of_two_groups_are_a_launch_each(void **state) {
    (void)state;
    assert_int_equal(launches_of_an_update(apart), COUNT);
}

static void test_a_gradient_that_is_not_finite_is_named(void **state) {
    (void)state;
    begin(alike);
    write_gradients(1);
    assert_refused(parameters_blame(&list, 4), CLORA_ERROR_FORMAT, "step 4: the norm of the gradient");
    assert_ok(tensor_write_part(list.gradient[1], 5, 1, &(float){NAN}));
    assert_refused(parameters_blame(&list, 4), CLORA_ERROR_FORMAT, "step 4: the gradient of norm.weight is not finite");
    assert_ok(tensor_write_part(list.gradient[0], 24, 1, &(float){INFINITY}));
    assert_refused(parameters_blame(&list, 4), CLORA_ERROR_FORMAT, "step 4: the gradient of up.bias is not finite");
    assert_ok(parameters_zero_gradients(&list));
    assert_refused(parameters_blame(&list, 4), CLORA_ERROR_FORMAT, "step 4: the norm of the gradient");
}

/* ---- LoRA+: the factors of an adapter, each with its learning rate ---- */

static clora_trainer *make_trainer(clora_model *model, clora_adapter *adapter, float ratio) {
    clora_train_options o = CLORA_TRAIN_OPTIONS_INIT;
    clora_dataset *dataset;
    clora_trainer *trainer;
    fixture_batch batch;

    fixture_read_batch(&batch, "tiny-llama-lora-plus");
    o.steps = 10;
    o.batch_size = batch.B;
    o.shuffle = 0;
    o.lr = 1e-2f;
    o.weight_decay = 0.01f;
    o.clip = 0.0f;
    o.lora_plus_ratio = ratio;
    assert_ok(clora_dataset_from_ids(&dataset, batch.ids, batch.labels, (const int[]){batch.T, batch.T}, batch.B));
    assert_ok(clora_trainer_create(&trainer, model, adapter, dataset, &o));
    clora_dataset_free(dataset); /* the trainer holds it */
    return trainer;
}

static void assert_final(clora_adapter *adapter) {
    fixture_tensors *f = fixture_open("tiny-llama-lora-plus");

    for (int i = 0; i < clora_adapter_get_info(adapter).modules; i++) {
        float a[1024], b[1024];
        const char *name;
        char key[256];
        int R, K, N;
        assert_ok(clora_adapter_module(adapter, i, &name, &R, &K, &N, NULL, a, b));
        for (int which = 0; which < 2; which++) {
            const size_t n = (size_t)(R * (which ? N : K));
            snprintf(key, sizeof(key), "final.base_model.model.%s.lora_%c.weight", name, which ? 'B' : 'A');
            assert_true(relative_error(which ? b : a, fixture_tensor(f, key, n), n) <= 1e-3);
        }
    }
    fixture_close(f);
}

static void test_lora_plus_follows_peft(void **state) {
    const float ratio = (float)fixture_number("tiny-llama-lora-plus", "lora_plus_ratio", -1);
    clora_model *model;
    clora_adapter *adapter;
    clora_train_step done;

    (void)state;
    assert_ok(clora_model_load(&model, context, fixture_path("tiny-llama"), NULL));
    assert_ok(clora_adapter_load(&adapter, model, fixture_path("tiny-llama-lora")));
    clora_trainer *trainer = make_trainer(model, adapter, ratio);
    for (int step = 0; step < 10; step++) {
        assert_ok(clora_trainer_step(trainer, &done));
        const double expected = fixture_number("tiny-llama-lora-plus", "loss_trace", step);
        if (!(fabs((double)done.loss - expected) <= 1e-4))
            fail_msg("step %d: loss %g, expected %g", step, (double)done.loss, expected);
        assert_true(done.lr == 1e-2f);
    }
    assert_final(adapter);
    clora_trainer_free(trainer);
    clora_adapter_free(adapter);
    clora_model_free(model);
}

static void test_a_ratio_that_is_none_is_refused(void **state) {
    const float bad[] = {0.0f, -1.0f, NAN, INFINITY, 1e38f};
    clora_model *model;
    clora_adapter *adapter;
    clora_dataset *dataset;
    clora_trainer *trainer;

    (void)state;
    assert_ok(clora_model_load(&model, context, fixture_path("tiny-llama"), NULL));
    assert_ok(clora_adapter_create(&adapter, model, NULL));
    assert_ok(clora_dataset_from_ids(&dataset, (const int32_t[]){1, 2, 3}, NULL, (const int[]){3}, 1));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        clora_train_options o = CLORA_TRAIN_OPTIONS_INIT;
        o.lr = 100.0f;
        o.lora_plus_ratio = bad[i];
        assert_refused(clora_trainer_create(&trainer, model, adapter, dataset, &o), CLORA_ERROR_ARGUMENT,
                       "B's learning rate");
    }
    clora_dataset_free(dataset);
    clora_adapter_free(adapter);
    clora_model_free(model);
}

int main(void) {
#define TEST(function) cmocka_unit_test_setup_teardown(function, fresh_context_setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_each_group_has_its_own_learning_rate_and_decay),
        TEST(test_what_is_kept_is_listed_by_name),
        TEST(test_the_bytes_of_a_scalar_are_those_that_are_taken),
        TEST(test_parameters_updated_alike_are_a_launch_a_buffer),
        TEST(test_parameters_of_two_groups_are_a_launch_each),
        TEST(test_a_gradient_that_is_not_finite_is_named),
        TEST(test_lora_plus_follows_peft),
        TEST(test_a_ratio_that_is_none_is_refused),
    };
    clora_device_info *devices = NULL;
    int count = 0;

    if (clora_devices_list(&devices, &count) != CLORA_OK || count == 0)
        return 77;
    free(devices);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
