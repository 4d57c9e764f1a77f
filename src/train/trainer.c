#include "train/trainer.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/options.h"
#include "device/self_check.h"
#include "methods/method.h"
#include "train/classify.h"
#include "train/schedule.h"

static clora_status check(const clora_train_options *o) {
    if (o->batch_size < 1 || o->accumulate < 1)
        return clora_fail(CLORA_ERROR_ARGUMENT, "batch size %d, accumulate %d: both start at 1", o->batch_size,
                          o->accumulate);
    if (o->steps < 0 || (o->steps == 0 && !(o->epochs > 0.0 && o->epochs < 1e6)))
        return clora_fail(CLORA_ERROR_ARGUMENT, "%d steps, %g epochs: nothing to train", o->steps, o->epochs);
    if (!(o->lr >= 0.0f) || isinf(o->lr))
        return clora_fail(CLORA_ERROR_ARGUMENT, "a learning rate of %g", (double)o->lr);
    if (!(o->weight_decay >= 0.0f) || isinf(o->weight_decay) || !(o->clip >= 0.0f) || o->warmup < 0)
        return clora_fail(CLORA_ERROR_ARGUMENT, "weight decay %g, clip %g, warm-up %d: none may be negative",
                          (double)o->weight_decay, (double)o->clip, o->warmup);
    if (!(o->beta1 >= 0.0f && o->beta1 < 1.0f && o->beta2 >= 0.0f && o->beta2 < 1.0f && o->eps > 0.0f))
        return clora_fail(CLORA_ERROR_ARGUMENT, "AdamW's betas lie in [0, 1) and its eps is positive; got %g, %g, %g",
                          (double)o->beta1, (double)o->beta2, (double)o->eps);
    if (!(o->lora_plus_ratio > 0.0f) || !isfinite(o->lr * o->lora_plus_ratio))
        return clora_fail(CLORA_ERROR_ARGUMENT,
                          "B's learning rate is %g times %g: the ratio is above 0, both are finite",
                          (double)o->lora_plus_ratio, (double)o->lr);
    if (!(o->label_smoothing >= 0.0f && o->label_smoothing <= 1.0f))
        return clora_fail(CLORA_ERROR_ARGUMENT, "a label smoothing of %g; 0 (off) to 1 is possible",
                          (double)o->label_smoothing);
    if (o->objective && o->label_smoothing > 0.0f)
        return clora_fail(CLORA_ERROR_ARGUMENT,
                          "label smoothing belongs to the likelihood; the objective is the program's own");
    if (o->recompute < CLORA_RECOMPUTE_NONE || o->recompute > CLORA_RECOMPUTE_ATTENTION)
        return clora_fail(CLORA_ERROR_ARGUMENT, "there is nothing to recompute with number %d", o->recompute);
    if ((int)o->optimizer < CLORA_OPTIMIZER_ADAMW || o->optimizer > CLORA_OPTIMIZER_SGD)
        return clora_fail(CLORA_ERROR_ARGUMENT, "there is no optimizer with number %d", (int)o->optimizer);
    if (o->skip_nonfinite < 0)
        return clora_fail(CLORA_ERROR_ARGUMENT, "%d steps that may be passed over: none is the least",
                          o->skip_nonfinite);
    if (!(o->momentum >= 0.0f && o->momentum < 1.0f))
        return clora_fail(CLORA_ERROR_ARGUMENT, "SGD's momentum lies in [0, 1); got %g", (double)o->momentum);
    if ((int)o->schedule < CLORA_SCHEDULE_CONSTANT || o->schedule > CLORA_SCHEDULE_COSINE)
        return clora_fail(CLORA_ERROR_ARGUMENT, "there is no learning rate schedule with number %d", (int)o->schedule);
    return CLORA_OK;
}

/* The reference policy is the model without the adapter. What it makes of answers to their own prompts is made before
 * its own weights change; to others' each batch has new ones. */
static clora_status make_preference(clora_trainer *t, const clora_dataset *dataset) {
    const clora_status status = preference_create(&t->preference, t->adapter, dataset, &t->references, &t->options);

    if (status == CLORA_OK && t->preference->rule->kl && t->adapter->changes_model)
        return clora_fail(CLORA_ERROR_UNSUPPORTED,
                          "%s compares each batch with the model as it was, which is not there any more when its own "
                          "weights train",
                          t->preference->rule->name);
    return status;
}

