#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "methods/lora_adapter.h"
#include "methods/peft.h"
#include "support/scratch.h"
#include "support/tiny_llama.h"

static clora_context *context;

/* The projections of tests/fixtures/tiny-llama, as the model would list them: no values are needed. */
enum { PROJECTIONS = 9 };
static projection projections[PROJECTIONS];

static const char *fixture(const char *name) {
    static char path[1024];
    const char *folder = getenv("CLORA_TEST_FIXTURES");

    snprintf(path, sizeof(path), "%s/%s", folder ? folder : "tests/fixtures", name);
    return path;
}

static void make_projection(projection *p, const target_module *first, int modules) {
    int N[WEIGHT_MODULES] = {0};
    weight *w = NULL;

    for (int m = 0; m < modules; m++) {
        N[m] = first[m].N;
        p->names[m] = first[m].name;
    }
    assert_ok(weight_create(&w, context, CLORA_STORAGE_F32, first->K, modules, N));
    p->weight = w;
    p->is_head = first->kind == TARGET_HEAD;
}

/* The model that would list them. */
static shared fake_model;

static void keep(shared *object) {
    (void)object;
}

static base_model base_with(int count) {
    static const model_names names = {.embedding_module = "model.embed_tokens"};

    return (base_model){
        .model = &fake_model, .context = context, .names = &names, .projections = count, .projection = projections};
}

static clora_status make_adapter(clora_adapter **out, const clora_adapter_options *options) {
    const base_model base = base_with(PROJECTIONS);

    return lora_adapter_create(out, &base, options);
}

static clora_status load_adapter(clora_adapter **out, int count, const char *directory) {
    const base_model base = base_with(count);

    return method_load(out, &base, directory);
}

static int make_projections(void **state) {
    static const int modules[4] = {3, 1, 2, 1};
    const clora_device_info **devices = NULL;
    const target_module *next = tiny_llama;
    size_t count = 0;

    (void)state;
    if (clora_devices_list(&devices, &count) != CLORA_OK || count == 0)
        return 0; /* every test skips */
    free(devices);
    assert_ok(clora_context_create(&context, NULL));
    shared_init(&fake_model, keep);
    for (int s = 0; s < PROJECTIONS; s++) {
        const int n = s < 8 ? modules[s % 4] : 1;
        make_projection(&projections[s], next, n);
        next += n;
    }
    return 0;
}

static int free_projections(void **state) {
    (void)state;
    for (int s = 0; s < PROJECTIONS; s++)
        weight_free((weight *)(uintptr_t)projections[s].weight);
    clora_context_free(context);
    return 0;
}

#define NEED_DEVICE()                            \
    do {                                         \
        (void)state;                             \
        if (!context) {                          \
            print_message("no OpenCL device\n"); \
            skip();                              \
        }                                        \
    } while (0)

static clora_adapter *create(const clora_adapter_options *options) {
    clora_adapter *adapter = NULL;

    assert_ok(make_adapter(&adapter, options));
    return adapter;
}

/* Factors of the module whose name ends so; the arrays are static. */
typedef struct factors {
    int R, K, N;
    float scale, a[64 * 56], b[97 * 64];
} factors;

static void read_factors(factors *f, clora_adapter *adapter, int i) {
    const clora_adapter_module_info *m = clora_adapter_module(adapter, i);

    f->R = m->rank;
    f->K = m->in;
    f->N = m->out;
    f->scale = m->scale;
    assert_true(f->R <= 64);
    assert_ok(clora_adapter_read_module(f->a, f->b, adapter, i));
}

static const factors *get(clora_adapter *adapter, const char *ending, int slot) {
    static factors all[2];
    factors *f = &all[slot];

    for (int i = 0; i < clora_adapter_get_info(adapter)->modules; i++) {
        const char *name = clora_adapter_module(adapter, i)->name;
        if (strcmp(name + strlen(name) - strlen(ending), ending) != 0)
            continue;
        read_factors(f, adapter, i);
        return f;
    }
    fail_msg("no module %s", ending);
    return NULL;
}

