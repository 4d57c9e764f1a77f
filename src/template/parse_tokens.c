#include "template/parser.h"

#include <stdarg.h>
#include <stdio.h>

enum { DEPTH_MAX = 100 };

clora_status parse_fail(const parser *p, const char *format, ...) {
    char what[256];
    va_list args;

    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    return clora_fail(CLORA_ERROR_FORMAT, "%s: line %d: %s", p->name, p->at->line, what);
}

clora_status parse_new(node **out, const parser *p, node_kind kind) {
    clora_status status = CLORA_OK;
    node *n = NULL;

    TRY(pool_take(&n, p->pool, 1, sizeof(*n)));
    n->kind = kind;
    n->line = p->at->line;
    *out = n;
done:
    return status;
}

bool parse_is_sign(const parser *p, const char *sign) {
    return p->at->kind == TOKEN_SIGN && span_equal(p->at->text, (span){sign, strlen(sign)});
}

bool parse_is_name(const parser *p, const char *name) {
    return p->at->kind == TOKEN_NAME && span_equal(p->at->text, (span){name, strlen(name)});
}

bool parse_take_sign(parser *p, const char *sign) {
    const bool is_there = parse_is_sign(p, sign);

    p->at += is_there;
    return is_there;
}

bool parse_take_name(parser *p, const char *name) {
    const bool is_there = parse_is_name(p, name);

    p->at += is_there;
    return is_there;
}

clora_status parse_fail_here(const parser *p, const char *wanted) {
    if (p->at->kind == TOKEN_BLOCK_END || p->at->kind == TOKEN_OUTPUT_END)
        return parse_fail(p, "the tag ends where %s is expected", wanted);
    return parse_fail(p, "'%.*s' stands where %s is expected", p->at->text.size > 40 ? 40 : (int)p->at->text.size,
                      p->at->text.data, wanted);
}

clora_status parse_need_sign(parser *p, const char *sign) {
    char wanted[8];

    if (parse_take_sign(p, sign))
        return CLORA_OK;
    snprintf(wanted, sizeof(wanted), "'%s'", sign);
    return parse_fail_here(p, wanted);
}

clora_status parse_need_name(parser *p, span *out) {
    if (p->at->kind != TOKEN_NAME)
        return parse_fail_here(p, "a name");
    *out = p->at++->text;
    return CLORA_OK;
}

clora_status parse_enter(parser *p) {
    if (p->depth >= DEPTH_MAX)
        return parse_fail(p, "more than %d things in each other", DEPTH_MAX);
    p->depth++;
    return CLORA_OK;
}

void parse_leave(parser *p) {
    p->depth--;
}
