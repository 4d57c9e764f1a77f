#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include <clora/generate.h>
#include <clora/train.h>
#include <clora/tune.h>

#include "base/clock.h"
#include "bench_words.h"

/*
 * The program clora-tables: what tables of tuned parameters are worth. Each has a context of its own with the model in
 * it; training steps, prompts and tokens are measured in turns, so that a busy moment falls on all of them.
 */

static const char help[] =
    "Usage: clora-tables MODEL [options]\n\n"
    "Measures training steps, prompts and single tokens with several tables of tuned parameters in turns, in one\n"
    "process, and prints the median of each and its speed relative to the first table's.\n\n"
    "  --tables LIST      what to compare (default: off,use). A table is\n"
    "                       off   the rules that hold without tuning\n"
    "                       use   the user's cache directory, as every command takes it\n"
    "                       tile  the kernels and parameters of another class of devices: a GPU's\n"
    "                       DIR   a cache directory, filled by CLORA_CACHE_DIR=DIR clora tune\n"
    "  --ranks LIST       ranks of adapters (default: 4,16,64)\n"
    "  --dtype TYPE       storage of the weights: f32, f16 or bf16 (default: as in the file)\n"
    "  --batch-size N     sequences in a training step (default: 4)\n"
    "  --max-length N     tokens of a sequence, and of the prompt (default: 64)\n"
    "  --new-tokens N     tokens in one measurement of writing (default: 16)\n"
    "  --rounds N         (default: 11)\n"
    "  --device N|NAME    the OpenCL device\n"
    "  --json             one JSON array\n";

enum { MOST_TABLES = 6, ROUNDS = 99 };
enum { TRAIN, PROMPT, TOKENS, USES };
static const char *const use_names[USES] = {"training step", "prompt", "new tokens"};

typedef struct tables_args {
    const char *model, *device;
    char *tables;
    bench_list ranks;
    int dtype, batch_size, max_length, new_tokens, rounds;
    bool json;
} tables_args;

/* One table and all that runs with it. */
typedef struct side {
    const char *table;
    clora_context *context;
    clora_model *model;
    clora_adapter *adapter;
    clora_trainer *trainer;
    clora_session *session;
    float *logits;
    double seconds[USES][ROUNDS];
} side;

typedef struct comparison {
    const tables_args *args;
    side side[MOST_TABLES];
    int sides;
    int32_t *ids; /* batch_size rows */
    clora_dataset *data;
    json_t *results;
} comparison;

