#include "cli/ui/interrupt.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

enum { WATCHED = 3, STATUS = 128 };

static const int numbers[WATCHED] = {SIGINT, SIGTERM, SIGHUP};
static sigset_t ignored; /* by the caller */
static volatile sig_atomic_t watching, seen;
static const char *volatile unused_file;
static const char *notice_text;
static size_t notice_size;
static int on_terminal;

static void handle_with(void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};

    sigemptyset(&action.sa_mask);
    for (int i = 0; i < WATCHED; i++)
        if (!sigismember(&ignored, numbers[i]))
            sigaction(numbers[i], &action, NULL);
}

static void on_signal(int number) {
    const int saved = errno;

    if (!watching) {
        if (unused_file)
            unlink(unused_file);
        if (on_terminal) /* where the prompt would stand behind a bar */
            (void)!write(STDERR_FILENO, "\n", 1);
        _exit(STATUS + number);
    }
    handle_with(SIG_DFL);
    if (seen) /* two that came at once */
        raise(number);
    seen = number;
    (void)!write(STDERR_FILENO, notice_text, notice_size);
    errno = saved;
}

static bool is_ignored(int number) {
    struct sigaction action;

    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

void interrupt_begin(void) {
    on_terminal = isatty(STDERR_FILENO);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    sigemptyset(&ignored);
    for (int number = 1; number < NSIG; number++)
        if (is_ignored(number))
            sigaddset(&ignored, number);
    /* LLVM, which PoCL loads, installs handlers over SIG_IGN, and no later call could undo that in time. A signal that
     * is blocked as well reaches no handler, in no thread that is still to come. */
    pthread_sigmask(SIG_BLOCK, &ignored, NULL);
    handle_with(on_signal);
}

static void mask(int how) {
    sigset_t watched;

    sigemptyset(&watched);
    for (int i = 0; i < WATCHED; i++)
        if (!sigismember(&ignored, numbers[i]))
            sigaddset(&watched, numbers[i]);
    pthread_sigmask(how, &watched, NULL);
}

void interrupt_hold(void) {
    mask(SIG_BLOCK);
}

void interrupt_let(void) {
    mask(SIG_UNBLOCK);
}

void interrupt_discard(const char *file) {
    unused_file = file;
}

void interrupt_watch(const char *notice) {
    notice_text = notice;
    notice_size = strlen(notice);
    watching = 1;
    handle_with(on_signal);
}

bool interrupt_seen(void) {
    return seen != 0;
}

int interrupt_status(void) {
    return STATUS + seen;
}
