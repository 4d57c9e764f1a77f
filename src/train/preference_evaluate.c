#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "train/preference.h"
#include "train/trainer.h"

/* A model that trains itself was its reference before the first step. */
static clora_status check_reference(const preference *p, const clora_trainer *t) {
    if (!p->rule->reference || !t->adapter->changes_model || t->step == 0 || reference_scores_hold_all(p->known))
        return CLORA_OK;
    return clora_fail(CLORA_ERROR_UNSUPPORTED,
                      "%s compares with the model as it was: evaluate these data before the first step too, which "
                      "keeps what it made of them",
                      p->rule->name);
}

/* Forward passes alone, in a workspace of their own. */
static clora_status prepare(preference **p, workspace **ws, clora_trainer *t, const clora_dataset *dataset) {
    clora_train_options options = t->options;
    clora_status status = CLORA_OK;
    int *ranks = adapter_list_ranks(t->adapter, t->model->projections), B, T;

    options.shuffle = 0;
    if (!ranks)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for an evaluation");
    TRY(preference_create(p, t->adapter, dataset, &t->references, &options));
    TRY(check_reference(*p, t));
    answer_loader_shape((*p)->loader, &B, &T);
    TRY(workspace_plan(
        ws, t->model,
        &(workspace_options){.B = B, .T = T, .positions = T, .loss = true, .adapter = t->adapter, .ranks = ranks}));
    TRY(workspace_commit(*ws));
    TRY(preference_begin(*p, *ws));
done:
    free(ranks);
    return status;
}

static clora_status run(objective_sums *sums, preference *p, const clora_trainer *t,
                        int (*progress)(void *user, int64_t done), void *user) {
    const selection policy = {.adapter = t->adapter};
    const size_t batches = answer_loader_batches_per_epoch(p->loader);
    clora_status status = CLORA_OK;

    for (size_t i = 0; i < batches; i++) {
        TRY(preference_judge(p, &policy, false, sums));
        if (progress && progress(user, sums->rewards.answers[0] + sums->rewards.answers[1]))
            TRY(clora_fail(CLORA_ERROR_ARGUMENT, "the evaluation was stopped"));
    }
done:
    return status;
}

clora_status preference_evaluate(clora_eval_result *out, clora_trainer *t, const clora_dataset *dataset,
                                 int (*progress)(void *user, int64_t done), void *user) {
    const double start = clock_seconds();
    objective_sums sums = {0};
    clora_status status = CLORA_OK;
    preference *p = NULL;
    workspace *ws = NULL;

    TRY(batch_check_ids(t->model, t->adapter, dataset));
    TRY(prepare(&p, &ws, t, dataset));
    TRY(run(&sums, p, t, progress, user));
    *out = (clora_eval_result){.loss = sums.loss / sums.units,
                               .perplexity = NAN,
                               .accuracy = (double)preference_rewards(p, &sums).accuracy,
                               .learnt = sums.learnt,
                               .tokens = sums.tokens,
                               .sequences = clora_dataset_get_stats(dataset).sequences,
                               .seconds = clock_seconds() - start};
    if (!isfinite(out->loss))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "the loss is not finite: the model's or adapter's weights overflow"));
done:
    preference_free(p);
    workspace_free(ws);
    return status;
}