static tables_args read_arguments(int argc, char **argv) {
    static const struct option options[] = {{"tables", required_argument, NULL, 't'},
                                            {"ranks", required_argument, NULL, 'R'},
                                            {"dtype", required_argument, NULL, 'y'},
                                            {"batch-size", required_argument, NULL, 'b'},
                                            {"max-length", required_argument, NULL, 'l'},
                                            {"new-tokens", required_argument, NULL, 'w'},
                                            {"rounds", required_argument, NULL, 'n'},
                                            {"device", required_argument, NULL, 'd'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    tables_args args = {
        .ranks = {3, {4, 16, 64}}, .dtype = -1, .batch_size = 4, .max_length = 64, .new_tokens = 16, .rounds = 11};
    int option;

    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1)
        switch (option) {
        case 't': args.tables = optarg; break;
        case 'R': bench_read_numbers(&args.ranks, optarg); break;
        case 'y': args.dtype = (int)bench_read_dtype(optarg, strlen(optarg)); break;
        case 'b': args.batch_size = bench_count(optarg); break;
        case 'l': args.max_length = bench_count(optarg); break;
        case 'w': args.new_tokens = bench_count(optarg); break;
        case 'n': args.rounds = bench_count(optarg); break;
        case 'd': args.device = optarg; break;
        case 'j': args.json = true; break;
        case 'h': fputs(help, stdout); exit(0);
        default: exit(2);
        }
    if (optind != argc - 1)
        bench_misuse("one model directory is needed, not", optind < argc ? argv[optind + 1] : "");
    args.model = argv[optind];
    args.rounds = args.rounds < ROUNDS ? args.rounds : ROUNDS;
    return args;
}

/* ---- one table ---- */

/* A context looks its cache directory and its kernels up when it is made: two variables choose the table. */
static clora_status open_table(side *s, const char *device) {
    const bool off = strcmp(s->table, "off") == 0, tile = strcmp(s->table, "tile") == 0;
    const bool directory = !off && !tile && strcmp(s->table, "use") != 0;
    const char *usual = getenv("CLORA_CACHE_DIR");
    char *before = usual ? strdup(usual) : NULL;
    clora_status status = CLORA_OK;

    if (tile)
        setenv("CLORA_GEMM", "tile", 1);
    if (directory)
        setenv("CLORA_CACHE_DIR", s->table, 1);
    TRY(clora_context_create(&s->context, device));
    clora_tune_set_mode(s->context, off || tile ? CLORA_TUNE_MODE_OFF : CLORA_TUNE_MODE_USE);
    clora_tune_directory(s->context); /* found once */
done:
    if (tile)
        unsetenv("CLORA_GEMM");
    if (directory && before)
        setenv("CLORA_CACHE_DIR", before, 1);
    else if (directory)
        unsetenv("CLORA_CACHE_DIR");
    free(before);
    return status;
}

/* A table without entries would be compared with itself. */
static clora_status check_table(const side *s) {
    const clora_tune_entry **entries = NULL;
    size_t count = 1;
    clora_status status = CLORA_OK;

    if (strcmp(s->table, "off") != 0 && strcmp(s->table, "tile") != 0)
        TRY(clora_tune_entries(&entries, &count, s->context));
    if (count == 0)
        TRY(clora_fail(CLORA_ERROR_NOT_FOUND, "table %s has no entry for this device in %s: run 'clora tune' first",
                       s->table, clora_tune_directory(s->context)));
done:
    free(entries);
    return status;
}

static clora_status open_model(side *s, const tables_args *args) {
    clora_model_options options = CLORA_MODEL_OPTIONS_INIT;
    clora_status status = CLORA_OK;

    options.dtype = args->dtype;
    TRY(open_table(s, args->device));
    TRY(check_table(s));
    TRY(clora_model_load(&s->model, s->context, args->model, &options));
    s->logits = malloc((size_t)clora_model_get_info(s->model)->vocab * sizeof(*s->logits));
    if (!s->logits)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for logits"));
done:
    return status;
}

static void end_rank(side *s) {
    clora_session_free(s->session);
    clora_trainer_free(s->trainer);
    clora_adapter_free(s->adapter);
    s->session = NULL;
    s->trainer = NULL;
    s->adapter = NULL;
}

static clora_status begin_rank(side *s, const comparison *c, int rank) {
    const tables_args *args = c->args;
    clora_adapter_options adapter = CLORA_ADAPTER_OPTIONS_INIT;
    clora_train_options train = CLORA_TRAIN_OPTIONS_INIT;
    const int most = args->max_length > args->new_tokens ? args->max_length : args->new_tokens;
    clora_status status = CLORA_OK;

    adapter.rank = rank;
    train.steps = args->rounds + 1;
    train.batch_size = args->batch_size;
    train.lr = 1e-5f; /* random tokens teach nothing */
    TRY(clora_adapter_create(&s->adapter, s->model, &adapter));
    TRY(clora_trainer_create(&s->trainer, s->model, s->adapter, c->data, &train));
    TRY(clora_session_create(&s->session, s->model, 1, most));
    TRY(clora_session_set_adapter(s->session, s->adapter));
done:
    return status;
}

/* ---- measuring ---- */

static clora_status use_once(side *s, const comparison *c, int use) {
    const tables_args *args = c->args;
    clora_train_step step = CLORA_TRAIN_STEP_INIT;
    clora_status status = CLORA_OK;

    if (use == TRAIN)
        TRY(clora_trainer_step(&step, s->trainer));
    else
        clora_session_reset(s->session);
    if (use == PROMPT)
        TRY(clora_session_forward(s->session, s->logits, c->ids, args->max_length, 0));
    for (int i = 0; use == TOKENS && i < args->new_tokens; i++)
        TRY(clora_session_forward(s->session, s->logits, c->ids + i % args->max_length, 1, 0));
    TRY(clora_context_finish(s->context));
done:
    return status;
}

/* The first round compiles and is not kept; who begins changes from round to round. */
static clora_status measure_use(comparison *c, int use) {
    clora_status status = CLORA_OK;

    for (int round = -1; round < c->args->rounds; round++)
        for (int i = 0; i < c->sides; i++) {
            side *s = &c->side[(i + round + 1) % c->sides];
            const double begin = clock_seconds();
            TRY(use_once(s, c, use));
            if (round >= 0)
                s->seconds[use][round] = clock_seconds() - begin;
        }
    for (int i = 0; i < c->sides; i++)
        qsort(c->side[i].seconds[use], (size_t)c->args->rounds, sizeof(double), bench_by_size);
done:
    return status;
}

static double median(const side *s, int use, int rounds) {
    return s->seconds[use][rounds / 2];
}

static void print_rank(const comparison *c, int rank) {
    const int rounds = c->args->rounds;

    for (int use = 0; use < USES; use++)
        for (int i = 0; i < c->sides; i++) {
            const side *s = &c->side[i];
            const double time = median(s, use, rounds), first = median(&c->side[0], use, rounds);
            if (!c->args->json)
                printf("%4d  %-13s  %10.2f ms  %5.2f  %s\n", rank, use_names[use], 1e3 * time, first / time, s->table);
            json_array_append_new(c->results, json_pack("{s:i, s:s, s:s, s:f, s:f, s:f}", "rank", rank, "use",
                                                        use_names[use], "table", s->table, "median_seconds", time,
                                                        "best_seconds", s->seconds[use][0], "speed", first / time));
        }
    fflush(stdout);
}

static clora_status measure_rank(comparison *c, int rank) {
    clora_status status = CLORA_OK;

    for (int i = 0; i < c->sides; i++)
        TRY(begin_rank(&c->side[i], c, rank));
    for (int use = 0; use < USES; use++)
        TRY(measure_use(c, use));
    print_rank(c, rank);
done:
    for (int i = 0; i < c->sides; i++)
        end_rank(&c->side[i]);
    return status;
}

static clora_status make_data(comparison *c) {
    const size_t rows = (size_t)c->args->batch_size, length = (size_t)c->args->max_length;
    const uint32_t vocab = (uint32_t)clora_model_get_info(c->side[0].model)->vocab;
    int *lengths = malloc(rows * sizeof(*lengths));
    clora_status status = CLORA_OK;

    c->ids = malloc(rows * length * sizeof(*c->ids));
    if (!c->ids || !lengths)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for tokens"));
    for (size_t i = 0; i < rows * length; i++)
        c->ids[i] = (int32_t)((uint32_t)(i + 1) * 2654435761u % vocab);
    for (size_t i = 0; i < rows; i++)
        lengths[i] = c->args->max_length;
    TRY(clora_dataset_from_ids(&c->data, c->ids, NULL, lengths, rows));
done:
    free(lengths);
    return status;
}

static clora_status run(comparison *c) {
    char usual[] = "off,use", *list = c->args->tables ? c->args->tables : usual, *rest = list;
    clora_status status = CLORA_OK;

    for (char *table; (table = strsep(&rest, ","));) {
        if (c->sides == MOST_TABLES)
            TRY(clora_fail(CLORA_ERROR_ARGUMENT, "at most %d tables are compared", MOST_TABLES));
        c->side[c->sides].table = table;
        TRY(open_model(&c->side[c->sides++], c->args));
    }
    TRY(make_data(c));
    if (!c->args->json)
        printf("rank  use                  median  speed  table\n");
    for (int i = 0; i < c->args->ranks.count; i++)
        TRY(measure_rank(c, c->args->ranks.item[i]));
    if (c->args->json) {
        json_dumpf(c->results, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
        putchar('\n');
    }
done:
    clora_dataset_free(c->data);
    for (int i = 0; i < c->sides; i++) {
        free(c->side[i].logits);
        clora_model_free(c->side[i].model);
        clora_context_free(c->side[i].context);
    }
    free(c->ids);
    return status;
}

int main(int argc, char **argv) {
    const tables_args args = read_arguments(argc, argv);
    comparison *c = calloc(1, sizeof(*c));
    clora_status status = CLORA_ERROR_MEMORY;

    if (c) {
        c->args = &args;
        c->results = json_array();
        status = run(c);
    }
    if (status != CLORA_OK)
        fprintf(stderr, "clora-tables: %s\n", clora_last_error());
    json_decref(c ? c->results : NULL);
    free(c);
    return status != CLORA_OK;
}
