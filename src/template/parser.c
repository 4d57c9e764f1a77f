#include "template/parser.h"

static clora_status parse_statements(node **out, parser *p, const char *const *ends);

static clora_status need_end(parser *p) {
    if (p->at->kind != TOKEN_BLOCK_END)
        return parse_fail_here(p, "the end of the tag");
    p->at++;
    return CLORA_OK;
}

/* The end of the opening tag, the statements, and the tag that ends them. */
static clora_status parse_body(node **out, parser *p, const char *end) {
    const char *const ends[] = {end, NULL};
    clora_status status = CLORA_OK;

    TRY(need_end(p));
    TRY(parse_statements(out, p, ends));
    p->at++;
    TRY(need_end(p));
done:
    return status;
}

/* A name, names with commas between them, or where `members`, a namespace's member. */
static clora_status parse_target(node **out, parser *p, bool members) {
    clora_status status = CLORA_OK;
    const bool brackets = parse_take_sign(p, "(");
    node *first = NULL, *tuple = NULL;

    TRY(parse_new(&first, p, NODE_NAME));
    TRY(parse_need_name(p, &first->text));
    *out = first;
    if (members && parse_take_sign(p, ".")) {
        TRY(parse_new(out, p, NODE_MEMBER));
        (*out)->a = first;
        return parse_need_name(p, &(*out)->text);
    }
    if (parse_is_sign(p, ",")) {
        TRY(parse_new(&tuple, p, NODE_TUPLE));
        tuple->list = first;
        for (node **last = &first->next; parse_take_sign(p, ","); last = &(*last)->next) {
            TRY(parse_new(last, p, NODE_NAME));
            TRY(parse_need_name(p, &(*last)->text));
        }
        *out = tuple;
    }
    if (brackets)
        TRY(parse_need_sign(p, ")"));
done:
    return status;
}

static clora_status parse_for(node **out, parser *p) {
    static const char *const ends[] = {"else", "endfor", NULL};
    clora_status status = CLORA_OK;
    node *n = NULL;

    TRY(parse_new(&n, p, NODE_FOR));
    TRY(parse_target(&n->a, p, false));
    if (!parse_take_name(p, "in"))
        TRY(parse_fail_here(p, "'in'"));
    TRY(parse_or(&n->b, p));
    if (parse_take_name(p, "if"))
        TRY(parse_expression(&n->c, p));
    if (parse_is_name(p, "recursive"))
        TRY(parse_fail(p, "recursive loops are not supported"));
    TRY(need_end(p));
    TRY(parse_statements(&n->list, p, ends));
    if (parse_take_name(p, "else")) {
        TRY(parse_body(&n->other, p, "endfor"));
    } else {
        p->at++;
        TRY(need_end(p));
    }
    *out = n;
done:
    return status;
}

/* From the condition of if or elif on. */
static clora_status parse_if(node **out, parser *p) {
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    clora_status status = CLORA_OK;

    for (;;) {
        node *n = NULL;
        TRY(parse_new(&n, p, NODE_IF));
        *out = n;
        TRY(parse_or(&n->a, p));
        TRY(need_end(p));
        TRY(parse_statements(&n->list, p, ends));
        out = &n->other;
        if (!parse_take_name(p, "elif"))
            break;
    }
    if (parse_take_name(p, "else"))
        return parse_body(out, p, "endif");
    p->at++;
    status = need_end(p);
done:
    return status;
}

static clora_status parse_set(node **out, parser *p) {
    clora_status status = CLORA_OK;
    node *n = NULL;

    TRY(parse_new(&n, p, NODE_SET));
    TRY(parse_target(&n->a, p, true));
    if (parse_take_sign(p, "=")) {
        TRY(parse_tuple(&n->b, p));
        TRY(need_end(p));
    } else {
        n->kind = NODE_SET_BLOCK;
        TRY(parse_filters(&n->b, p, NULL));
        TRY(parse_body(&n->list, p, "endset"));
    }
    *out = n;
done:
    return status;
}

static clora_status parse_parameters(node **out, parser *p) {
    clora_status status = CLORA_OK;

    TRY(parse_need_sign(p, "("));
    for (node **last = out; !parse_take_sign(p, ")"); last = &(*last)->next) {
        TRY(parse_new(last, p, NODE_PARAMETER));
        TRY(parse_need_name(p, &(*last)->text));
        if (parse_take_sign(p, "="))
            TRY(parse_expression(&(*last)->a, p));
        if (!parse_is_sign(p, ")"))
            TRY(parse_need_sign(p, ","));
    }
done:
    return status;
}

