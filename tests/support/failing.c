#include "support/failing.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Calls of one function of the kind. */
typedef struct tally {
    const char *function;
    long count;
} tally;

enum { FUNCTIONS = 64 };

static struct {
    char kind[64]; /* "": nothing fails, nothing is counted */
    long at, count;
    bool on, hangs, kills;
    tally tallies[FUNCTIONS];
} failing;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void failing_from(const char *kind, long at, bool on) {
    memset(&failing, 0, sizeof(failing));
    failing.at = at;
    failing.on = on;
    snprintf(failing.kind, sizeof(failing.kind), "%s", kind ? kind : "");
}

long failing_count(void) {
    return failing.count;
}

bool failing_now(const char *kind, const char *function) {
    int i = 0;

    if (!failing.kind[0] || (strcmp(failing.kind, kind) != 0 && strcmp(failing.kind, function) != 0))
        return false;
    pthread_mutex_lock(&lock);
    const long call = failing.count++;
    while (i < FUNCTIONS - 1 && failing.tallies[i].function && strcmp(failing.tallies[i].function, function) != 0)
        i++;
    failing.tallies[i].function = function;
    failing.tallies[i].count++;
    pthread_mutex_unlock(&lock);
    const bool fails = call == failing.at || (failing.on && call > failing.at);
    if (fails && failing.kills)
        raise(SIGKILL);
    while (fails && failing.hangs)
        pause();
    return fails;
}

static void report(void) {
    const char *path = getenv("CLORA_FAIL_REPORT");

    failing.kind[0] = '\0'; /* what follows is not the program's */
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file)
        return;
    for (int i = 0; i < FUNCTIONS && failing.tallies[i].function; i++)
        fprintf(file, "%s %ld\n", failing.tallies[i].function, failing.tallies[i].count);
    fclose(file);
}

__attribute__((constructor)) static void read_environment(void) {
    const char *text = getenv("CLORA_FAIL"), *colon = text ? strchr(text, ':') : NULL;
    char kind[64], *end;

    if (!text)
        return;
    const long at = colon ? strtol(colon + 1, &end, 10) : -1;
    if (at < 0 || end == colon + 1 || (*end && strcmp(end, "+") != 0 && strcmp(end, "!") != 0)) {
        fprintf(stderr, "CLORA_FAIL=%s: KIND:N, KIND:N+ or KIND:N!\n", text);
        abort();
    }
    snprintf(kind, sizeof(kind), "%.*s", (int)(colon - text), text);
    atexit(report);
    failing_from(kind, at, *end == '+');
    failing.hangs = getenv("CLORA_FAIL_HANGS") != NULL;
    failing.kills = *end == '!';
}
