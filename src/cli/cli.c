#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/ui/progress.h"

static void print_name(const cli_state *cli) {
    progress_clear_all(); /* a line of its own, not one after a bar */
    fflush(stdout);
    fprintf(stderr, cli->command ? "clora %s: " : "clora: ", cli->command ? cli->command->name : "");
}

int cli_fail(const cli_state *cli, const char *format, ...) {
    va_list args;

    print_name(cli);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return CLI_FAILED;
}

int cli_misuse(const cli_state *cli, const char *format, ...) {
    va_list args;

    print_name(cli);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    if (cli->command)
        fprintf(stderr, " (try 'clora %s --help')\n", cli->command->name);
    else
        fputs(" (try 'clora --help')\n", stderr);
    return CLI_USAGE;
}

int cli_fail_library(const cli_state *cli) {
    return cli_fail(cli, "%s", clora_last_error());
}

bool cli_went(clora_status status) {
    return status == CLORA_OK || status == CLORA_CANCELLED;
}

void cli_note(const cli_state *cli, const char *format, ...) {
    va_list args;

    if (cli->quiet)
        return;
    print_name(cli);
    fputs("note: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

void cli_guard_streams(void) {
    /* Opened the wrong way round on purpose: using the stand-in fails as the closed stream would have. */
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
}

int cli_flush(const cli_state *cli, int result) {
    errno = 0;
    const int failed = ferror(stdout);
    if (fclose(stdout) != 0 || failed) {
        const char *why = errno ? strerror(errno) : "a write failed";
        return cli_fail(cli, "cannot write to standard output: %s", why);
    }
    return result;
}
