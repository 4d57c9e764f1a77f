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

#include "base/transpose.h"
#include "methods/full.h"
#include "model/model.h"
#include "support/fixture.h"
#include "support/scratch.h"
#include "support/training.h"

/* A model's own weights train: on each family's fixture, against PyTorch. */

static clora_context *context;
static const char *family;
static fixture_batch batch;

typedef struct run {
    clora_model *model;
    clora_adapter *adapter;
    clora_dataset *dataset;
    clora_trainer *trainer;
} run;

static clora_model *load(const char *directory, int storage) {
    const clora_model_options options = {.size = sizeof(options), .dtype = storage};
    clora_model *model = NULL;

    assert_ok(clora_model_load(&model, context, directory, &options));
    return model;
}

/* Gradients that last until the update, which clips nothing, or that are used up in the backward pass. */
static const float LAST = 1e30f, USED_UP = 0.0f;

static run begin_as(const clora_full_options *options, int storage, int recompute, float clip) {
    run r = {.model = load(fixture_path(family), storage)};

    fixture_read_batch(&batch, family);
    clora_train_options train = fixture_options(&batch, recompute);
    train.clip = clip;
    assert_ok(clora_full_create(&r.adapter, r.model, options));
    r.trainer = fixture_trainer_with(r.model, r.adapter, &r.dataset, &batch, &train);
    return r;
}

static run begin(const clora_full_options *options, int storage, int recompute) {
    return begin_as(options, storage, recompute, LAST);
}

static void end(run *r) {
    clora_trainer_free(r->trainer);
    clora_dataset_free(r->dataset);
    clora_adapter_free(r->adapter);
    clora_model_free(r->model);
}

static float step(run *r) {
    clora_train_step done = CLORA_TRAIN_STEP_INIT;

    assert_ok(clora_trainer_step(&done, r->trainer));
    return done.loss;
}

static size_t elements(const own_tensor *t) {
    return t->weight ? (size_t)t->weight->module[t->module].N * (size_t)t->weight->K : clora_tensor_count(&t->vector);
}

/* Values in a weight's layout, of one module in one part, as rows. */
static void to_rows(float *rows, const float *values, const own_tensor *t) {
    const weight *w = t->weight;
    const int N = w->module[t->module].N, NR = w->layout == WEIGHT_PANEL ? w->NR : 1;

    for (int n = 0; n < N; n++)
        for (int k = 0; k < w->K; k++)
            rows[n * w->K + k] = values[(n / NR * w->K + k) * NR + n % NR];
}

static void *read_tensor(const own_tensor *t) {
    void *values = calloc(elements(t), sizeof(float));

    assert_non_null(values);
    assert_ok(t->weight ? weight_unpack(t->weight, t->module, values) : clora_tensor_read(&t->vector, values));
    return values;
}

static void assert_same_model(const clora_model *a, const clora_model *b) {
    assert_int_equal(a->tensors, b->tensors);
    for (int i = 0; i < a->tensors; i++) {
        void *x = read_tensor(&a->tensor[i]), *y = read_tensor(&b->tensor[i]);
        assert_string_equal(a->tensor[i].name, b->tensor[i].name);
        assert_memory_equal(x, y, elements(&a->tensor[i]) * sizeof(float));
        free(x);
        free(y);
    }
}

/* The gradient of a full_value as the files lay it out; false where it does not train. */
static bool read_gradient(float *out, const run *r, const own_tensor *t) {
    static float values[1 << 15];
    const clora_tensor stored =
        t->weight ? weight_span_view(t->weight, weight_module_span(t->weight, t->module, 0)) : t->vector;
    const clora_tensor gradient = parameters_gradient(&r->trainer->parameters, &stored);

    if (!gradient.buffer)
        return false;
    assert_true(clora_tensor_count(&gradient) <= sizeof(values) / sizeof(values[0]));
    assert_ok(clora_tensor_read(&gradient, values));
    if (t->weight)
        to_rows(out, values, t);
    else
        memcpy(out, values, elements(t) * sizeof(float));
    if (t->turned) {
        memcpy(values, out, elements(t) * sizeof(float));
        transpose_rows(out, values, t->weight->module[t->module].N, t->weight->K);
    }
    return true;
}

