#ifndef CLI_CMD_BENCH_H
#define CLI_CMD_BENCH_H

#include <clora/generate.h>
#include <clora/train.h>

#include "cli/cli.h"
#include "cli/options/model_options.h"
#include "cli/ui/profile_out.h"

/* The parts of `clora bench`: cmd_bench.c has the options, bench_run.c measures, bench_switch.c and bench_drift.c too,
 * bench_report.c prints. */

enum { BENCH_SEQUENCES = 8, BENCH_ROUNDS = 32 };

typedef enum bench_part { BENCH_ALL, BENCH_TRAIN, BENCH_PREFILL, BENCH_DECODE, BENCH_SWITCH } bench_part;

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

/* An adapter merged into the weights in the place of another, at one rank. */
typedef struct bench_switch_time {
    int rank;
    bench_times merged, copied; /* a switch, and a copy of the adapted weights on the device, in turns */
    bench_times uploaded;       /* A and B: what a switch costs where nothing is merged */
    double flops;               /* 2 r N K of all adapted weights */
} bench_switch_time;

/* What is left of W0 in one layer after so many cycles to another adapter and back: by subtracting and adding in these
 * types, and by clora_adapter_switch(). */
typedef struct bench_drift {
    char module[128];
    int cycles;
    double largest;   /* |W0| */
    double bf16, f16; /* largest |W - W0| by subtracting and adding */
    double switched;  /* by switching, in the type that the model has */
} bench_drift;

enum { BENCH_RANKS = 4 };

typedef struct bench_switches {
    size_t bytes; /* of the adapted weights */
    int count;
    bench_switch_time rank[BENCH_RANKS];
    bench_drift drift;
} bench_switches;

typedef struct bench_state {
    const cli_state *cli;
    const bench_args *args;
    clora_context *context;
    clora_model *model;
    clora_adapter *adapter;
    double load_seconds;
    /* results; a count of 0: not measured */
    bench_times train, prefill[2], decode[BENCH_SEQUENCES][2]; /* [1]: with the adapter */
    bench_switches switches;
    clora_memory_plan plan;
    profile_view profile;                    /* of a training step; a copy to be freed */
    size_t train_resident, resident, device; /* peaks */
} bench_state;

/* Does this part belong to what was asked for? Switches are measured only by themselves. */
static inline int bench_wants(const bench_args *args, bench_part part) {
    return (args->only == BENCH_ALL && part != BENCH_SWITCH) || args->only == (int)part;
}

int bench_run(bench_state *state); /* CLI_DONE, or the exit status after saying what is wrong */
void bench_release(bench_state *state);

int bench_report(const bench_state *state);

int bench_switch(bench_state *state);                            /* bench_switch.c: as bench_run */
int bench_drift_measure(bench_drift *out, const bench_state *s); /* bench_drift.c */

/* bench_rounds.c */
void bench_sort(bench_times *times);
int32_t *bench_random_ids(const bench_state *state, size_t count); /* the caller frees */

#endif
