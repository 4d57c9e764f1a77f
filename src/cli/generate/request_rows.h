#ifndef CLI_REQUEST_ROWS_H
#define CLI_REQUEST_ROWS_H

#include <jansson.h>

#include <clora/generate.h>

#include "cli/generate/prompt.h"

/* One line of a file of requests, but for its prompt. */
typedef struct request_row {
    json_t *id;    /* a text or a number of the caller's own, or NULL */
    char *adapter; /* its directory's name; NULL: the base alone */
    float scale;
    int max_tokens;
    clora_sample_options sample;
    char **stop; /* NULL-terminated, or NULL: those of the command line */
} request_row;

typedef struct request_list {
    request_row *items; /* (prompts.count) */
    size_t room;
    prompt_list prompts;
} request_list;

/* Every line of a JSONL file ("-": standard input), with what it leaves out as usual says. CLI_DONE, or CLI_FAILED
 * after naming the line and the key that are wrong. */
int request_rows_read(const cli_state *cli, request_list *list, const clora_tokenizer *tokenizer, const char *path,
                      const clora_generate_options *usual);
void request_list_finish(request_list *list);

#endif
