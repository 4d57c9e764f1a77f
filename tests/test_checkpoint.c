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

#include "data/dataset_store.h"
#include "support/fixture.h"
#include "support/sample.h"
#include "support/scratch.h"
#include "train/trainer.h"

/* A run that goes on from a checkpoint has the bits of one that never stopped: at each step, whatever trains. */

enum { STEPS = 20, SEQUENCES = 7 };

static clora_context *context;

/* ---- runs ---- */

/* What a run is made of, anew for each: a model may be what trains. */
typedef struct run {
    clora_dataset *data, *held_out; /* the latter NULL: nothing is validated */
    clora_model *model;
    clora_adapter *adapter;
    clora_trainer *trainer;
} run;

typedef struct kind {
    const char *name;
    void (*make)(clora_adapter **out, clora_model *model, float dropout);
    clora_preference preference;
    clora_optimizer optimizer;
    float momentum;
    clora_storage storage;
} kind;

/* What a run does besides: each of it alone, all, and nothing. Preferences are not packed. */
typedef struct extra {
    const char *name;
    float dropout, clip;
    bool shuffles, accumulates, packs, has_schedule, has_8_bits, validates;
} extra;

static const extra extras[] = {
    {.name = "all",
     .dropout = 0.2f,
     .clip = 1.0f,
     .shuffles = true,
     .accumulates = true,
     .packs = true,
     .has_schedule = true,
     .has_8_bits = true,
     .validates = true},
    {.name = "nothing"},
    {.name = "dropout", .dropout = 0.2f},
    {.name = "shuffling", .shuffles = true},
    {.name = "accumulation", .accumulates = true},
    {.name = "packing", .packs = true},
    {.name = "schedule", .has_schedule = true},
    {.name = "clipping", .clip = 1.0f},
    {.name = "adamw8bit", .has_8_bits = true},
    {.name = "validation", .validates = true},
};

enum { EXTRAS = sizeof(extras) / sizeof(extras[0]) };

static void make_lora(clora_adapter **out, clora_model *model, float dropout) {
    clora_adapter_options options = CLORA_ADAPTER_OPTIONS_INIT;

    options.rank = 3;
    options.dropout = dropout;
    options.seed = 5;
    assert_ok(clora_adapter_create(out, model, &options));
}

static void make_dora(clora_adapter **out, clora_model *model, float dropout) {
    (void)dropout;
    assert_ok(clora_adapter_load(out, model, fixture_path("tiny-llama-dora")));
}

static void make_full(clora_adapter **out, clora_model *model, float dropout) {
    (void)dropout;
    assert_ok(clora_full_create(out, model, NULL));
}

static void make_stored(clora_adapter **out, clora_model *model, float dropout) {
    clora_full_options options = CLORA_FULL_OPTIONS_INIT;

    (void)dropout;
    options.master = CLORA_FULL_MASTER_NONE;
    assert_ok(clora_full_create(out, model, &options));
}

static void make_joined(clora_adapter **out, clora_model *model, float dropout) {
    clora_bottleneck_options bottleneck = CLORA_BOTTLENECK_OPTIONS_INIT;
    clora_prefix_options prefix = CLORA_PREFIX_OPTIONS_INIT;
    clora_adapter *parts[2] = {NULL, NULL};

    bottleneck.dropout = dropout;
    prefix.tokens = 3;
    assert_ok(clora_bottleneck_create(&parts[0], model, &bottleneck));
    assert_ok(clora_prefix_create(&parts[1], model, &prefix));
    assert_ok(clora_adapter_join(out, parts, 2));
    clora_adapter_free(parts[0]);
    clora_adapter_free(parts[1]);
}

static const kind kinds[] = {
    {.name = "lora", .make = make_lora},
    {.name = "full", .make = make_full},
    {.name = "adapter,prefix", .make = make_joined},
    {.name = "dpo", .make = make_lora, .preference = CLORA_PREFERENCE_DPO},
    {.name = "dora", .make = make_dora},
    {.name = "full in 16 bits", .make = make_stored, .storage = CLORA_STORAGE_BF16},
    {.name = "full with masters", .make = make_full, .storage = CLORA_STORAGE_F16},
    {.name = "adapter,prefix by sgd", .make = make_joined, .optimizer = CLORA_OPTIMIZER_SGD, .momentum = 0.9f},
    {.name = "dpo of all weights", .make = make_full, .preference = CLORA_PREFERENCE_DPO},
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]), FULL = 1 };

