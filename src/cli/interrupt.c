#include "cli/interrupt.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { WATCHED = 3 };

static const int numbers[WATCHED] = {SIGINT, SIGTERM, SIGHUP};
static struct sigaction before[WATCHED];
static volatile sig_atomic_t seen;
static const char *notice_text;
static size_t notice_size;

static void on_signal(int number) {
    const int saved = errno;

    (void)number;
    seen = 1;
    for (int i = 0; i < WATCHED; i++)
        sigaction(numbers[i], &before[i], NULL);
    (void)!write(STDERR_FILENO, notice_text, notice_size);
    errno = saved;
}

void interrupt_watch(const char *notice) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    notice_text = notice;
    notice_size = strlen(notice);
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < WATCHED; i++)
        if (sigaction(numbers[i], NULL, &before[i]) == 0 && before[i].sa_handler != SIG_IGN)
            sigaction(numbers[i], &action, NULL);
}

bool interrupt_seen(void) {
    return seen != 0;
}
