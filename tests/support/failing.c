#include "support/failing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    char kind[64]; /* "": nothing fails, nothing is counted */
    long at;
    bool on;
    long count;
    const char *first; /* function that failed */
} failing;

void failing_from(const char *kind, long at, bool on) {
    failing.at = at;
    failing.on = on;
    failing.first = NULL;
    __atomic_store_n(&failing.count, 0, __ATOMIC_SEQ_CST);
    snprintf(failing.kind, sizeof(failing.kind), "%s", kind ? kind : "");
}

long failing_count(void) {
    return __atomic_load_n(&failing.count, __ATOMIC_SEQ_CST);
}

bool failing_now(const char *kind, const char *function) {
    if (!failing.kind[0] || (strcmp(failing.kind, kind) != 0 && strcmp(failing.kind, function) != 0))
        return false;
    const long call = __atomic_fetch_add(&failing.count, 1, __ATOMIC_SEQ_CST);
    if (call == failing.at)
        failing.first = function;
    return call == failing.at || (failing.on && call > failing.at);
}

static void report(void) {
    const char *path = getenv("CLORA_FAIL_REPORT");
    char text[128];

    snprintf(text, sizeof(text), "%ld %s\n", failing_count(), failing.first ? failing.first : "-");
    failing_from(NULL, 0, false);
    FILE *file = path ? fopen(path, "w") : NULL;
    if (file) {
        fputs(text, file);
        fclose(file);
    }
}

__attribute__((constructor)) static void read_environment(void) {
    const char *text = getenv("CLORA_FAIL"), *colon = text ? strchr(text, ':') : NULL;
    char kind[64], *end;

    if (!text)
        return;
    const long at = colon ? strtol(colon + 1, &end, 10) : -1;
    if (at < 0 || end == colon + 1 || (strcmp(end, "") != 0 && strcmp(end, "+") != 0)) {
        fprintf(stderr, "CLORA_FAIL=%s: KIND:N or KIND:N+\n", text);
        abort();
    }
    snprintf(kind, sizeof(kind), "%.*s", (int)(colon - text), text);
    atexit(report);
    failing_from(kind, at, *end == '+');
}
