#ifndef CLI_SUGGEST_H
#define CLI_SUGGEST_H

#include <stddef.h>

/* Keeps the candidate that is nearest to a mistyped word. Begin with {.word = ...}, offer each, read best. */
typedef struct suggestion {
    const char *word;
    const char *best; /* NULL while nothing was near enough */
    int distance;
} suggestion;

void suggest_offer(suggestion *s, const char *candidate);

#endif
