#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include <clora/clora.h>
#define CL_TARGET_OPENCL_VERSION 120
#include <clora/opencl.h>

#include "support/fixture.h"
#include "support/scratch.h"

/* Arguments that are there, for the calls of null_calls.h. */
static struct {
    clora_context *context;
    clora_tensor *tensor;
    clora_weight *weight;
    clora_lowrank *lowrank;
    clora_model *model;
    clora_tokenizer *tokenizer;
    clora_decoder *decoder;
    clora_dataset *dataset;
    clora_adapter *adapter;
    clora_session *session;
    clora_engine *engine;
    clora_request *request;
    clora_trainer *trainer;
    clora_tune_plan *tune_plan;
    cl_context cl;
    cl_command_queue queue;
    cl_mem buffer;
} given;
static long double room[256]; /* whatever a pointer points to */
static void *slot;            /* what a pointer to a pointer points to */

/* A status of ARGUMENT, with a message that names what is missing; a handle that was to be made is NULL. */
static int refused(clora_status status, const char *function, const char *parameters, int makes) {
    char name[64] = "", what[64] = "";
    const int is_clean = !makes || slot == NULL;

    slot = &slot;
    return status == CLORA_ERROR_ARGUMENT && sscanf(clora_last_error(), "%63[^:]: %63s is NULL", name, what) == 2 &&
           strcmp(name, function) == 0 && strstr(parameters, what) && strstr(clora_last_error(), " is NULL") &&
           is_clean;
}

typedef struct null_call {
    const char *function, *parameters;
    int (*run)(void);
} null_call;
#include "null_calls.h"

static int make_arguments(void **state) {
    const int32_t ids[] = {1, 2, 3, 4};

    (void)state;
    if (clora_context_create(&given.context, NULL) != CLORA_OK)
        return 0; /* no device */
    assert_ok(clora_tensor_create(&given.tensor, given.context, CLORA_DTYPE_F32, 2, (const int[]){2, 2}));
    assert_ok(clora_weight_create(&given.weight, given.context, CLORA_STORAGE_F32, 8, 16));
    assert_ok(clora_lowrank_create(&given.lowrank, given.weight, 2, 1.0f, 0));
    assert_ok(clora_model_load(&given.model, given.context, fixture_path("tiny-llama"), NULL));
    assert_ok(clora_tokenizer_load(&given.tokenizer, fixture_path("tokenizers/llama2")));
    assert_ok(clora_decoder_create(&given.decoder, given.tokenizer, ids, 1));
    assert_ok(clora_dataset_from_ids(&given.dataset, ids, NULL, (const int[]){4}, 1));
    assert_ok(clora_adapter_create(&given.adapter, given.model, NULL));
    assert_ok(clora_session_create(&given.session, given.model, 1, 8));
    assert_ok(clora_engine_create(&given.engine, given.model, given.tokenizer, NULL));
    assert_ok(clora_engine_admit(&given.request, given.engine, ids, 1, NULL));
    assert_ok(clora_trainer_create(&given.trainer, given.model, given.adapter, given.dataset, NULL));
    assert_ok(clora_tune_plan_create(&given.tune_plan, given.context));
    given.queue = clora_context_queue(given.context);
    given.buffer = clora_tensor_buffer(given.tensor);
    assert_int_equal(clGetMemObjectInfo(given.buffer, CL_MEM_CONTEXT, sizeof(given.cl), &given.cl, NULL), CL_SUCCESS);
    slot = &slot;
    return 0;
}

static int free_arguments(void **state) {
    (void)state;
    clora_tune_plan_free(given.tune_plan);
    clora_trainer_free(given.trainer);
    clora_request_free(given.request);
    clora_engine_free(given.engine);
    clora_session_free(given.session);
    clora_adapter_free(given.adapter);
    clora_dataset_free(given.dataset);
    clora_decoder_free(given.decoder);
    clora_tokenizer_free(given.tokenizer);
    clora_model_free(given.model);
    clora_lowrank_free(given.lowrank);
    clora_weight_free(given.weight);
    clora_tensor_free(given.tensor);
    clora_context_free(given.context);
    return 0;
}

static void test_every_call_takes_null_for_every_pointer(void **state) {
    (void)state;
    if (!given.context)
        skip();
    for (size_t i = 0; i < sizeof(null_calls) / sizeof(null_calls[0]); i++)
        if (!null_calls[i].run())
            fail_msg("%s without %s: %s", null_calls[i].function, null_calls[i].parameters, clora_last_error());
    assert_true(FUNCTIONS > 100); /* the headers were read */
}

