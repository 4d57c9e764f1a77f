#ifndef CLI_CMD_BENCH_H
#define CLI_CMD_BENCH_H

#include <clora/generate.h>
#include <clora/train.h>

#include "cli/cli.h"
#include "cli/options/model_options.h"
#include "cli/ui/profile_out.h"

/* The parts of `clora bench`: cmd_bench.c has the options, bench_run.c measures, bench_report.c prints. */

enum { BENCH_SEQUENCES = 8, BENCH_ROUNDS = 32 };

typedef enum bench_part { BENCH_ALL, BENCH_TRAIN, BENCH_PREFILL, BENCH_DECODE } bench_part;

typedef struct bench_args {
    const char *path, *sequences_text;
    int batch_size, max_length, new_tokens, rounds, only, recompute;
    int sequences[BENCH_SEQUENCES], sequences_count;
    clora_adapter_options adapter;
    model_args model;
} bench_args;

/* Seconds of the rounds after the first, which compiles kernels. */
typedef struct bench_times {
    int count;
    double seconds[BENCH_ROUNDS]; /* in order of size when the measurement is done */
} bench_times;

typedef struct bench_state {
    const cli_state *cli;
    const bench_args *args;
    clora_context *context;
    clora_model *model;
    clora_adapter *adapter;
    double load_seconds;
    /* results; a count of 0: not measured */
    bench_times train, prefill[2], decode[BENCH_SEQUENCES][2]; /* [1]: with the adapter */
    clora_memory_plan plan;
    profile_view profile; /* of a training step; the entries are in profile_copy */
    clora_profile_entry *profile_copy;
    size_t train_resident, resident, device; /* peaks */
} bench_state;

/* Does this part belong to what was asked for? */
static inline int bench_wants(const bench_args *args, bench_part part) {
    return args->only == BENCH_ALL || args->only == (int)part;
}

int bench_run(bench_state *state); /* CLI_DONE, or the exit status after saying what is wrong */
void bench_release(bench_state *state);

int bench_report(const bench_state *state);

#endif