/* The gradients of the first step, each against PyTorch's. Returns how many there are. */
static int check_gradients(run *r) {
    static float actual[1 << 15];
    fixture_tensors *f = fixture_open(family);
    int count = 0;

    step(r);
    for (int i = 0; i < r->model->tensors; i++) {
        const own_tensor *t = &r->model->tensor[i];
        char key[160];
        if (!read_gradient(actual, r, t))
            continue;
        for (size_t e = 0; e < elements(t); e++)
            actual[e] /= (float)batch.learnt;
        snprintf(key, sizeof(key), "grad.%s", t->name);
        const double error = relative_error(actual, fixture_tensor(f, key, elements(t)), elements(t));
        if (!(error <= 1e-4))
            fail_msg("%s: relative error %g", t->name, error);
        count++;
    }
    fixture_close(f);
    return count;
}

static void test_gradients_of_every_parameter_are_those_of_pytorch(void **state) {
    (void)state;
    for (int recompute = CLORA_RECOMPUTE_NONE; recompute <= CLORA_RECOMPUTE_LAYER; recompute++) {
        run r = begin(NULL, -1, recompute);
        assert_int_equal(check_gradients(&r), r.model->tensors);
        assert_int_equal(r.adapter->info.parameters, (int)fixture_number(family, "parameters", -1));
        end(&r);
    }
}

static void test_ten_steps_are_those_of_pytorch(void **state) {
    (void)state;
    run r = begin(NULL, -1, 0);

    for (int i = 0; i < 10; i++) {
        const double loss = (double)step(&r), expected = fixture_number(family, "full_finetune_loss_trace", i);
        if (!(fabs(loss - expected) <= 1e-4))
            fail_msg("step %d: loss %g, expected %g", i, loss, expected);
    }
    end(&r);
}

/* What three steps leave of a model, either way, and that gradients take less than a model's worth of memory. */
static void check_used_up(clora_storage storage, int recompute) {
    clora_full_options options = CLORA_FULL_OPTIONS_INIT;

    options.master = CLORA_FULL_MASTER_NONE;
    run a = begin_as(&options, (int)storage, recompute, LAST), b = begin_as(&options, (int)storage, recompute, USED_UP);
    const size_t all = parameters_scalars(&a.trainer->parameters) * sizeof(float);
    const size_t last = clora_trainer_plan(a.trainer)->gradients, passing = clora_trainer_plan(b.trainer)->gradients;

    assert_true(passing < all && (recompute == CLORA_RECOMPUTE_LAYER || last < all));
    for (int i = 0; i < 3; i++) {
        clora_train_step x = CLORA_TRAIN_STEP_INIT, y = CLORA_TRAIN_STEP_INIT;
        assert_ok(clora_trainer_step(&x, a.trainer));
        assert_ok(clora_trainer_step(&y, b.trainer));
        assert_true(x.loss == y.loss && x.grad_norm == y.grad_norm);
    }
    assert_same_model(a.model, b.model);
    end(&a);
    end(&b);
}

static void test_gradients_that_are_used_up_give_the_same_bits(void **state) {
    (void)state;
    check_used_up(CLORA_STORAGE_F32, CLORA_RECOMPUTE_NONE);
    check_used_up(CLORA_STORAGE_F32, CLORA_RECOMPUTE_LAYER);
    check_used_up(CLORA_STORAGE_BF16, CLORA_RECOMPUTE_NONE);
}

/* After a loss that is not finite all is as it was. A loss may be finite whose gradient is not: then weights may have
 * followed it, and no status says that they are as they were. */
static void test_nothing_follows_a_loss_that_is_not_finite(void **state) {
    clora_train_step done = CLORA_TRAIN_STEP_INIT;
    run r = begin_as(NULL, -1, 0, USED_UP);
    const own_tensor *first = &r.model->tensor[2]; /* a projection of the first layer */

    (void)state;
    assert_ok(tensor_write_part(r.model->norm, 0, 1, &(float){INFINITY}));
    void *before = read_tensor(first);
    assert_refused(clora_trainer_step(&done, r.trainer), CLORA_ERROR_FORMAT, "step 1: the loss is not finite");
    void *after = read_tensor(first);
    assert_memory_equal(before, after, elements(first) * sizeof(float));
    free(before);
    free(after);
    end(&r);
    r = begin_as(NULL, -1, 0, USED_UP);
    assert_ok(tensor_write_part(r.model->norm, 0, 1, &(float){1e30f}));
    assert_refused(clora_trainer_step(&done, r.trainer), CLORA_ERROR_ARGUMENT, "step 1: the gradient is not finite");
    end(&r);
}

