#ifndef CLI_TALK_H
#define CLI_TALK_H

#include <jansson.h>

#include <clora/chat.h>

#include "cli/cli.h"

/* What was said so far. */
typedef struct talk {
    const char *system; /* NULL: nothing is said before the first turn */
    json_t *messages;
} talk;

/* Forget all but the system's message. False without memory, or where a text is not UTF-8. */
int talk_reset(talk *t);
void talk_finish(talk *t);

/* Add a message, or take the last one back. */
int talk_say(talk *t, const char *role, const char *text, size_t size);
void talk_take_back(talk *t);

/* The conversation as a row of training data: yours to free; NULL without memory. */
char *talk_row(const talk *t);

/* Write it to a file, one line. Says what goes wrong; the talk goes on. */
void talk_save(const talk *t, const cli_state *cli, const char *path);

#endif