static void test_all_linear_is_every_layer_but_the_head(void **state) {
    NEED_DEVICE();
    const clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
    clora_adapter *adapter = create(&options);
    const clora_adapter_info *info = clora_adapter_get_info(adapter);
    int64_t parameters = 0;

    for (int i = 0; i < 14; i++)
        parameters += 8 * (tiny_llama[i].N + tiny_llama[i].K);
    assert_int_equal(info->modules, 14);
    assert_int_equal(info->parameters, parameters);
    assert_int_equal(info->rank, 8);
    assert_true(info->alpha == 16.0f);
    assert_string_equal(info->target_modules, "down_proj,gate_proj,k_proj,o_proj,q_proj,up_proj,v_proj");
    assert_null(adapter->term[8]);
    clora_adapter_free(adapter);
}

static void test_the_head_is_adapted_when_it_is_named(void **state) {
    NEED_DEVICE();
    clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;

    options.target_modules = "lm_head";
    options.rank = 1;
    clora_adapter *adapter = create(&options);
    assert_int_equal(clora_adapter_get_info(adapter)->modules, 1);
    assert_int_equal(get(adapter, "lm_head", 0)->N, 97);
    assert_true(get(adapter, "lm_head", 0)->scale == 16.0f);
    clora_adapter_free(adapter);
}

static void test_b_begins_at_zero(void **state) {
    NEED_DEVICE();
    const clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
    clora_adapter *adapter = create(&options);

    for (int i = 0; i < 14; i++) {
        factors f;
        read_factors(&f, adapter, i);
        for (int j = 0; j < f.N * f.R; j++)
            assert_true(f.b[j] == 0.0f);
    }
    clora_adapter_free(adapter);
}

/* Mean, standard deviation and largest magnitude of down_proj's A (64, 56): 3584 values. */
static void statistics(clora_init init, double *mean, double *deviation, double *largest) {
    clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;

    options.init = init;
    options.rank = 64;
    options.seed = 7;
    clora_adapter *adapter = create(&options);
    const factors *f = get(adapter, "layers.1.mlp.down_proj", 0);
    const int n = f->R * f->K;
    double sum = 0, squares = 0;

    *largest = 0;
    for (int i = 0; i < n; i++) {
        sum += (double)f->a[i];
        squares += (double)f->a[i] * (double)f->a[i];
        *largest = fmax(*largest, fabs((double)f->a[i]));
    }
    *mean = sum / n;
    *deviation = sqrt(squares / n - *mean * *mean);
    clora_adapter_free(adapter);
}

/* The bounds are five standard errors of 3584 values. */
static void test_a_begins_as_asked(void **state) {
    NEED_DEVICE();
    const double spread = 1 / sqrt(56.0), n = 64 * 56;
    double mean, deviation, largest;

    statistics(CLORA_INIT_GAUSSIAN, &mean, &deviation, &largest);
    assert_true(fabs(mean) < 5 * spread / sqrt(n));
    assert_true(fabs(deviation / spread - 1) < 5 / sqrt(2 * n));
    assert_true(largest > 3 * spread && largest < 6 * spread);

    statistics(CLORA_INIT_KAIMING, &mean, &deviation, &largest);
    assert_true(fabs(mean) < 5 * spread / sqrt(3 * n));
    assert_true(fabs(deviation * sqrt(3.0) / spread - 1) < 5 * sqrt(0.2 / n));
    assert_true(largest <= spread && largest > 0.99 * spread);

    statistics(CLORA_INIT_PEFT_GAUSSIAN, &mean, &deviation, &largest);
    assert_true(fabs(mean) < 5 / 64.0 / sqrt(n));
    assert_true(fabs(deviation * 64 - 1) < 5 / sqrt(2 * n));
}

static void test_a_depends_on_the_seed_and_the_module_alone(void **state) {
    NEED_DEVICE();
    clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
    clora_adapter *all, *one, *other;

    options.seed = 5;
    all = create(&options);
    options.target_modules = "v_proj";
    options.rank = 3;
    one = create(&options);
    options.seed = 6;
    other = create(&options);
    const factors *x = get(all, "layers.1.self_attn.v_proj", 0), *y = get(one, "layers.1.self_attn.v_proj", 1);
    assert_memory_equal(x->a, y->a, sizeof(float) * 3 * 32); /* the first three rows, whatever else is adapted */
    x = get(other, "layers.1.self_attn.v_proj", 0);
    assert_memory_not_equal(x->a, y->a, sizeof(float) * 3 * 32);
    x = get(one, "layers.0.self_attn.v_proj", 0);
    assert_memory_not_equal(x->a, y->a, sizeof(float) * 3 * 32);
    clora_adapter_free(all);
    clora_adapter_free(one);
    clora_adapter_free(other);
}

