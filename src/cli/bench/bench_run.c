#include "cli/options/device.h"
#include "cli/bench/cmd_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ui/progress.h"
#include "cli/ui/text.h"

static int no_memory(const bench_state *state) {
    return cli_fail(state->cli, "no memory for the tokens");
}

/* Peak of the memory that the process had in RAM; 0 where the system does not tell. */
static size_t peak_resident(void) {
    FILE *stream = fopen("/proc/self/status", "r");
    char line[256];
    unsigned long kib = 0;

    while (stream && fgets(line, sizeof(line), stream) && sscanf(line, "VmHWM: %lu", &kib) != 1)
        ;
    if (stream)
        fclose(stream);
    return (size_t)kib * 1024;
}

/* ---- training ---- */

static int make_data(const bench_state *state, clora_dataset **out) {
    const bench_args *args = state->args;
    const size_t rows = (size_t)args->batch_size, length = (size_t)args->max_length;
    int32_t *ids = bench_random_ids(state, rows * length);
    int *lengths = malloc(rows * sizeof(*lengths)), status = CLI_DONE;

    for (size_t i = 0; lengths && i < rows; i++)
        lengths[i] = args->max_length;
    if (!ids || !lengths)
        status = no_memory(state);
    else if (clora_dataset_from_ids(out, ids, NULL, lengths, rows) != CLORA_OK)
        status = cli_fail_library(state->cli);
    free(ids);
    free(lengths);
    return status;
}

static int time_step(const bench_state *state, clora_trainer *trainer, double *seconds) {
    const double begin = progress_clock();
    clora_train_step step = CLORA_TRAIN_STEP_INIT;

    if (clora_trainer_step(&step, trainer) != CLORA_OK || clora_context_finish(state->context) != CLORA_OK)
        return cli_fail_library(state->cli);
    *seconds = progress_clock() - begin;
    return CLI_DONE;
}

/* One step with its device time by kernel, kept after profiling ends. */
static int profile_step(bench_state *state, clora_trainer *trainer) {
    double seconds;
    int status = profile_begin(state->cli, state->context);

    if (status == CLI_DONE)
        status = time_step(state, trainer, &seconds);
    if (status != CLI_DONE)
        return status;
    if (!profile_copy(&state->profile, profile_read(state->context)))
        return no_memory(state);
    return clora_context_profile(state->context, 0) == CLORA_OK ? CLI_DONE : cli_fail_library(state->cli);
}

/* One step that compiles, the measured ones, and one for the breakdown. */
static int time_training(bench_state *state, clora_trainer *trainer) {
    double first;

    progress_phase(state->cli->quiet, "training: a first step, which compiles kernels");
    int status = time_step(state, trainer, &first);

    for (int i = 0; i < state->args->rounds && status == CLI_DONE; i++) {
        progress_phase(state->cli->quiet, "training: round %d of %d", i + 1, state->args->rounds);
        status = time_step(state, trainer, &state->train.seconds[state->train.count++]);
    }
    bench_sort(&state->train);
    state->plan = *clora_trainer_plan(trainer);
    state->train_resident = peak_resident();
    return status == CLI_DONE ? profile_step(state, trainer) : status;
}

static int train(bench_state *state) {
    clora_train_options options = CLORA_TRAIN_OPTIONS_INIT;
    clora_trainer *trainer = NULL;
    clora_dataset *data = NULL;
    int status = make_data(state, &data);

    options.steps = state->args->rounds + 2;
    options.batch_size = state->args->batch_size;
    options.recompute = state->args->recompute;
    options.lr = 1e-5f; /* random tokens teach nothing */
    if (status == CLI_DONE && clora_trainer_create(&trainer, state->model, state->adapter, data, &options) != CLORA_OK)
        status = cli_fail_library(state->cli);
    if (status == CLI_DONE)
        status = time_training(state, trainer);
    clora_trainer_free(trainer);
    clora_dataset_free(data);
    return status;
}

/* ---- generation ---- */