/* What its function makes of a struct is its macro, as far as the caller's goes, and nothing after it. */
#define ASSERT_INIT(type, defaults)                                                                         \
    do {                                                                                                    \
        static const type all = defaults;                                                                   \
        _Alignas(16) unsigned char made[sizeof(all) + 16];                                                  \
        const size_t sizes[] = {sizeof(size_t), sizeof(all) - 4, sizeof(all), sizeof(all) + 8};             \
        for (size_t i = 0; i < 4; i++) {                                                                    \
            memset(made, 0xa5, sizeof(made));                                                               \
            type##_init((type *)(void *)made, sizes[i]);                                                    \
            const size_t known = sizes[i] < sizeof(all) ? sizes[i] : sizeof(all);                           \
            assert_memory_equal(made, &sizes[i], sizeof(size_t));                                           \
            if (memcmp(made + sizeof(size_t), (const char *)&all + sizeof(size_t), known - sizeof(size_t))) \
                fail_msg(#type "_init of %zu bytes is not " #defaults, sizes[i]);                           \
            for (size_t at = known; at < sizeof(made); at++)                                                \
                assert_int_equal(made[at], at < sizes[i] ? 0 : 0xa5);                                       \
        }                                                                                                   \
    } while (0);

static void test_functions_and_macros_make_the_same_of_a_struct(void **state) {
    (void)state;
    SIZED_STRUCTS(ASSERT_INIT)
}

/* The program of README without a single check: it asks at its end. */
static void train_unchecked(const char *model_path, const char *data, clora_status *last) {
    clora_model *model;
    clora_tokenizer *words;
    clora_dataset *pairs;
    clora_adapter *adapter;

    clora_model_load(&model, given.context, model_path, NULL);
    clora_tokenizer_load(&words, fixture_path("tokenizers/llama2"));
    clora_dataset_load(&pairs, data, words, NULL);
    clora_adapter_create(&adapter, model, NULL);
    clora_train(model, adapter, pairs, NULL, NULL, NULL);
    *last = clora_adapter_save(adapter, "never-written", NULL);
    clora_adapter_free(adapter);
    clora_dataset_free(pairs);
    clora_tokenizer_free(words);
    clora_model_free(model);
}

static void test_a_program_that_asks_at_its_end_hears_of_the_first_failure(void **state) {
    (void)state;
    clora_status last = CLORA_OK;

    if (!given.context)
        skip();
    (void)clora_last_error();
    train_unchecked("no/such/model", "no-such-data.jsonl", &last); /* the data's failure comes second */
    assert_int_equal(last, CLORA_ERROR_ARGUMENT);
    assert_string_equal(clora_last_error(), "clora_adapter_save: adapter is NULL; earlier: no/such/model: no such "
                                            "directory; a model is a Hugging Face directory with config.json");
    assert_false(file_exists("never-written"));
}

static void test_a_failure_is_forgotten_once_it_was_asked_for(void **state) {
    (void)state;
    clora_tokenizer *t;
    clora_dataset *d;
    size_t count;

    (void)clora_last_error();
    assert_int_equal(clora_tokenizer_load(&t, "first"), CLORA_ERROR_NOT_FOUND);
    assert_int_equal(clora_tokenizer_load(&t, "second"), CLORA_ERROR_NOT_FOUND);
    assert_ok(clora_dataset_from_ids(&d, (const int32_t[]){1, 2}, NULL, (const int[]){2}, 1)); /* a success between */
    assert_int_equal(clora_tokenizer_count_dropped(t, "a", 1, &count), CLORA_ERROR_ARGUMENT);
    assert_non_null(strstr(clora_last_error(), "tokenizer is NULL; earlier: first: no such directory"));
    assert_int_equal(clora_tokenizer_count_dropped(t, "a", 1, &count), CLORA_ERROR_ARGUMENT);
    assert_non_null(strstr(clora_last_error(), "earlier: first:")); /* as long as nothing else was tried */
    assert_int_equal(clora_tokenizer_load(&t, "third"), CLORA_ERROR_NOT_FOUND);
    assert_int_equal(clora_tokenizer_count_dropped(t, "a", 1, &count), CLORA_ERROR_ARGUMENT);
    assert_non_null(strstr(clora_last_error(), "earlier: third:"));
    clora_dataset_free(d);
    assert_ok(clora_dataset_from_ids(&d, (const int32_t[]){1, 2}, NULL, (const int[]){2}, 1));
    assert_int_equal(clora_tokenizer_count_dropped(t, "a", 1, &count), CLORA_ERROR_ARGUMENT);
    assert_string_equal(clora_last_error(), "clora_tokenizer_count_dropped: tokenizer is NULL");
    clora_dataset_free(d);
}

static void *fail_elsewhere(void *arg) {
    clora_tokenizer *t;

    clora_tokenizer_load(&t, "elsewhere");
    return arg;
}

static void test_threads_do_not_see_each_others_failures(void **state) {
    (void)state;
    pthread_t thread;

    clora_last_error();
    clora_tokenizer *t;
    assert_ok(clora_tokenizer_load(&t, fixture_path("tokenizers/llama2")));
    assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, NULL), 0);
    pthread_join(thread, NULL);
    assert_int_equal(clora_context_finish(NULL), CLORA_ERROR_ARGUMENT);
    assert_string_equal(clora_last_error(), "clora_context_finish: context is NULL");
    clora_tokenizer_free(t);
}

/* A text or a prompt of nothing needs no pointer. */
static void test_nothing_may_be_null(void **state) {
    (void)state;
    clora_tokenizer *t;
    clora_decoder *decoder;
    int32_t *ids;
    char *text;
    size_t n;

    assert_ok(clora_tokenizer_load(&t, fixture_path("tokenizers/llama2")));
    assert_ok(clora_tokenizer_encode(t, NULL, 0, 0, &ids, &n));
    assert_int_equal(n, 0);
    assert_ok(clora_tokenizer_decode(t, NULL, 0, 1, &text, &n));
    assert_string_equal(text, "");
    assert_ok(clora_decoder_create(&decoder, t, NULL, 0));
    clora_decoder_free(decoder);
    clora_tokenizer_free(t);
    free(text);
    free(ids);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_call_takes_null_for_every_pointer),
        cmocka_unit_test(test_functions_and_macros_make_the_same_of_a_struct),
        cmocka_unit_test(test_a_program_that_asks_at_its_end_hears_of_the_first_failure),
        cmocka_unit_test(test_a_failure_is_forgotten_once_it_was_asked_for),
        cmocka_unit_test(test_threads_do_not_see_each_others_failures),
        cmocka_unit_test(test_nothing_may_be_null),
    };
    return cmocka_run_group_tests(tests, make_arguments, free_arguments);
}
