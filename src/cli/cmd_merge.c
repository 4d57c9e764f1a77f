#include <stdbool.h>
#include <stdio.h>

#include <clora/adapter.h>
#include <clora/tokenizer.h>

#include "cli/cli.h"
#include "cli/ui/interrupt.h"
#include "cli/ui/json_out.h"
#include "cli/options/model_options.h"
#include "cli/options/opt.h"
#include "cli/ui/progress.h"
#include "cli/ui/text.h"

typedef struct merge_args {
    const char *adapter; /* said as an option */
    const char *out;
    int dtype;
} merge_args;

/* "file", then in the order of clora_dtype. */
static const char *const file_dtypes[] = {"file", "f32", "f16", "bf16", NULL};

static const opt options[] = {
    {.name = "out",
     .type = OPT_PATH,
     .offset = offsetof(merge_args, out),
     .value = "DIR",
     .flags = OPT_REQUIRED,
     .help = "directory for the merged model; must not exist, or be empty"},
    {.name = "adapter",
     .type = OPT_PATH,
     .offset = offsetof(merge_args, adapter),
     .value = "DIR",
     .standard = "",
     .help = "the adapter, instead of ADAPTER"},
    {.name = "dtype",
     .type = OPT_CHOICE,
     .offset = offsetof(merge_args, dtype),
     .value = "TYPE",
     .choices = file_dtypes,
     .help = "type of the matrices that are written: file (each as it was), f32, f16 or bf16"},
    {.name = NULL},
};

typedef struct merge_table {
    const cli_state *cli;
    int rows;
    progress bar;
    bool interrupted;
} merge_table;

static int show_progress(void *user, int64_t done, int64_t total) {
    enum { MIB = 1 << 20 };
    merge_table *table = user;

    if (table->bar.total == 0)
        progress_begin(&table->bar, total / MIB, 0, table->cli->quiet);
    progress_update(&table->bar, done / MIB, "MiB");
    table->interrupted = interrupt_seen();
    return table->interrupted;
}

static void print_row(void *user, const char *kind, const clora_merge_result *report) {
    merge_table *table = user;

    if (table->cli->json || table->cli->quiet)
        return;
    progress_clear_all();
    if (table->rows++ == 0)
        printf("%-20s %8s %16s %16s\n", "modules", "merged", "largest change", "rounding error");
    printf("%-20s %8d %16.3g %16.3g\n", kind, report->modules, report->max_change, report->max_rounding_error);
    fflush(stdout);
}

static int report_json(const cli_state *cli, const char *out, const clora_merge_result *report) {
    json_t *object =
        json_pack("{s:o, s:i, s:o, s:o}", "out", json_path(out), "modules", report->modules, "max_change",
                  json_number(report->max_change), "max_rounding_error", json_number(report->max_rounding_error));

    if (report->copies > 0)
        json_object_set_new(object, "copies", json_integer(report->copies));
    return json_print(cli, object);
}

/* A tokenizer is copied as it is: a broken one spoils the merged model as it did the base. */
static void note_tokenizer(const cli_state *cli, const char *directory) {
    clora_tokenizer *tokenizer;

    if (clora_tokenizer_load(&tokenizer, directory) == CLORA_ERROR_FORMAT)
        cli_note(cli, "the tokenizer is copied, but it is broken: %s", clora_last_error());
    clora_tokenizer_free(tokenizer);
}

static int run(cli_state *cli, int argc, char **argv) {
    static const char *const names[] = {"MODEL", "ADAPTER", NULL};
    const char *paths[2];
    merge_args args = {.dtype = 0};
    opt_group groups[] = {{.heading = "Output", .options = options, .values = &args}};
    merge_table table = {.cli = cli};
    clora_merge_options how = CLORA_MERGE_OPTIONS_INIT;
    clora_merge_result report = CLORA_MERGE_RESULT_INIT;
    const int status = opt_parse(cli, groups, 1, names, 1, paths, argc, argv);

    if (status != OPT_GO_ON)
        return status;
    if (!paths[1] == !args.adapter)
        return cli_misuse(cli, paths[1] ? "ADAPTER or --adapter, not both" : "ADAPTER is missing");
    const char *adapter = paths[1] ? paths[1] : args.adapter;
    how.callback = print_row;
    how.progress = show_progress;
    how.user = &table;
    how.dtype = args.dtype - 1;
    interrupt_watch("\nclora merge: interrupted; removing what was written (once more: end at once)\n");
    progress_phase(cli->quiet, "reading %s", paths[0]);
    const clora_status merged = clora_merge(paths[0], adapter, args.out, &how, &report);
    progress_end(&table.bar);
    if (table.interrupted) {
        cli_fail(cli, "interrupted; nothing is left in %s", args.out);
        return interrupt_status();
    }
    if (merged != CLORA_OK)
        return cli_fail_library(cli);
    model_note_head(cli, paths[0], report.own_head);
    note_tokenizer(cli, paths[0]);
    if (cli->json)
        return report_json(cli, args.out, &report);
    if (!cli->quiet) {
        print_row(&table, "all", &report);
        if (report.copies > 0)
            printf("%s taken whole from the adapter\n", text_amount(report.copies, "tensor", "tensors"));
        printf("Saved the merged model to %s\n", args.out);
    }
    return CLI_DONE;
}

const command command_merge = {
    .name = "merge",
    .summary = "merge an adapter into the weights of a model",
    .usage = "MODEL ADAPTER --out DIR [options]",
    .about = "Adds the adapter to the weights, W0 + s B A, and writes a complete model directory that runs without the "
             "adapter and as fast as the base. MODEL is never written to. Products are formed in single precision and "
             "rounded once to the type of the file; the table shows, for each kind of module, the largest change of a "
             "weight and the largest error of that rounding. Merging runs on the host: --device has no effect.",
    .example = "clora merge models/tiny my-adapter --out my-model",
    .run = run,
};
