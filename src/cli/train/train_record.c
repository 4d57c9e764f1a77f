#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <clora/tune.h>
#include <clora/version.h>

#include "cli/inputs/data_files.h"
#include "cli/ui/json_out.h"
#include "cli/train/cmd_train.h"
#include "cli/train/train_resume.h"

static json_t *time_json(time_t when) {
    struct tm parts;
    char text[32];

    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&when, &parts));
    return json_string(text);
}

static json_t *device_json(const train_state *state) {
    const clora_device_info *d = clora_context_device(state->context);

    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "name", d->name, "platform", d->platform, "vendor", d->vendor,
                     "driver", d->driver, "version", d->version, "gemm", d->gemm);
}

static json_t *plan_json(const train_state *state) {
    clora_launch_plan *plan = NULL;
    json_t *hash = NULL;

    if (clora_launch_plan_create(&plan, state->context) == CLORA_OK)
        hash = json_string(clora_launch_plan_hash(plan));
    clora_launch_plan_free(plan);
    return hash;
}

static json_t *data_json(const clora_dataset *data, const char *files) {
    const clora_dataset_stats *stats = clora_dataset_get_stats(data);
    char hash[33];

    if (!data)
        return json_null();
    if (clora_dataset_hash(hash, data) != CLORA_OK)
        return NULL;
    return json_pack("{s:o, s:s, s:I, s:I, s:I}", "files", json_path(files), "hash", hash, "sequences",
                     (json_int_t)stats->sequences, "tokens", (json_int_t)stats->tokens, "target_tokens",
                     (json_int_t)stats->target_tokens);
}

static json_t *words_json(const train_state *state) {
    json_t *words = json_pack("[s, s]", "clora", state->cli->command->name);

    if (words && json_array_extend(words, state->resume->words) != 0) {
        json_decref(words);
        return NULL;
    }
    return words;
}

static json_t *record(const train_state *state, const char *ended, const char *why) {
    const train_args *args = state->args;
    struct rusage usage = {0};
    json_t *all = json_pack("{s:s, s:o, s:s, s:s*}", "clora", clora_version(), "command", words_json(state), "ended",
                            ended, "why", why);

    getrusage(RUSAGE_SELF, &usage);
    json_put(&all, "begun_at", time_json(state->begun_at));
    json_put(&all, "ended_at", time_json(time(NULL)));
    json_put(&all, "device", device_json(state));
    json_put(&all, "plan", plan_json(state));
    json_put(&all, "model", json_path(args->model_path));
    json_put(&all, "seed", json_integer((json_int_t)args->train.seed));
    json_put(&all, "data", data_json(state->data, data_files_text(&args->data.data)));
    json_put(&all, "validation", data_json(state->val, args->val));
    json_put(&all, "steps", json_integer(state->last.steps));
    json_put(&all, "peak_process_bytes", json_integer((json_int_t)usage.ru_maxrss * 1024));
    json_put(&all, "result", train_report_json(state));
    return all;
}

void train_record_write(const train_state *state, const char *ended, const char *why) {
    json_t *all = record(state, ended, why);
    char *path = NULL;

    errno = ENOMEM;
    if (asprintf(&path, "%s/" TRAIN_RECORD, state->args->out) < 0)
        path = NULL;
    if (!path || json_save(all, path) != 0)
        cli_note(state->cli, "%s/" TRAIN_RECORD " is not written: %s", state->args->out, strerror(errno));
    free(path);
    json_decref(all);
}