static clora_status make_loader(clora_trainer *t, const clora_dataset *dataset) {
    const clora_train_options *o = &t->options;

    t->dataset = dataset;
    if (o->preference != CLORA_PREFERENCE_NONE)
        return make_preference(t, dataset);
    if (dataset_is_preference(dataset))
        return clora_fail(CLORA_ERROR_ARGUMENT, "the data are preferences: choose a loss that learns from them");
    return clora_loader_create(&t->loader, dataset,
                               &(clora_loader_options){.batch_size = o->batch_size,
                                                       .pack = o->pack,
                                                       .max_length = o->max_length,
                                                       .shuffle = o->shuffle,
                                                       .prompt = adapter_prompt_length(t->adapter),
                                                       .prompt_id = t->model->config.vocab,
                                                       .seed = o->seed});
}

static size_t batches_per_epoch(const clora_trainer *t) {
    return t->preference ? answer_loader_batches_per_epoch(t->preference->loader)
                         : clora_loader_batches_per_epoch(t->loader);
}

batch_place trainer_place(const clora_trainer *t) {
    return t->preference ? answer_loader_place(t->preference->loader) : clora_loader_place(t->loader);
}

clora_status trainer_seek(clora_trainer *t, batch_place place) {
    return t->preference ? answer_loader_seek(t->preference->loader, place) : clora_loader_seek(t->loader, place);
}

/* The largest micro-batch is of B x T ids. */
static void shape_of(const clora_trainer *t, const clora_dataset *dataset, int *B, int *T) {
    *B = t->options.batch_size;
    *T = t->options.max_length ? t->options.max_length : clora_dataset_get_stats(dataset)->longest;
    if (t->preference)
        answer_loader_shape(t->preference->loader, B, T);
}

/* Updates of the run: as asked for, or the micro-batches of all epochs shared out to updates. */
static clora_status count_steps(clora_trainer *t) {
    const double per_epoch = (double)batches_per_epoch(t);
    const double batches = ceil(t->options.epochs * per_epoch - 1e-9);

    t->steps = t->options.steps;
    if (t->steps > 0)
        return CLORA_OK;
    if (batches / t->options.accumulate > 2147483647.0)
        return clora_fail(CLORA_ERROR_ARGUMENT, "%g epochs of %g batches are too many", t->options.epochs, per_epoch);
    t->batches_total = (int64_t)batches;
    t->steps = (int)((t->batches_total + t->options.accumulate - 1) / t->options.accumulate);
    return CLORA_OK;
}

/* Said before anything of the arena is allocated, and with what would help. */
static clora_status check_room(const clora_trainer *t) {
    const clora_context *context = t->model->context;
    const size_t needed = workspace_bytes(t->ws), all = context->info.global_memory, taken = context->memory_now;

    if (taken <= all && needed <= all - taken)
        return CLORA_OK;
    return clora_fail(CLORA_ERROR_MEMORY,
                      "activations of %d x %d tokens take %zu MB; of the device's %zu MB %zu MB are taken: train with "
                      "%sa smaller batch or length",
                      t->options.batch_size, t->ws->max_rows / t->options.batch_size, needed >> 20, all >> 20,
                      taken >> 20, t->options.recompute == CLORA_RECOMPUTE_LAYER ? "" : "recomputed layers, or ");
}

static clora_status make_workspace(clora_trainer *t, int B, int T) {
    clora_status status = CLORA_OK;
    int *ranks = adapter_list_ranks(t->adapter, t->model->projections);

    if (!ranks)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a trainer");
    TRY(workspace_plan(&t->ws, t->model,
                       &(workspace_options){.B = B,
                                            .T = T,
                                            .positions = T,
                                            .train = true,
                                            .recompute = (clora_recompute)t->options.recompute,
                                            .lean = t->adapter->trains_weights,
                                            .loss = true,
                                            .weights = t->options.preference != CLORA_PREFERENCE_NONE,
                                            .dropout = adapter_drops(t->adapter),
                                            .ranks = ranks,
                                            .adapter = t->adapter}));
    if (!t->model->context->outlined)
        TRY(check_room(t));
    TRY(workspace_commit(t->ws));
    t->staging = alloc_array((size_t)t->ws->max_rows, sizeof(*t->staging));
    if (!t->staging)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a trainer"));
    if (t->preference)
        TRY(preference_begin(t->preference, t->ws));
done:
    free(ranks);
    return status;
}

static clora_status make_optimizer(clora_trainer *t) {
    clora_status status = CLORA_OK;

    TRY(trainer_lend_gradients(t));
    if (t->lender.use && t->options.skip_nonfinite > 0)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "without clipping the model's own weights follow a gradient before it is "
                                             "known to be finite: no step can be passed over"));
    TRY(t->adapter->method->list_parameters(&t->parameters, t->adapter, &t->options));
    TRY(optimizer_create(&t->optimizer, optimizer_find(&t->options), &t->parameters));
