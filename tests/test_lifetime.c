#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <unistd.h>

#include <clora/clora.h>
#define CL_TARGET_OPENCL_VERSION 120
#include <clora/opencl.h>

#include "support/fixture.h"
#include "support/scratch.h"

/* The program's own OpenCL objects tell by their counts whether everything is gone. */
static cl_context cl;
static cl_command_queue queue;

static int open_device(void **state) {
    clora_context *context;

    (void)state;
    if (clora_context_create(&context, NULL) != CLORA_OK)
        return 0; /* no device */
    queue = clora_context_queue(context);
    clRetainCommandQueue(queue);
    clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof(cl), &cl, NULL);
    clRetainContext(cl);
    clora_context_free(context);
    return 0;
}

static int close_device(void **state) {
    (void)state;
    if (queue) {
        clReleaseCommandQueue(queue);
        clReleaseContext(cl);
    }
    return 0;
}

static cl_uint holders(void) {
    cl_uint of_context = 0, of_queue = 0;

    clGetContextInfo(cl, CL_CONTEXT_REFERENCE_COUNT, sizeof(of_context), &of_context, NULL);
    clGetCommandQueueInfo(queue, CL_QUEUE_REFERENCE_COUNT, sizeof(of_queue), &of_queue, NULL);
    return of_context + of_queue;
}

/* Nobody else holds them any more; a driver may let go a little after its work is done. */
static void assert_holders(cl_uint wanted) {
    for (int waits = 0; holders() != wanted && waits < 20000; waits++)
        usleep(1000);
    assert_int_equal(holders(), wanted);
}

/* A handle of the program: how to free it, and to see that it works with what it was made from. */
typedef struct handle {
    void *object;
    void (*free)(void *object);
    void (*use)(void *object);
} handle;

enum { MOST = 5 };

#define FREE(type)                              \
    static void free_##type(void *p) {          \
        clora_##type##_free((clora_##type *)p); \
    }
FREE(context)
FREE(tensor)
FREE(weight)
FREE(lowrank)
FREE(tune_plan)
FREE(model)
FREE(adapter)
FREE(session)
FREE(trainer)
FREE(tokenizer)
FREE(decoder)

static void use_context(void *p) {
    assert_ok(clora_context_finish(p));
}

static void use_tensor(void *p) {
    const float in[4] = {1.0f, 2.0f, 3.0f, 4.0f};
    float out[4] = {0};

    assert_ok(clora_tensor_write(p, in));
    assert_ok(clora_tensor_read(p, out));
    assert_memory_equal(in, out, sizeof(in));
}

static void use_weight(void *p) {
    float w0[8 * 16] = {1.0f};

    assert_ok(clora_weight_write(p, w0, CLORA_DTYPE_F32));
}

static void use_lowrank(void *p) {
    float a[2 * 16], b[8 * 2] = {0};

    assert_ok(clora_lowrank_read(p, a, NULL));
    assert_ok(clora_lowrank_write(p, a, b));
}

static void use_tune_plan(void *p) {
    assert_ok(clora_tune_plan_noted(p));
    assert_int_equal(clora_tune_plan_count(p), 0);
}

static void use_model(void *p) {
    assert_string_equal(clora_model_module(p, 0)->name, "model.layers.0.self_attn.q_proj");
    assert_ok(clora_context_finish(clora_model_context(p)));
}

static void use_adapter(void *p) {
    const clora_adapter_module_info *m = clora_adapter_module(p, 0);

    assert_string_equal(m->name, "model.layers.0.self_attn.q_proj");
    float *a = malloc((size_t)(m->rank * m->in) * sizeof(*a));
    assert_ok(clora_adapter_read_module(a, NULL, p, 0));
    free(a);
}

static void use_session(void *p) {
    clora_session_reset(p);
    assert_int_equal(clora_session_length(p), 0);
    assert_ok(clora_session_set_adapter(p, NULL));
}

static void use_trainer(void *p) {
    assert_true(clora_trainer_plan(p)->total > 0);
}

static void use_tokenizer(void *p) {
    assert_true(clora_tokenizer_vocab_size(p) > 0);
}

static void use_decoder(void *p) {
    const char *text;
    size_t size;

    assert_ok(clora_decoder_push(p, 5, &text, &size));
}

#define HANDLE(type, made)            \
    (handle) {                        \
        made, free_##type, use_##type \
    }

/* A weight with its low-rank term, a tensor and a plan. */
static int make_layer(handle *h) {
    clora_context *context;
    clora_tensor *tensor;
    clora_weight *weight;
    clora_lowrank *lowrank;
    clora_tune_plan *plan;

    assert_ok(clora_context_from_opencl(&context, cl, queue));
    assert_ok(clora_tensor_create(&tensor, context, CLORA_DTYPE_F32, 1, (const int[]){4}));
    assert_ok(clora_weight_create(&weight, context, CLORA_STORAGE_F32, 8, 16));
    assert_ok(clora_lowrank_create(&lowrank, weight, 2, 1.0f, 0));
    assert_ok(clora_tune_plan_create(&plan, context));
    memcpy(h,
           (const handle[]){HANDLE(context, context), HANDLE(tensor, tensor), HANDLE(weight, weight),
                            HANDLE(lowrank, lowrank), HANDLE(tune_plan, plan)},
           5 * sizeof(*h));
    return 5;
}