/* Which tensors change in a step, by a word in their names; their gradients are PyTorch's. */
static void check_part(const clora_full_options *options, const char *word, const char *but) {
    clora_model *before = load(fixture_path(family), -1);
    run r = begin(options, -1, 0);
    int changed = 0;

    const int trained = check_gradients(&r);
    for (int i = 0; i < r.model->tensors; i++) {
        const own_tensor *t = &r.model->tensor[i];
        void *old = read_tensor(&before->tensor[i]), *new = read_tensor(t);
        const bool wanted = strstr(t->name, word) && !(but && strstr(t->name, but));
        if ((memcmp(old, new, elements(t) * sizeof(float)) != 0) != wanted)
            fail_msg("%s %s", t->name, wanted ? "is as it was" : "changed");
        changed += wanted;
        free(old);
        free(new);
    }
    assert_true(changed > 0);
    assert_int_equal(changed, trained);
    end(&r);
    clora_model_free(before);
}

static void test_norms_train_alone(void **state) {
    clora_full_options options = CLORA_FULL_OPTIONS_INIT;

    (void)state;
    options.part = CLORA_FULL_PART_NORMS;
    check_part(&options, "norm", NULL);
}

static void test_biases_train_alone_where_there_are_some(void **state) {
    clora_full_options options = CLORA_FULL_OPTIONS_INIT;
    clora_model *model = load(fixture_path(family), -1);
    clora_adapter *adapter = NULL;

    (void)state;
    options.part = CLORA_FULL_PART_BIASES;
    if (strcmp(family, "tiny-llama") != 0)
        check_part(&options, ".bias", NULL);
    else
        assert_refused(clora_full_create(&adapter, model, &options), CLORA_ERROR_NOT_FOUND,
                       "models of type llama have no biases");
    clora_model_free(model);
}

static void test_a_part_trains_that_a_regular_expression_names(void **state) {
    clora_full_options options = CLORA_FULL_OPTIONS_INIT;

    (void)state;
    options.modules = ".*\\.1\\.mlp\\.(up|down)_proj\\.weight";
    check_part(&options, "layers.1.mlp.", "gate");
    options.modules = ".*k_proj\\.weight"; /* one module of three, in all layers */
    check_part(&options, "k_proj.weight", NULL);
    options.modules = "model\\.embed_tokens\\.weight";
    check_part(&options, "embed_tokens", NULL);
    options.modules = "model\\.layers\\.1\\.input_layernorm\\.weight";
    check_part(&options, "layers.1.input_layernorm", NULL);
    options.modules = "model\\.norm\\.weight";
    check_part(&options, "model.norm", NULL);
}

static void test_what_cannot_train_is_refused(void **state) {
    clora_full_options options = CLORA_FULL_OPTIONS_INIT;
    clora_model *model = load(fixture_path(family), -1), *blocks = NULL;
    clora_adapter *adapter = NULL;

    (void)state;
    options.modules = "up_proj";
    assert_refused(clora_full_create(&adapter, model, &options), CLORA_ERROR_NOT_FOUND,
                   "\"up_proj\" matches the whole name of no tensor");
    options.modules = "(";
    assert_refused(clora_full_create(&adapter, model, &options), CLORA_ERROR_ARGUMENT, "(");
    options = (clora_full_options){.size = sizeof(options), .part = (clora_full_part)7};
    assert_refused(clora_full_create(&adapter, model, &options), CLORA_ERROR_ARGUMENT, "part 7");
    if (strcmp(family, "tiny-llama") == 0) { /* whose rows are whole blocks */
        blocks = load(fixture_path(family), CLORA_STORAGE_Q8_0);
        assert_refused(clora_full_create(&adapter, blocks, NULL), CLORA_ERROR_UNSUPPORTED, "q8_0");
    }
    assert_null(adapter);
    clora_model_free(blocks);
    clora_model_free(model);
}

/* ---- 16 bits ---- */

