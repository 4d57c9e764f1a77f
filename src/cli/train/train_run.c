#include <string.h>

#include "cli/ui/interrupt.h"
#include "cli/ui/profile_out.h"
#include "cli/train/cmd_train.h"
#include "cli/train/train_resume.h"

static const char interrupt_notice[] = "\nclora train: interrupted; saving after this step (once more: end at once)\n";

static int go_on(void *user, int64_t done, int64_t total) {
    train_state *state = user;

    (void)total;
    progress_update(&state->bar, done, "validation");
    return interrupt_seen();
}

/* Shown at once: what comes first may compile kernels for a while. */
static void begin_bar(train_state *state, int64_t total, int64_t done, const char *what) {
    progress_begin(&state->bar, total, done, state->cli->quiet);
    progress_update(&state->bar, done, what);
}

static int save(train_state *state) {
    if (!train_is_alone(state)) /* one directory that is whole says nothing of the others */
        train_checkpoint_ensure(state);
    if (train_save(state, state->args->out) != CLORA_OK)
        return cli_fail(state->cli, "the %s is not saved: %s", train_result(state), clora_last_error());
    return CLI_DONE;
}

/* Fail for this cause, after saving what was trained until now. */
static int keep_and_fail(train_state *state, const char *what, const char *cause) {
    char why[1024];

    snprintf(why, sizeof(why), "%s%s", what, cause);
    progress_end(&state->bar);
    if (save(state) != CLI_DONE)
        return cli_fail(state->cli, "%s", why);
    state->seconds = progress_clock() - state->begin;
    train_record_write(state, "failed", why);
    return cli_fail(state->cli, "%s; the %s as it was before is saved in %s", why, train_result(state),
                    state->args->out);
}

static int validate(train_state *state) {
    const int step = state->last.step;
    clora_evaluate_result result = CLORA_EVALUATE_RESULT_INIT;

    begin_bar(state, (int64_t)clora_dataset_get_stats(state->val)->sequences, 0, "validation");
    const clora_status status = clora_trainer_evaluate(&result, state->trainer, state->val, go_on, state);
    progress_end(&state->bar);
    if (interrupt_seen())
        return CLI_DONE; /* the loop sees it too */
    if (status != CLORA_OK)
        return keep_and_fail(state, "validation: ", clora_last_error());
    state->val_loss = result.loss;
    state->val_step = step;
    if (step == 0)
        state->val_before = result.loss;
    train_log_validation(&state->log, step, result.loss);
    train_board_validation(state);
    train_report_validation(state, &result);
    const char *cause = train_best_after_validation(state);
    return cause ? keep_and_fail(state, "the best state is not kept: ", cause) : CLI_DONE;
}

static int step_once(train_state *state) {
    clora_train_step step = CLORA_TRAIN_STEP_INIT;
    const clora_status status = clora_trainer_step(&step, state->trainer);

    /* A loss or gradient that is not finite leaves the adapter as it was; after any other failure the device is in
     * doubt. */
    if (status != CLORA_OK)
        return status == CLORA_ERROR_FORMAT ? keep_and_fail(state, "", clora_last_error())
                                            : cli_fail_library(state->cli);
    if (!state->is_same_plan && train_checkpoint_compare_plan(state) != CLI_DONE)
        return CLI_FAILED;
    state->last = step;
    if (step.rewards)
        state->rewards = *step.rewards;
    state->tokens += step.tokens;
    state->step_seconds += step.seconds;
    train_log_step(&state->log, &step);
    train_board_step(state);
    train_report_step(state);
    return CLI_DONE;
}

/* Before the first step, after every so many, and after the last. */
static bool is_time(const train_state *state, int every) {
    const int step = state->last.step;

    return step == 0 || step == state->last.steps || (every > 0 && step % every == 0);
}

/* What comes before the first step and after steps, unless it is there already: an interruption may have left it out,
 * for a run that goes on to make up for. */
static int between_steps(train_state *state) {
    const bool validates = state->val && state->val_step != state->last.step && is_time(state, state->args->eval_every);
    const bool samples =
        state->samples && state->sample_step != state->last.step && is_time(state, state->args->sample_every);

    if (validates && state->args->best && state->last.step > 0)
        train_checkpoint_ensure(state);
    int status = validates ? validate(state) : CLI_DONE;
    if (samples && status == CLI_DONE && !interrupt_seen())
        train_samples_show(state);
    if ((validates || samples) && state->last.step > 0)
        begin_bar(state, state->last.steps, state->last.step, "training");
    return status;
}

static int loop(train_state *state) {
    int status;

    state->last.steps = clora_trainer_steps(state->trainer);
    status = between_steps(state);
    begin_bar(state, state->last.steps, state->last.step, "compiling kernels");
    while (status == CLI_DONE && !interrupt_seen() && !state->stopped && state->last.step < state->last.steps) {
        status = step_once(state);
        if (status == CLI_DONE && !interrupt_seen())
            status = between_steps(state);
        if (status == CLI_DONE && !interrupt_seen())
            train_checkpoint_after_step(state);
    }
    progress_end(&state->bar);
    state->seconds = progress_clock() - state->begin;
    return status;
}

static int end(train_state *state) {
    const bool complete = train_is_complete(state);

    if (!complete)
        train_checkpoint_save(state);
    int status = save(state);
    if (status == CLI_DONE)
        train_record_write(state, !complete ? "interrupted" : state->stopped ? "stopped early" : "done", NULL);
    if (status == CLI_DONE)
        status = train_report_end(state);
    if (status != CLI_DONE)
        return status;
    if (!complete) {
        cli_fail(state->cli, "interrupted after %d of %d steps; the %s so far is saved in %s", state->last.step,
                 state->last.steps, train_result(state), state->args->out);
        return interrupt_status();
    }
    train_checkpoint_end(state);
    if (state->log.error)
        return cli_fail(state->cli, "the log %s is incomplete: %s; the %s is saved", state->log.path,
                        strerror(state->log.error), train_result(state));
    return CLI_DONE;
}

int train_run(train_state *state) {
    interrupt_watch(interrupt_notice);
    /* it was empty when the data were read: another run may have begun since */
    if ((state->resume->path ? clora_output_continue : clora_output_open)(&state->output, state->args->out) != CLORA_OK)
        return cli_fail_library(state->cli);
    int status = train_log_open(state->cli, &state->log, state->args, true);
    if (status == CLI_DONE && state->resume->path)
        status = train_log_cut(state);
    if (status == CLI_DONE)
        status = train_board_open(state);
    if (status != CLI_DONE)
        return status;
    state->begun = true;
    train_report_plan(state);
    if (state->args->profile && (status = profile_begin(state->cli, state->context)) != CLI_DONE)
        return status;
    state->begin = state->said_at = state->saved_at = progress_clock();
    state->begin -= state->seconds; /* of a run that goes on */
    state->said_tokens = state->tokens;
    state->said_seconds = state->step_seconds;
    state->is_same_plan = !state->resume->path || state->args->replan;
    if (!state->resume->path)
        state->begun_at = time(NULL);
    train_best_sweep(state);
    status = loop(state);
    train_log_close(&state->log);
    return status == CLI_DONE ? end(state) : status;
}
