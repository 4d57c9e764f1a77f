/* Several threads at once: each gets the bits that it gets alone. scripts/test.sh --long runs this under the thread
 * sanitizer, which sees the locks of the host's side. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include <clora/clora.h>

#include "support/fixture.h"
#include "support/scratch.h"

enum { THREADS = 4, VOCAB = 97, TOKENS = 6, STEPS = 3, CAPACITY = 16 };

static const char *path;
static clora_context *context;
static clora_model *model;
static clora_adapter *adapter;
static clora_dataset *dataset;

/* What a thread does, and what came of it. Assertions belong to the main thread. */
typedef struct job {
    clora_status (*run)(struct job *job);
    clora_model *model;
    int seed;
    clora_status status;
    float result[TOKENS * VOCAB];
} job;

static int32_t likeliest(const float *logits) {
    int best = 0;

    for (int i = 1; i < VOCAB; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

/* Some greedy tokens; with the adapter that others use too, or none. */
static clora_status write_text(job *j) {
    int32_t ids[3] = {1, 5 + j->seed, 9};
    int count = 3;
    clora_session *session = NULL;
    clora_status status = clora_session_create(&session, j->model, 1, CAPACITY);

    if (status == CLORA_OK && j->model == model && j->seed % 2)
        status = clora_session_set_adapter(session, adapter);
    for (int i = 0; status == CLORA_OK && i < TOKENS; i++) {
        float *logits = j->result + (size_t)i * VOCAB;
        status = clora_session_forward(session, logits, ids, count, 0);
        ids[0] = likeliest(logits);
        count = 1;
    }
    clora_session_free(session);
    return status;
}

/* Losses of some steps with an adapter of its own, and what it then evaluates to. */
static clora_status train(job *j) {
    clora_train_options options = CLORA_TRAIN_OPTIONS_INIT;
    clora_adapter *own = NULL;
    clora_trainer *trainer = NULL;
    clora_train_step step = CLORA_TRAIN_STEP_INIT;
    clora_evaluate_result evaluated = CLORA_EVALUATE_RESULT_INIT;
    clora_status status = clora_adapter_create(&own, j->model, NULL);

    options.steps = STEPS;
    options.batch_size = 2;
    options.max_length = 8;
    options.lr = 0.01f * (float)(1 + j->seed);
    if (status == CLORA_OK)
        status = clora_trainer_create(&trainer, j->model, own, dataset, &options);
    for (int i = 0; status == CLORA_OK && i < STEPS; i++) {
        status = clora_trainer_step(&step, trainer);
        j->result[i] = step.loss;
    }
    if (status == CLORA_OK)
        status = clora_trainer_evaluate(&evaluated, trainer, dataset, NULL, NULL);
    j->result[STEPS] = (float)evaluated.loss;
    clora_trainer_free(trainer);
    clora_adapter_free(own);
    return status;
}

/* A context and a model of its own. */
static clora_status use_own_device(job *j) {
    clora_context *own = NULL;
    clora_status status = clora_context_create(&own, NULL);

    if (status == CLORA_OK)
        status = clora_model_load(&j->model, own, path, NULL);
    if (status == CLORA_OK)
        status = j->seed % 2 ? train(j) : write_text(j);
    clora_model_free(j->model);
    clora_context_free(own);
    return status;
}

static pthread_barrier_t all_are_there;

static void *run_in_thread(void *argument) {
    job *j = argument;

    pthread_barrier_wait(&all_are_there);
    j->status = j->run(j);
    return NULL;
}

/* Each alone, then all at once, so many times. */
static void compare(const job jobs[THREADS], int rounds) {
    job *alone = calloc(THREADS, sizeof(*alone)), *together = calloc(THREADS, sizeof(*together));

    memcpy(alone, jobs, THREADS * sizeof(*alone));
    for (int i = 0; i < THREADS; i++)
        assert_ok(alone[i].run(&alone[i]));
    for (int round = 0; round < rounds; round++) {
        pthread_t thread[THREADS];
        memcpy(together, jobs, THREADS * sizeof(*together));
        pthread_barrier_init(&all_are_there, NULL, THREADS);
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&thread[i], NULL, run_in_thread, &together[i]), 0);
        for (int i = 0; i < THREADS; i++)
            pthread_join(thread[i], NULL);
        pthread_barrier_destroy(&all_are_there);
        for (int i = 0; i < THREADS; i++) {
            assert_int_equal(together[i].status, CLORA_OK);
            assert_memory_equal(together[i].result, alone[i].result, sizeof(alone[i].result));
        }
    }
    free(alone);
    free(together);
}

static void test_one_model_serves_sessions_and_trainers_of_several_threads(void **state) {
    (void)state;
    compare((const job[THREADS]){{.run = write_text, .model = model},
                                 {.run = write_text, .model = model, .seed = 1},
                                 {.run = train, .model = model, .seed = 2},
                                 {.run = train, .model = model, .seed = 3}},
            3);
}

static void test_contexts_of_several_threads_do_not_meet(void **state) {
    (void)state;
    compare((const job[THREADS]){{.run = use_own_device},
                                 {.run = use_own_device, .seed = 1},
                                 {.run = use_own_device, .seed = 2},
                                 {.run = use_own_device, .seed = 3}},
            1);
}

static int open_model(void **state) {
    static const int32_t ids[] = {1, 4, 7, 8, 1, 9, 3, 2, 1, 30, 31, 32};
    static const int lengths[] = {4, 4, 4};

    (void)state;
    path = fixture_path("tiny-llama");
    assert_ok(clora_model_load(&model, context, path, NULL));
    adapter = fixture_adapter(model, "tiny-llama-lora");
    assert_ok(clora_dataset_from_ids(&dataset, ids, NULL, lengths, 3));
    assert_int_equal(clora_model_get_info(model)->vocab, VOCAB);
    return 0;
}

static int close_model(void **state) {
    (void)state;
    clora_dataset_free(dataset);
    clora_adapter_free(adapter);
    clora_model_free(model);
    clora_context_free(context);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_model_serves_sessions_and_trainers_of_several_threads),
        cmocka_unit_test(test_contexts_of_several_threads_do_not_meet),
    };
    if (clora_context_create(&context, NULL) != CLORA_OK) {
        print_message("skipped: %s\n", clora_last_error());
        return 77; /* Meson: skipped */
    }
    return cmocka_run_group_tests(tests, open_model, close_model);
}