/* Stored weights after so many steps of a learning rate, of a model in a 16-bit type. */
static uint16_t *train_16(clora_storage type, clora_full_master master, float lr, int steps, size_t *count) {
    clora_full_options options = CLORA_FULL_OPTIONS_INIT;

    options.master = master;
    run r = begin(&options, (int)type, 0);
    r.trainer->options.lr = lr;
    r.trainer->options.weight_decay = 0.0f;
    for (int i = 0; i < steps; i++)
        step(&r);
    const own_tensor *t = &r.model->tensor[r.model->tensors - 1];
    while (!t->weight)
        t--;
    *count = elements(t);
    uint16_t *values = read_tensor(t);
    end(&r);
    return values;
}

static size_t differences(const uint16_t *a, const uint16_t *b, size_t n) {
    size_t count = 0;

    for (size_t i = 0; i < n; i++)
        count += a[i] != b[i];
    return count;
}

/* What a step adds is far below half of a last bit for most weights: a master sums it up, a stored weight loses it. */
static void test_a_master_keeps_what_16_bits_lose(void **state) {
    static const clora_storage types[] = {CLORA_STORAGE_BF16, CLORA_STORAGE_F16};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const float lr = types[i] == CLORA_STORAGE_BF16 ? 2e-5f : 2e-6f;
        size_t n;
        uint16_t *start = train_16(types[i], CLORA_FULL_MASTER_F32, 0.0f, 1, &n);
        uint16_t *with = train_16(types[i], CLORA_FULL_MASTER_F32, lr, 8, &n);
        uint16_t *without = train_16(types[i], CLORA_FULL_MASTER_NONE, lr, 8, &n);
        const size_t kept = differences(start, with, n), lost = differences(start, without, n);
        if (!(kept > 2 * lost && kept > n / 20))
            fail_msg("of %zu weights %zu change with a master, %zu without", n, kept, lost);
        free(start);
        free(with);
        free(without);
    }
}

static void test_16_bits_learn_with_and_without_a_master(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        clora_full_options options = CLORA_FULL_OPTIONS_INIT;
        float loss = 0.0f;
        options.master = i % 2 ? CLORA_FULL_MASTER_NONE : CLORA_FULL_MASTER_F32;
        run r = begin(&options, i / 2 ? CLORA_STORAGE_F16 : CLORA_STORAGE_BF16, 0);
        for (int s = 0; s < 10; s++)
            loss = step(&r);
        const double expected = fixture_number(family, "full_finetune_loss_trace", 9);
        if (!(fabs((double)loss - expected) <= 0.02))
            fail_msg("master %d: loss %g, in float %g", (int)options.master, (double)loss, expected);
        end(&r);
    }
}

/* ---- files ---- */

static void assert_as_in_family(const char *file) {
    char saved[64], name[64];

    snprintf(saved, sizeof(saved), "out/%s", file);
    snprintf(name, sizeof(name), "%s/%s", family, file);
    assert_same_file(scratch_path(saved), fixture_path(name));
}

static void test_a_trained_model_is_saved_and_read_again(void **state) {
    run r = begin(NULL, -1, 0);

    (void)state;
    step(&r);
    assert_ok(clora_adapter_save(r.adapter, scratch_path("out"), NULL));
    clora_model *again = load(scratch_path("out"), -1);
    assert_same_model(r.model, again);
    assert_as_in_family("config.json");
    assert_as_in_family("generation_config.json");
    assert_refused(clora_adapter_save(r.adapter, scratch_path("out"), NULL), CLORA_ERROR_ARGUMENT, "out");
    assert_refused(clora_adapter_save(r.adapter, fixture_path(family), NULL), CLORA_ERROR_ARGUMENT, "never written to");
    clora_model_free(again);
    end(&r);
}

/* Weights of 16 bits go into files of 32 and come back as they were. */
static void test_a_model_in_16_bits_is_saved_in_the_type_of_its_files(void **state) {
    run r = begin(NULL, CLORA_STORAGE_BF16, 0);

    (void)state;
    step(&r);
    assert_ok(clora_adapter_save(r.adapter, scratch_path("out"), NULL));
    clora_model *again = load(scratch_path("out"), CLORA_STORAGE_BF16);
    assert_int_equal(again->tensor[0].file, CLORA_DTYPE_F32);
    assert_same_model(r.model, again);
    clora_model_free(again);
    end(&r);
}

