/*
 * Any callback that returns non-zero ends its call with CLORA_CANCELLED, and what there was by then is kept:
 *
 *     cancel DIRECTORY      an empty one
 */
#include <stdint.h>
#include <unistd.h>

#include "api/check.h"

static const int32_t ids[] = {1, 2, 3, 1, 5, 6, 7}, prompt[] = {1, 9};
static const int lengths[] = {3, 4};

static const char *directory;
static clora_context *context;
static clora_model *model;
static clora_adapter *adapter;
static clora_dataset *both, *first; /* two sequences, and the one that comes first */
static clora_tokenizer *tokenizer;

#define CANCELLED(call) CHECK((call) == CLORA_CANCELLED && strstr(clora_last_error(), "stopped"))

static const char *path_of(const char *name) {
    static char paths[2][1024];
    static int last;
    char *path = paths[last = (last + 1) % 2];

    snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
    return path;
}

static void write_file(const char *name, const char *text) {
    FILE *file = fopen(path_of(name), "w");

    CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

/* Stops at once. */
typedef struct progress {
    int calls;
    int64_t done, total;
} progress;

static int stop_progress(void *user, int64_t done, int64_t total) {
    progress *p = user;

    *p = (progress){p->calls + 1, done, total};
    return 1;
}

/* ---- Models ---- */

static void loading(void) {
    clora_model_options options = CLORA_MODEL_OPTIONS_INIT;
    clora_model *none = model;
    progress p = {0, 0, 0};

    options.progress = stop_progress;
    options.user = &p;
    CANCELLED(clora_model_load(&none, context, fixture("tiny-llama"), &options));
    CHECK(none == NULL && p.calls == 1);
}

static void merging(void) {
    clora_merge_options options = CLORA_MERGE_OPTIONS_INIT;
    progress p = {0, 0, 0};

    options.progress = stop_progress;
    options.user = &p;
    CANCELLED(clora_merge(fixture("tiny-llama"), fixture("tiny-llama-lora"), path_of("merged"), &options, NULL));
    CHECK(p.calls == 1 && access(path_of("merged"), F_OK) != 0);
}

/* ---- Training and evaluation ---- */

static int stop_at_two(void *user, const clora_train_step *step) {
    *(int *)user = step->step;
    return step->step == 2;
}

static void training(void) {
    clora_train_options options = CLORA_TRAIN_OPTIONS_INIT;
    int last = 0;

    options.steps = 5;
    CANCELLED(clora_train(model, adapter, both, &options, stop_at_two, &last));
    CHECK(last == 2);
}

static void assert_first(const clora_evaluate_result *part) {
    clora_evaluate_result whole = CLORA_EVALUATE_RESULT_INIT;

    OK(clora_evaluate(&whole, model, NULL, first, NULL));
    CHECK(part->sequences == 1 && part->target_tokens == whole.target_tokens && part->loss == whole.loss);
}

static void evaluating(void) {
    clora_evaluate_options options = CLORA_EVALUATE_OPTIONS_INIT;
    clora_evaluate_result part = CLORA_EVALUATE_RESULT_INIT;
    progress p = {0, 0, 0};

    options.batch_size = 1;
    options.progress = stop_progress;
    options.user = &p;
    CANCELLED(clora_evaluate(&part, model, NULL, both, &options));
    assert_first(&part);
    CHECK(p.calls == 1 && p.done == 1 && p.total == 2);
}

static void validating(void) {
    clora_train_options options = CLORA_TRAIN_OPTIONS_INIT;
    clora_evaluate_result part = CLORA_EVALUATE_RESULT_INIT;
    clora_trainer *trainer;
    clora_adapter *fresh; /* which changes nothing */
    progress p = {0, 0, 0};

    options.batch_size = 1;
    OK(clora_adapter_create(&fresh, model, NULL));
    OK(clora_trainer_create(&trainer, model, fresh, both, &options));
    CANCELLED(clora_trainer_evaluate(&part, trainer, both, stop_progress, &p));
    CHECK(p.calls == 1 && part.sequences == 1);
    clora_trainer_free(trainer);
    clora_adapter_free(fresh);
}

/* Of a vocabulary that is small enough for the model. */
static clora_dataset *make_preferences(void) {
    clora_dataset_options options = CLORA_DATASET_OPTIONS_INIT;
    clora_tokenizer *letters;
    clora_dataset *answers;

    write_file("tokenizer.json", "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 3, \"b\": 4, \"c\": 5}, "
                                 "\"merges\": []}, \"added_tokens\": []}");
    write_file("answers.jsonl", "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\"}\n"
                                "{\"prompt\": \"a\", \"chosen\": \"cb\", \"rejected\": \"bb\"}\n");
    options.kind = CLORA_DATA_PREFERENCE;
    options.eos_id = 2;
    OK(clora_tokenizer_load(&letters, directory));
    OK(clora_dataset_load(&answers, path_of("answers.jsonl"), letters, &options));
    clora_tokenizer_free(letters);
    return answers;
}

static void comparing_answers(void) {
    clora_preference_options options = CLORA_PREFERENCE_OPTIONS_INIT;
    clora_dataset *answers = make_preferences();
    clora_evaluate_result part = CLORA_EVALUATE_RESULT_INIT;
    clora_rewards rewards = CLORA_REWARDS_INIT;
    progress p = {0, 0, 0};

    options.batch_size = 1;
    options.progress = stop_progress;
    options.user = &p;
    CANCELLED(clora_evaluate_preferences(&part, &rewards, model, adapter, answers, &options));
    CHECK(p.calls == 1 && part.sequences == p.done); /* the answers to one prompt */
    clora_dataset_free(answers);
}

/* ---- Texts ---- */

static int stop_text(void *user, const char *text, size_t size) {
    (void)text;
    *(size_t *)user += size;
    return 1;
}

static void generating(void) {
    clora_generate_options options = CLORA_GENERATE_OPTIONS_INIT;
    clora_generation *text;
    clora_session *session;
    size_t size = 0;

    options.callback = stop_text;
    options.user = &size;
    OK(clora_session_create(&session, model, 1, 32));
    CANCELLED(clora_generate(&text, session, tokenizer, prompt, 2, &options));
    CHECK(size > 0 && text->size == size && text->count < 30 &&
          strcmp(clora_stop_reason_name(text->stop), "cancelled") == 0);
    clora_generation_free(text);
    clora_session_free(session);
}

static int stop_generation(void *user, size_t index, const clora_generation *result) {
    *(size_t *)user = index;
    return result->count > 0;
}

static void generating_several(void) {
    const clora_prompt prompts[] = {{prompt, 2}, {prompt, 1}, {prompt + 1, 1}};
    clora_generate_options options = CLORA_GENERATE_OPTIONS_INIT;
    clora_generation *text[3];
    clora_session *session;
    size_t ended = 3;

    options.max_tokens = 2;
    options.ended = stop_generation;
    options.user = &ended;
    OK(clora_session_create(&session, model, 1, 8));
    CANCELLED(clora_generate_batch(text, session, tokenizer, prompts, 3, &options));
    CHECK(ended == 0 && text[0]->count > 0 && !text[1] && !text[2]);
    clora_generation_free(text[0]);
    clora_session_free(session);
}

static int stop_request(void *user, clora_request *request, const char *text, size_t size) {
    (void)request;
    (void)text;
    *(int *)user += size > 0;
    return 1;
}

/* It ends one text and not the step of all. */
static void serving(void) {
    clora_request_options options = CLORA_REQUEST_OPTIONS_INIT;
    clora_request *stopped, *other;
    clora_engine *engine;
    int pieces = 0;

    OK(clora_engine_create(&engine, model, tokenizer, NULL));
    options.max_tokens = 20;
    OK(clora_engine_admit(&other, engine, prompt, 2, &options));
    options.callback = stop_request;
    options.user = &pieces;
    OK(clora_engine_admit(&stopped, engine, prompt, 2, &options));
    while (clora_request_stop_reason(stopped) == CLORA_STOP_NONE)
        OK(clora_engine_step(engine));
    CHECK(clora_request_stop_reason(stopped) == CLORA_STOP_CANCELLED && pieces == 1);
    CHECK(clora_request_stop_reason(other) == CLORA_STOP_NONE);
    clora_request_free(stopped);
    clora_request_free(other);
    clora_engine_free(engine);
}

static int stop_row(void *user, const char *text, size_t size, size_t line) {
    (void)text;
    (void)size;
    *(size_t *)user = line;
    return 1;
}

static void reading(void) {
    size_t texts = 0, prompts = 0, rows = 0;

    write_file("texts.jsonl", "{\"text\": \"a\"}\n{\"text\": \"b\"}\n");
    write_file("pairs.jsonl", "{\"prompt\": \"a\"}\n{\"prompt\": \"b\"}\n");
    CANCELLED(clora_dataset_read_texts(path_of("texts.jsonl"), 0, stop_row, &texts));
    CANCELLED(clora_dataset_read_prompts(path_of("pairs.jsonl"), NULL, stop_row, &prompts));
    CANCELLED(clora_dataset_read_rows(path_of("pairs.jsonl"), stop_row, &rows));
    CHECK(texts == 1 && prompts == 1 && rows == 1);
}

/* ---- Tuning (of clora_tune_verify(): test_measure.c) ---- */

static int stop_tuning(void *user, const clora_tune_state *state) {
    ++*(int *)user;
    return state->tasks > 0;
}

static void tuning(void) {
    clora_tune_options options = CLORA_TUNE_OPTIONS_INIT;
    clora_tune_result result = CLORA_TUNE_RESULT_INIT;
    clora_tune_plan *plan;
    int calls = 0;

    options.progress = stop_tuning;
    options.user = &calls;
    OK(clora_tune_plan_create(&plan, context));
    OK(clora_tune_plan_shape(plan, 8, 16, NULL));
    CANCELLED(clora_tune_run(&result, plan, &options));
    CHECK(calls == 1 && result.stop == CLORA_STOP_CANCELLED && result.tasks > 0);
    clora_tune_plan_free(plan);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    directory = argv[1];
    context = open_context();
    CHECK(strcmp(clora_status_name(CLORA_CANCELLED), "CLORA_CANCELLED") == 0);
    loading();
    model = open_model(context);
    OK(clora_adapter_create(&adapter, model, NULL));
    OK(clora_dataset_from_ids(&both, ids, NULL, lengths, 2));
    OK(clora_dataset_from_ids(&first, ids, NULL, lengths, 1));
    OK(clora_tokenizer_load(&tokenizer, fixture("tokenizers/smollm")));
    merging();
    training();
    evaluating();
    validating();
    comparing_answers();
    generating();
    generating_several();
    serving();
    reading();
    tuning();
    clora_tokenizer_free(tokenizer);
    clora_dataset_free(first);
    clora_dataset_free(both);
    clora_adapter_free(adapter);
    clora_model_free(model);
    clora_context_free(context);
    return 0;
}
