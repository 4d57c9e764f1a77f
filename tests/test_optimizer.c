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
#include "cases/case.h"
#include "tuning/recorder.h"
#include "ref/ref.h"
#include "support/assert.h"
#include "support/fixture.h"
#include "support/fresh_context.h"
#include "support/scratch.h"
#include "ops/ops.h"
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
    const size_t own = (BUFFERS + SQUARE_PARTS + 2) * sizeof(float); /* sums, their parts and scale */
    assert_int_equal(after - before, 4 * sizeof(float) * parameters_scalars(&list) + own);
    assert_int_equal(optimizer_bytes(adamw), 2 * sizeof(float) * parameters_scalars(&list) + own);
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

/* ---- ten updates of two parameters, as bitsandbytes and PyTorch make them (fixtures/make_optimizers.py) ---- */

enum { LARGE = 5000, SMALL = 300, BLOCKS = (LARGE + 255) / 256, UPDATES = 10 };
static const int lengths[BUFFERS] = {LARGE, SMALL};

static void follow_fixture(const clora_train_options *o) {
    static float x[LARGE];
    float norm;

    for (int b = 0; b < BUFFERS; b++) {
        case_fill(x, (size_t)lengths[b], 1 + (unsigned)b);
        assert_ok(tensor_new(&value[b], context, CLORA_DTYPE_F32, 1, lengths[b]));
        assert_ok(clora_tensor_write(value[b], x));
        assert_ok(parameters_add_buffer(&list, value[b]));
        assert_ok(parameters_add(&list, alloc_string(names[b]), value[b], (parameter_group){1.0f, 0.01f}));
    }
    assert_ok(optimizer_create(&adamw, optimizer_find(o), &list));
    for (int step = 1; step <= UPDATES; step++) {
        for (int b = 0; b < BUFFERS; b++) {
            case_fill(x, (size_t)lengths[b], 100 * (unsigned)step + (unsigned)b);
            for (int i = 0; i < lengths[b]; i++)
                x[i] = ldexpf(x[i], -(i % 9));
            assert_ok(clora_tensor_write(list.gradient[b], x));
        }
        assert_ok(optimizer_norm(adamw, &norm, 1.0f, 0.0f));
        assert_ok(optimizer_update(adamw, o, 1e-2f, step));
    }
}

static void assert_value(const fixture_tensors *f, const char *key, int buffer, double limit) {
    static float got[LARGE];
    const size_t n = (size_t)lengths[buffer];

    assert_ok(clora_tensor_read(value[buffer], got));
    const double error = relative_error(got, fixture_tensor(f, key, n), n);
    if (!(error <= limit))
        fail_msg("%s: relative error %g", key, error);
}

/* Codes that lie between two values may fall to either; nearly none does. */
static void assert_codes(const fixture_tensors *f, const char *key, int which) {
    static uint8_t got[BLOCKS * 256];
    const float *expected = fixture_tensor(f, key, LARGE);
    const clora_tensor state = optimizer_view_state(adamw, 0, which);
    int others = 0;

    assert_ok(clora_tensor_read(&state, got));
    for (int i = 0; i < LARGE; i++) {
        assert_true(fabsf((float)got[i] - expected[i]) <= 1.0f);
        others += (float)got[i] != expected[i];
    }
    if (others > LARGE / 100)
        fail_msg("%s: %d codes of %d are others", key, others, LARGE);
}

static void test_moments_of_8_bits_follow_bitsandbytes(void **state) {
    clora_train_options o = options;
    fixture_tensors *f = fixture_open("optimizers");
    double map[256];
    float narrow[256], most[BLOCKS];

    (void)state;
    for (int is_signed = 0; is_signed < 2; is_signed++) {
        ref_dynamic_map(map, is_signed);
        for (int i = 0; i < 256; i++)
            narrow[i] = (float)map[i];
        assert_close(narrow, fixture_tensor(f, is_signed ? "map.signed" : "map.unsigned", 256), 256, 1e-6, 1e-12);
    }
    o.optimizer = CLORA_OPTIMIZER_ADAMW8BIT;
    follow_fixture(&o);
    assert_ptr_equal(optimizer_rule_of(adamw, 0), &optimizer_adamw8bit);
    assert_ptr_equal(optimizer_rule_of(adamw, 1), &optimizer_adamw);
    assert_value(f, "adamw8bit.large", 0, 1e-4);
    assert_value(f, "adamw8bit.small", 1, 1e-6);
    assert_codes(f, "adamw8bit.state1", 0);
    assert_codes(f, "adamw8bit.state2", 1);
    for (int which = 2; which < 4; which++) {
        const clora_tensor absmax = optimizer_view_state(adamw, 0, which);
        assert_ok(clora_tensor_read(&absmax, most));
        const char *key = which == 2 ? "adamw8bit.absmax1" : "adamw8bit.absmax2";
        assert_true(relative_error(most, fixture_tensor(f, key, BLOCKS), BLOCKS) <= 1e-2); /* a code's step */
    }
    fixture_close(f);
}