static void test_a_large_model_is_saved_in_shards(void **state) {
    run r = begin(NULL, -1, 0);
    const base_model base = model_as_base(r.model);
    outdir out = {.claim = NULL};
    char *path = NULL;

    (void)state;
    assert_ok(outdir_open(&out, scratch_path("shards"), "config.json"));
    assert_ok(full_save_weights(&out, &base, 20000));
    assert_ok(outdir_path(&path, &out, "config.json"));
    free(path);
    scratch_copy("shards/config.json",
                 fixture_path(strcmp(family, "tiny-llama") == 0 ? "tiny-llama/config.json" : "tiny-qwen2/config.json"));
    outdir_close(&out, true);
    assert_true(scratch_entries(scratch_path("shards")) > 4);
    clora_model *again = load(scratch_path("shards"), -1);
    assert_same_model(r.model, again);
    clora_model_free(again);
    end(&r);
}

/* ---- from scratch ---- */

static clora_model *fresh(const char *directory, uint64_t seed) {
    clora_model *model = NULL;

    assert_ok(clora_model_create(&model, context, directory, NULL, seed));
    return model;
}

static void assert_spread(const float *values, size_t n, double spread, const char *name) {
    double sum = 0.0, squares = 0.0;

    for (size_t i = 0; i < n; i++) {
        sum += (double)values[i];
        squares += (double)values[i] * (double)values[i];
    }
    if (!(fabs(sum / (double)n) < 4.0 * spread / sqrt((double)n)) ||
        !(fabs(sqrt(squares / (double)n) / spread - 1.0) < 4.0 / sqrt(2.0 * (double)n)))
        fail_msg("%s: mean %g, spread %g", name, sum / (double)n, sqrt(squares / (double)n));
}

static void test_fresh_weights_are_as_transformers_makes_them(void **state) {
    clora_model *model = fresh(fixture_path(family), 7);
    const double spread = 0.02; /* transformers' where config.json says nothing, and what it says here */

    (void)state;
    for (int i = 0; i < model->tensors; i++) {
        const own_tensor *t = &model->tensor[i];
        float *values = read_tensor(t);
        if (t->kind == OWN_WEIGHT)
            assert_spread(values, elements(t), spread, t->name);
        for (size_t e = 0; e < elements(t) && t->kind != OWN_WEIGHT; e++)
            assert_true(values[e] == (t->kind == OWN_NORM ? 1.0f : 0.0f));
        free(values);
    }
    clora_model *again = fresh(fixture_path(family), 7), *other = fresh(fixture_path(family), 8);
    assert_same_model(model, again);
    float *a = read_tensor(&model->tensor[0]), *b = read_tensor(&other->tensor[0]);
    assert_memory_not_equal(a, b, elements(&model->tensor[0]) * sizeof(float));
    free(a);
    free(b);
    clora_model_free(model);
    clora_model_free(again);
    clora_model_free(other);
}

static void test_a_configuration_says_how_weights_begin(void **state) {
    static const char sizes[] = "\"model_type\": \"llama\", \"hidden_size\": 32, \"intermediate_size\": 32, "
                                "\"num_hidden_layers\": 1, \"num_attention_heads\": 4, \"vocab_size\": 50, "
                                "\"rms_norm_eps\": 1e-5, \"tie_word_embeddings\": true";
    char text[512];
    clora_model *model = NULL;

    (void)state;
    scratch_mkdir("new");
    snprintf(text, sizeof(text), "{%s, \"initializer_range\": 0.5, \"pad_token_id\": 3, \"dtype\": \"bfloat16\"}",
             sizes);
    scratch_text("new/config.json", text);
    model = fresh(scratch_path("new"), 0);
    assert_string_equal(clora_model_get_info(model)->dtype, "bf16");
    assert_int_equal(model->tensor[0].file, CLORA_DTYPE_BF16);
    uint16_t *rows = read_tensor(&model->tensor[0]);
    for (int k = 0; k < 32; k++)
        assert_true(rows[3 * 32 + k] == 0 && rows[4 * 32 + k] != 0);
    free(rows);
    clora_model_free(model);
    snprintf(text, sizeof(text), "{%s, \"initializer_range\": -1}", sizes);
    scratch_text("new/config.json", text);
    assert_refused(clora_model_create(&model, context, scratch_path("new"), NULL, 0), CLORA_ERROR_FORMAT,
                   "\"initializer_range\" is -1");
    snprintf(text, sizeof(text), "{%s, \"dtype\": \"float8\"}", sizes);
    scratch_text("new/config.json", text);
    assert_refused(clora_model_create(&model, context, scratch_path("new"), NULL, 0), CLORA_ERROR_UNSUPPORTED,
                   "not \"float8\"");
}

