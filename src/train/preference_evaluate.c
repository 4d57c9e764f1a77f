#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/options.h"
#include "device/self_check.h"
#include "train/classify.h"
#include "train/preference.h"
#include "train/trainer.h"

/* What is evaluated, and how. */
typedef struct evaluation {
    clora_model *model;
    clora_adapter *adapter;
    const clora_dataset *dataset;
    clora_train_options options;
    reference_scores **known;
    clora_progress progress;
    void *user;
    preference *preference;
    workspace *ws;
    objective_sums sums;
} evaluation;

/* Forward passes alone, in a workspace of their own. */
static clora_status prepare(evaluation *e) {
    clora_status status = CLORA_OK;
    int *ranks = adapter_list_ranks(e->adapter, e->model->projections), B, T;

    e->options.shuffle = 0;
    if (!ranks)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for an evaluation");
    TRY(preference_create(&e->preference, e->adapter, e->dataset, e->known, &e->options));
    answer_loader_shape(e->preference->loader, &B, &T);
    TRY(workspace_plan(
        &e->ws, e->model,
        &(workspace_options){.B = B, .T = T, .positions = T, .loss = true, .adapter = e->adapter, .ranks = ranks}));
    TRY(workspace_commit(e->ws));
    TRY(preference_begin(e->preference, e->ws));
done:
    free(ranks);
    return status;
}

static clora_status run(evaluation *e) {
    const selection policy = {.adapter = e->adapter};
    const size_t batches = answer_loader_batches_per_epoch(e->preference->loader);
    const int64_t all = clora_dataset_get_stats(e->dataset)->sequences;
    const int *answers = e->sums.rewards.answers;
    clora_status status = CLORA_OK;

    for (size_t i = 0; i < batches; i++) {
        TRY(preference_judge(e->preference, &policy, false, &e->sums));
        if (e->progress && e->progress(e->user, answers[0] + answers[1], all))
            TRY(clora_fail(CLORA_CANCELLED, "the evaluation was stopped"));
    }
done:
    return status;
}

static clora_status evaluate(clora_evaluate_result *out, clora_rewards *out_rewards, evaluation *e) {
    const double start = clock_seconds();
    const objective_sums *sums = &e->sums;
    clora_status status = CLORA_OK;

    TRY(batch_check_ids(e->model, e->adapter, e->dataset));
    TRY(prepare(e));
    const clora_status ended = run(e);
    if (ended != CLORA_CANCELLED)
        TRY(ended);
    const clora_rewards rewards = preference_rewards(e->preference, sums);
    const clora_evaluate_result result = {.loss = sums->loss / sums->units,
                                          .perplexity = NAN,
                                          .accuracy = (double)rewards.accuracy,
                                          .target_tokens = sums->learnt,
                                          .tokens = sums->tokens,
                                          .sequences = sums->rewards.answers[0] + sums->rewards.answers[1],
                                          .seconds = clock_seconds() - start};
    if (!isfinite(result.loss))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "the loss is not finite: the model's or adapter's weights overflow"));
    RESULT_GIVE(out, result);
    RESULT_GIVE(out_rewards, rewards);
    status = ended;
done:
    preference_free(e->preference);
    workspace_free(e->ws);
    return status;
}

/* ---- what a trainer trains ---- */

/* A model that trains itself was its reference before the first step. */
static clora_status check_reference(clora_trainer *t, const clora_dataset *dataset) {
    const preference_rule *rule = t->preference->rule;
    reference_scores *known;
    clora_status status = CLORA_OK;

    if (!rule->reference || !t->adapter->changes_model || t->step == 0)
        return CLORA_OK;
    TRY(reference_scores_find(&known, &t->references, dataset));
    if (!reference_scores_hold_all(known))
        return clora_fail(CLORA_ERROR_UNSUPPORTED,
                          "%s compares with the model as it was: evaluate these data before the first step too, which "
                          "keeps what it made of them",
                          rule->name);
done:
    return status;
}

clora_status preference_evaluate(clora_evaluate_result *out, clora_trainer *t, const clora_dataset *dataset,
                                 clora_progress progress, void *user) {
    evaluation e = {.model = t->model,
                    .adapter = t->adapter,
                    .dataset = dataset,
                    .options = t->options,
                    .known = &t->references,
                    .progress = progress,
                    .user = user};
    clora_status status = CLORA_OK;

    TRY(RESULT_BEGIN(out));
    TRY(check_reference(t, dataset));
    TRY(evaluate(out, NULL, &e));
done:
    return status;
}

/* ---- any policy ---- */

static clora_train_options train_options_of(const clora_preference_options *o) {
    clora_train_options train = CLORA_TRAIN_OPTIONS_INIT;

    train.preference = o->preference;
    train.beta = o->beta;
    train.label_smoothing = o->label_smoothing;
    train.batch_size = o->batch_size;
    train.reference = o->reference;
    return train;
}

clora_status clora_evaluate_preferences(clora_evaluate_result *out, clora_rewards *rewards, clora_model *model,
                                        clora_adapter *adapter, const clora_dataset *dataset,
                                        const clora_preference_options *options) {
    clora_preference_options all = CLORA_PREFERENCE_OPTIONS_INIT;
    reference_scores *known = NULL;
    clora_status status = CLORA_OK;

    NEED(out);
    NEED(rewards);
    NEED(model);
    NEED(dataset);
    TRY(RESULT_BEGIN(out));
    TRY(RESULT_BEGIN(rewards));
    TRY(OPTIONS_TAKE(all, options));
    evaluation e = {.model = model,
                    .adapter = adapter,
                    .dataset = dataset,
                    .options = train_options_of(&all),
                    .known = &known,
                    .progress = all.progress,
                    .user = all.user};
    if (adapter)
        TRY(model_check_adapter(model, adapter));
    TRY(classify_check(dataset, adapter));
    TRY(model_self_check(model, SELF_CHECK_LOSS));
    TRY(evaluate(out, rewards, &e));
done:
    reference_scores_free(known);
    return status;
}
