#include "cli/ui/watchdog.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <clora/context.h>

/* Half an hour: longer than a compiler takes, also for large kernels on a busy machine. */
static double limit = 1800.0;

bool watchdog_setting(const cli_state *cli) {
    const char *text = getenv("CLORA_DEVICE_TIMEOUT");
    char *end;

    if (!text || !*text)
        return true;
    limit = strtod(text, &end);
    if (*end == '\0' && text[strspn(text, ".0123456789")] == '\0')
        return true;
    cli_fail(cli, "CLORA_DEVICE_TIMEOUT is '%s': take a number of seconds, 0 for no limit", text);
    return false;
}

/* So often that little is added to the limit, and seldom enough to cost nothing. */
static struct timespec pause_between(void) {
    const double seconds = fmin(limit / 8.0, 10.0);
    const double whole = floor(seconds);

    return (struct timespec){(time_t)whole, (long)(1e9 * (seconds - whole))};
}

static void *watch(void *argument) {
    const struct timespec between = pause_between();
    const cli_state *cli = argument;
    const char *call;

    while (clora_devices_stalled(&call) < limit)
        nanosleep(&between, NULL);
    cli_fail(cli,
             "%s has not come back from the OpenCL driver for %.0f s, and the device has done nothing meanwhile: this "
             "run ends here; where the device only needs longer, set CLORA_DEVICE_TIMEOUT to more seconds",
             call, limit);
    _exit(CLI_FAILED);
}

void watchdog_start(const cli_state *cli) {
    static bool is_started;
    sigset_t all, before;
    pthread_t thread;

    if (is_started || limit == 0.0)
        return;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before); /* signals are for the thread that works */
    is_started = pthread_create(&thread, NULL, watch, (void *)(uintptr_t)cli) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (is_started)
        pthread_detach(thread);
}
