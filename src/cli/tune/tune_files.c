#include <stdio.h>

#include "cli/options/device.h"
#include "cli/ui/json_out.h"
#include "cli/options/opt.h"
#include "cli/ui/text.h"
#include "cli/tune/cmd_tune.h"

typedef struct export_args {
    int table;
} export_args;

static const opt export_options[] = {
    {.name = "table",
     .type = OPT_SET,
     .offset = offsetof(export_args, table),
     .help = "write the entries alone, as a table that can be shipped in kernels/tuned"},
    {.name = NULL},
};

static int run_export(cli_state *cli, int argc, char **argv) {
    static const char *const names[] = {"FILE", NULL};
    export_args args = {0};
    opt_group group = {.heading = "What", .options = export_options, .values = &args};
    clora_context *context = NULL;
    const char *path = NULL;
    int status = opt_parse(cli, &group, 1, names, 1, &path, argc, argv);

    if (status != OPT_GO_ON)
        return status;
    if (cli_context_create(&context, cli) != CLORA_OK ||
        (args.table ? clora_tune_export_table : clora_tune_export)(context, path) != CLORA_OK)
        status = cli_fail_library(cli);
    else
        status = cli->json ? json_print(cli, json_pack("{s:s}", "out", path)) : CLI_DONE;
    if (status == CLI_DONE && !cli->json)
        printf("written    %s\n", path);
    clora_context_free(context);
    return status;
}

static int run_import(cli_state *cli, int argc, char **argv) {
    static const char *const names[] = {"FILE", NULL};
    clora_context *context = NULL;
    const char *path = NULL;
    int count = 0, status = opt_parse(cli, NULL, 0, names, 1, &path, argc, argv);

    if (status != OPT_GO_ON)
        return status;
    if (cli_context_create(&context, cli) != CLORA_OK || clora_tune_import(&count, context, path) != CLORA_OK)
        status = cli_fail_library(cli);
    else
        status = cli->json ? json_print(cli, json_pack("{s:i}", "entries", count)) : CLI_DONE;
    if (status == CLI_DONE && !cli->json)
        printf("taken over %s into %s\n", text_amount(count, "entry", "entries"), clora_tune_directory(context));
    clora_context_free(context);
    return status;
}

typedef struct prune_args {
    int others;
} prune_args;

static const opt prune_options[] = {
    {.name = "others",
     .type = OPT_SET,
     .offset = offsetof(prune_args, others),
     .help = "delete what was measured with other devices, drivers and versions of clora as well"},
    {.name = NULL},
};

static int run_prune(cli_state *cli, int argc, char **argv) {
    static const char *const names[] = {NULL};
    prune_args args = {0};
    opt_group group = {.heading = "What", .options = prune_options, .values = &args};
    clora_context *context = NULL;
    int directories = 0, files = 0, status = opt_parse(cli, &group, 1, names, 0, NULL, argc, argv);

    if (status != OPT_GO_ON)
        return status;
    if (cli_context_create(&context, cli) != CLORA_OK ||
        clora_tune_prune(&directories, &files, context, args.others) != CLORA_OK)
        status = cli_fail_library(cli);
    else
        status = cli->json ? json_print(cli, json_pack("{s:i, s:i}", "environments", directories, "files", files))
                           : CLI_DONE;
    if (status == CLI_DONE && !cli->json)
        printf("deleted    %s, %s\n", text_amount(files, "unusable entry", "unusable entries"),
               text_amount(directories, "other environment", "other environments"));
    clora_context_free(context);
    return status;
}

const command command_tune_export = {
    .name = "tune export",
    .summary = "write what was measured as T4 JSON",
    .usage = "FILE [--table] [options]",
    .about = "Writes every entry of this device and every measurement as T4 JSON, the exchange format of auto-tuners, "
             "which Kernel Tuner and KTT read.",
    .example = "clora tune export mine.json",
    .run = run_export,
};

const command command_tune_import = {
    .name = "tune import",
    .summary = "take over the entries of such a file",
    .usage = "FILE [options]",
    .about = "Takes over the entries of a file that clora tune export wrote on a device of the same kind. "
             "'clora tune verify' then checks them on this one.",
    .example = "clora tune import theirs.json",
    .run = run_import,
};

const command command_tune_prune = {
    .name = "tune prune",
    .summary = "delete what cannot be used",
    .usage = "[--others] [options]",
    .about = "Deletes entries of this device that this version of clora cannot use.",
    .example = "clora tune prune --others",
    .run = run_prune,
};
