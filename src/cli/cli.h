#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <clora/status.h>

/* What a command returns, and with it the program; or interrupt_status() when a signal ended it early. */
enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_NO_READER = 141 /* as SIGPIPE would have it */ };

typedef struct cli_state cli_state;

/* One row of the command table in main.c. The texts make the help. */
typedef struct command {
    const char *name;
    const char *summary;                               /* a few words, for the list of commands */
    const char *usage;                                 /* what follows "clora NAME" */
    const char *about;                                 /* what it does; paragraphs are parted by empty lines */
    const char *example;                               /* one line */
    int (*run)(cli_state *cli, int argc, char **argv); /* argv[0] is the command's name */
    const struct command *const *parts;                /* commands of its own, "tune show"; ends with NULL; or NULL */
} command;

extern const command command_devices, command_tune, command_plan, command_train, command_eval, command_generate,
    command_chat, command_merge, command_combine, command_convert, command_inspect, command_tokenize, command_bench,
    command_compare, command_plot;

/* What --help gives: a page for people, a manual page, or the words that a shell completes. */
enum { CLI_HELP_PAGE, CLI_HELP_MAN, CLI_HELP_WORDS };

/* What every command is told in the same way. */
struct cli_state {
    const command *command;
    int help;           /* of these, which */
    const char *device; /* --device, or NULL */
    int json, quiet, verbose;
};

/* "clora train: ..." on standard error, one line. Both return the exit status to hand on. */
int cli_fail(const cli_state *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
int cli_misuse(const cli_state *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));  /* adds where the help is */
int cli_fail_library(const cli_state *cli); /* the library's message of the last failed call */

/* Did a call of the library do what it should? Ended by a callback of ours it did. */
bool cli_went(clora_status status);

/* "clora train: note: ..." on standard error, unless --quiet. */
void cli_note(const cli_state *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Before anything is opened: a closed standard stream must not become the first file. */
void cli_guard_streams(void);

/* Last of all: what was printed must have arrived. Returns `result`, or CLI_FAILED after saying why; silent where the
 * reader of a pipe has gone. */
int cli_flush(const cli_state *cli, int result);

#endif
