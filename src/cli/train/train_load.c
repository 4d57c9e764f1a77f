#include <stdlib.h>

#include <clora/inspect.h>

#include "cli/options/device.h"
#include "cli/inputs/data_files.h"
#include "cli/inputs/ends.h"
#include "cli/ui/interrupt.h"
#include "cli/ui/text.h"
#include "cli/inputs/tokenizer_ahead.h"
#include "cli/train/cmd_train.h"
#include "cli/train/train_memory.h"
#include "cli/train/train_resume.h"

/* Training data, then held-out data with the same labels; those of an adapter that is continued are its own. */
static int load_files(train_state *state, const clora_model_info *info) {
    const train_args *args = state->args;
    clora_inspected_adapter *continued = NULL;
    data_args data = args->data;

    if (data.kind == CLORA_DATA_LABELS && args->init_adapter &&
        clora_inspect_adapter(&continued, args->init_adapter) != CLORA_OK)
        return cli_fail_library(state->cli);
    data.labels = continued ? (const char *const *)continued->labels : NULL;
    data.model = args->model_path;
    data.weighted = true;
    int status =
        data_load(state->cli, &data, &args->data.data, state->tokenizer, info, state->max_length, &state->data);
    data.labels = clora_dataset_labels(state->data, NULL);
    data.weighted = false;
    if (status == CLI_DONE && args->val)
        status = data_files_split(state->cli, args->val, args->train.seed, &state->data, &state->val);
    if (status == OPT_GO_ON)
        status =
            data_load(state->cli, &data, DATA_FILE(args->val), state->tokenizer, info, state->max_length, &state->val);
    clora_inspected_adapter_free(continued);
    return status;
}

static int load_model(train_state *state) {
    const train_args *args = state->args;
    const clora_model_options options = model_args_options(&args->model);

    if (state->model)
        return CLI_DONE;
    const clora_status made =
        args->from_scratch
            ? clora_model_create(&state->model, state->context, args->model_path, &options, args->train.seed)
            : model_args_load(&state->model, state->cli, state->context, args->model_path, &args->model);
    return made == CLORA_OK ? CLI_DONE : cli_fail_library(state->cli);
}

/* From the heads of the files alone: a broken data file is found before gigabytes of weights are read. Without files
 * the model is made at once. */
static int inspect_model(clora_model_info *info, train_state *state) {
    const train_args *args = state->args;
    clora_model_plan_options options = model_args_plan(&args->model);
    clora_memory_plan plan = CLORA_MEMORY_PLAN_INIT;

    options.rank = args->adapter.rank;
    options.batch_size = args->data.batch_size;
    if (!args->from_scratch)
        return clora_model_plan(&plan, info, state->context, args->model_path, &options) == CLORA_OK
                   ? CLI_DONE
                   : cli_fail_library(state->cli);
    const int status = load_model(state);
    if (status == CLI_DONE)
        *info = *clora_model_get_info(state->model);
    return status;
}

static int load_data(train_state *state) {
    const train_args *args = state->args;
    clora_model_info info = CLORA_MODEL_INFO_INIT;
    int status = inspect_model(&info, state);

    if (status != CLI_DONE)
        return status;
    if (!state->tokenizer && clora_tokenizer_load(&state->tokenizer, args->model_path) != CLORA_OK)
        return cli_fail_library(state->cli);
    model_note_head(state->cli, args->model_path, info.own_head);
    if (args->data.eos == 0)
        ends_note_files(state->cli, args->model_path, state->tokenizer, &info);
    status = data_max_length(state->cli, &args->data, &info, &state->max_length);
    return status == CLI_DONE ? load_files(state, &info) : status;
}

/* An adapter that goes on learning is compared with itself as it is now. */
static int make_reference(train_state *state) {
    const train_args *args = state->args;

    if (!args->init_adapter || !train_has_reference(args))
        return CLI_DONE;
    if (clora_adapter_load(&state->reference, state->model, args->init_adapter) != CLORA_OK)
        return cli_fail_library(state->cli);
    return CLI_DONE;
}

static int make_trainer(train_state *state) {
    clora_train_options options = state->args->train;

    options.batch_size = state->args->data.batch_size;
    options.pack = state->args->data.pack;
    options.reference = state->reference;
    options.max_length = options.pack ? state->max_length : 0; /* unpacked rows end with the longest sequence */
    if (clora_trainer_create(&state->trainer, state->model, state->adapter, state->data, &options) != CLORA_OK)
        return cli_fail_library(state->cli);
    return CLI_DONE;
}

static int start(train_state *state) {
    tokenizer_ahead ahead;

    tokenizer_ahead_start(&ahead, state->args->model_path);
    const clora_status made = cli_context_create(&state->context, state->cli);
    state->tokenizer = tokenizer_ahead_wait(&ahead);
    return made == CLORA_OK ? CLI_DONE : cli_fail_library(state->cli);
}

/* A directory that is not there is made and removed, to see whether it can be. */
static int check_output(const train_state *state) {
    char *left = NULL;

    if (state->resume->path)
        return CLI_DONE;
    if (train_checkpoint_newest(state->cli, &left, state->args->out) != CLI_DONE)
        return CLI_FAILED;
    free(left);
    if (left)
        return cli_fail(state->cli, "%s holds a run that did not end: --resume %s goes on with it; or name a new one",
                        state->args->out, state->args->out);
    interrupt_hold();
    train_log_sweep(state->cli, state->args->out);
    const clora_status status = clora_inspect_output(state->args->out);
    interrupt_let();
    return status == CLORA_OK ? CLI_DONE : cli_fail_library(state->cli);
}

int train_load(train_state *state) {
    int status = check_output(state);

    state->report = state->cli->json ? stderr : stdout;
    if (status == CLI_DONE)
        progress_phase(state->cli->quiet, "loading %s", state->args->model_path);
    state->val_step = state->sample_step = -1;
    if (status == CLI_DONE)
        status = train_log_open(state->cli, &state->log, state->args, false);
    if (status == CLI_DONE)
        status = start(state);
    if (status == CLI_DONE)
        status = load_data(state);
    if (status == CLI_DONE)
        status = train_log_check(state->cli, &state->log);
    if (status == CLI_DONE)
        status = train_fit_memory(state);
    if (status == CLI_DONE)
        status = load_model(state);
    if (status == CLI_DONE)
        status = train_make_adapter(state);
    train_forget_texts(state);
    if (status == CLI_DONE)
        status = make_reference(state);
    if (status == CLI_DONE)
        status = make_trainer(state);
    if (status == CLI_DONE)
        status = train_samples_load(state);
    if (status == CLI_DONE && state->resume->path)
        status = train_checkpoint_restore(state);
    return status;
}

void train_release(train_state *state) {
    clora_trainer_free(state->trainer);
    train_samples_free(state);
    clora_adapter_free(state->reference);
    train_free_adapter(state);
    clora_model_free(state->model);
    clora_dataset_free(state->val);
    clora_dataset_free(state->data);
    clora_tokenizer_free(state->tokenizer);
    cli_context_free(state->context, state->cli);
    if (!state->begun)
        train_log_discard(&state->log);
    train_log_close(&state->log);
    train_board_close(state);
    free(state->own_log);
    clora_output_close(state->output, state->last.step > 0);
}
