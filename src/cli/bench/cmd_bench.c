#include <stdlib.h>

#include "cli/bench/cmd_bench.h"
#include "cli/options/opt.h"

static const char *const parts[] = {"all", "train", "prefill", "decode", "switch", NULL};

static const opt size_options[] = {
    {.name = "batch-size",
     .type = OPT_INT,
     .offset = offsetof(bench_args, batch_size),
     .value = "N",
     .low = 1,
     .high = 65536,
     .help = "sequences in a training step"},
    {.name = "max-length",
     .type = OPT_INT,
     .offset = offsetof(bench_args, max_length),
     .value = "N",
     .low = 2,
     .high = 2147483647,
     .help = "tokens of a sequence in training, and of the prompt in prefill"},
    {.name = "new-tokens",
     .type = OPT_INT,
     .offset = offsetof(bench_args, new_tokens),
     .value = "N",
     .low = 1,
     .high = 2147483647,
     .help = "tokens of a sequence to decode"},
    {.name = "sequences",
     .type = OPT_TEXT,
     .offset = offsetof(bench_args, sequences_text),
     .value = "LIST",
     .help = "batch sizes of decode, such as 1,8,32"},
    {.name = "rounds",
     .type = OPT_INT,
     .offset = offsetof(bench_args, rounds),
     .value = "N",
     .low = 1,
     .high = BENCH_ROUNDS,
     .help = "measurements after a first one that compiles kernels; the best counts"},
    {.name = "only",
     .type = OPT_CHOICE,
     .offset = offsetof(bench_args, only),
     .value = "PART",
     .choices = parts,
     .help = "all (but switch), train, prefill, decode, or switch: adapters merged into the weights in turns"},
    {.name = NULL},
};

static const opt model_part[] = {
    {.name = "rank",
     .type = OPT_INT,
     .offset = offsetof(bench_args, adapter.rank),
     .value = "N",
     .low = 1,
     .high = 65536,
     .help = "rank of the adapter"},
    {.name = "target-modules",
     .type = OPT_TEXT,
     .offset = offsetof(bench_args, adapter.target_modules),
     .value = "LIST",
     .help = "layers to adapt: all-linear, ends of names such as q_proj,v_proj, or a regular expression"},
    {.name = "recompute",
     .type = OPT_SET,
     .offset = offsetof(bench_args, recompute),
     .help = "gradient checkpointing of layers"},
    {.name = "dtype",
     .type = OPT_CHOICE,
     .offset = offsetof(bench_args, model.dtype),
     .value = "TYPE",
     .choices = model_dtypes,
     .help = MODEL_DTYPE_HELP},
    {.name = NULL},
};

static int read_sequences(const cli_state *cli, bench_args *args) {
    enum { MOST = 65536 };
    const char *text = args->sequences_text;

    for (char *end; args->sequences_count < BENCH_SEQUENCES; text = end + 1) {
        const long n = *text >= '0' && *text <= '9' ? strtol(text, &end, 10) : 0;
        if (n < 1 || n > MOST || (*end && *end != ','))
            break;
        args->sequences[args->sequences_count++] = (int)n;
        if (!*end)
            return CLI_DONE;
    }
    return cli_misuse(cli, "--sequences %s: at most %d numbers from 1 to %d with commas between them are needed",
                      args->sequences_text, BENCH_SEQUENCES, MOST);
}

static int run(cli_state *cli, int argc, char **argv) {
    static const char *const names[] = {"MODEL", NULL};
    bench_args args = {.sequences_text = "1",
                       .batch_size = 4,
                       .max_length = 256,
                       .new_tokens = 32,
                       .rounds = 4,
                       .adapter = CLORA_ADAPTER_OPTIONS_INIT};
    opt_group groups[] = {{.heading = "Work", .options = size_options, .values = &args},
                          {.heading = "Model and adapter", .options = model_part, .values = &args}};
    bench_state state = {.cli = cli, .args = &args};
    int status = opt_parse(cli, groups, 2, names, 1, &args.path, argc, argv);

    if (status != OPT_GO_ON)
        return status;
    status = read_sequences(cli, &args);
    if (status == CLI_DONE)
        status = bench_run(&state);
    if (status == CLI_DONE)
        status = bench_report(&state);
    bench_release(&state);
    return status;
}

const command command_bench = {
    .name = "bench",
    .summary = "measure how fast a model trains and generates here",
    .usage = "MODEL [options]",
    .about = "Times training steps of an adapter, prefill and decode on random tokens, and prints tokens per second, "
             "the peak of resident memory beside what was planned, and the device time of a training step by kernel. "
             "Nothing is saved.",
    .example = "clora bench models/tiny --sequences 1,8",
    .run = run,
};