done:
    return status;
}

static clora_status choose_objective(clora_trainer *t) {
    const clora_train_options *o = &t->options;

    t->objective = objective_smoothed(&o->label_smoothing);
    if (!o->objective)
        return CLORA_OK;
    t->objective = own_objective_of(&t->own);
    return own_objective_init(&t->own, o->objective, t->ws->max_rows);
}

clora_status trainer_begin(clora_trainer **out, clora_model *model, clora_adapter *adapter,
                           const clora_train_options *options) {
    clora_status status = CLORA_OK;
    clora_trainer *t = calloc(1, sizeof(*t));

    *out = NULL;
    if (!t)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a trainer");
    t->options = (clora_train_options)CLORA_TRAIN_OPTIONS_INIT;
    shared_hold(&model->shared);
    t->model = model;
    shared_hold(&adapter->shared);
    t->adapter = adapter;
    TRY(OPTIONS_TAKE(t->options, options));
    TRY(check(&t->options));
    TRY(model_check_adapter(model, adapter));
    TRY(merged_check_none(&model->merged));
    *out = t;
    t = NULL;
done:
    clora_trainer_free(t);
    return status;
}

clora_status trainer_allocate(clora_trainer *t, int B, int T) {
    clora_status status = CLORA_OK;

    TRY(make_workspace(t, B, T));
    TRY(make_optimizer(t));
    TRY(choose_objective(t));
done:
    return status;
}

clora_status clora_trainer_create(clora_trainer **out, clora_model *model, clora_adapter *adapter,
                                  const clora_dataset *dataset, const clora_train_options *options) {
    clora_status status = CLORA_OK;
    clora_trainer *t = NULL;
    int B, T;

    NEED(out);
    *out = NULL;
    NEED(model);
    NEED(adapter);
    NEED(dataset);
    TRY(trainer_begin(&t, model, adapter, options));
    TRY(batch_check_ids(model, adapter, dataset));
    TRY(classify_check(dataset, adapter));
    TRY(make_loader(t, dataset));
    TRY(count_steps(t));
    TRY(model_self_check(model, SELF_CHECK_FACTORS | SELF_CHECK_BACKWARD | optimizer_find(&t->options)->self_check));
    shape_of(t, dataset, &B, &T);
    TRY(trainer_allocate(t, B, T));
    *out = t;
    t = NULL;
done:
    clora_trainer_free(t);
    return clora_keep_cause(status);
}

void clora_trainer_free(clora_trainer *t) {
    if (!t)
        return;
    clora_context_finish(t->model->context);
    own_objective_finish(&t->own);
    optimizer_free(t->optimizer);
    parameters_finish(&t->parameters);
    clora_tensor_free(t->passing);
    free(t->lent);
    preference_free(t->preference);
    reference_scores_free(t->references);
    workspace_free(t->ws);
    clora_loader_free(t->loader);
    json_decref(t->terms);
    free(t->staging);
    shared_let_go(&t->adapter->shared);
    shared_let_go(&t->model->shared);
    free(t);
}

int clora_trainer_steps(const clora_trainer *t) {
    return t ? t->steps : 0;
}

/* All batches of an epoch, or of a run that ends before. */
static clora_status look_ahead(clora_trainer *t) {
    const size_t epoch = batches_per_epoch(t), run = (size_t)t->steps * (size_t)t->options.accumulate;

    return preference_look_ahead(t->preference, run < epoch ? run : epoch);
}

/* A new dropout pattern for every micro-batch of the run. */
static uint64_t dropout_seed(const clora_trainer *t) {
    return t->options.seed + UINT64_C(0x9e3779b97f4a7c15) * (uint64_t)(t->batches + 1);
}

/* Forward and backward of one micro-batch; its gradients and sums are added. */
static clora_status micro_batch(clora_trainer *t, objective_sums *sums) {
    const selection select = {.adapter = t->adapter,
                              .trains = &t->parameters,
                              .dropout = t->adapter->dropout,
                              .dropout_seed = dropout_seed(t)};
    const clora_batch *batch;
    double nll;
    clora_status status = CLORA_OK;

    t->batches++;
    if (t->preference)
        return preference_micro_batch(t->preference, &select, sums);
    TRY(clora_loader_next(t->loader, &batch));
    t->own.batch = batch;
    TRY(batch_upload(t->ws, batch));
    TRY(model_forward(t->ws, &select, NULL));
    TRY(objective_run(t->objective, t->ws, &select, NULL, true));
    TRY(trainer_begin_use(t, batch));
    TRY(model_backward(t->ws, &select));
    TRY(batch_results(t->ws, t->staging, &nll, NULL));
    sums->loss += nll;
    sums->units += (int)batch->learnt;
    sums->tokens += (int)batch->tokens;
    sums->learnt += (int)batch->learnt;
done:
    return status;
}

