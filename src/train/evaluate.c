#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/options.h"
#include "device/self_check.h"
#include "train/classify.h"
#include "train/trainer.h"

typedef struct evaluation {
    clora_loader *loader;
    workspace *ws;
    selection select;
    objective objective;
    label_counts labels; /* of texts that have some */
    float *staging;
} evaluation;

clora_status evaluation_plan(workspace **out, const clora_model *model, const clora_adapter *adapter, int batch_size,
                             int length) {
    int *ranks = adapter_list_ranks(adapter, model->projections);

    *out = NULL;
    if (!ranks)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for an evaluation");
    const clora_status status = workspace_plan(
        out, model,
        &(workspace_options){
            .B = batch_size, .T = length, .positions = length, .loss = true, .ranks = ranks, .adapter = adapter});
    free(ranks);
    return status;
}

static clora_status prepare(evaluation *e, clora_model *model, clora_adapter *adapter, const clora_dataset *dataset,
                            const clora_loader_options *options) {
    clora_status status = CLORA_OK;
    const int length = options->max_length ? options->max_length : clora_dataset_get_stats(dataset)->longest;

    e->select = (selection){.adapter = adapter};
    TRY(clora_loader_create(&e->loader, dataset, options));
    TRY(evaluation_plan(&e->ws, model, adapter, options->batch_size, length));
    TRY(workspace_commit(e->ws));
    e->staging = alloc_array((size_t)e->ws->max_rows, sizeof(*e->staging));
    if (!e->staging)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for an evaluation"));
    e->objective = objective_likelihood;
    if (adapter_classifier(adapter)) {
        e->objective = objective_counting(&e->labels);
        TRY(label_counts_init(&e->labels, adapter_classifier(adapter)->labels, e->ws->max_rows));
    }
done:
    return status;
}

static clora_status evaluate_batch(evaluation *e, clora_evaluate_result *out) {
    const clora_batch *batch;
    double nll, hits;
    clora_status status = CLORA_OK;

    TRY(clora_loader_next(e->loader, &batch));
    e->labels.batch = batch;
    TRY(batch_upload(e->ws, batch));
    TRY(model_forward(e->ws, &e->select, NULL));
    TRY(objective_run(e->objective, e->ws, &e->select, NULL, false));
    TRY(batch_results(e->ws, e->staging, &nll, &hits));
    out->loss += nll;
    out->accuracy += hits;
    out->target_tokens += (int64_t)batch->learnt;
    out->tokens += (int64_t)batch->tokens;
    out->sequences += (int64_t)batch->sequences;
done:
    return status;
}

clora_status clora_evaluate(clora_evaluate_result *out, clora_model *model, clora_adapter *adapter,
                            const clora_dataset *dataset, const clora_evaluate_options *options) {
    clora_evaluate_options all = CLORA_EVALUATE_OPTIONS_INIT;
    clora_evaluate_result sum = CLORA_EVALUATE_RESULT_INIT;
    const double start = clock_seconds();
    clora_status status = CLORA_OK;
    evaluation e = {0};

    NEED(out);
    NEED(model);
    NEED(dataset);
    TRY(RESULT_BEGIN(out));
    TRY(OPTIONS_TAKE(all, options));
    if (all.batch_size < 1)
        return clora_fail(CLORA_ERROR_ARGUMENT, "batch size %d; the least is 1", all.batch_size);
    if (adapter)
        TRY(model_check_adapter(model, adapter));
    if (dataset_is_preference(dataset))
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "the data are preferences: clora_evaluate_preferences() is for them"));
    TRY(classify_check(dataset, adapter));
    TRY(batch_check_ids(model, adapter, dataset));
    TRY(model_self_check(model, SELF_CHECK_LOSS));
    TRY(prepare(&e, model, adapter, dataset,
                &(clora_loader_options){.batch_size = all.batch_size,
                                        .pack = all.pack,
                                        .max_length = all.max_length,
                                        .prompt = adapter_prompt_length(adapter),
                                        .prompt_id = model->config.vocab}));
    const int64_t sequences = (int64_t)clora_loader_sequences_per_epoch(e.loader);
    bool stopped = false;
    for (size_t n = clora_loader_batches_per_epoch(e.loader); n > 0 && !stopped; n--) {
        TRY(evaluate_batch(&e, &sum));
        stopped = all.progress && all.progress(all.user, sum.sequences, sequences);
    }
    sum.loss /= (double)sum.target_tokens;
    sum.accuracy /= (double)sum.target_tokens;
    sum.f1 = label_counts_f1(&e.labels);
    if (!isfinite(sum.loss))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "the loss is not finite: the model's or adapter's weights overflow"));
    sum.perplexity = exp(sum.loss);
    sum.seconds = clock_seconds() - start;
    RESULT_GIVE(out, sum);
    if (stopped)
        status = clora_fail(CLORA_CANCELLED, "the evaluation was stopped");
done:
    label_counts_finish(&e.labels);
    workspace_free(e.ws);
    clora_loader_free(e.loader);
    free(e.staging);
    return status;
}

clora_status clora_trainer_evaluate(clora_evaluate_result *out, clora_trainer *trainer, const clora_dataset *dataset,
                                    clora_progress progress, void *user) {
    NEED(out);
    NEED(trainer);
    NEED(dataset);
    const clora_train_options *o = &trainer->options;
    if (trainer->preference)
        return preference_evaluate(out, trainer, dataset, progress, user);
    const clora_evaluate_options options = {.size = sizeof(options),
                                            .batch_size = o->batch_size,
                                            .pack = o->pack,
                                            .max_length = o->pack ? o->max_length : 0,
                                            .progress = progress,
                                            .user = user};
    return clora_evaluate(out, trainer->model, trainer->adapter, dataset, &options);
}