static void test_patterns_give_modules_their_own_rank_and_alpha(void **state) {
    NEED_DEVICE();
    clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;

    options.rank_pattern = "layers.0.self_attn.q_proj=1,q_proj=2,k_proj=40";
    options.alpha_pattern = "o_proj=4";
    clora_adapter *adapter = create(&options);
    assert_int_equal(get(adapter, "layers.0.self_attn.q_proj", 0)->R, 1);
    assert_true(get(adapter, "layers.0.self_attn.q_proj", 0)->scale == 16.0f);
    assert_int_equal(get(adapter, "layers.1.self_attn.q_proj", 0)->R, 2);
    assert_int_equal(get(adapter, "layers.1.self_attn.k_proj", 0)->R, 40);
    assert_true(get(adapter, "layers.1.self_attn.o_proj", 0)->scale == 0.5f);
    clora_adapter_free(adapter);
}

static void assert_holds_the_file(clora_adapter *adapter, const char *directory) {
    peft_adapter p;
    int i = 0;

    assert_ok(peft_open(&p, directory, &(peft_base){tiny_llama, TINY_MODULES, NULL, 0}));
    for (int t = 0; t < TINY_MODULES; t++) {
        static factors expected, f;
        if (p.choice[t].R == 0)
            continue;
        assert_ok(peft_read(expected.a, &p, p.part[PEFT_A][t]));
        assert_ok(peft_read(expected.b, &p, p.part[PEFT_B][t]));
        read_factors(&f, adapter, i);
        assert_string_equal(clora_adapter_module(adapter, i++)->name, tiny_llama[t].name);
        assert_int_equal(f.R, p.choice[t].R);
        assert_true(f.scale == p.choice[t].scale);
        assert_memory_equal(f.a, expected.a, sizeof(float) * (size_t)(f.R * f.K));
        assert_memory_equal(f.b, expected.b, sizeof(float) * (size_t)(f.R * f.N));
    }
    assert_int_equal(clora_adapter_get_info(adapter)->modules, i);
    peft_close(&p);
}

static void test_loaded_factors_are_those_of_the_file(void **state) {
    NEED_DEVICE();
    static const char *const names[] = {"tiny-llama-lora", "tiny-llama-rslora", "tiny-llama-patterns"};

    for (int i = 0; i < 3; i++) {
        clora_adapter *adapter = NULL;
        assert_ok(load_adapter(&adapter, PROJECTIONS, fixture(names[i])));
        assert_holds_the_file(adapter, fixture(names[i]));
        assert_int_equal(clora_adapter_get_info(adapter)->rslora, i == 1);
        assert_string_equal(clora_adapter_get_info(adapter)->target_modules, "down_proj,q_proj,v_proj");
        clora_adapter_free(adapter);
    }
}

static void test_saved_loaded_and_saved_again_is_the_same_bytes(void **state) {
    NEED_DEVICE();
    clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
    clora_adapter *adapter, *again = NULL;

    options.rank = 5;
    options.alpha = 0.7f;
    options.dropout = 0.05f;
    options.rslora = 1;
    options.target_modules = ".*(q_proj|down_proj|lm_head)";
    options.rank_pattern = "q_proj=33";
    adapter = create(&options);
    assert_ok(clora_adapter_save(
        adapter, scratch_path("one"),
        &(clora_adapter_save_options){.size = sizeof(clora_adapter_save_options), .base_name = "some/base"}));
    assert_ok(load_adapter(&again, PROJECTIONS, scratch_path("one")));
    assert_ok(clora_adapter_save(again, scratch_path("two"), NULL));
    assert_same_file(scratch_path("one/adapter_config.json"), scratch_path("two/adapter_config.json"));
    assert_same_file(scratch_path("one/adapter_model.safetensors"), scratch_path("two/adapter_model.safetensors"));
    assert_holds_the_file(adapter, scratch_path("one"));
    assert_string_equal(clora_adapter_get_info(again)->target_modules, options.target_modules);
    assert_true(clora_adapter_get_info(again)->dropout == 0.05f);
    assert_true(clora_adapter_get_info(again)->alpha == 0.7f);
    clora_adapter_free(adapter);
    clora_adapter_free(again);
}

