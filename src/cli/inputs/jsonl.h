#ifndef CLI_JSONL_H
#define CLI_JSONL_H

#include <clora/dataset.h>

#include "cli/cli.h"

/* The text of one row of a file. `where` begins messages: "pairs.jsonl: line 3: ". CLI_DONE asks for the
 * next. */
typedef int (*jsonl_row)(void *user, const char *where, const char *text, size_t size);

/* Every row of a JSON file, or of standard input for "-": its "text". Returns CLI_DONE, or the first other status. */
int jsonl_read(const cli_state *cli, const char *path, jsonl_row row, void *user);

/* The same of what training with these options would read before what it learns. */
int jsonl_read_prompts(const cli_state *cli, const char *path, const clora_dataset_options *options, jsonl_row row,
                       void *user);

/* The same of rows as they are: each as JSON. */
int jsonl_read_rows(const cli_state *cli, const char *path, jsonl_row row, void *user);

#endif