/* A norm that is not finite: of gradients that are still there, or of some that weights have followed. */
static clora_status blame(const clora_trainer *t) {
    if (!t->lender.use)
        return parameters_blame(&t->parameters, t->step + 1);
    return clora_fail(CLORA_ERROR_ARGUMENT,
                      "step %d: the gradient is not finite, and without clipping weights have followed it: train again "
                      "with clipping or a smaller learning rate",
                      t->step + 1);
}

/* A step that is not finite: an error, or passed over. */
static clora_status judge(const clora_trainer *t, clora_train_step *out) {
    clora_status status = CLORA_OK;

    out->skipped = t->skipped;
    if (isfinite(out->loss) && isfinite(out->grad_norm))
        return CLORA_OK;
    out->skipped++;
    if (out->skipped <= t->options.skip_nonfinite)
        return CLORA_OK;
    TRY(batch_check_loss(out->loss, out->step));
    TRY(blame(t));
done:
    return status;
}

/* The parameters follow their gradients; steps that had no update do not count for the optimizer. */
static clora_status follow(clora_trainer *t, float lr) {
    clora_status status = CLORA_OK;

    TRY(optimizer_update(t->optimizer, &t->options, lr, t->step - t->skipped + 1));
    TRY(parameters_make_product(&t->parameters));
    TRY(method_derive(t->adapter));
done:
    return status;
}

static clora_status update(clora_trainer *t, clora_train_step *out) {
    const double start = clock_seconds();
    objective_sums sums = {0};
    clora_status status = CLORA_OK;

    *out = (clora_train_step){.size = sizeof(*out), .step = t->step + 1, .steps = t->steps};
    if (t->step >= t->steps)
        return clora_fail(CLORA_ERROR_NOT_FOUND, "the run is over after %d updates", t->steps);
    if (t->preference && t->adapter->changes_model && t->batches == 0)
        TRY(look_ahead(t));
    out->lr = t->lr = schedule_rate(&t->options, t->step, t->steps);
    TRY(parameters_zero_gradients(&t->parameters));
    for (int i = 0; i < t->options.accumulate && (!t->batches_total || t->batches < t->batches_total); i++)
        TRY(micro_batch(t, &sums));
    TRY(parameters_back_product(&t->parameters));
    out->loss = (float)(sums.loss / sums.units);
    out->tokens = sums.tokens;
    out->target_tokens = sums.learnt;
    if (t->preference) {
        t->rewards = preference_rewards(t->preference, &sums);
        out->rewards = &t->rewards;
    }
    TRY(optimizer_norm(t->optimizer, &out->grad_norm, 1.0f / (float)sums.units, t->options.clip));
    TRY(judge(t, out));
    if (out->skipped == t->skipped)
        TRY(follow(t, out->lr));
    t->skipped = out->skipped;
    t->step++;
    out->epoch = (double)t->batches / (double)batches_per_epoch(t);
    out->seconds = clock_seconds() - start;
done:
    return status;
}

clora_status clora_trainer_step(clora_train_step *out, clora_trainer *trainer) {
    clora_train_step step = CLORA_TRAIN_STEP_INIT;
    clora_status status = CLORA_OK;

    NEED(out);
    NEED(trainer);
    TRY(RESULT_BEGIN(out));
    TRY(merged_check_none(&trainer->model->merged));
    status = update(trainer, &step);
    RESULT_GIVE(out, step);
done:
    return status;
}

clora_status clora_train(clora_model *model, clora_adapter *adapter, const clora_dataset *dataset,
                         const clora_train_options *options, clora_train_callback callback, void *user) {
    clora_status status = CLORA_OK;
    clora_trainer *trainer = NULL;
    clora_train_step step = CLORA_TRAIN_STEP_INIT;

    NEED(model);
    NEED(adapter);
    NEED(dataset);
    TRY(clora_trainer_create(&trainer, model, adapter, dataset, options));
    for (int i = 0; i < trainer->steps; i++) {
        TRY(clora_trainer_step(&step, trainer));
        if (callback && callback(user, &step))
            TRY(clora_fail(CLORA_CANCELLED, "training was stopped after step %d", step.step));
    }
done:
    clora_trainer_free(trainer);
    return status;
}