static void test_what_peft_wrote_is_saved_with_the_same_tensor_bytes(void **state) {
    NEED_DEVICE();
    clora_adapter *adapter = NULL;

    assert_ok(load_adapter(&adapter, PROJECTIONS, fixture("tiny-llama-patterns")));
    assert_ok(clora_adapter_save(adapter, scratch_path("out"), NULL));
    assert_same_file(scratch_path("out/adapter_model.safetensors"),
                     fixture("tiny-llama-patterns/adapter_model.safetensors"));
    clora_adapter_free(adapter);
}

static void test_small_allocations_split_the_factors_into_chunks(void **state) {
    NEED_DEVICE();
    const size_t largest = context->info.max_allocation;
    clora_adapter *adapter = NULL;
    size_t limit = 0;

    assert_ok(load_adapter(&adapter, PROJECTIONS, fixture("tiny-llama-lora")));
    assert_int_equal(lora_of(adapter)->chunks, 1);
    for (int s = 0; s < PROJECTIONS; s++)
        if (adapter->term[s] && (adapter->term[s]->a_count + adapter->term[s]->b_count) * sizeof(float) > limit)
            limit = (adapter->term[s]->a_count + adapter->term[s]->b_count) * sizeof(float);
    clora_adapter_free(adapter);
    context->info.max_allocation = limit; /* just enough for the largest term */
    const clora_status status = load_adapter(&adapter, PROJECTIONS, fixture("tiny-llama-lora"));
    context->info.max_allocation = largest;
    assert_ok(status);
    assert_true(lora_of(adapter)->chunks > 1);
    for (int i = 0; i < lora_of(adapter)->chunks; i++)
        assert_true(clora_tensor_count(lora_of(adapter)->chunk[i]) * sizeof(float) <= limit);
    assert_holds_the_file(adapter, fixture("tiny-llama-lora"));
    clora_adapter_free(adapter);
}

static void test_a_term_larger_than_a_buffer_is_refused(void **state) {
    NEED_DEVICE();
    const clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
    const size_t largest = context->info.max_allocation;
    clora_adapter *adapter = NULL;

    context->info.max_allocation = 256;
    const clora_status status = make_adapter(&adapter, &options);
    context->info.max_allocation = largest;
    assert_refused(status, CLORA_ERROR_UNSUPPORTED, "lower the rank");
    assert_null(adapter);
}

static void test_factors_lie_side_by_side_in_a_chunk(void **state) {
    NEED_DEVICE();
    const clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
    clora_adapter *adapter = create(&options);
    const clora_tensor *chunk = lora_of(adapter)->chunk[0];
    size_t covered = 0;

    for (int s = 0; s < 8; s++) {
        const clora_tensor *a = &adapter->term[s]->a, *b = &adapter->term[s]->b;
        assert_true(a->buffer == chunk->buffer && b->buffer == chunk->buffer);
        assert_int_equal(a->offset, covered);
        assert_int_equal(b->offset, covered + clora_tensor_count(a));
        covered = b->offset + clora_tensor_count(b);
    }
    assert_int_equal(clora_tensor_count(chunk), covered);
    clora_adapter_free(adapter);
}

static void test_its_factors_are_listed_for_training(void **state) {
    NEED_DEVICE();
    clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
    const parameter_group of_a = {1.0f, 0.1f}, of_b = {16.0f, 0.1f};
    clora_train_options training = CLORA_TRAIN_OPTIONS_INIT;
    parameters list = {0};
    size_t covered = 0;

    options.target_modules = "k_proj,down_proj";
    clora_adapter *adapter = create(&options);
    training.lora_plus_ratio = 16.0f;
    training.weight_decay = 0.1f;
    assert_ok(adapter->method->list_parameters(&list, adapter, &training));
    assert_int_equal(list.buffers, lora_of(adapter)->chunks);
    assert_ptr_equal(list.value[0], lora_of(adapter)->chunk[0]);
    assert_int_equal(list.count, 2 * 4);
    for (size_t i = 0; i < list.count; i++) {
        static const char *const modules[4] = {"model.layers.0.self_attn.k_proj", "model.layers.0.mlp.down_proj",
                                               "model.layers.1.self_attn.k_proj", "model.layers.1.mlp.down_proj"};
        const parameter *one = &list.list[i];
        char name[64];
        snprintf(name, sizeof(name), "%s.lora_%c", modules[i / 2], i % 2 ? 'B' : 'A');
        assert_string_equal(one->name, name);
        assert_int_equal(one->offset, covered);
        assert_memory_equal(&one->group, i % 2 ? &of_b : &of_a, sizeof(of_a));
        covered += one->count;
    }
    assert_int_equal(parameters_scalars(&list), covered);
    parameters_finish(&list);
    clora_adapter_free(adapter);
}