static void test_moments_of_8_bits_take_a_quarter(void **state) {
    clora_train_options o = options;

    (void)state;
    o.optimizer = CLORA_OPTIMIZER_ADAMW8BIT;
    follow_fixture(&o);
    const size_t large = BLOCKS * (2 * 256 + 2 * sizeof(float)), small = 2 * SMALL * sizeof(float);
    assert_int_equal(optimizer_bytes(adamw), large + small + (BUFFERS + SQUARE_PARTS + 2) * sizeof(float));
}

static void follow_sgd(const char *key, float momentum, int states) {
    clora_train_options o = options;
    fixture_tensors *f = fixture_open("optimizers");

    o.optimizer = CLORA_OPTIMIZER_SGD;
    o.momentum = momentum;
    follow_fixture(&o);
    assert_int_equal(adamw->rule->states, states);
    assert_value(f, key, 0, 1e-6);
    fixture_close(f);
}

static void test_sgd_follows_pytorch(void **state) {
    (void)state;
    follow_sgd("sgd.large", 0.0f, 0);
}

static void test_momentum_follows_pytorch(void **state) {
    (void)state;
    follow_sgd("momentum.large", 0.9f, 1);
}

/* Blocks begin with each parameter: one that ends within a block ends the run, as another group does. */
static void test_blocks_do_not_cross_parameters(void **state) {
    static const int counts[3] = {4096, 5000, 4096}, total = 4096 + 5000 + 4096;
    size_t offset = 0;

    (void)state;
    assert_ok(tensor_new(&value[0], context, CLORA_DTYPE_F32, 1, total));
    assert_ok(parameters_add_buffer(&list, value[0]));
    for (int i = 0; i < 3; i++) {
        const clora_tensor view = tensor_slice(value[0], offset, 1, counts[i]);
        assert_ok(parameters_add(&list, alloc_string(names[i]), &view, (parameter_group){1, 0}));
        offset += (size_t)counts[i];
    }
    assert_ok(optimizer_create(&adamw, &optimizer_adamw8bit, &list));
    assert_int_equal(adamw->runs, 2);
    const clora_tensor second = optimizer_view_state(adamw, 1, 2), third = optimizer_view_state(adamw, 2, 2);
    assert_int_equal(second.offset, 16);
    assert_int_equal(third.offset, 16 + 20);
    assert_int_equal(clora_tensor_count(&third), 16);
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

    for (int i = 0; i < clora_adapter_get_info(adapter)->modules; i++) {
        float a[1024], b[1024];
        const clora_adapter_module_info *m = clora_adapter_module(adapter, i);
        char key[256];
        assert_ok(clora_adapter_read_module(a, b, adapter, i));
        for (int which = 0; which < 2; which++) {
            const size_t n = (size_t)(m->rank * (which ? m->out : m->in));
            snprintf(key, sizeof(key), "final.base_model.model.%s.lora_%c.weight", m->name, which ? 'B' : 'A');
            assert_true(relative_error(which ? b : a, fixture_tensor(f, key, n), n) <= 1e-3);
        }
    }
    fixture_close(f);
}

static void test_lora_plus_follows_peft(void **state) {
    const float ratio = (float)fixture_number("tiny-llama-lora-plus", "lora_plus_ratio", -1);
    clora_model *model;
    clora_adapter *adapter;
    clora_train_step done = CLORA_TRAIN_STEP_INIT;

    (void)state;
    assert_ok(clora_model_load(&model, context, fixture_path("tiny-llama"), NULL));
    assert_ok(clora_adapter_load(&adapter, model, fixture_path("tiny-llama-lora")));
    clora_trainer *trainer = make_trainer(model, adapter, ratio);
    for (int step = 0; step < 10; step++) {
        assert_ok(clora_trainer_step(&done, trainer));
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
        TEST(test_moments_of_8_bits_follow_bitsandbytes),
        TEST(test_moments_of_8_bits_take_a_quarter),
        TEST(test_sgd_follows_pytorch),
        TEST(test_momentum_follows_pytorch),
        TEST(test_blocks_do_not_cross_parameters),
        TEST(test_lora_plus_follows_peft),
        TEST(test_a_ratio_that_is_none_is_refused),
    };
    const clora_device_info **devices = NULL;
    size_t count = 0;

    if (clora_devices_list(&devices, &count) != CLORA_OK || count == 0)
        return 77;
    free(devices);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
