#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/ui/page.h"
#include "cli/ui/progress.h"

/* A line of its own, not one after a bar; folded for a terminal, whole in a log. */
static FILE *begin_line(page *p, const cli_state *cli) {
    progress_clear_all();
    fflush(stdout);
    *p = (page){.lines = NULL};
    FILE *out = isatty(STDERR_FILENO) ? page_begin(p, stderr, 2) : stderr;
    fprintf(out, cli->command ? "clora %s: " : "clora: ", cli->command ? cli->command->name : "");
    return out;
}

int cli_fail(const cli_state *cli, const char *format, ...) {
    page line;
    FILE *out = begin_line(&line, cli);
    va_list args;

    va_start(args, format);
    vfprintf(out, format, args);
    va_end(args);
    fputc('\n', out);
    page_end(&line);
    return CLI_FAILED;
}

int cli_misuse(const cli_state *cli, const char *format, ...) {
    page line;
    FILE *out = begin_line(&line, cli);
    va_list args;

    va_start(args, format);
    vfprintf(out, format, args);
    va_end(args);
    if (cli->command)
        fprintf(out, " (try 'clora %s --help')\n", cli->command->name);
    else
        fputs(" (try 'clora --help')\n", out);
    page_end(&line);
    return CLI_USAGE;
}

int cli_fail_library(const cli_state *cli) {
    return cli_fail(cli, "%s", clora_last_error());
}

bool cli_went(clora_status status) {
    return status == CLORA_OK || status == CLORA_CANCELLED;
}

void cli_note(const cli_state *cli, const char *format, ...) {
    page line;
    va_list args;

    if (cli->quiet)
        return;
    FILE *out = begin_line(&line, cli);
    fputs("note: ", out);
    va_start(args, format);
    vfprintf(out, format, args);
    va_end(args);
    fputc('\n', out);
    page_end(&line);
}

void cli_guard_streams(void) {
    /* Opened the wrong way round on purpose: using the stand-in fails as the closed stream would have. */
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
}

/* As `| head` does when it has seen enough. */
static bool reader_left(void) {
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};

    return poll(&out, 1, 0) == 1 && out.revents & POLLERR;
}

int cli_flush(const cli_state *cli, int result) {
    progress_clear_all();
    errno = 0;
    const bool left = reader_left();
    const bool failed = ferror(stdout) || page_was_lost();
    if (fclose(stdout) == 0 && !failed)
        return result;
    if (left || errno == EPIPE) /* who wanted no more needs no message */
        return result == CLI_DONE ? CLI_NO_READER : result;
    return cli_fail(cli, "cannot write to standard output: %s", errno ? strerror(errno) : "a write failed");
}
