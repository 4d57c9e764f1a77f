#include <math.h>
#include <stdio.h>

#include "cli/inputs/data_files.h"
#include "cli/ui/json_out.h"
#include "cli/ui/memory_out.h"
#include "cli/ui/page.h"
#include "cli/ui/profile_out.h"
#include "cli/ui/text.h"
#include "cli/train/cmd_train.h"

static const double quiet_seconds = 20; /* longest silence between two lines */
enum { LINES = 20, MEAN = 32 };         /* about so many lines of steps in a run; steps of the running mean */

enum { COLUMN = 12 }; /* of the plan, where its words begin */

static const char *const schedules[] = {"constant", "linear", "cosine"};
static const char *const recomputes[] = {"", "layers", "attention"}; /* clora_recompute */
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
        fprintf(out, ", gradient accumulation %d", t->accumulate);
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
        fprintf(out, " after %s", text_amount(t->warmup, "warm-up step", "warm-up steps"));
    if (t->weight_decay > 0)
        fprintf(out, ", weight decay %g", (double)t->weight_decay);
    fprintf(out, "%s, seed %llu\n", t->shuffle ? "" : ", in the file's order", (unsigned long long)t->seed);
}

static void plan_memory(FILE *out, const train_state *state) {
    const clora_memory_plan *p = clora_trainer_plan(state->trainer);

    fprintf(out, "memory      %s of the device's %s: ", text_bytes(p->total),
            text_bytes(clora_context_device(state->context)->global_memory));
    memory_print(out, p);
    if (state->args->train.recompute)
        fprintf(out, " (gradient checkpointing of %s)", recomputes[state->args->train.recompute]);
    fprintf(out, "\n");
}

void train_report_plan(const train_state *state) {
    const clora_model_info *m = clora_model_get_info(state->model);
    const clora_adapter_info *a = clora_adapter_get_info(state->adapter);
    const clora_device_info *d = clora_context_device(state->context);
    page lines;

    if (state->cli->quiet)
        return;
    progress_clear_all();
    FILE *out = page_begin(&lines, state->report, COLUMN);
    fprintf(out, "device      %d %s (GEMM backend %s)\n", d->index, d->name, d->gemm);
    fprintf(out, "model       %s: %s, %d layers of width %d, %s parameters in %s\n", state->args->model_path,
            m->model_type, m->layers, m->hidden, text_count(m->parameters), m->dtype);
    train_describe(out, state);
    fprintf(out, "trainable   %s of %s parameters (%s)\n", text_count(a->parameters), text_count(train_total(state)),
            text_percent((double)a->parameters, (double)train_total(state)));
    data_print_stats(out, "data        ", data_files_text(&state->args->data.data), state->data);
    if (state->val)
        data_print_stats(out, "validation  ", state->args->val, state->val);
    train_report_objective(out, state);
    plan_training(out, state);
    plan_memory(out, state);
    fprintf(out, "\n");
    page_end(&lines);
    fflush(state->report);
}

static int digits(int n) {
    return snprintf(NULL, 0, "%d", n);
}

/* Since the last line. */
static const char *rate(const train_state *state) {
    return text_rate((double)(state->tokens - state->said_tokens), state->step_seconds - state->said_seconds);
}

/* Of the first steps their mean, later one that forgets. */
static void add_to_mean(train_state *state, double loss) {
    if (!isfinite(loss))
        return;
    if (state->mean_steps < MEAN)
        state->mean_steps++;
    state->mean_loss += (loss - state->mean_loss) / state->mean_steps;
}

