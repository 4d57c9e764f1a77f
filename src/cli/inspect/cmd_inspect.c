#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/inspect/cmd_inspect.h"
#include "cli/options/opt.h"

static const opt model_part[] = {
    {.name = "rank",
     .type = OPT_INT,
     .offset = offsetof(inspect_args, rank),
     .value = "N",
     .low = 1,
     .high = 65536,
     .help = "rank of an adapter on all linear layers"},
    {.name = "batch-size",
     .type = OPT_INT,
     .offset = offsetof(inspect_args, data.batch_size),
     .value = "N",
     .low = 1,
     .high = 65536,
     .help = "sequences in a batch"},
    {.name = "dtype",
     .type = OPT_CHOICE,
     .offset = offsetof(inspect_args, model.dtype),
     .value = "TYPE",
     .choices = model_dtypes,
     .help = MODEL_DTYPE_HELP},
    {.name = "max-length",
     .type = OPT_INT,
     .offset = offsetof(inspect_args, data.max_length),
     .value = "N",
     .low = 2,
     .high = 2147483647,
     .standard = DATA_LENGTH_STANDARD,
     .help = "longest sequence in tokens; for data too"},
    {.name = NULL},
};

static const opt data_part[] = {
    {.name = "model",
     .type = OPT_PATH,
     .offset = offsetof(inspect_args, model_path),
     .value = "MODEL",
     .help = "count the tokens that the file becomes for this model"},
    {.name = "show",
     .type = OPT_INT,
     .offset = offsetof(inspect_args, show),
     .value = "N",
     .standard = "",
     .low = 1,
     .high = 1000000,
     .help = "with --model: print the first N sequences, their target tokens in colour on a terminal, else in [[ ]]"},
    {.name = "ids", .type = OPT_SET, .offset = offsetof(inspect_args, ids), .help = "with --show: print their ids too"},
    {.name = "columns",
     .type = OPT_TEXT,
     .offset = offsetof(inspect_args, data.columns),
     .value = "C,T",
     .standard = DATA_COLUMNS_STANDARD,
     .help = DATA_COLUMNS_HELP},
    {.name = "keys",
     .type = OPT_TEXT,
     .offset = offsetof(inspect_args, data.keys),
     .value = "P,C",
     .standard = "",
     .help = DATA_KEYS_HELP},
    {.name = "template",
     .type = OPT_PATH,
     .offset = offsetof(inspect_args, data.template),
     .value = "NAME",
     .standard = DATA_TEMPLATE_STANDARD,
     .choices = data_templates,
     .help = DATA_TEMPLATE_HELP},
    {.name = NULL},
};

static bool holds(const char *directory, const char *name) {
    char path[4096];
    struct stat info;

    return snprintf(path, sizeof(path), "%s/%s", directory, name) < (int)sizeof(path) && lstat(path, &info) == 0;
}

/* Options that were given but say nothing about this kind of PATH. */
static void note_unused(const cli_state *cli, const opt_group *group, const char *kind, const char *used) {
    for (int i = 0; group->options[i].name; i++)
        if (group->given >> i & 1 && !(used && strcmp(group->options[i].name, used) == 0))
            cli_note(cli, "--%s changes nothing for %s", group->options[i].name, kind);
}

/* Neither a directory that can be inspected nor a data file: the library knows what else it may be. */
static int refuse(const cli_state *cli, const char *path) {
    clora_stored *stored;

    if (clora_inspect_model(&stored, path) == CLORA_OK)
        clora_stored_free(stored);
    return cli_fail_library(cli);
}

static bool is_weights(const char *path) {
    static const char *const endings[] = {".safetensors", ".gguf", ".bin", ".pt", ".pth", ".ckpt"};
    const char *ending = strrchr(path, '.');

    for (size_t i = 0; ending && i < sizeof(endings) / sizeof(endings[0]); i++)
        if (strcasecmp(ending, endings[i]) == 0)
            return true;
    return false;
}

/* The JSON files of a model's or an adapter's directory, which are no data. */
static bool is_settings(const char *path) {
    static const char *const names[] = {"config.json", "generation_config.json", "tokenizer.json",
                                        "tokenizer_config.json", "adapter_config.json"};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* What "owner/name" may be: a model of the Hugging Face hub. */
static bool is_name(const char *path) {
    const char *slash = strchr(path, '/');

    return slash && path[0] != '.' && slash != path && !strchr(slash + 1, '/');
}

static int inspect(const cli_state *cli, const inspect_args *args, const opt_group *model, const opt_group *data) {
    struct stat info;

    if (stat(args->path, &info) != 0)
        return errno == ENOENT && !is_name(args->path) && lstat(args->path, &info) != 0
                   ? cli_fail(cli, "cannot read %s: %s", args->path, strerror(ENOENT))
                   : refuse(cli, args->path);
    if (!S_ISDIR(info.st_mode) && (is_weights(args->path) || is_settings(args->path)))
        return refuse(cli, args->path);
    if (!S_ISDIR(info.st_mode)) {
        note_unused(cli, model, "a data file", args->model_path ? "max-length" : NULL);
        return inspect_data(cli, args);
    }
    if (holds(args->path, "adapter_config.json")) {
        note_unused(cli, model, "an adapter", NULL);
        note_unused(cli, data, "an adapter", NULL);
        return inspect_adapter(cli, args);
    }
    if (!holds(args->path, "config.json"))
        return refuse(cli, args->path);
    note_unused(cli, data, "a model", NULL);
    return inspect_model(cli, args);
}

static int run(cli_state *cli, int argc, char **argv) {
    static const char *const names[] = {"PATH", NULL};
    inspect_args args = {.rank = 8, .data = DATA_ARGS_INIT(4)};
    opt_group groups[] = {{.heading = "A model: what training it would take", .options = model_part, .values = &args},
                          {.heading = "A data file", .options = data_part, .values = &args}};
    const int status = opt_parse(cli, groups, 2, names, 1, &args.path, argc, argv);

    if (status == OPT_GO_ON && args.show > 0 && !args.model_path)
        return cli_misuse(cli, "--show prints what a file becomes for a model: give --model MODEL");
    if (status == OPT_GO_ON && args.ids && args.show == 0)
        return cli_misuse(cli, "--ids is for --show N");
    return status == OPT_GO_ON ? inspect(cli, &args, &groups[0], &groups[1]) : status;
}

const command command_inspect = {
    .name = "inspect",
    .summary = "describe a model, an adapter or a data file",
    .usage = "PATH [options]",
    .about =
        "Describes what is at PATH: a model directory (sizes, storage types, parameters, the device memory that "
        "loading and training it take), a PEFT adapter directory, or a file of training data. Weights are not loaded.",
    .example = "clora inspect models/tiny --rank 16",
    .run = run,
};
