#ifndef CLI_JSONL_H
#define CLI_JSONL_H

#include "cli/cli.h"

/* The text of one row of a file. `where` begins messages: "pairs.jsonl: line 3: ". CLI_DONE asks for the
 * next. */
typedef int (*jsonl_row)(void *user, const char *where, const char *text, size_t size);

/* Every row of a JSON file, or of standard input for "-": the prompts of rows that training reads, or their "text".
 * Returns CLI_DONE, or the first other status. */
int jsonl_read(const cli_state *cli, const char *path, int prompts, jsonl_row row, void *user);

/* The same of rows as they are: each as JSON. */
int jsonl_read_rows(const cli_state *cli, const char *path, jsonl_row row, void *user);

#endif
