/*
 * What clora.h says of callbacks: they come in the thread that made the call, and may save, evaluate, generate and even
 * train meanwhile, without a bit of the call being another.
 *
 *     callbacks DIRECTORY      to save in
 */
#include <pthread.h>
#include <stdint.h>

#include "api/check.h"

enum { STEPS = 4, LENGTH = 6 };
static const int32_t ids[LENGTH] = {1, 5, 9, 13, 17, 21};
static const int lengths[] = {LENGTH};

static clora_model *model;
static clora_tokenizer *tokenizer;
static clora_dataset *dataset;

/* What came of a training. */
typedef struct run {
    float loss[STEPS];
    int steps;
} run;

static int keep_loss(void *user, const clora_train_step *step) {
    run *r = user;

    r->loss[r->steps++] = step->loss;
    return 0;
}

static void train(run *r, clora_train_callback callback, void *user) {
    clora_train_options options = CLORA_TRAIN_OPTIONS_INIT;
    clora_adapter *adapter;

    r->steps = 0;
    options.steps = STEPS;
    options.lr = 0.01f;
    OK(clora_adapter_create(&adapter, model, NULL));
    OK(clora_train(model, adapter, dataset, &options, callback, user));
    CHECK(r->steps == STEPS && r->loss[STEPS - 1] < r->loss[0]);
    clora_adapter_free(adapter);
}

/* The program around a training: what it has besides. */
typedef struct host {
    run outer, inner;
    pthread_t thread;
    clora_adapter *adapter; /* another than the one that trains */
    clora_session *session;
    const char *directory;
} host;

static void generate(const host *h) {
    clora_generate_options options = CLORA_GENERATE_OPTIONS_INIT;
    clora_generation *text;

    options.max_tokens = 2;
    OK(clora_generate(&text, h->session, tokenizer, ids, 2, &options));
    clora_generation_free(text);
}

static int call_the_library(void *user, const clora_train_step *step) {
    clora_evaluate_result result = CLORA_EVALUATE_RESULT_INIT;
    host *h = user;

    CHECK(pthread_equal(pthread_self(), h->thread));
    keep_loss(&h->outer, step);
    if (step->step != 2)
        return 0;
    OK(clora_adapter_save(h->adapter, h->directory, NULL));
    OK(clora_evaluate(&result, model, h->adapter, dataset, NULL));
    generate(h);
    train(&h->inner, keep_loss, &h->inner);
    return 0;
}

int main(int argc, char **argv) {
    clora_context *context = open_context();
    host h = {.thread = pthread_self()};
    run alone;

    CHECK(argc == 2);
    h.directory = argv[1];
    model = open_model(context);
    OK(clora_tokenizer_load(&tokenizer, fixture("tokenizers/smollm")));
    OK(clora_dataset_from_ids(&dataset, ids, NULL, lengths, 1));
    OK(clora_adapter_create(&h.adapter, model, NULL));
    OK(clora_session_create(&h.session, model, 1, LENGTH));
    train(&alone, keep_loss, &alone);
    train(&h.outer, call_the_library, &h);
    CHECK(memcmp(h.outer.loss, alone.loss, sizeof(alone.loss)) == 0);
    CHECK(memcmp(h.inner.loss, alone.loss, sizeof(alone.loss)) == 0);
    clora_session_free(h.session);
    clora_adapter_free(h.adapter);
    clora_dataset_free(dataset);
    clora_tokenizer_free(tokenizer);
    clora_model_free(model);
    clora_context_free(context);
    return 0;
}