static clora_train_options options_of(const kind *k, const extra *e) {
    clora_train_options o = CLORA_TRAIN_OPTIONS_INIT;
    const bool packs = e->packs && k->preference == CLORA_PREFERENCE_NONE;

    o.steps = STEPS;
    o.batch_size = 2;
    o.accumulate = e->accumulates ? 2 : 1;
    o.seed = 11;
    o.shuffle = e->shuffles;
    o.pack = packs;
    o.max_length = packs ? 24 : 0;
    o.lr = 1e-3f;
    o.schedule = e->has_schedule ? CLORA_SCHEDULE_COSINE : CLORA_SCHEDULE_CONSTANT;
    o.warmup = e->has_schedule ? 3 : 0;
    o.weight_decay = 0.01f;
    o.clip = e->clip;
    o.optimizer = k->optimizer == CLORA_OPTIMIZER_ADAMW && e->has_8_bits ? CLORA_OPTIMIZER_ADAMW8BIT : k->optimizer;
    o.momentum = k->momentum;
    o.preference = k->preference;
    return o;
}

/* Sequences of 4 to 10 ids; of preferences with a prompt of two, and twice as many. */
static clora_dataset *make_data(const kind *k, int32_t shift) {
    const bool pairs = k->preference != CLORA_PREFERENCE_NONE;
    clora_dataset *d = NULL;
    size_t learnt;

    assert_ok(dataset_new(&d));
    d->kind = pairs ? CLORA_DATA_PREFERENCE : CLORA_DATA_PAIRS;
    for (int i = 0; i < (pairs ? 2 : 1) * SEQUENCES; i++) {
        for (int t = 0; t < 4 + i % 7; t++) {
            const int32_t id = t < 2 && pairs ? 3 + i / 2 : 3 + (i * 17 + t * 29 + shift) % 90;
            assert_ok(dataset_push(d, &id, t < 2 ? NULL : &id, 1));
        }
        if (pairs)
            assert_ok(dataset_mark_answer(d, (dataset_answer){2, i % 2 == 0}));
        assert_ok(dataset_close_sequence(d, &learnt));
    }
    return d;
}

static void begin_with(run *r, const kind *k, const clora_train_options *options, float dropout, int32_t shift) {
    clora_model_options model = CLORA_MODEL_OPTIONS_INIT;

    *r = (run){.data = make_data(k, shift)};
    model.dtype = (int)k->storage;
    assert_ok(clora_model_load(&r->model, context, fixture_path("tiny-llama"), &model));
    k->make(&r->adapter, r->model, dropout);
    assert_ok(clora_trainer_create(&r->trainer, r->model, r->adapter, r->data, options));
}

static double validate(run *r) {
    clora_evaluate_result result = CLORA_EVALUATE_RESULT_INIT;

    if (r->held_out)
        assert_ok(clora_trainer_evaluate(&result, r->trainer, r->held_out, NULL, NULL));
    return result.loss;
}

static void begin_as(run *r, const kind *k, const extra *e) {
    const clora_train_options options = options_of(k, e);

    begin_with(r, k, &options, e->dropout, 0);
    if (e->validates) {
        r->held_out = make_data(k, 5);
        (void)validate(r); /* which a reference that is the model itself wants before the first update */
    }
}

static void begin(run *r, const kind *k) {
    begin_as(r, k, extras);
}

static void end(run *r) {
    clora_trainer_free(r->trainer);
    clora_adapter_free(r->adapter);
    clora_model_free(r->model);
    clora_dataset_free(r->held_out);
    clora_dataset_free(r->data);
}

/* ---- the same bits ---- */

/* An update, and the validation after it: 0 without one. */
typedef struct update {
    clora_train_step step;
    clora_rewards rewards; /* of the step, whose trainer has them only until the next */
    double validation;
} update;

static update step(run *r) {
    update out = {CLORA_TRAIN_STEP_INIT, CLORA_REWARDS_INIT, 0.0};

    assert_ok(clora_trainer_step(&out.step, r->trainer));
    if (out.step.rewards)
        out.rewards = *out.step.rewards;
    out.validation = validate(r);
    return out;
}

/* But for its time. */
static void assert_same_update(const update *a, const update *e, const char *name, const char *with, int from) {
    const clora_train_step *actual = &a->step, *expected = &e->step;

    if (actual->step != expected->step || actual->loss != expected->loss || actual->lr != expected->lr ||
        actual->grad_norm != expected->grad_norm || actual->tokens != expected->tokens ||
        actual->target_tokens != expected->target_tokens || actual->epoch != expected->epoch ||
        memcmp(&a->rewards.chosen, &e->rewards.chosen, 5 * sizeof(float)) != 0 || a->validation != e->validation)
        fail_msg("%s with %s from step %d, step %d: loss %.9g, wanted %.9g; norm %.9g, wanted %.9g; validation %.9g, "
                 "wanted %.9g",
                 name, with, from, actual->step, (double)actual->loss, (double)expected->loss,
                 (double)actual->grad_norm, (double)expected->grad_norm, a->validation, e->validation);
}

