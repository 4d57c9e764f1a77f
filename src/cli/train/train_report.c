#include <math.h>
#include <stdio.h>

#include "cli/inputs/data_files.h"
#include "cli/ui/json_out.h"
#include "cli/ui/memory_out.h"
#include "cli/ui/profile_out.h"
#include "cli/ui/text.h"
#include "cli/train/cmd_train.h"

static const double quiet_seconds = 20; /* longest silence between two lines */
enum { LINES = 20 };                    /* about so many lines of steps in a run */

static const char *const schedules[] = {"constant", "linear", "cosine"};
static const char *const recomputes[] = {"", "layers", "attention"};
static const char *const optimizers[] = {"AdamW", "AdamW of 8 bits", "SGD"};

static void plan_training(FILE *out, const train_state *state) {
    const clora_train_options *t = &state->args->train;
    const data_args *d = &state->args->data;
    static const char *const units[][2] = {[CLORA_DATA_PAIRS] = {"sequence", "sequences"},
                                           [CLORA_DATA_PREFERENCE] = {"pair", "pairs"},
                                           [CLORA_DATA_UNPAIRED_PREFERENCE] = {"answer", "answers"}};
    static const char *const row[2] = {"row", "rows"};
    const char *const *unit = d->pack ? row : units[d->kind];

    fprintf(out, "training    %s of %s%s", text_amount(clora_trainer_steps(state->trainer), "step", "steps"),
            text_amount(d->batch_size, unit[0], unit[1]), d->pack ? " (packed)" : "");
    if (t->accumulate > 1)
        fprintf(out, " times %d", t->accumulate);
    if (t->steps == 0)
        fprintf(out, " (%g %s)", t->epochs, t->epochs == 1 ? "epoch" : "epochs");
    if (t->optimizer != CLORA_OPTIMIZER_ADAMW)
        fprintf(out, ", %s", optimizers[t->optimizer]);
    if (t->momentum > 0)
        fprintf(out, " (momentum %g)", (double)t->momentum);
    fprintf(out, ", learning rate %g", (double)t->lr);
    if (t->lora_plus_ratio != 1.0f)
        fprintf(out, " (second factor %g)", (double)(t->lr * t->lora_plus_ratio));
    fprintf(out, " %s", schedules[t->schedule]);
    if (t->warmup > 0)
        fprintf(out, " after %d of warm-up", t->warmup);
    if (t->weight_decay > 0)
        fprintf(out, ", weight decay %g", (double)t->weight_decay);
    fprintf(out, "%s, seed %llu\n", t->shuffle ? "" : ", in the file's order", (unsigned long long)t->seed);
}

static void plan_memory(FILE *out, const train_state *state) {
    const clora_memory_plan p = clora_trainer_plan(state->trainer);

    fprintf(out, "memory      %s of the device's %s: ", text_bytes(p.total),
            text_bytes(clora_context_device(state->context)->global_memory));
    memory_print(out, &p);
    if (state->args->train.recompute)
        fprintf(out, " (%s recomputed)", recomputes[state->args->train.recompute]);
    fprintf(out, "\n");
}

void train_report_plan(const train_state *state) {
    const clora_model_info *m = clora_model_get_info(state->model);
    const clora_adapter_info a = clora_adapter_get_info(state->adapter);
    const clora_device_info *d = clora_context_device(state->context);
    FILE *out = state->report;

    if (state->cli->quiet)
        return;
    fprintf(out, "device      %d %s (%s kernels)\n", d->index, d->name, d->gemm);
    fprintf(out, "model       %s: %s, %d layers of width %d, %s parameters in %s\n", state->args->model_path,
            m->model_type, m->layers, m->hidden, text_count(m->parameters), m->dtype);
    train_describe(out, state);
    fprintf(out, "trainable   %s of %s parameters (%s)\n", text_count(a.parameters), text_count(train_total(state)),
            text_percent((double)a.parameters, (double)train_total(state)));
    data_print_stats(out, "data        ", data_files_text(&state->args->data.data), state->data);
    if (state->val)
        data_print_stats(out, "validation  ", state->args->val, state->val);
    train_report_objective(out, state);
    plan_training(out, state);
    plan_memory(out, state);
    fprintf(out, "\n");
    fflush(out);
}

static int digits(int n) {
    return snprintf(NULL, 0, "%d", n);
}

static const char *rate(const clora_train_step *s) {
    return text_rate(s->tokens, s->seconds);
}

/* The first and the last step, about twenty in between, and never a long silence. */
static bool is_due(const train_state *state) {
    const clora_train_step *s = &state->last;
    const int stride = s->steps > LINES ? s->steps / LINES : 1;
    return s->step == 1 || s->step == s->steps || s->step % stride == 0 ||
           progress_clock() - state->said_at >= quiet_seconds;
}

