#include <stdio.h>
#include <string.h>

#include <clora/status.h>
#include <clora/version.h>

#include "cli/cli.h"
#include "cli/ui/interrupt.h"
#include "cli/options/opt.h"
#include "cli/ui/suggest.h"

static const command *const commands[] = {
    &command_devices,  &command_tune,     &command_plan,  &command_train,   &command_eval,
    &command_generate, &command_chat,     &command_merge, &command_combine, &command_convert,
    &command_inspect,  &command_tokenize, &command_bench, &command_compare, &command_plot,
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static int print_help(void) {
    printf("Usage: clora COMMAND [arguments] [options]\n\n");
    opt_print_filled("Fine-tunes, evaluates, runs and merges language models with low-rank adapters (LoRA) on any "
                     "OpenCL device.",
                     0);
    printf("\n");
    opt_print_heading("Commands");
    for (int i = 0; i < COMMANDS; i++)
        printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
    printf("\n");
    opt_print_heading("Options");
    printf("  --help     show this help; 'clora COMMAND --help' and 'clora help COMMAND' show a command's\n"
           "  --version  show the version\n\n");
    opt_print_heading("Arguments that recur");
    printf("  MODEL      a Hugging Face directory: config.json, *.safetensors, tokenizer.json\n"
           "  ADAPTER    a PEFT directory: adapter_config.json, adapter_model.safetensors\n\n");
    opt_print_heading("Exit status");
    printf("  0 done, 1 failed, 2 wrong usage; 130, 143, 129 ended early by SIGINT (Ctrl-C), SIGTERM, SIGHUP\n\n");
    opt_print_heading("Example");
    printf("  clora train models/tiny --data data/train.jsonl --val data/validation.jsonl --out my-adapter\n");
    return CLI_DONE;
}

static const command *find_command(const char *name) {
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

static int fail_unknown(const cli_state *cli, const char *name) {
    suggestion near = {.word = name};

    if (name[0] == '-')
        return cli_misuse(cli, "unknown option '%s'; options of a command follow its name", name);
    for (int i = 0; i < COMMANDS; i++)
        suggest_offer(&near, commands[i]->name);
    if (near.best)
        return cli_misuse(cli, "unknown command '%s'; did you mean '%s'?", name, near.best);
    return cli_misuse(cli, "unknown command '%s'", name);
}

static int run_command(cli_state *cli, int argc, char **argv) {
    cli->command = find_command(argv[0]);
    return cli->command ? cli->command->run(cli, argc, argv) : fail_unknown(cli, argv[0]);
}

static int run_help(cli_state *cli, int argc, char **argv) {
    char option[] = "--help";
    char *line[] = {NULL, option, NULL};

    if (argc == 1)
        return print_help();
    if (argc > 2)
        return cli_misuse(cli, "unexpected argument '%s'", argv[2]);
    if (strcmp(argv[1], "help") == 0)
        return print_help();
    line[0] = argv[1];
    return run_command(cli, 2, line);
}

static int run(cli_state *cli, int argc, char **argv) {
    if (argc < 2)
        return cli_misuse(cli, "a command is missing");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return print_help();
    if (strcmp(argv[1], "--version") == 0) {
        printf("clora %s\n", clora_version());
        return CLI_DONE;
    }
    if (strcmp(argv[1], "help") == 0)
        return run_help(cli, argc - 1, argv + 1);
    return run_command(cli, argc - 1, argv + 1);
}

static void tell_note(void *user, const char *line) {
    cli_note(user, "%s", line);
}

int main(int argc, char **argv) {
    cli_state cli = {.command = NULL};

    interrupt_begin();
    cli_guard_streams();
    clora_set_note(tell_note, &cli);
    return cli_flush(&cli, run(&cli, argc, argv));
}
