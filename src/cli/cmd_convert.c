#include <stdio.h>

#include <clora/exchange.h>

#include "cli/cli.h"
#include "cli/options/opt.h"
#include "cli/ui/json_out.h"

typedef struct convert_args {
    const char *out;
    clora_convert_options how;
    int to;
} convert_args;

/* In the order of clora_format and clora_dtype. */
static const char *const formats[] = {"peft", "mlx", "gguf", NULL};
static const char *const dtypes[] = {"f32", "f16", "bf16", NULL};

static const opt options[] = {
    {.name = "to",
     .type = OPT_CHOICE,
     .offset = offsetof(convert_args, to),
     .value = "FORMAT",
     .choices = formats,
     .flags = OPT_REQUIRED,
     .standard = "",
     .help = "peft and mlx: a directory; gguf: a file"},
    {.name = "out",
     .type = OPT_PATH,
     .offset = offsetof(convert_args, out),
     .value = "PATH",
     .flags = OPT_REQUIRED,
     .help = "what is written; must not be there"},
    {.name = "model",
     .type = OPT_PATH,
     .offset = offsetof(convert_args, how.model),
     .value = "MODEL",
     .standard = "",
     .help = "model of the adapter, for the order of rows in GGUF and the number of layers; only its config.json is "
             "read"},
    {.name = "adapter-dtype",
     .type = OPT_CHOICE,
     .offset = offsetof(convert_args, how.dtype),
     .value = "TYPE",
     .choices = dtypes,
     .help = "type of the factors that are written"},
    {.name = NULL},
};

static int convert(const cli_state *cli, const char *adapter, const convert_args *args) {
    clora_convert_result report = CLORA_CONVERT_RESULT_INIT;

    if (clora_adapter_convert(adapter, args->out, &args->how, &report) != CLORA_OK)
        return cli_fail_library(cli);
    const char *from = formats[report.from], *to = formats[args->to];
    if (cli->json)
        return json_print(cli, json_pack("{s:o, s:s, s:s, s:i, s:b}", "out", json_path(args->out), "from", from, "to",
                                         to, "modules", report.modules, "folded", report.folded));
    if (report.folded)
        cli_note(cli, "the scales of the modules are in their factors B: %s has no place for them", to);
    if (!cli->quiet)
        printf("Saved the adapter in the format of %s to %s: %d modules\n", to, args->out, report.modules);
    return CLI_DONE;
}

static int run(cli_state *cli, int argc, char **argv) {
    static const char *const names[] = {"ADAPTER", NULL};
    convert_args args = {.how = CLORA_CONVERT_OPTIONS_INIT};
    opt_group group = {.heading = "Converting", .options = options, .values = &args};
    const char *adapter;
    const int status = opt_parse(cli, &group, 1, names, 1, &adapter, argc, argv);

    if (status != OPT_GO_ON)
        return status;
    args.how.to = (clora_format)args.to;
    return convert(cli, adapter, &args);
}

const command command_convert = {
    .name = "convert",
    .summary = "convert an adapter to or from mlx-lm's and GGUF's formats",
    .usage = "ADAPTER --to peft|mlx|gguf --out PATH [options]",
    .about = "Reads a LoRA adapter (a PEFT directory, an mlx-lm directory with adapters.safetensors, a GGUF file of "
             "general.type adapter; which one it is, the files tell) and writes it in another format. What it adds to "
             "the weights stays the same: where the other format has no place for scales of single modules or for "
             "rank-stabilised ones, they are multiplied into the factors B.\n\n"
             "GGUF files of Llama models order the rows of q and k by heads: --model names the model that the adapter "
             "belongs to. Converting runs on the host: --device has no effect.",
    .example = "clora convert my-adapter --to gguf --model models/tiny --out my-adapter.gguf",
    .run = run,
};
