#include "train/preference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "model/family.h"
#include "train/trainer.h"

static clora_status check(const preference_rule *rule, const clora_dataset *dataset, const clora_train_options *o) {
    if (!rule)
        return clora_fail(CLORA_ERROR_ARGUMENT, "there is no loss of preferences with number %d", (int)o->preference);
    if (o->objective)
        return clora_fail(CLORA_ERROR_ARGUMENT, "either %s or an objective of the program's own", rule->name);
    if (dataset_kind(dataset) != rule->data)
        return clora_fail(CLORA_ERROR_ARGUMENT, "%s learns from %s; the data hold something else", rule->name,
                          rule->data == CLORA_DATA_PREFERENCE ? "pairs of answers" : "answers with labels");
    if (!(o->beta > 0.0f) || isinf(o->beta))
        return clora_fail(CLORA_ERROR_ARGUMENT, "a beta of %g; it is above 0", (double)o->beta);
    if (o->pack)
        return clora_fail(CLORA_ERROR_ARGUMENT, "answers to a prompt stand side by side: they cannot be packed");
    if (rule->kl && o->batch_size < 2)
        return clora_fail(CLORA_ERROR_ARGUMENT,
                          "%s compares the answers of a batch with the prompts of others: batches of 2 are the least",
                          rule->name);
    if (o->label_smoothing > 0.0f && o->preference != CLORA_PREFERENCE_DPO)
        return clora_fail(CLORA_ERROR_ARGUMENT, "%s has no label smoothing", rule->name);
    return CLORA_OK;
}

/* A workspace has room for what stands before sequences in one length. */
static clora_status check_length(const char *what, int own, int other) {
    if (other > 0 && other != own)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "the reference's %s has %d positions, the adapter's %d", what, other,
                          own);
    return CLORA_OK;
}

static clora_status check_past(const clora_adapter *adapter, const clora_adapter *reference) {
    clora_status status = CLORA_OK;

    TRY(check_length("prefix", adapter_prefix_length(adapter), adapter_prefix_length(reference)));
    TRY(check_length("prompt", adapter_prompt_length(adapter), adapter_prompt_length(reference)));
done:
    return status;
}

/* The passes of both policies share a workspace. */
static clora_status check_reference(const clora_adapter *adapter, const clora_adapter *reference) {
    bool fits = adapter && reference->base.model == adapter->base.model &&
                reference->info.parameters == adapter->info.parameters;

    for (int i = 0; fits && i < adapter->base.projections; i++) {
        const lowrank *a = adapter_term(adapter, i), *b = adapter_term(reference, i);
        fits = (!a && !b) || (a && b && a->R == b->R);
    }
    return fits ? CLORA_OK
                : clora_fail(CLORA_ERROR_ARGUMENT, "the reference is not the adapter as it was: it differs in model, "
                                                   "method or size");
}

clora_status preference_create(preference **out, const clora_adapter *adapter, const clora_dataset *dataset,
                               reference_scores **known, const clora_train_options *options) {
    const preference_rule *rule = preference_rule_of(options->preference);
    clora_status status = check(rule, dataset, options);
    preference *p = NULL;

    *out = NULL;
    if (status == CLORA_OK)
        status = check_past(adapter, options->reference);
    if (status == CLORA_OK && options->reference)
        status = check_reference(adapter, options->reference);
    if (status != CLORA_OK)
        return status;
    p = calloc(1, sizeof(*p));
    if (!p)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for preferences");
    p->rule = rule;
    p->options =
        (preference_options){.beta = (double)options->beta, .label_smoothing = (double)options->label_smoothing};
    if (options->reference)
        shared_hold(&options->reference->shared);
    p->reference = options->reference;
    TRY(reference_scores_find(&p->known, known, dataset));
    TRY(answer_loader_create(&p->loader, dataset,
                             &(answer_loader_options){.batch_size = options->batch_size,
                                                      .shuffle = options->shuffle,
                                                      .seed = options->seed,
                                                      .learn_prompts = rule->learns_prompts,
                                                      .mismatch = rule->kl,
                                                      .prompt = adapter_prompt_length(adapter),
                                                      .prompt_id = adapter ? adapter->base.vocab : 0}));
    *out = p;
    p = NULL;
done:
    preference_free(p);
    return status;
}

