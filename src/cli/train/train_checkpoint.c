#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <clora/checkpoint.h>

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

/* The largest step before `below` that there is a file of; -1: none. */
static int next_before(const char *out, int below) {
    char *folder = path_of(out, -1);
    DIR *entries = folder ? opendir(folder) : NULL;
    const struct dirent *entry;
    int found = -1;

    free(folder);
    while (entries && (entry = readdir(entries))) {
        const int step = step_of(entry->d_name);
        found = step > found && step < below ? step : found;
    }
    if (entries)
        closedir(entries);
    return found;
}

enum { BEYOND = 2147483647 };

char *train_checkpoint_newest(const char *out) {
    for (int step = next_before(out, BEYOND); step >= 0; step = next_before(out, step)) {
        clora_inspected_checkpoint head = {.note = NULL};
        char *path = path_of(out, step);
        const bool whole = path && clora_inspect_checkpoint(&head, path) == CLORA_OK;
        clora_inspected_checkpoint_finish(&head);
        if (whole)
            return path;
        free(path);
    }
    return NULL;
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

/* What goes on besides: the command line, and what the report has counted. The caller frees. */
static char *make_note(const train_state *state) {
    json_t *note = json_pack("{s:O, s:I, s:f, s:f, s:o, s:o, s:i}", "arguments", state->resume->words, "tokens",
                             (json_int_t)state->tokens, "seconds", progress_clock() - state->begin, "step_seconds",
                             state->step_seconds, "val_before", json_number(state->val_before), "val_loss",
                             json_number(state->val_loss), "val_step", state->val_step);
    char *text = note ? json_dumps(note, JSON_COMPACT) : NULL;

    json_decref(note);
    return text;
}

static clora_status save(const train_state *state, const char *note) {
    char *folder = path_of(state->args->out, -1), *path = path_of(state->args->out, state->last.step);
    clora_status status = CLORA_ERROR_MEMORY;

    if (folder && path) {
        (void)mkdir(folder, 0777); /* writing into it tells what is wrong */
        status = clora_trainer_save(state->trainer, path, note);
    }
    free(folder);
    free(path);
    return status;
}

void train_checkpoint_save(train_state *state) {
    char *note = make_note(state);
    const clora_status status = note ? save(state, note) : CLORA_ERROR_MEMORY;

    free(note);
    state->saved_at = progress_clock();
    if (status == CLORA_OK) {
        remove_old(state->args->out, state->args->keep);
        return;
    }
    progress_end(&state->bar);
    cli_note(state->cli, "no checkpoint is written after step %d: %s", state->last.step, clora_last_error());
}

void train_checkpoint_after_step(train_state *state) {
    const int every = state->args->save_every;
    const bool is_due = every > 0 ? state->last.step % every == 0 : progress_clock() - state->saved_at >= SECONDS;

    if (is_due && state->last.step < clora_trainer_steps(state->trainer))
        train_checkpoint_save(state);
}

static double number_of(const json_t *note, const char *key) {
    return json_number_value(json_object_get(note, key));
}

int train_checkpoint_restore(train_state *state) {
    const json_t *note = state->resume->note;
    clora_inspected_checkpoint head;
    clora_eval_result result;

    /* a reference policy that is the model before it changes scores held-out data now or never */
    if (state->val && train_has_reference(state->args) &&
        clora_trainer_evaluate(&result, state->trainer, state->val, NULL, NULL) != CLORA_OK)
        return cli_fail_library(state->cli);
    if (clora_inspect_checkpoint(&head, state->resume->path) != CLORA_OK ||
        clora_trainer_restore(state->trainer, state->resume->path) != CLORA_OK)
        return cli_fail_library(state->cli);
    state->last = (clora_train_step){.step = head.step, .steps = head.steps};
    clora_inspected_checkpoint_finish(&head);
    state->tokens = (int64_t)number_of(note, "tokens");
    state->seconds = number_of(note, "seconds");
    state->step_seconds = number_of(note, "step_seconds");
    state->val_before = number_of(note, "val_before");
    state->val_loss = number_of(note, "val_loss");
    state->val_step = (int)number_of(note, "val_step");
    return CLI_DONE;
}

void train_checkpoint_end(train_state *state) {
    char *folder = state->args->keep_given ? NULL : path_of(state->args->out, -1);

    if (state->args->keep_given)
        train_checkpoint_save(state);
    if (folder) {
        remove_old(state->args->out, 0);
        rmdir(folder);
    }
    free(folder);
}
