#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <clora/checkpoint.h>
#include <clora/tune.h>
#include <clora/version.h>

#include "cli/train/cmd_train.h"
#include "cli/train/train_resume.h"
#include "cli/ui/json_out.h"

enum { SECONDS = 600 }; /* between two, where nobody says how many steps */

#define BEGINNING "step-"
#define ENDING ".safetensors"

/* The step in a checkpoint's file name; -1: it is none. */
static int step_of(const char *name) {
    char *end;

    if (strncmp(name, BEGINNING, strlen(BEGINNING)) != 0)
        return -1;
    errno = 0;
    const long step = strtol(name + strlen(BEGINNING), &end, 10);
    return errno == 0 && step >= 0 && step <= 2147483647 && strcmp(end, ENDING) == 0 ? (int)step : -1;
}

/* OUT/checkpoint, or a file in it; the caller frees. */
static char *path_of(const char *out, int step) {
    char *path = NULL;
    const int built = step < 0 ? asprintf(&path, "%s/" TRAIN_CHECKPOINTS, out)
                               : asprintf(&path, "%s/" TRAIN_CHECKPOINTS "/" BEGINNING "%d" ENDING, out, step);

    return built < 0 ? NULL : path;
}

/* The largest step before `below` that there is a file of; -1: none, or errno says why that cannot be told. */
static int next_before(const char *out, int below) {
    char *folder = path_of(out, -1);
    DIR *entries = folder ? opendir(folder) : NULL;
    const struct dirent *entry;
    int found = -1, why = errno;

    free(folder);
    if (!entries) {
        errno = why == ENOENT || why == ENOTDIR ? 0 : why;
        return -1;
    }
    errno = 0;
    while ((entry = readdir(entries))) {
        const int step = step_of(entry->d_name);
        found = step > found && step < below ? step : found;
        errno = 0;
    }
    why = errno;
    closedir(entries);
    errno = why;
    return why ? -1 : found;
}

enum { BEYOND = 2147483647 };

/* One that is damaged is passed over; whether one is that cannot be read now is not known. */
static int take_if_whole(const cli_state *cli, char **out, char *path) {
    clora_inspected_checkpoint *head = NULL;
    const clora_status status = clora_inspect_checkpoint(&head, path);

    clora_inspected_checkpoint_free(head);
    if (status == CLORA_OK) {
        *out = path;
        return CLI_DONE;
    }
    free(path);
    if (status == CLORA_ERROR_MEMORY || status == CLORA_ERROR_IO)
        return cli_fail_library(cli);
    cli_note(cli, "passed over: %s", clora_last_error());
    return CLI_DONE;
}

int train_checkpoint_newest(const cli_state *cli, char **out, const char *directory) {
    int status = CLI_DONE, step = BEYOND;

    *out = NULL;
    while (status == CLI_DONE && !*out && (step = next_before(directory, step)) >= 0) {
        char *path = path_of(directory, step);
        status = path ? take_if_whole(cli, out, path) : cli_fail(cli, "no memory for a path");
    }
    if (step < 0 && errno)
        return cli_fail(cli, "cannot read %s/" TRAIN_CHECKPOINTS ": %s", directory, strerror(errno));
    return status;
}

void train_checkpoint_sweep(const char *out) {
    char *folder = path_of(out, -1);
    clora_output *claim = NULL;

    if (folder && clora_output_continue(&claim, folder) == CLORA_OK) {
        clora_output_close(claim, 1);
        rmdir(folder); /* if nothing else is in it */
    }
    free(folder);
}

/* All but the newest. */
static void remove_old(const char *out, int keep) {
    int step = BEYOND;

    for (int i = 0; step >= 0; i++) {
        step = next_before(out, step);
        char *path = step >= 0 && i >= keep ? path_of(out, step) : NULL;
        if (path)
            unlink(path);
        free(path);
    }
}

static json_t *plan_json(const train_state *state) {
    clora_launch_plan *plan = NULL;
    json_t *text = NULL;

    if (clora_launch_plan_create(&plan, state->context) == CLORA_OK)
        text = json_string(clora_launch_plan_text(plan));
    clora_launch_plan_free(plan);
    return text;
}

/* What goes on besides: the command line, and what the report has counted. The caller frees. */
static char *make_note(const train_state *state, bool is_over) {
    const train_best *best = &state->best;
    const clora_device_info *device = clora_context_device(state->context);
    json_t *note = json_pack("{s:O, s:I, s:f, s:f, s:o, s:o, s:i}", "arguments", state->resume->words, "tokens",
                             (json_int_t)state->tokens, "seconds", progress_clock() - state->begin, "step_seconds",
                             state->step_seconds, "val_before", json_number(state->val_before), "val_loss",
                             json_number(state->val_loss), "val_step", state->val_step);
    json_put(&note, "best",
             json_pack("{s:i, s:o, s:i}", "step", best->step, "loss", json_real(best->loss), "since", best->since));
    json_put(&note, "sample_step", json_integer(state->sample_step));
    json_put(&note, "begun_at", json_integer((json_int_t)state->begun_at));
    json_put(&note, "is_over", json_boolean(is_over));
    json_put(&note, "device", json_string(device->name));
    json_put(&note, "driver", json_string(device->driver));
    json_put(&note, "clora", json_string(clora_version()));
    json_put(&note, "plan", plan_json(state));
    char *text = note ? json_dumps(note, JSON_COMPACT) : NULL;

    json_decref(note);
    return text;
}

