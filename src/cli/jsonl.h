#ifndef CLI_JSONL_H
#define CLI_JSONL_H

#include <jansson.h>

#include "cli/cli.h"

/* One line of a file. `where` goes in front of messages: "pairs.jsonl, line 3: ". CLI_DONE asks for the next line. */
typedef int (*jsonl_line)(void *user, const char *where, const json_t *object);

/* Every line of a JSONL file, or of standard input for "-", must be an object. Returns CLI_DONE, or the first other
 * status. */
int jsonl_read(const cli_state *cli, const char *path, jsonl_line line, void *user);

#endif