clora_status preference_begin(preference *p, workspace *ws) {
    const size_t rows = (size_t)ws->max_rows;

    p->ws = ws;
    p->nll = alloc_array(rows, sizeof(*p->nll));
    p->weight = alloc_array(rows, sizeof(*p->weight));
    p->scored = alloc_array(rows, sizeof(*p->scored));
    if (!p->nll || !p->weight || !p->scored)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for preferences");
    return CLORA_OK;
}

void preference_free(preference *p) {
    if (!p)
        return;
    answer_loader_free(p->loader);
    free(p->nll);
    free(p->weight);
    free(p->scored);
    if (p->reference)
        shared_let_go(&p->reference->shared);
    free(p);
}

static bool is_paired(const preference *p) {
    return p->rule->data == CLORA_DATA_PREFERENCE;
}

/* ---- The passes ---- */

static double sum_of(const float *nll, row_span rows) {
    double sum = 0.0;

    for (int i = rows.begin; i < rows.begin + rows.count; i++)
        sum += (double)nll[i];
    return sum;
}

/* The log-probability of each answer of the batch in the workspace. */
static clora_status score(preference *p, const answer_batch *batch, const selection *select, bool reference,
                          bool gradient) {
    clora_status status = CLORA_OK;

    if (reference)
        TRY(merged_check_none(&p->ws->model->merged)); /* it is the model without the adapter */
    TRY(model_forward(p->ws, select, NULL));
    TRY(objective_run(objective_likelihood, p->ws, select, NULL, gradient));
    TRY(clora_tensor_read(&p->ws->nll, p->nll));
    for (size_t i = 0; i < batch->count; i++)
        *(reference ? &p->scored[i].reference : &p->scored[i].policy) = -sum_of(p->nll, batch->answer[i].answer);
done:
    return status;
}

/* The batch that comes next, as a policy is to see it. */
static clora_status lay_out(preference *p, const answer_batch **out, const clora_adapter *policy, bool mismatched) {
    answer_loader_peek(p->loader, &(answer_view){mismatched, adapter_prompt_length(policy)}, out);
    return batch_upload(p->ws, &(*out)->rows);
}

/* The reference policy's pass, unless it is known what it gives: never of answers that belong to other prompts. */
static clora_status score_reference(preference *p, bool mismatched) {
    const selection reference = {.adapter = p->reference};
    const answer_batch *batch;
    clora_status status = CLORA_OK;

    TRY(lay_out(p, &batch, p->reference, mismatched));
    if (mismatched || !reference_scores_hold(p->known, batch))
        TRY(score(p, batch, &reference, true, false));
    for (size_t i = 0; !mismatched && i < batch->count; i++) {
        double *score = &p->known->score[batch->answer[i].sequence];
        if (isnan(*score))
            *score = p->scored[i].reference;
        p->scored[i].reference = *score;
    }
done:
    return status;
}

/* What the reference makes of a batch, if the loss wants it, then the policy's pass, which leaves what its backward
 * pass needs. */
static clora_status score_both(preference *p, const answer_batch **out, const selection *policy, bool mismatched,
                               bool gradient) {
    clora_status status = CLORA_OK;

    if (p->rule->reference)
        TRY(score_reference(p, mismatched));
    TRY(lay_out(p, out, policy->adapter, mismatched));
    for (size_t i = 0; i < (*out)->count; i++) {
        p->scored[i].count = (*out)->answer[i].answer.count;
        p->scored[i].desirable = (*out)->answer[i].desirable;
    }
    TRY(score(p, *out, policy, false, gradient));
done:
    return status;
}

clora_status preference_look_ahead(preference *p, size_t batches) {
    clora_status status = CLORA_OK;

    for (size_t i = 0; p->rule->reference && i < batches; i++) {
        TRY(score_reference(p, false));
        answer_loader_advance(p->loader);
    }
    TRY(answer_loader_seek(p->loader, (batch_place){0, 0}));
done:
    return status;
}

/* How much more probable than the reference the policy makes answers that belong to other prompts. */
static clora_status measure_kl(preference *p, const selection *policy) {
    const answer_batch *batch;
    double sum = 0.0;
    clora_status status = CLORA_OK;

    TRY(score_both(p, &batch, policy, true, false));
    for (size_t i = 0; i < batch->count; i++)
        sum += p->scored[i].policy - p->scored[i].reference;
    p->options.kl = fmax(0.0, sum / (double)batch->count);
done:
    return status;
}