/* Feed the ids so many times, T for each sequence at once. */
static int feed(const bench_state *state, clora_session *session, float *logits, const int32_t *ids, int T, int times,
                double *seconds) {
    const double begin = progress_clock();

    for (int i = 0; i < times; i++)
        if (clora_session_forward(session, logits, ids, T, 0) != CLORA_OK)
            return cli_fail_library(state->cli);
    *seconds = progress_clock() - begin;
    return CLI_DONE;
}

/* In turns without and with the adapter; times[1] is the latter's. */
static int time_session(const bench_state *state, clora_session *session, int batch, int T, int times,
                        bench_times result[2]) {
    float *logits = malloc((size_t)batch * (size_t)clora_model_get_info(state->model)->vocab * sizeof(*logits));
    int32_t *ids = bench_random_ids(state, (size_t)batch * (size_t)T);
    int status = logits && ids ? CLI_DONE : no_memory(state);

    for (int round = -1; round < state->args->rounds && status == CLI_DONE; round++)
        for (int with = 0; with < 2 && status == CLI_DONE; with++) {
            double *seconds = &result[with].seconds[round < 0 ? 0 : round];
            clora_session_reset(session);
            if (clora_session_set_adapter(session, with ? state->adapter : NULL) != CLORA_OK)
                status = cli_fail_library(state->cli);
            else
                status = feed(state, session, logits, ids, T, round < 0 ? 1 : times, seconds);
            result[with].count = round + 1;
        }
    bench_sort(&result[0]);
    bench_sort(&result[1]);
    free(logits);
    free(ids);
    return status;
}

static int generate(const bench_state *state, int batch, int T, int times, bench_times result[2]) {
    clora_session *session = NULL;
    int status;

    progress_phase(state->cli->quiet, "%s: %s", T > 1 ? "prefill" : "decode",
                   text_amount(batch, "sequence", "sequences"));
    if (clora_session_create(&session, state->model, batch, T * times) != CLORA_OK)
        return cli_fail_library(state->cli);
    status = time_session(state, session, batch, T, times, result);
    clora_session_free(session);
    return status;
}

/* ---- all ---- */

static int check_length(const bench_state *state) {
    const int positions = clora_model_get_info(state->model)->max_positions;
    const int longest =
        state->args->max_length > state->args->new_tokens ? state->args->max_length : state->args->new_tokens;

    if (longest > positions)
        return cli_fail(state->cli, "%s do not fit: the model has %s", text_amount(longest, "token", "tokens"),
                        text_amount(positions, "position", "positions"));
    return CLI_DONE;
}

static int load(bench_state *state) {
    const double begin = progress_clock();

    progress_phase(state->cli->quiet, "loading %s", state->args->path);
    if (cli_context_create(&state->context, state->cli) != CLORA_OK ||
        model_args_load(&state->model, state->cli, state->context, state->args->path, &state->args->model) !=
            CLORA_OK ||
        clora_adapter_create(&state->adapter, state->model, &state->args->adapter) != CLORA_OK)
        return cli_fail_library(state->cli);
    state->load_seconds = progress_clock() - begin;
    model_note_head(state->cli, state->args->path, clora_model_get_info(state->model)->own_head);
    return check_length(state);
}

int bench_run(bench_state *state) {
    const bench_args *args = state->args;
    int status = load(state);

    if (status == CLI_DONE && bench_wants(args, BENCH_TRAIN))
        status = train(state); /* first: the peak of memory is to be its own */
    if (status == CLI_DONE && bench_wants(args, BENCH_PREFILL))
        status = generate(state, 1, args->max_length, 1, state->prefill);
    for (int i = 0; i < args->sequences_count && status == CLI_DONE && bench_wants(args, BENCH_DECODE); i++)
        status = generate(state, args->sequences[i], 1, args->new_tokens, state->decode[i]);
    if (status == CLI_DONE && bench_wants(args, BENCH_SWITCH))
        status = bench_switch(state);
    state->resident = peak_resident();
    if (status == CLI_DONE)
        clora_context_memory(state->context, NULL, &state->device);
    return status;
}

void bench_release(bench_state *state) {
    profile_free(state->profile);
    clora_adapter_free(state->adapter);
    clora_model_free(state->model);
    cli_context_free(state->context, state->cli);
}