void train_report_step(train_state *state) {
    const clora_train_step *s = &state->last;
    const bool was_skipped = !isfinite(s->loss) || !isfinite(s->grad_norm);
    char label[128];

    if (state->cli->quiet)
        return;
    if (is_due(state) || was_skipped) {
        progress_clear_all();
        fprintf(state->report, "step %*d/%d  loss %s  lr %.3g  norm %s  %s tokens/s%s\n", digits(s->steps), s->step,
                s->steps, text_number((double)s->loss), (double)s->lr, text_number((double)s->grad_norm), rate(s),
                was_skipped ? "  skipped" : "");
        fflush(state->report);
        state->said_at = progress_clock();
    }
    snprintf(label, sizeof(label), "loss %s  %s tokens/s", text_number((double)s->loss), rate(s));
    progress_update(&state->bar, s->step, label);
}

void train_report_validation(const train_state *state, const clora_eval_result *result) {
    const bool pairs = state->args->train.preference != CLORA_PREFERENCE_NONE;
    const double beside = pairs ? result->accuracy : result->perplexity;

    if (state->cli->quiet)
        return;
    progress_clear_all();
    fprintf(state->report, "validation loss %s ", text_number(result->loss));
    if (!isnan(beside))
        fprintf(state->report, "(%s %s) ", pairs ? "accuracy" : "perplexity", text_number(beside));
    if (state->val_step == 0)
        fprintf(state->report, "before training\n");
    else
        fprintf(state->report, "after step %d\n", state->val_step);
    fflush(state->report);
}

json_t *train_report_json(const train_state *state) {
    const clora_train_step *s = &state->last;
    const bool trained = s->step > 0;
    size_t peak = 0;

    clora_context_memory(state->context, NULL, &peak);
    json_t *object = json_pack(
        "{s:i, s:o, s:o, s:o, s:I, s:o, s:i, s:o, s:I, s:I, s:o, s:o, s:o}", "step", s->step, "loss",
        trained ? json_number((double)s->loss) : json_null(), "lr", trained ? json_float(s->lr) : json_null(),
        "grad_norm", trained ? json_number((double)s->grad_norm) : json_null(), "tokens", (json_int_t)state->tokens,
        "tokens_per_second", trained ? json_number((double)state->tokens / state->step_seconds) : json_null(), "steps",
        s->step, "seconds", json_number(state->seconds), "peak_device_bytes", (json_int_t)peak, "trainable_parameters",
        (json_int_t)clora_adapter_get_info(state->adapter).parameters, "val_loss",
        state->val_step >= 0 ? json_number(state->val_loss) : json_null(), "val_loss_before",
        state->val ? json_number(state->val_before) : json_null(), "out", json_path(state->args->out));
    if (state->args->train.preference != CLORA_PREFERENCE_NONE && trained)
        json_object_update_new(object, train_log_rewards(&s->rewards));
    if (state->best.step > 0)
        json_put(&object, "best",
                 json_pack("{s:i, s:o}", "step", state->best.step, "val_loss", json_number(state->best.loss)));
    if (state->args->train.skip_nonfinite > 0)
        json_put(&object, "skipped", json_integer(s->skipped));
    return object;
}

static int print_json(const train_state *state) {
    json_t *object = train_report_json(state);

    if (state->args->profile)
        json_put(&object, "profile", profile_json(profile_read(state->context)));
    return json_print(state->cli, object);
}

static void print_profile(const train_state *state) {
    fflush(stdout);
    profile_print(stderr, profile_read(state->context));
}

static void print_summary(const train_state *state) {
    fprintf(state->report, "\n%s in %s, %s tokens/s", text_amount(state->last.step, "step", "steps"),
            text_duration(state->seconds), text_rate((double)state->tokens, state->step_seconds));
    if (state->val && state->val_step > 0)
        fprintf(state->report, "; validation loss %s before, %s after", text_number(state->val_before),
                text_number(state->val_loss));
    if (state->best.step > 0)
        fprintf(state->report, ", %s after step %d the lowest", text_number(state->best.loss), state->best.step);
    fprintf(state->report, "\n");
    if (state->last.skipped > 0)
        fprintf(state->report, "%s had no finite loss or gradient and changed nothing\n",
                text_amount(state->last.skipped, "step", "steps"));
    if (state->stopped)
        fprintf(state->report, "stopped early, after step %d of %d: no lower validation loss in %s\n", state->last.step,
                state->last.steps, text_amount(state->best.since, "validation", "validations"));
    if (state->args->best && state->best.step > 0)
        fprintf(state->report, "%s/" TRAIN_BEST " holds the %s after step %d\n", state->args->out, train_result(state),
                state->best.step);
    if (train_is_complete(state)) /* else that is the message's part */
        fprintf(state->report, "%s holds the %s\n", state->args->out, train_result(state));
}

bool train_is_complete(const train_state *state) {
    return (state->stopped || state->last.step == state->last.steps) &&
           (!state->val || state->val_step == state->last.step);
}

int train_report_end(const train_state *state) {
    if (state->cli->json)
        return print_json(state);
    if (!state->cli->quiet)
        print_summary(state);
    if (state->args->profile)
        print_profile(state);
    return CLI_DONE;
}
