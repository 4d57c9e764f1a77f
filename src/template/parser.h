#ifndef CLORA_TEMPLATE_PARSER_H
#define CLORA_TEMPLATE_PARSER_H

#include "template/node.h"
#include "template/token.h"

typedef struct parser {
    pool *pool;
    const char *name; /* of the template, for messages */
    const token *at;
    int depth; /* of what is being read in each other */
} parser;

/* The statements of a whole template. What Jinja has and templates do not need is an error that names it. */
clora_status parse_template(node **out, pool *p, const char *name, span source);

/* ---- Tokens (parse_tokens.c) ---- */

clora_status parse_fail(const parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
clora_status parse_fail_here(const parser *p, const char *wanted); /* "x stands where ... is expected" */
clora_status parse_new(node **out, const parser *p, node_kind kind);

bool parse_is_sign(const parser *p, const char *sign);
bool parse_is_name(const parser *p, const char *name);
bool parse_take_sign(parser *p, const char *sign); /* goes on after it if it is there */
bool parse_take_name(parser *p, const char *name);
clora_status parse_need_sign(parser *p, const char *sign);
clora_status parse_need_name(parser *p, span *out); /* any */

/* Are there too many of them in each other? Each enter that succeeds has its leave. */
clora_status parse_enter(parser *p);
void parse_leave(parser *p);

/* ---- Expressions (parse_expression.c) ---- */

/* An expression; one with commas, which is then a tuple; and one without a choice after it ("x if y"). */
clora_status parse_expression(node **out, parser *p);
clora_status parse_tuple(node **out, parser *p);
clora_status parse_or(node **out, parser *p);

/* What may follow a "|": filters, the first of which gets `subject`. */
clora_status parse_filters(node **out, parser *p, node *subject);

#endif
