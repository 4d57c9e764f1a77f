#ifndef CLI_ROW_TEMPLATE_H
#define CLI_ROW_TEMPLATE_H

#include <clora/dataset.h>

#include "cli/cli.h"

/* How the rows of data files become text, as --template says. */
typedef struct row_template {
    clora_pair_template pair;
    clora_chat *chat; /* NULL: none is there, or none is wanted */
    char why[1024];   /* there is none */
} row_template;

/* `name` is none, alpaca, chatml, a file, or NULL: none, and the model's own for conversations. Without a model no chat
 * template is read. CLI_DONE, or CLI_FAILED after saying what is wrong. */
int row_template_load(row_template *out, const cli_state *cli, const char *model, const char *name);
void row_template_finish(row_template *t);

/* A note where the vocabulary has no tokens for what a template puts around turns. */
void row_template_note(const cli_state *cli, const char *name, const char *model, const clora_tokenizer *tokenizer);

#endif