static void test_dropout_can_be_changed_and_is_saved(void **state) {
    NEED_DEVICE();
    const clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
    clora_adapter *adapter = create(&options);
    size_t size;

    assert_ok(clora_adapter_set_dropout(adapter, 0.1f));
    assert_true(clora_adapter_get_info(adapter)->dropout == 0.1f);
    assert_refused(clora_adapter_set_dropout(adapter, 1.0f), CLORA_ERROR_ARGUMENT, "dropout");
    assert_refused(clora_adapter_set_dropout(adapter, (float)NAN), CLORA_ERROR_ARGUMENT, "dropout");
    assert_true(clora_adapter_get_info(adapter)->dropout == 0.1f);
    assert_ok(clora_adapter_save(adapter, scratch_path("out"), NULL));
    char *text = read_whole(&size, scratch_path("out/adapter_config.json"));
    assert_non_null(strstr(text, "\"lora_dropout\": 0.1,"));
    free(text);
    clora_adapter_free(adapter);
}

static void test_no_save_takes_the_place_of_a_model(void **state) {
    NEED_DEVICE();
    static const char *const names[] = {"config.json", "model.safetensors", "model.safetensors.index.json",
                                        "pytorch_model.bin"};
    const clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
    clora_adapter_save_options over = CLORA_ADAPTER_SAVE_OPTIONS_INIT;
    clora_adapter *adapter = create(&options);

    over.overwrite = 1;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char directory[16], file[64];
        snprintf(directory, sizeof(directory), "model%zu", i);
        snprintf(file, sizeof(file), "%s/%s", directory, names[i]);
        scratch_mkdir(directory);
        scratch_text(file, "{}");
        assert_refused(clora_adapter_save(adapter, scratch_path(directory), NULL), CLORA_ERROR_ARGUMENT, names[i]);
        assert_refused(clora_adapter_save(adapter, scratch_path(directory), &over), CLORA_ERROR_ARGUMENT,
                       "holds a model");
        assert_int_equal(scratch_entries(scratch_path(directory)), 1);
    }
    clora_adapter_free(adapter);
}

static void test_an_adapter_is_replaced_only_when_that_was_asked_for(void **state) {
    NEED_DEVICE();
    const clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
    clora_adapter_save_options save = CLORA_ADAPTER_SAVE_OPTIONS_INIT;
    clora_adapter *adapter = create(&options), *other = NULL;
    size_t size;

    assert_ok(load_adapter(&other, PROJECTIONS, fixture("tiny-llama-patterns")));
    scratch_mkdir("out");
    scratch_text("out/run.log", "of the program"); /* what else lies there is left alone */
    assert_ok(clora_adapter_save(
        adapter, scratch_path("out"),
        &(clora_adapter_save_options){.size = sizeof(clora_adapter_save_options), .base_name = "first"}));
    scratch_copy("first.json", scratch_path("out/adapter_config.json"));
    assert_refused(clora_adapter_save(other, scratch_path("out"), NULL), CLORA_ERROR_ARGUMENT, "holds an adapter");
    assert_refused(clora_adapter_save(adapter, scratch_path("out"), NULL), CLORA_ERROR_ARGUMENT, "holds an adapter");
    assert_refused(clora_adapter_save(other, scratch_path("out"), NULL), CLORA_ERROR_ARGUMENT, "overwritten");
    assert_refused(clora_adapter_save(other, scratch_path("out"), &save), CLORA_ERROR_ARGUMENT, "overwritten");
    assert_same_file(scratch_path("first.json"), scratch_path("out/adapter_config.json"));
    save.overwrite = 1;
    save.base_name = "second";
    assert_ok(clora_adapter_save(other, scratch_path("out"), &save));
    assert_same_file(scratch_path("out/adapter_model.safetensors"),
                     fixture("tiny-llama-patterns/adapter_model.safetensors"));
    char *text = read_whole(&size, scratch_path("out/adapter_config.json"));
    assert_non_null(strstr(text, "\"second\""));
    free(text);
    assert_int_equal(scratch_entries(scratch_path("out")), 3);
    assert_ok(clora_adapter_save(other, scratch_path("new"), &save)); /* there may be nothing to overwrite */
    scratch_mkdir("pickle");
    scratch_text("pickle/adapter_model.bin", "");
    assert_refused(clora_adapter_save(other, scratch_path("pickle"), NULL), CLORA_ERROR_ARGUMENT, "adapter_model.bin");
    clora_adapter_free(adapter);
    clora_adapter_free(other);
}

