#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <clora/exchange.h>

#include "cli/cli.h"
#include "cli/options/opt.h"
#include "cli/ui/json_out.h"

enum { MOST_ADAPTERS = 32 };

typedef struct combine_args {
    const char *out;
    clora_combine_options how;
    int method, majority;
} combine_args;

/* In the order of clora_combination, clora_majority and clora_dtype. */
static const char *const methods[] = {"svd", "cat", "sum", "ties", "dare", "dare_ties", NULL};
static const char *const majorities[] = {"total", "frequency", NULL};
static const char *const dtypes[] = {"f32", "f16", "bf16", NULL};

#define HOW(field) offsetof(combine_args, how.field)

static const opt options[] = {
    {.name = "out",
     .type = OPT_PATH,
     .offset = offsetof(combine_args, out),
     .value = "DIR",
     .flags = OPT_REQUIRED,
     .help = "directory for the combined adapter"},
    {.name = "method",
     .type = OPT_CHOICE,
     .offset = offsetof(combine_args, method),
     .value = "WAY",
     .choices = methods,
     .help = "svd (best approximation by a rank), cat (exact, ranks add up), sum (of the factors, rough), ties, dare "
             "or dare_ties"},
    {.name = "rank",
     .type = OPT_INT,
     .offset = HOW(rank),
     .value = "R",
     .low = 1,
     .high = 1 << 16,
     .standard = "the largest of the adapters'",
     .help = "rank, with svd"},
    {.name = "density",
     .type = OPT_DOUBLE,
     .offset = HOW(density),
     .value = "X",
     .low = 0,
     .high = 1,
     .flags = OPT_ABOVE,
     .help = "share of values that ties, dare and dare_ties keep"},
    {.name = "majority-sign",
     .type = OPT_CHOICE,
     .offset = offsetof(combine_args, majority),
     .value = "WHICH",
     .choices = majorities,
     .help = "sign that prevails in ties and dare_ties: of the total, or the most frequent"},
    {.name = "seed",
     .type = OPT_SEED,
     .offset = HOW(seed),
     .value = "N",
     .help = "of what dare and dare_ties keep at random"},
    {.name = "adapter-dtype",
     .type = OPT_CHOICE,
     .offset = HOW(dtype),
     .value = "TYPE",
     .choices = dtypes,
     .help = "type of the factors that are written"},
    {.name = NULL},
};

typedef struct weighted {
    char *path[MOST_ADAPTERS];
    float weight[MOST_ADAPTERS];
    size_t count;
} weighted;

/* "PATH:0.7", or a path alone: weight 1. A colon before anything but a number belongs to the path. */
static int take_weighted(const cli_state *cli, weighted *out, const char *word) {
    const char *colon = strrchr(word, ':');
    char *path = strdup(word), *end = NULL;
    const float weight = colon && colon[1] ? strtof(colon + 1, &end) : 1.0f;
    const bool weighs = end && *end == '\0';

    if (!path)
        return cli_fail(cli, "no memory for a path");
    out->path[out->count] = path;
    out->weight[out->count++] = weighs ? weight : 1.0f;
    if (weighs)
        path[colon - word] = '\0';
    if (*path == '\0')
        return cli_misuse(cli, "'%s' is not ADAPTER:WEIGHT", word);
    if (weighs && !isfinite(weight))
        return cli_misuse(cli, "'%s': the weight must be a finite number", word);
    return OPT_GO_ON;
}

static int check_methods(const cli_state *cli, const opt_group *group, int method) {
    enum { SVD = 1 << CLORA_COMBINE_SVD, TIES = 1 << CLORA_COMBINE_TIES, DARE = 1 << CLORA_COMBINE_DARE };
    enum { DARE_TIES = 1 << CLORA_COMBINE_DARE_TIES };
    static const struct {
        const char *option;
        int methods; /* that it goes with */
    } rules[] = {{"rank", SVD},
                 {"density", TIES | DARE | DARE_TIES},
                 {"majority-sign", TIES | DARE_TIES},
                 {"seed", DARE | DARE_TIES}};

    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        if (opt_given(group, 1, rules[i].option) && !(rules[i].methods >> method & 1))
            return cli_misuse(cli, "--%s has no effect with --method %s", rules[i].option, methods[method]);
    return OPT_GO_ON;
}

static int combine(const cli_state *cli, const weighted *from, const combine_args *args) {
    clora_combine_result report = CLORA_COMBINE_RESULT_INIT;

    if (clora_adapter_combine((const char *const *)from->path, from->weight, from->count, args->out, &args->how,
                              &report) != CLORA_OK)
        return cli_fail_library(cli);
    if (cli->json)
        return json_print(cli, json_pack("{s:o, s:i, s:i, s:o}", "out", json_path(args->out), "modules", report.modules,
                                         "rank", report.rank, "lost", json_number(report.lost)));
    if (cli->quiet)
        return CLI_DONE;
    printf("Saved %zu adapters as one to %s: %d modules, rank %d", from->count, args->out, report.modules, report.rank);
    if (args->how.method == CLORA_COMBINE_SVD)
        printf(", %.3g %% of the sum lost", 100 * report.lost);
    printf("\n");
    return CLI_DONE;
}

static int run(cli_state *cli, int argc, char **argv) {
    const char *names[MOST_ADAPTERS + 1] = {NULL}, *words[MOST_ADAPTERS];
    combine_args args = {.how = CLORA_COMBINE_OPTIONS_INIT};
    opt_group group = {.heading = "Combining", .options = options, .values = &args};
    weighted from = {.count = 0};
    int status;

    for (int i = 0; i < MOST_ADAPTERS; i++)
        names[i] = "ADAPTER";
    status = opt_parse(cli, &group, 1, names, 1, words, argc, argv);
    if (status == OPT_GO_ON)
        status = check_methods(cli, &group, args.method);
    for (int i = 0; i < MOST_ADAPTERS && words[i] && status == OPT_GO_ON; i++)
        status = take_weighted(cli, &from, words[i]);
    args.how.method = (clora_combination)args.method;
    args.how.majority = (clora_majority)args.majority;
    if (status == OPT_GO_ON)
        status = combine(cli, &from, &args);
    for (size_t i = 0; i < from.count; i++)
        free(from.path[i]);
    return status;
}

const command command_combine = {
    .name = "combine",
    .summary = "combine adapters of one model into one",
    .usage = "ADAPTER[:WEIGHT] ... --out DIR [options]",
    .about = "Makes one LoRA adapter of several, each times its weight (1 where none is given; it may be negative), by "
             "the definitions of PEFT's add_weighted_adapter: svd, cat, ties and dare_ties go by PEFT's names, sum is "
             "its linear and dare its dare_linear.\n\n"
             "svd and cat work on what the adapters add to the weights, whatever their ranks and scales; the others "
             "work on the factors one by one, which need equal ranks and let products of different adapters' factors "
             "in. Combining runs on the host and needs no model: --device has no effect.",
    .example = "clora combine style:0.7 facts:0.3 --rank 16 --out both",
    .run = run,
};