/* ---- The loss ---- */

static void add_rewards(reward_sums *sums, const scored_answer *answer, size_t n) {
    for (size_t i = 0; i < n; i++) {
        sums->reward[answer[i].desirable] += answer[i].reward;
        sums->answers[answer[i].desirable]++;
    }
    sums->won += n == 2 && answer[0].reward > answer[1].reward;
}

static void add_weight(preference *p, row_span rows, double weight) {
    for (int i = rows.begin; i < rows.begin + rows.count; i++)
        p->weight[i] += (float)weight;
}

/* The mean likelihood of all ids of the batch's desirable answers and their prompts, once for each of its units. */
static double learn_prompts(preference *p, const answer_batch *batch, int units) {
    double nll = 0.0, rows = 0.0;

    for (size_t i = 0; i < batch->count; i++)
        if (batch->answer[i].desirable) {
            nll += sum_of(p->nll, batch->answer[i].prompt) + sum_of(p->nll, batch->answer[i].answer);
            rows += batch->answer[i].prompt.count + batch->answer[i].answer.count;
        }
    for (size_t i = 0; i < batch->count; i++)
        if (batch->answer[i].desirable) {
            add_weight(p, batch->answer[i].prompt, units / rows);
            add_weight(p, batch->answer[i].answer, units / rows);
        }
    return nll * units / rows;
}

/* The batch's loss, and what it makes each row's likelihood count. */
static void judge(preference *p, const answer_batch *batch, objective_sums *sums) {
    const size_t per = is_paired(p) ? 2 : 1;
    const int units = (int)(batch->count / per);

    memset(p->weight, 0, (size_t)p->ws->M * sizeof(*p->weight));
    for (size_t i = 0; i < batch->count; i += per) {
        sums->loss += p->rule->loss(&p->scored[i], &p->options);
        add_rewards(&sums->rewards, &p->scored[i], per);
    }
    for (size_t i = 0; i < batch->count; i++)
        add_weight(p, batch->answer[i].answer, -p->scored[i].slope);
    if (p->rule->learns_prompts)
        sums->loss += learn_prompts(p, batch, units);
    sums->units += units;
    sums->tokens += (int)batch->rows.tokens;
    sums->learnt += (int)batch->rows.learnt;
    sums->rewards.kl += p->options.kl;
    sums->rewards.batches++;
}

clora_status preference_judge(preference *p, const selection *policy, bool gradient, objective_sums *sums) {
    const answer_batch *batch;
    clora_status status = CLORA_OK;

    if (p->rule->kl)
        TRY(measure_kl(p, policy));
    TRY(score_both(p, &batch, policy, false, gradient));
    judge(p, batch, sums);
    answer_loader_advance(p->loader);
done:
    return status;
}

/* What a row weighs is known after the head's gradient is made: for its input, which a factor of each row mends. Where
 * the head itself trains, whose gradient is a sum over rows, it is made with the weights instead. */
clora_status preference_micro_batch(preference *p, const selection *policy, objective_sums *sums) {
    const bool again = head_trains(p->ws, policy);
    clora_status status = CLORA_OK;

    TRY(preference_judge(p, policy, !again, sums));
    TRY(clora_tensor_write(&p->ws->weights, p->weight));
    if (again)
        TRY(objective_run(objective_likelihood, p->ws, policy, &p->ws->weights, true));
    else
        TRY(op_scale_rows(&p->ws->dnorm, &p->ws->weights));
    TRY(model_backward(p->ws, policy));
done:
    return status;
}

clora_rewards preference_rewards(const preference *p, const objective_sums *sums) {
    const reward_sums *s = &sums->rewards;
    const float chosen = (float)(s->reward[true] / s->answers[true]);
    const float rejected = (float)(s->reward[false] / s->answers[false]);

    return (clora_rewards){.size = sizeof(clora_rewards),
                           .chosen = chosen,
                           .rejected = rejected,
                           .margin = chosen - rejected,
                           .accuracy = is_paired(p) ? (float)s->won / (float)sums->units : NAN,
                           .kl = p->rule->kl ? (float)(s->kl / s->batches) : NAN};
}
