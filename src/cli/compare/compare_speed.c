#include <clora/generate.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/compare/cmd_compare.h"
#include "cli/options/device.h"
#include "cli/ui/folder.h"

/* Time of a new token of one text: of the base, with what was trained beside it, and with that merged into it. */
enum { BASE, APPLIED, MERGED, KINDS, ROUNDS = 5 };

typedef struct timing {
    compare_state *all;
    clora_context *context;
    clora_model *model[KINDS]; /* APPLIED is BASE's, or a model that was trained itself */
    clora_adapter *adapter;
    clora_session *session[KINDS];
    float *logits;
    double best[KINDS];
} timing;

static bool is_model(const char *path) {
    char *file = NULL;
    const bool found = asprintf(&file, "%s/config.json", path) >= 0 && access(file, F_OK) == 0;

    free(file);
    return found;
}

static int load(timing *t, const char *path, const char *merged) {
    const train_args *args = &t->all->args->train;
    const cli_state *cli = t->all->cli;

    if (cli_context_create(&t->context, cli) != CLORA_OK ||
        model_args_load(&t->model[BASE], cli, t->context, args->model_path, &args->model) != CLORA_OK)
        return cli_fail_library(cli);
    if (is_model(path)) /* what was trained is the model itself */
        return model_args_load(&t->model[APPLIED], cli, t->context, path, &args->model) == CLORA_OK
                   ? CLI_DONE
                   : cli_fail_library(cli);
    t->model[APPLIED] = t->model[BASE];
    if (clora_adapter_load(&t->adapter, t->model[BASE], path) != CLORA_OK)
        return cli_fail_library(cli);
    /* what cannot be merged has no such time */
    if (clora_merge(args->model_path, path, merged, NULL, NULL) == CLORA_OK &&
        model_args_load(&t->model[MERGED], cli, t->context, merged, &args->model) != CLORA_OK)
        return cli_fail_library(cli);
    return CLI_DONE;
}

static int open_sessions(timing *t) {
    for (int k = 0; k < KINDS; k++) {
        clora_adapter *adapter = k == APPLIED ? t->adapter : NULL;
        const int capacity = clora_adapter_past(adapter) + t->all->args->new_tokens + 1;
        if (!t->model[k])
            continue;
        if (clora_session_create(&t->session[k], t->model[k], 1, capacity) != CLORA_OK ||
            clora_session_set_adapter(t->session[k], adapter) != CLORA_OK)
            return cli_fail_library(t->all->cli);
    }
    t->logits = malloc((size_t)clora_model_get_info(t->model[BASE])->vocab * sizeof(*t->logits));
    return t->logits ? CLI_DONE : cli_fail(t->all->cli, "no memory for logits");
}

/* Seconds a token, of so many. */
static int time_tokens(timing *t, int kind, double *seconds) {
    const int tokens = t->all->args->new_tokens;
    const int32_t id = 1;

    clora_session_reset(t->session[kind]);
    const double begin = progress_clock();
    for (int i = 0; i < tokens; i++)
        if (clora_session_forward(t->session[kind], t->logits, &id, 1, 0) != CLORA_OK)
            return cli_fail_library(t->all->cli);
    *seconds = (progress_clock() - begin) / tokens;
    return CLI_DONE;
}

/* In turns, so that what disturbs the machine disturbs all; the best of each counts, the first round compiles. */
static int measure(timing *t) {
    int status = CLI_DONE;

    for (int round = -1; round < ROUNDS && status == CLI_DONE; round++)
        for (int k = 0; k < KINDS && status == CLI_DONE; k++) {
            double seconds = 0;
            if (!t->session[k])
                continue;
            status = time_tokens(t, k, &seconds);
            if (round <= 0 || seconds < t->best[k])
                t->best[k] = seconds;
        }
    return status;
}

static void release(timing *t) {
    for (int k = 0; k < KINDS; k++)
        clora_session_free(t->session[k]);
    clora_adapter_free(t->adapter);
    clora_model_free(t->model[MERGED]);
    if (t->model[APPLIED] != t->model[BASE])
        clora_model_free(t->model[APPLIED]);
    clora_model_free(t->model[BASE]);
    cli_context_free(t->context, t->all->cli);
    free(t->logits);
}

int compare_time(compare_state *state, const compare_result *result, compare_speed *speed) {
    timing t = {.all = state};
    char *path = compare_path(state, result, ""), *merged = compare_path(state, result, ".merged");
    int status = path && merged ? CLI_DONE : cli_fail(state->cli, "no memory for a path");

    if (status == CLI_DONE) {
        folder_remove(merged);
        status = load(&t, path, merged);
    }
    if (status == CLI_DONE)
        status = open_sessions(&t);
    if (status == CLI_DONE)
        status = measure(&t);
    if (status == CLI_DONE)
        *speed = (compare_speed){t.best[BASE], t.best[APPLIED], t.best[MERGED]};
    release(&t);
    if (merged)
        folder_remove(merged);
    free(path);
    free(merged);
    return status;
}
