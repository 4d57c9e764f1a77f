#ifndef CLORA_TEMPLATE_TOKEN_H
#define CLORA_TEMPLATE_TOKEN_H

#include "template/value.h"

typedef enum token_kind {
    TOKEN_END,
    TOKEN_TEXT,  /* what stands outside of tags */
    TOKEN_BLOCK, /* {% */
    TOKEN_BLOCK_END,
    TOKEN_OUTPUT, /* {{ */
    TOKEN_OUTPUT_END,
    TOKEN_NAME,
    TOKEN_STRING,
    TOKEN_INTEGER,
    TOKEN_REAL,
    TOKEN_SIGN, /* an operator or a bracket: its text */
} token_kind;

typedef struct token {
    token_kind kind;
    int line;
    span text; /* strings: unescaped */
    int64_t integer;
    double real;
} token;

/*
 * A template as tokens, of which the last is TOKEN_END, as Jinja has them with trim_blocks and lstrip_blocks: a line
 * end after a block goes, and so do the blanks of a line before it. All is put into the pool, the source
 * too. `name` is the template's, for messages.
 */
clora_status tokens_read(token **out, pool *p, const char *name, span source);

#endif