/* Why it failed, or NULL. */
static const char *save(const train_state *state, bool is_over) {
    char *folder = path_of(state->args->out, -1), *path = path_of(state->args->out, state->last.step);
    char *note = make_note(state, is_over);
    const char *why = strerror(ENOMEM);

    if (folder && path && note) {
        (void)mkdir(folder, 0777); /* writing into it tells what is wrong */
        why = clora_trainer_save(state->trainer, path, note) == CLORA_OK ? NULL : clora_last_error();
    }
    free(note);
    free(folder);
    free(path);
    return why;
}

static void save_and_tell(train_state *state, bool is_over) {
    const char *why = save(state, is_over);

    state->saved_at = progress_clock();
    if (!why) {
        state->is_kept = true;
        remove_old(state->args->out, state->args->keep);
        return;
    }
    progress_end(&state->bar);
    cli_note(state->cli, "no checkpoint is written after step %d: %s", state->last.step, why);
}

void train_checkpoint_save(train_state *state) {
    save_and_tell(state, false);
}

void train_checkpoint_ensure(train_state *state) {
    if (!state->is_kept)
        train_checkpoint_save(state);
}

void train_checkpoint_after_step(train_state *state) {
    const int every = state->args->save_every;
    const bool is_due = every > 0 ? state->last.step % every == 0 : progress_clock() - state->saved_at >= SECONDS;

    if (is_due && !state->stopped && state->last.step < state->last.steps)
        train_checkpoint_save(state);
}

static double number_of(const json_t *note, const char *key) {
    return json_number_value(json_object_get(note, key));
}

/* What was written is in the range; a file may say anything. */
static int64_t whole_number_of(const json_t *note, const char *key, int64_t most) {
    const json_int_t value = json_integer_value(json_object_get(note, key));

    return value < -1 ? -1 : value > most ? most : value;
}

static int step_at(const json_t *note, const char *key) {
    return (int)whole_number_of(note, key, INT32_MAX);
}

static void restore_report(train_state *state, const json_t *note) {
    const json_t *best = json_object_get(note, "best");
    const int64_t year_10000 = 253402300800; /* where a date of four digits ends */

    state->tokens = whole_number_of(note, "tokens", INT64_MAX);
    state->seconds = number_of(note, "seconds");
    state->step_seconds = number_of(note, "step_seconds");
    state->val_before = number_of(note, "val_before");
    state->val_loss = number_of(note, "val_loss");
    state->val_step = step_at(note, "val_step");
    state->best = (train_best){step_at(best, "step"), number_of(best, "loss"), step_at(best, "since")};
    state->sample_step = step_at(note, "sample_step");
    state->begun_at = (time_t)whole_number_of(note, "begun_at", year_10000 - 1);
    state->is_kept = true;
}

/* The same bits come of the same kernels on the same device. */
static int compare_device(const train_state *state) {
    const clora_device_info *device = clora_context_device(state->context);
    const char *const now[][2] = {{"device", device->name}, {"driver", device->driver}, {"clora", clora_version()}};

    for (size_t i = 0; i < sizeof(now) / sizeof(now[0]); i++) {
        const char *before = json_string_value(json_object_get(state->resume->note, now[i][0]));
        if (before && strcmp(before, now[i][1]) != 0)
            return cli_fail(state->cli,
                            "%s was written with %s %s, and this is %s: --replan goes on, with other bits in its "
                            "results",
                            state->resume->path, now[i][0], before, now[i][1]);
    }
    return CLI_DONE;
}

int train_checkpoint_compare_plan(train_state *state) {
    const char *before = json_string_value(json_object_get(state->resume->note, "plan"));
    clora_launch_plan *plan = NULL;
    clora_status status = clora_launch_plan_create(&plan, state->context);

    if (status == CLORA_OK)
        status = clora_launch_plan_compare(plan, before ? before : "");
    clora_launch_plan_free(plan);
    state->is_same_plan = true;
    if (status == CLORA_ERROR_ARGUMENT)
        return cli_fail(state->cli, "%s: %s: --replan goes on, with other bits in its results", state->resume->path,
                        clora_last_error());
    return status == CLORA_OK ? CLI_DONE : cli_fail_library(state->cli);
}

int train_checkpoint_restore(train_state *state) {
    clora_inspected_checkpoint *head = NULL;
    clora_evaluate_result result = CLORA_EVALUATE_RESULT_INIT;

    if (!state->args->replan && compare_device(state) != CLI_DONE)
        return CLI_FAILED;
    /* a reference policy that is the model before it changes scores held-out data now or never */
    if (state->val && train_has_reference(state->args) &&
        clora_trainer_evaluate(&result, state->trainer, state->val, NULL, NULL) != CLORA_OK)
        return cli_fail_library(state->cli);
    if (clora_inspect_checkpoint(&head, state->resume->path) != CLORA_OK)
        return cli_fail_library(state->cli);
    state->last = (clora_train_step){.size = sizeof(state->last), .step = head->step, .steps = head->steps};
    clora_inspected_checkpoint_free(head);
    if (clora_trainer_restore(state->trainer, state->resume->path) != CLORA_OK)
        return cli_fail_library(state->cli);
    restore_report(state, state->resume->note);
    return CLI_DONE;
}

void train_checkpoint_end(train_state *state) {
    if (state->args->keep_given) {
        save_and_tell(state, true);
        return;
    }
    remove_old(state->args->out, 0);
    train_checkpoint_sweep(state->args->out);
}