static void test_bad_options_make_no_adapter(void **state) {
    NEED_DEVICE();
    const clora_adapter_options good = CLORA_ADAPTER_OPTIONS_INIT;
    clora_adapter_options bad = good;
    clora_adapter *adapter = NULL;
    size_t before, after;

    clora_context_memory(context, &before, NULL);
    bad.rank = 0;
    assert_refused(make_adapter(&adapter, &bad), CLORA_ERROR_ARGUMENT, "rank 0");
    bad = good;
    bad.init = (clora_init)5;
    assert_refused(make_adapter(&adapter, &bad), CLORA_ERROR_ARGUMENT, "number 5");
    bad = good;
    bad.target_modules = "q_proj,query";
    assert_refused(make_adapter(&adapter, &bad), CLORA_ERROR_NOT_FOUND,
                   "\"query\" matches no linear layer; here are q_proj");
    bad.target_modules = "q_(proj";
    assert_refused(make_adapter(&adapter, &bad), CLORA_ERROR_ARGUMENT, "regular expression");
    bad = good;
    bad.rank_pattern = "lm_head=4";
    assert_refused(make_adapter(&adapter, &bad), CLORA_ERROR_NOT_FOUND, "\"lm_head\"");
    bad = good;
    bad.dropout = 1.0f;
    assert_refused(make_adapter(&adapter, &bad), CLORA_ERROR_ARGUMENT, "dropout");
    assert_null(adapter);
    clora_context_memory(context, &after, NULL);
    assert_int_equal(before, after);
}

static void test_an_adapter_that_cannot_be_loaded_leaves_nothing_on_the_device(void **state) {
    NEED_DEVICE();
    clora_adapter *adapter = NULL;
    size_t before, after;

    clora_context_memory(context, &before, NULL);
    assert_refused(load_adapter(&adapter, PROJECTIONS, fixture("tiny-qwen2-dora")), CLORA_ERROR_FORMAT, "rank 3");
    assert_refused(load_adapter(&adapter, PROJECTIONS - 1, scratch_path("nowhere")), CLORA_ERROR_NOT_FOUND, "nowhere");
    assert_refused(load_adapter(&adapter, 4, fixture("tiny-llama-lora")), CLORA_ERROR_FORMAT, "layers.1");
    assert_null(adapter);
    clora_context_memory(context, &after, NULL);
    assert_int_equal(before, after);
}

static void test_a_module_that_is_not_there_is_refused(void **state) {
    NEED_DEVICE();
    const clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;
    clora_adapter *adapter = create(&options);

    assert_refused(clora_adapter_read_module(NULL, NULL, adapter, 14), CLORA_ERROR_ARGUMENT, "module 14");
    assert_refused(clora_adapter_read_module(NULL, NULL, adapter, -1), CLORA_ERROR_ARGUMENT, "module -1");
    clora_adapter_free(adapter);
    clora_adapter_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_all_linear_is_every_layer_but_the_head),
        TEST(test_the_head_is_adapted_when_it_is_named),
        TEST(test_b_begins_at_zero),
        TEST(test_a_begins_as_asked),
        TEST(test_a_depends_on_the_seed_and_the_module_alone),
        TEST(test_patterns_give_modules_their_own_rank_and_alpha),
        TEST(test_loaded_factors_are_those_of_the_file),
        TEST(test_saved_loaded_and_saved_again_is_the_same_bytes),
        TEST(test_what_peft_wrote_is_saved_with_the_same_tensor_bytes),
        TEST(test_small_allocations_split_the_factors_into_chunks),
        TEST(test_a_term_larger_than_a_buffer_is_refused),
        TEST(test_factors_lie_side_by_side_in_a_chunk),
        TEST(test_its_factors_are_listed_for_training),
        TEST(test_dropout_can_be_changed_and_is_saved),
        TEST(test_no_save_takes_the_place_of_a_model),
        TEST(test_an_adapter_is_replaced_only_when_that_was_asked_for),
        TEST(test_bad_options_make_no_adapter),
        TEST(test_an_adapter_that_cannot_be_loaded_leaves_nothing_on_the_device),
        TEST(test_a_module_that_is_not_there_is_refused),
    };
    return cmocka_run_group_tests_name("adapter", tests, make_projections, free_projections);
}