static void print_step(train_state *state, bool was_skipped) {
    const clora_train_step *s = &state->last;
    char line[256];

    snprintf(line, sizeof(line), "step %*d/%d%s  loss %s  mean %s  lr %.3g  %s tokens/s  norm %s", digits(s->steps),
             s->step, s->steps, was_skipped ? "  skipped" : "", text_number((double)s->loss),
             text_number(state->mean_loss), (double)s->lr, rate(state), text_number((double)s->grad_norm));
    progress_clear_all();
    fprintf(state->report, "%.*s\n", page_fields(line, page_width(state->report)), line);
    fflush(state->report);
    state->said_at = progress_clock();
    state->said_tokens = state->tokens;
    state->said_seconds = state->step_seconds;
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

    add_to_mean(state, (double)s->loss);
    if (state->cli->quiet)
        return;
    if (is_due(state) || was_skipped)
        print_step(state, was_skipped);
    snprintf(label, sizeof(label), "loss %s  mean %s  %s tokens/s", text_number((double)s->loss),
             text_number(state->mean_loss), text_rate(s->tokens, s->seconds));
    progress_update(&state->bar, s->step, label);
}

void train_report_validation(const train_state *state, const clora_evaluate_result *result) {
    const bool pairs = state->args->train.preference != CLORA_PREFERENCE_NONE;
    const double beside = pairs ? result->accuracy : result->perplexity;
    page line;

    if (state->cli->quiet)
        return;
    progress_clear_all();
    FILE *out = page_begin(&line, state->report, 2);
    fprintf(out, "validation loss %s ", text_number(result->loss));
    if (!isnan(beside))
        fprintf(out, "(%s %s) ", pairs ? "accuracy" : "perplexity", text_number(beside));
    if (state->val_step == 0)
        fprintf(out, "before training\n");
    else
        fprintf(out, "after step %d\n", state->val_step);
    page_end(&line);
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
        (json_int_t)clora_adapter_get_info(state->adapter)->parameters, "val_loss",
        state->val_step >= 0 ? json_number(state->val_loss) : json_null(), "val_loss_before",
        state->val ? json_number(state->val_before) : json_null(), "out", json_path(state->args->out));
    if (state->args->train.preference != CLORA_PREFERENCE_NONE && trained)
        json_object_update_new(object, train_log_rewards(&state->rewards));
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

static void print_summary(const train_state *state, FILE *out) {
    size_t peak = 0;

    clora_context_memory(state->context, NULL, &peak);
    fprintf(out, "\n%s in %s, %s tokens/s, at most %s of memory", text_amount(state->last.step, "step", "steps"),
            text_duration(state->seconds), text_rate((double)state->tokens, state->step_seconds), text_bytes(peak));
    if (state->val && state->val_step > 0)
        fprintf(out, "; validation loss %s before, %s after", text_number(state->val_before),
                text_number(state->val_loss));
    if (state->best.step > 0)
        fprintf(out, ", %s after step %d the lowest", text_number(state->best.loss), state->best.step);
    fprintf(out, "\n");
    if (state->last.skipped > 0)
        fprintf(out, "%s had no finite loss or gradient and changed nothing\n",
                text_amount(state->last.skipped, "step", "steps"));
    if (state->stopped)
        fprintf(out, "stopped early, after step %d of %d: no lower validation loss in %s\n", state->last.step,
                state->last.steps, text_amount(state->best.since, "validation", "validations"));
    if (state->args->best && state->best.step > 0)
        fprintf(out, "Saved the %s after step %d to %s/" TRAIN_BEST "\n", train_result(state), state->best.step,
                state->args->out);
    if (train_is_complete(state)) /* else that is the message's part */
        fprintf(out, "Saved the %s to %s\n", train_result(state), state->args->out);
}

bool train_is_complete(const train_state *state) {
    return (state->stopped || state->last.step == state->last.steps) &&
           (!state->val || state->val_step == state->last.step);
}

int train_report_end(const train_state *state) {
    if (state->cli->json)
        return print_json(state);
    if (!state->cli->quiet) {
        page lines;
        print_summary(state, page_begin(&lines, state->report, 2));
        page_end(&lines);
    }
    if (state->args->profile)
        print_profile(state);
    return CLI_DONE;
}