static const char *checkpoint(int n) {
    char name[32];

    snprintf(name, sizeof(name), "step-%d", n);
    return scratch_path(name);
}

/* A run that nothing stops, with a checkpoint before each of its updates and one after the last. */
static void run_whole(update expected[STEPS], const kind *k, const extra *e) {
    run whole;

    begin_as(&whole, k, e);
    for (int n = 0; n < STEPS; n++) {
        assert_ok(clora_trainer_save(whole.trainer, checkpoint(n), NULL));
        expected[n] = step(&whole);
    }
    assert_ok(clora_trainer_save(whole.trainer, checkpoint(STEPS), NULL));
    end(&whole);
}

/* The rest of it from the checkpoint before update n on. */
static void run_rest(const update expected[STEPS], const kind *k, const extra *e, int n) {
    update actual;
    run rest;

    begin_as(&rest, k, e);
    assert_ok(clora_trainer_restore(rest.trainer, checkpoint(n)));
    for (int at = n; at < STEPS; at++) {
        actual = step(&rest);
        assert_same_update(&actual, &expected[at], k->name, e->name, n);
    }
    assert_int_equal(clora_trainer_step(&actual.step, rest.trainer), CLORA_ERROR_NOT_FOUND);
    assert_ok(clora_trainer_save(rest.trainer, scratch_path("again"), NULL));
    assert_same_file(scratch_path("again"), checkpoint(STEPS));
    end(&rest);
}

static void test_each_step_goes_on_with_the_same_bits(void **state) {
    (void)state;
    test_sample sample;
    update expected[STEPS];

    sample_begin(&sample);
    for (int i = 0; i < KINDS * EXTRAS; i++) {
        const kind *k = &kinds[i / EXTRAS];
        const extra *e = &extras[i % EXTRAS];
        if (e != extras && !sample_takes(&sample, 2 * EXTRAS))
            continue;
        run_whole(expected, k, e);
        for (int n = 0; n <= STEPS; n++)
            if (sample_takes(&sample, STEPS / 2))
                run_rest(expected, k, e, n);
    }
}

/* ---- another run ---- */

static void test_what_would_change_the_run_is_named(void **state) {
    (void)state;
    clora_train_options other = options_of(&kinds[0], extras);
    run r;

    begin(&r, &kinds[0]);
    (void)step(&r);
    assert_ok(clora_trainer_save(r.trainer, scratch_path("one"), NULL));
    assert_refused(clora_trainer_restore(r.trainer, scratch_path("one")), CLORA_ERROR_ARGUMENT, "before its first");
    end(&r);

    other.lr = 2e-3f;
    begin_with(&r, &kinds[0], &other, extras->dropout, 0);
    assert_refused(clora_trainer_restore(r.trainer, scratch_path("one")), CLORA_ERROR_ARGUMENT, "whose lr is 0.001");
    end(&r);
    other = options_of(&kinds[0], extras);
    other.steps = STEPS + 1;
    begin_with(&r, &kinds[0], &other, extras->dropout, 0);
    assert_refused(clora_trainer_restore(r.trainer, scratch_path("one")), CLORA_ERROR_ARGUMENT, "whose steps is 20");
    end(&r);
    other = options_of(&kinds[0], extras);
    begin_with(&r, &kinds[0], &other, extras->dropout, 1);
    assert_refused(clora_trainer_restore(r.trainer, scratch_path("one")), CLORA_ERROR_ARGUMENT,
                   "whose data is not this");
    end(&r);
    begin(&r, &kinds[FULL]);
    assert_refused(clora_trainer_restore(r.trainer, scratch_path("one")), CLORA_ERROR_ARGUMENT,
                   "whose list of parameters is not");
    (void)step(&r); /* which is as it was */
    end(&r);
}