/* A model with all that is made from it; the data and the first adapter that was selected go at once. */
static int make_model(handle *h) {
    clora_context *context;
    clora_model *model;
    clora_adapter *adapter, *first;
    clora_session *session;
    clora_dataset *dataset;
    clora_trainer *trainer;

    assert_ok(clora_context_from_opencl(&context, cl, queue));
    assert_ok(clora_model_load(&model, context, fixture_path("tiny-llama"), NULL));
    assert_ok(clora_adapter_create(&first, model, NULL));
    assert_ok(clora_adapter_create(&adapter, model, NULL));
    assert_ok(clora_session_create(&session, model, 1, 8));
    assert_ok(clora_session_set_adapter(session, first));
    clora_adapter_free(first);
    assert_ok(clora_session_set_adapter(session, adapter));
    assert_ok(clora_dataset_from_ids(&dataset, (const int32_t[]){1, 2, 3}, NULL, (const int[]){3}, 1));
    assert_ok(clora_trainer_create(&trainer, model, adapter, dataset, NULL));
    clora_dataset_free(dataset);
    memcpy(h,
           (const handle[]){HANDLE(context, context), HANDLE(model, model), HANDLE(adapter, adapter),
                            HANDLE(session, session), HANDLE(trainer, trainer)},
           5 * sizeof(*h));
    return 5;
}

static int make_tokenizer(handle *h) {
    clora_tokenizer *tokenizer;
    clora_decoder *decoder;

    assert_ok(clora_tokenizer_load(&tokenizer, fixture_path("tokenizers/llama2")));
    assert_ok(clora_decoder_create(&decoder, tokenizer, (const int32_t[]){3, 4}, 2));
    memcpy(h, (const handle[]){HANDLE(tokenizer, tokenizer), HANDLE(decoder, decoder)}, 2 * sizeof(*h));
    return 2;
}

/* The next order of n numbers; 0 after the last. */
static int next_order(int *order, int n) {
    int i = n - 2, j = n - 1;

    while (i >= 0 && order[i] > order[i + 1])
        i--;
    if (i < 0)
        return 0;
    while (order[j] < order[i])
        j--;
    for (int t = order[i]; order[i] == t; order[j] = t)
        order[i] = order[j];
    for (int a = i + 1, b = n - 1; a < b; a++, b--) {
        const int t = order[a];
        order[a] = order[b];
        order[b] = t;
    }
    return 1;
}

/* Free in every order, and use what is left after each step. */
static void try_all_orders(int (*make)(handle *h)) {
    int order[MOST] = {0, 1, 2, 3, 4}, n;

    do {
        const cl_uint before = cl ? holders() : 0;
        handle h[MOST];
        n = make(h);
        for (int i = 0; i < n; i++) {
            h[order[i]].free(h[order[i]].object);
            for (int j = i + 1; j < n; j++)
                h[order[j]].use(h[order[j]].object);
        }
        if (cl)
            assert_holders(before);
    } while (next_order(order, n));
}

static void test_a_layer_may_be_freed_in_any_order(void **state) {
    (void)state;
    if (!cl)
        skip();
    try_all_orders(make_layer);
}

static void test_a_tokenizer_may_be_freed_before_its_decoder(void **state) {
    (void)state;
    try_all_orders(make_tokenizer);
}

static pthread_barrier_t all_are_there;

static void *free_one(void *arg) {
    const handle *h = arg;

    pthread_barrier_wait(&all_are_there);
    h->free(h->object);
    return NULL;
}

static void test_threads_may_free_at_once(void **state) {
    (void)state;
    enum { ROUNDS = 20 };

    if (!cl)
        skip();
    for (int round = 0; round < ROUNDS; round++) {
        const cl_uint before = holders();
        pthread_t thread[MOST];
        handle h[MOST];
        const int n = round % 2 ? make_model(h) : make_layer(h);
        pthread_barrier_init(&all_are_there, NULL, (unsigned)n);
        for (int i = 0; i < n; i++)
            assert_int_equal(pthread_create(&thread[i], NULL, free_one, &h[i]), 0);
        for (int i = 0; i < n; i++)
            pthread_join(thread[i], NULL);
        pthread_barrier_destroy(&all_are_there);
        assert_holders(before);
    }
}

static size_t memory_of(const clora_context *context) {
    size_t now;

    clora_context_memory(context, &now, NULL);
    return now;
}

static void test_a_selected_adapter_goes_with_its_last_holder(void **state) {
    (void)state;
    clora_context *context;
    clora_model *model;
    clora_adapter *adapter;
    clora_session *session;

    if (!cl)
        skip();
    assert_ok(clora_context_from_opencl(&context, cl, queue));
    assert_ok(clora_model_load(&model, context, fixture_path("tiny-llama"), NULL));
    assert_ok(clora_session_create(&session, model, 1, 8));
    assert_ok(clora_adapter_create(&adapter, model, NULL));
    assert_ok(clora_session_set_adapter(session, adapter));
    assert_ok(clora_session_set_adapter(session, adapter)); /* once more is once */
    const size_t before = memory_of(context);
    clora_adapter_free(adapter);
    assert_int_equal(memory_of(context), before);
    assert_ok(clora_session_set_adapter(session, NULL));
    assert_true(memory_of(context) < before);
    clora_session_free(session);
    clora_model_free(model);
    clora_context_free(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_layer_may_be_freed_in_any_order),
        cmocka_unit_test(test_a_tokenizer_may_be_freed_before_its_decoder),
        cmocka_unit_test(test_threads_may_free_at_once),
        cmocka_unit_test(test_a_selected_adapter_goes_with_its_last_holder),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