static clora_status parse_macro(node **out, parser *p) {
    clora_status status = CLORA_OK;
    node *n = NULL;

    TRY(parse_new(&n, p, NODE_MACRO));
    TRY(parse_need_name(p, &n->text));
    TRY(parse_parameters(&n->a, p));
    TRY(parse_body(&n->list, p, "endmacro"));
    *out = n;
done:
    return status;
}

static clora_status parse_generation(node **out, parser *p) {
    clora_status status = CLORA_OK;

    TRY(parse_new(out, p, NODE_GENERATION));
    TRY(parse_body(&(*out)->list, p, "endgeneration"));
done:
    return status;
}

static clora_status parse_filtered(node **out, parser *p) {
    clora_status status = CLORA_OK;
    token *before = (token *)p->at - 1;

    TRY(parse_new(out, p, NODE_FILTERED));
    *before = (token){.kind = TOKEN_SIGN, .line = before->line, .text = SPAN("|")}; /* in place of the word "filter" */
    p->at = before;
    TRY(parse_filters(&(*out)->b, p, NULL));
    TRY(parse_body(&(*out)->list, p, "endfilter"));
done:
    return status;
}

static clora_status parse_jump(node **out, parser *p, node_kind kind) {
    clora_status status = CLORA_OK;

    TRY(parse_new(out, p, kind));
    TRY(need_end(p));
done:
    return status;
}

/* A statement whose word is next. */
static clora_status parse_block(node **out, parser *p) {
    if (parse_take_name(p, "if"))
        return parse_if(out, p);
    if (parse_take_name(p, "for"))
        return parse_for(out, p);
    if (parse_take_name(p, "set"))
        return parse_set(out, p);
    if (parse_take_name(p, "macro"))
        return parse_macro(out, p);
    if (parse_take_name(p, "generation"))
        return parse_generation(out, p);
    if (parse_take_name(p, "filter"))
        return parse_filtered(out, p);
    if (parse_take_name(p, "break"))
        return parse_jump(out, p, NODE_BREAK);
    if (parse_take_name(p, "continue"))
        return parse_jump(out, p, NODE_CONTINUE);
    if (p->at->kind != TOKEN_NAME)
        return parse_fail_here(p, "a statement's name");
    if (p->at->text.size > 3 && memcmp(p->at->text.data, "end", 3) == 0)
        return parse_fail(p, "{%% %.*s %%} ends nothing that has begun", (int)p->at->text.size, p->at->text.data);
    return parse_fail(p, "{%% %.*s %%} is not supported", (int)p->at->text.size, p->at->text.data);
}

static bool is_one_of(const parser *p, const char *const *names) {
    for (; names && *names; names++)
        if (parse_is_name(p, *names))
            return true;
    return false;
}

static clora_status parse_output(node **out, parser *p) {
    clora_status status = CLORA_OK;

    TRY(parse_new(out, p, NODE_OUTPUT));
    TRY(parse_tuple(&(*out)->a, p));
    if (p->at->kind != TOKEN_OUTPUT_END)
        return parse_fail_here(p, "'}}'");
    p->at++;
done:
    return status;
}

/* Up to a tag that has one of the names, which is then next; NULL: up to the end of the template. */
static clora_status parse_statements(node **out, parser *p, const char *const *ends) {
    clora_status status = CLORA_OK;

    TRY(parse_enter(p));
    for (node **last = out;; last = &(*last)->next) {
        const token *t = p->at++;
        if (t->kind == TOKEN_END) {
            p->at = t;
            if (ends)
                TRY(parse_fail(p, "the template ends where {%% %s %%} is expected", ends[1] ? ends[1] : ends[0]));
            break;
        }
        if (t->kind == TOKEN_TEXT) {
            TRY(parse_new(last, p, NODE_TEXT));
            (*last)->text = t->text;
        } else if (t->kind == TOKEN_OUTPUT) {
            TRY(parse_output(last, p));
        } else if (is_one_of(p, ends)) {
            break;
        } else {
            TRY(parse_block(last, p));
        }
    }
    parse_leave(p);
done:
    return status;
}

clora_status parse_template(node **out, pool *pool, const char *name, span source) {
    parser p = {.pool = pool, .name = name};
    clora_status status = CLORA_OK;
    token *tokens = NULL;

    TRY(tokens_read(&tokens, pool, name, source));
    p.at = tokens;
    TRY(parse_statements(out, &p, NULL));
done:
    return status;
}
