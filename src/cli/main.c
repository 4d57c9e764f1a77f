#include <stdio.h>
#include <string.h>

#include <clora/status.h>
#include <clora/version.h>

#include "cli/cli.h"
#include "cli/options/opt.h"
#include "cli/ui/interrupt.h"
#include "cli/ui/page.h"
#include "cli/ui/suggest.h"
#include "cli/ui/watchdog.h"

static const command *const commands[] = {
    &command_devices,  &command_tune,     &command_plan,  &command_train,   &command_eval,
    &command_generate, &command_chat,     &command_merge, &command_combine, &command_convert,
    &command_inspect,  &command_tokenize, &command_bench, &command_compare, &command_plot,
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static int print_help(void) {
    printf("Usage: clora COMMAND [arguments] [options]\n\n");
    page_fold(stdout,
              "Fine-tunes, evaluates, runs and merges language models with low-rank adapters (LoRA) on any OpenCL "
              "device.\n\n",
              0);
    opt_print_heading("Commands");
    for (int i = 0; i < COMMANDS; i++)
        printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
    printf("\n");
    opt_print_heading("Options");
    printf("  --help     show this help; 'clora help COMMAND' shows a command's\n"
           "  --version  show the version\n\n");
    opt_print_heading("Arguments that recur");
    printf("  MODEL      a Hugging Face directory: config.json, *.safetensors, tokenizer\n"
           "  ADAPTER    a PEFT directory: adapter_config.json, adapter_model.safetensors\n\n");
    opt_print_heading("Exit status");
    page_fold(stdout,
              "  0 done, 1 failed, 2 wrong usage; 130, 143, 129 ended early by SIGINT (Ctrl-C), SIGTERM, SIGHUP; 141 "
              "nobody read the output to its end\n\n",
              2);
    opt_print_heading("Example");
    opt_print_example(command_train.example);
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

static const command *find_part(const command *whole, const char *name) {
    for (const command *const *part = whole->parts; part && *part; part++)
        if (strcmp(strchr((*part)->name, ' ') + 1, name) == 0)
            return *part;
    return NULL;
}

static int run_command(cli_state *cli, int argc, char **argv) {
    cli->command = find_command(argv[0]);
    if (!cli->command)
        return fail_unknown(cli, argv[0]);
    const command *part = argc > 1 ? find_part(cli->command, argv[1]) : NULL;
    if (!part)
        return cli->command->run(cli, argc, argv);
    cli->command = part;
    return part->run(cli, argc - 1, argv + 1);
}

static int print_names(void) {
    for (int i = 0; i < COMMANDS; i++)
        printf("%s\n", commands[i]->name);
    return CLI_DONE;
}

/* help [--man | --words] [COMMAND [PART]] */
static int run_help(cli_state *cli, int argc, char **argv) {
    static const char *const forms[] = {[CLI_HELP_MAN] = "--man", [CLI_HELP_WORDS] = "--words"};
    char option[] = "--help";
    char *line[] = {NULL, option, option, NULL};

    for (int i = CLI_HELP_MAN; i <= CLI_HELP_WORDS && argc > 1 && cli->help == CLI_HELP_PAGE; i++)
        if (strcmp(argv[1], forms[i]) == 0)
            cli->help = i;
    if (cli->help != CLI_HELP_PAGE) {
        argc--;
        argv++;
    }
    if (argc == 1 || strcmp(argv[1], "help") == 0)
        return cli->help == CLI_HELP_WORDS ? print_names() : print_help();
    const command *whole = find_command(argv[1]);
    if (argc > 3 || (argc == 3 && !(whole && find_part(whole, argv[2]))))
        return cli_misuse(cli, "unexpected argument '%s'", argv[argc - 1]);
    line[0] = argv[1];
    if (argc == 3)
        line[1] = argv[2];
    return run_command(cli, argc, line);
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
    if (!watchdog_setting(&cli))
        return CLI_FAILED;
    return cli_flush(&cli, run(&cli, argc, argv));
}