#define FAMILY(name)                      \
    static int use_##name(void **state) { \
        (void)state;                      \
        family = "tiny-" #name;           \
        return 0;                         \
    }

FAMILY(llama)
FAMILY(qwen2)
FAMILY(gemma2)
FAMILY(gemma3_text)
FAMILY(qwen3)
FAMILY(granite)
FAMILY(olmo2)
FAMILY(gpt2)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients_of_every_parameter_are_those_of_pytorch),
        cmocka_unit_test(test_ten_steps_are_those_of_pytorch),
        cmocka_unit_test(test_gradients_that_are_used_up_give_the_same_bits),
        cmocka_unit_test(test_nothing_follows_a_loss_that_is_not_finite),
        cmocka_unit_test(test_norms_train_alone),
        cmocka_unit_test(test_biases_train_alone_where_there_are_some),
        cmocka_unit_test(test_a_part_trains_that_a_regular_expression_names),
        cmocka_unit_test(test_what_cannot_train_is_refused),
        cmocka_unit_test_setup_teardown(test_a_trained_model_is_saved_and_read_again, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_a_model_in_16_bits_is_saved_in_the_type_of_its_files, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(test_a_large_model_is_saved_in_shards, scratch_setup, scratch_teardown),
        cmocka_unit_test(test_fresh_weights_are_as_transformers_makes_them),
        cmocka_unit_test_setup_teardown(test_a_configuration_says_how_weights_begin, scratch_setup, scratch_teardown),
    };
    /* What queries, keys and the outputs of sublayers are normalised by, beside 1 or not, and a head's cap. */
    const struct CMUnitTest of_heads[] = {
        cmocka_unit_test(test_gradients_of_every_parameter_are_those_of_pytorch),
        cmocka_unit_test(test_norms_train_alone),
    };
    /* Normalisations with a bias, learned positions, matrices that the files have the other way around; a stream that
     * is kept divided. */
    const struct CMUnitTest with_biases[] = {
        cmocka_unit_test(test_gradients_of_every_parameter_are_those_of_pytorch),
        cmocka_unit_test(test_ten_steps_are_those_of_pytorch),
        cmocka_unit_test(test_biases_train_alone_where_there_are_some),
        cmocka_unit_test_setup_teardown(test_a_trained_model_is_saved_and_read_again, scratch_setup, scratch_teardown),
    };
    /* Of one family: another takes the same steps. */
    const struct CMUnitTest of_storage[] = {
        cmocka_unit_test(test_a_master_keeps_what_16_bits_lose),
        cmocka_unit_test(test_16_bits_learn_with_and_without_a_master),
    };
    if (clora_context_create(&context, NULL) != CLORA_OK) {
        fprintf(stderr, "skipped: %s\n", clora_last_error());
        return 77;
    }
    const int failed = cmocka_run_group_tests_name("llama", tests, use_llama, NULL) +
                       cmocka_run_group_tests_name("qwen2", tests, use_qwen2, NULL) +
                       cmocka_run_group_tests_name("qwen3", of_heads, use_qwen3, NULL) +
                       cmocka_run_group_tests_name("gpt2", with_biases, use_gpt2, NULL) +
                       cmocka_run_group_tests_name("gemma2", of_heads, use_gemma2, NULL) +
                       cmocka_run_group_tests_name("gemma3_text", of_heads, use_gemma3_text, NULL) +
                       cmocka_run_group_tests_name("granite", with_biases, use_granite, NULL) +
                       cmocka_run_group_tests_name("olmo2", of_heads, use_olmo2, NULL) +
                       cmocka_run_group_tests_name("storage", of_storage, use_llama, NULL);
    clora_context_free(context);
    return failed;
}