/* A base whose weights differ by one byte. */
static void test_another_base_is_named(void **state) {
    (void)state;
    const clora_train_options options = options_of(&kinds[0], extras);
    size_t size;
    run r;

    begin(&r, &kinds[0]);
    assert_ok(clora_trainer_save(r.trainer, scratch_path("one"), NULL));
    end(&r);
    scratch_mkdir("base");
    scratch_copy("base/config.json", fixture_path("tiny-llama/config.json"));
    char *weights = read_whole(&size, fixture_path("tiny-llama/model.safetensors"));
    weights[size - 1] ^= 1;
    scratch_write("base/model.safetensors", weights, size);
    free(weights);
    r = (run){.data = make_data(&kinds[0], 0)};
    assert_ok(clora_model_load(&r.model, context, scratch_path("base"), NULL));
    make_lora(&r.adapter, r.model, extras->dropout);
    assert_ok(clora_trainer_create(&r.trainer, r.model, r.adapter, r.data, &options));
    assert_refused(clora_trainer_restore(r.trainer, scratch_path("one")), CLORA_ERROR_ARGUMENT,
                   "whose base is not this");
    end(&r);
}

/* ---- files ---- */

static void test_the_head_tells_where_the_run_is(void **state) {
    (void)state;
    clora_inspected_checkpoint *head;
    run r;

    begin(&r, &kinds[0]);
    (void)step(&r);
    (void)step(&r);
    assert_ok(clora_trainer_save(r.trainer, scratch_path("two"), "a note \"of\" mine"));
    end(&r);
    assert_ok(clora_inspect_checkpoint(&head, scratch_path("two")));
    assert_int_equal(head->step, 2);
    assert_int_equal(head->steps, STEPS);
    assert_string_equal(head->note, "a note \"of\" mine");
    clora_inspected_checkpoint_free(head);
    assert_refused(clora_inspect_checkpoint(&head, scratch_path("none")), CLORA_ERROR_NOT_FOUND, "none");
    assert_refused(clora_inspect_checkpoint(&head, fixture_path("tiny-llama/model.safetensors")), CLORA_ERROR_FORMAT,
                   "no checkpoint");
}

/* Every place in the head, and every length of the file. */
static void test_a_damaged_file_is_refused_and_changes_nothing(void **state) {
    (void)state;
    const kind *k = &kinds[0];
    update first, again;
    size_t size;
    run r;

    begin(&r, k);
    assert_ok(clora_trainer_save(r.trainer, scratch_path("start"), NULL));
    first = step(&r);
    assert_ok(clora_trainer_save(r.trainer, scratch_path("one"), NULL));
    end(&r);
    char *bytes = read_whole(&size, scratch_path("one"));
    const size_t head = 8 + (size_t)(unsigned char)bytes[0] + ((size_t)(unsigned char)bytes[1] << 8);
    begin(&r, k);
    for (size_t cut = 0; cut < size; cut += cut < head ? 7 : size / 9) {
        scratch_write("cut", bytes, cut);
        assert_true(clora_trainer_restore(r.trainer, scratch_path("cut")) != CLORA_OK);
    }
    for (size_t at = 8; at < head; at += 3) { /* other numbers, names and sizes: whatever passes is a whole place */
        const char before = bytes[at];
        clora_inspected_checkpoint *found;
        bytes[at] = before == '9' ? '1' : '9';
        scratch_write("other", bytes, size);
        bytes[at] = before;
        if (clora_inspect_checkpoint(&found, scratch_path("other")) == CLORA_OK)
            assert_in_range(found->step, 0, found->steps);
        clora_inspected_checkpoint_free(found);
    }
    again = step(&r);
    assert_same_update(&again, &first, k->name, extras->name, 0);
    end(&r);
    free(bytes);
}

static void test_a_full_disk_leaves_the_old_file(void **state) {
    (void)state;
    clora_inspected_checkpoint *head;
    run r;

    begin(&r, &kinds[0]);
    assert_ok(clora_trainer_save(r.trainer, scratch_path("one"), NULL));
    (void)step(&r);
    disk_full_after(4096);
    assert_int_equal(clora_trainer_save(r.trainer, scratch_path("one"), NULL), CLORA_ERROR_IO);
    disk_is_free();
    assert_ok(clora_inspect_checkpoint(&head, scratch_path("one")));
    assert_int_equal(head->step, 0);
    clora_inspected_checkpoint_free(head);
    assert_int_equal(scratch_entries(scratch_path("")), 1);
    end(&r);
}

int main(void) {
#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(test_each_step_goes_on_with_the_same_bits),
        IN_SCRATCH(test_what_would_change_the_run_is_named),
        IN_SCRATCH(test_another_base_is_named),
        IN_SCRATCH(test_the_head_tells_where_the_run_is),
        IN_SCRATCH(test_a_damaged_file_is_refused_and_changes_nothing),
        IN_SCRATCH(test_a_full_disk_leaves_the_old_file),
    };

    if (clora_context_create(&context, NULL) != CLORA_OK) {
        fprintf(stderr, "skipped: %s\n", clora_last_error());
        return 77;
    }
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    clora_context_free(context);
    return failed;
}
