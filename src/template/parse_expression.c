#include "template/parser.h"

/* From the loosest to the tightest: choice, or, and, not, compare, + -, ~, * / // %, **, sign, then what follows. */

static clora_status parse_unary(node **out, parser *p, bool filters);

static bool at_end_of_tuple(const parser *p) {
    return p->at->kind == TOKEN_BLOCK_END || p->at->kind == TOKEN_OUTPUT_END || parse_is_sign(p, ")");
}

/* Two sides under one node. */
static clora_status join(node **out, const parser *p, node_kind kind, node *a, node *b) {
    clora_status status = CLORA_OK;
    node *n = NULL;

    TRY(parse_new(&n, p, kind));
    n->a = a;
    n->b = b;
    *out = n;
done:
    return status;
}

/* ---- Primaries ---- */

static clora_status parse_constant(node **out, parser *p, value constant) {
    clora_status status = CLORA_OK;

    TRY(parse_new(out, p, NODE_CONSTANT));
    (*out)->constant = constant;
    p->at++;
done:
    return status;
}

static clora_status parse_word(node **out, parser *p) {
    const span word = p->at->text;
    clora_status status = CLORA_OK;

    if (span_equal(word, SPAN("true")) || span_equal(word, SPAN("True")))
        return parse_constant(out, p, value_boolean(true));
    if (span_equal(word, SPAN("false")) || span_equal(word, SPAN("False")))
        return parse_constant(out, p, value_boolean(false));
    if (span_equal(word, SPAN("none")) || span_equal(word, SPAN("None")))
        return parse_constant(out, p, (value){.kind = VALUE_NONE});
    TRY(parse_new(out, p, NODE_NAME));
    (*out)->text = word;
    p->at++;
done:
    return status;
}

/* Expressions with commas between them, up to a bracket. */
static clora_status parse_items(node **out, parser *p, node_kind kind, const char *close) {
    clora_status status = CLORA_OK;
    node *list = NULL;

    TRY(parse_new(&list, p, kind));
    p->at++;
    for (node **last = &list->list; !parse_take_sign(p, close); last = &(*last)->next) {
        TRY(parse_expression(last, p));
        if (!parse_is_sign(p, close))
            TRY(parse_need_sign(p, ","));
    }
    *out = list;
done:
    return status;
}

static clora_status parse_dict(node **out, parser *p) {
    clora_status status = CLORA_OK;
    node *dict = NULL;

    TRY(parse_new(&dict, p, NODE_DICT));
    p->at++;
    for (node **last = &dict->list; !parse_take_sign(p, "}"); last = &(*last)->next) {
        TRY(parse_expression(last, p));
        last = &(*last)->next;
        TRY(parse_need_sign(p, ":"));
        TRY(parse_expression(last, p));
        if (!parse_is_sign(p, "}"))
            TRY(parse_need_sign(p, ","));
    }
    *out = dict;
done:
    return status;
}

static clora_status parse_parentheses(node **out, parser *p) {
    clora_status status = CLORA_OK;

    p->at++;
    if (parse_is_sign(p, ")"))
        TRY(parse_new(out, p, NODE_TUPLE));
    else
        TRY(parse_tuple(out, p));
    TRY(parse_need_sign(p, ")"));
done:
    return status;
}

static clora_status parse_primary(node **out, parser *p) {
    switch (p->at->kind) {
    case TOKEN_STRING: return parse_constant(out, p, value_text(p->at->text));
    case TOKEN_INTEGER: return parse_constant(out, p, value_integer(p->at->integer));
    case TOKEN_REAL: return parse_constant(out, p, (value){.kind = VALUE_REAL, .real = p->at->real});
    case TOKEN_NAME: return parse_word(out, p);
    default: break;
    }
    if (parse_is_sign(p, "("))
        return parse_parentheses(out, p);
    if (parse_is_sign(p, "["))
        return parse_items(out, p, NODE_LIST, "]");
    if (parse_is_sign(p, "{"))
        return parse_dict(out, p);
    return parse_fail(p, "'%.*s' begins no expression", (int)p->at->text.size, p->at->text.data);
}

/* ---- What follows a primary ---- */

static clora_status parse_argument(node **out, parser *p) {
    clora_status status = CLORA_OK;

    if (parse_is_sign(p, "*") || parse_is_sign(p, "**"))
        return parse_fail(p, "arguments with * are not supported");
    if (p->at->kind != TOKEN_NAME || p->at[1].kind != TOKEN_SIGN || !span_equal(p->at[1].text, SPAN("=")))
        return parse_expression(out, p);
    TRY(parse_new(out, p, NODE_KEYWORD));
    (*out)->text = p->at->text;
    p->at += 2;
    TRY(parse_expression(&(*out)->a, p));
done:
    return status;
}

/* The arguments of a call, whose bracket is next. */
static clora_status parse_arguments(node **out, parser *p) {
    clora_status status = CLORA_OK;

    TRY(parse_need_sign(p, "("));
    for (node **last = out; !parse_take_sign(p, ")"); last = &(*last)->next) {
        TRY(parse_argument(last, p));
        if (!parse_is_sign(p, ")"))
            TRY(parse_need_sign(p, ","));
    }
done:
    return status;
}

static clora_status parse_attribute(node **out, parser *p, node *of) {
    clora_status status = CLORA_OK;

    p->at++;
    if (p->at->kind == TOKEN_INTEGER) {
        TRY(join(out, p, NODE_ITEM, of, NULL));
        return parse_constant(&(*out)->b, p, value_integer(p->at->integer));
    }
    TRY(join(out, p, NODE_ATTRIBUTE, of, NULL));
    TRY(parse_need_name(p, &(*out)->text));
done:
    return status;
}

/* From, to and step; what is not there is NODE_NOTHING. */
static clora_status parse_slice(node *slice, parser *p) {
    clora_status status = CLORA_OK;
    node **last = &slice->list;

    for (int i = 0; i < 3; i++, last = &(*last)->next) {
        if (i > 0 && !parse_take_sign(p, ":"))
            TRY(parse_new(last, p, NODE_NOTHING));
        else if (parse_is_sign(p, ":") || parse_is_sign(p, "]"))
            TRY(parse_new(last, p, NODE_NOTHING));
        else
            TRY(parse_expression(last, p));
    }
done:
    return status;
}

/* Does a ":" stand in the brackets that begin here? */
static bool is_slice(const parser *p) {
    int depth = 0;

    for (const token *t = p->at; t->kind != TOKEN_END && t->kind != TOKEN_BLOCK_END && t->kind != TOKEN_OUTPUT_END;
         t++) {
        if (t->kind != TOKEN_SIGN || t->text.size != 1)
            continue;
        const char c = *t->text.data;
        depth += c == '(' || c == '[' || c == '{';
        depth -= c == ')' || c == ']' || c == '}';
        if (depth < 0)
            return false;
        if (depth == 0 && c == ':')
            return true;
    }
    return false;
}

static clora_status parse_item(node **out, parser *p, node *of) {
    clora_status status = CLORA_OK;

    p->at++;
    const bool slice = is_slice(p);
    TRY(join(out, p, slice ? NODE_SLICE : NODE_ITEM, of, NULL));
    TRY(slice ? parse_slice(*out, p) : parse_expression(&(*out)->b, p));
    TRY(parse_need_sign(p, "]"));
done:
    return status;
}

static clora_status parse_call(node **out, parser *p, node *of) {
    clora_status status = CLORA_OK;

    TRY(join(out, p, NODE_CALL, of, NULL));
    TRY(parse_arguments(&(*out)->list, p));
done:
    return status;
}

static clora_status parse_postfix(node **out, parser *p) {
    clora_status status = CLORA_OK;

    for (;;) {
        if (parse_is_sign(p, "."))
            TRY(parse_attribute(out, p, *out));
        else if (parse_is_sign(p, "["))
            TRY(parse_item(out, p, *out));
        else if (parse_is_sign(p, "("))
            TRY(parse_call(out, p, *out));
        else
            break;
    }
done:
    return status;
}

clora_status parse_filters(node **out, parser *p, node *subject) {
    clora_status status = CLORA_OK;

    *out = subject;
    while (parse_take_sign(p, "|")) {
        TRY(join(out, p, NODE_FILTER, *out, NULL));
        TRY(parse_need_name(p, &(*out)->text));
        if (parse_is_sign(p, "."))
            TRY(parse_fail(p, "filters with a dot in their names are not supported"));
        if (parse_is_sign(p, "("))
            TRY(parse_arguments(&(*out)->list, p));
    }
done:
    return status;
}

/* May a test's one argument follow without brackets? */
static bool begins_argument(const parser *p) {
    if (p->at->kind == TOKEN_NAME)
        return !parse_is_name(p, "else") && !parse_is_name(p, "or") && !parse_is_name(p, "and") &&
               !parse_is_name(p, "is");
    return p->at->kind == TOKEN_STRING || p->at->kind == TOKEN_INTEGER || p->at->kind == TOKEN_REAL ||
           parse_is_sign(p, "[") || parse_is_sign(p, "{");
}

static clora_status parse_test(node **out, parser *p) {
    clora_status status = CLORA_OK;
    node *test = NULL;

    p->at++;
    const bool negated = parse_take_name(p, "not");
    TRY(join(&test, p, NODE_TEST, *out, NULL));
    TRY(parse_need_name(p, &test->text));
    if (parse_is_sign(p, "(")) {
        TRY(parse_arguments(&test->list, p));
    } else if (begins_argument(p)) {
        TRY(parse_primary(&test->list, p));
        TRY(parse_postfix(&test->list, p));
    }
    *out = test;
    if (negated)
        TRY(join(out, p, NODE_NOT, test, NULL));
done:
    return status;
}

static clora_status parse_filters_and_tests(node **out, parser *p) {
    clora_status status = CLORA_OK;

    for (;;) {
        if (parse_is_sign(p, "|"))
            TRY(parse_filters(out, p, *out));
        else if (parse_is_name(p, "is"))
            TRY(parse_test(out, p));
        else if (parse_is_sign(p, "("))
            TRY(parse_call(out, p, *out));
        else
            break;
    }
done:
    return status;
}

/* ---- Operators ---- */

static clora_status parse_unary(node **out, parser *p, bool filters) {
    clora_status status = CLORA_OK;

    TRY(parse_enter(p));
    const bool negative = parse_is_sign(p, "-");
    if (negative || parse_is_sign(p, "+")) {
        node *inner = NULL;
        p->at++;
        TRY(parse_unary(&inner, p, false));
        TRY(join(out, p, negative ? NODE_NEGATIVE : NODE_POSITIVE, inner, NULL));
    } else {
        TRY(parse_primary(out, p));
    }
    TRY(parse_postfix(out, p));
    if (filters)
        TRY(parse_filters_and_tests(out, p));
    parse_leave(p);
done:
    return status;
}

static clora_status refuse_power(node **out, parser *p) {
    clora_status status = CLORA_OK;

    TRY(parse_unary(out, p, true));
    if (parse_is_sign(p, "**"))
        status = parse_fail(p, "the operator ** is not supported");
done:
    return status;
}

/* Is one of these signs next? It goes into *text. */
static bool take_one_of(parser *p, const char *const *signs, span *text) {
    *text = p->at->text;
    for (; *signs; signs++)
        if (parse_take_sign(p, *signs))
            return true;
    return false;
}

/* Operators of one rank, from left to right; `next` reads what is between them. */
static clora_status parse_rank(node **out, parser *p, const char *const *signs,
                               clora_status (*next)(node **, parser *)) {
    clora_status status = CLORA_OK;
    span sign;

    TRY(next(out, p));
    while (take_one_of(p, signs, &sign)) {
        node *left = *out, *right = NULL;
        TRY(next(&right, p));
        TRY(join(out, p, NODE_ARITHMETIC, left, right));
        (*out)->text = sign;
    }
done:
    return status;
}

static clora_status parse_product(node **out, parser *p) {
    static const char *const signs[] = {"*", "/", "//", "%", NULL};

    return parse_rank(out, p, signs, refuse_power);
}

static clora_status parse_joined(node **out, parser *p) {
    clora_status status = CLORA_OK;
    node *first = NULL;

    TRY(parse_product(&first, p));
    *out = first;
    if (!parse_is_sign(p, "~"))
        return CLORA_OK;
    TRY(parse_new(out, p, NODE_JOINED));
    (*out)->list = first;
    for (node **last = &first->next; parse_take_sign(p, "~"); last = &(*last)->next)
        TRY(parse_product(last, p));
done:
    return status;
}

static clora_status parse_sum(node **out, parser *p) {
    static const char *const signs[] = {"+", "-", NULL};

    return parse_rank(out, p, signs, parse_joined);
}

/* The operator of a comparison, if one is next, goes into *text. */
static bool take_comparison(parser *p, span *text) {
    static const char *const signs[] = {"==", "!=", "<", "<=", ">", ">=", NULL};

    if (take_one_of(p, signs, text) || parse_take_name(p, "in"))
        return true;
    if (!parse_is_name(p, "not") || p->at[1].kind != TOKEN_NAME || !span_equal(p->at[1].text, SPAN("in")))
        return false;
    *text = SPAN("not in");
    p->at += 2;
    return true;
}

static clora_status parse_comparison(node **out, parser *p) {
    clora_status status = CLORA_OK;
    node *compare = NULL;
    span text;

    TRY(parse_sum(out, p));
    if (!take_comparison(p, &text))
        return CLORA_OK;
    TRY(join(&compare, p, NODE_COMPARE, *out, NULL));
    node **last = &compare->list;
    do {
        TRY(parse_new(last, p, NODE_OPERAND));
        (*last)->text = text;
        TRY(parse_sum(&(*last)->a, p));
        last = &(*last)->next;
    } while (take_comparison(p, &text));
    *out = compare;
done:
    return status;
}

static clora_status parse_not(node **out, parser *p) {
    clora_status status = CLORA_OK;
    node *inner = NULL;

    if (!parse_take_name(p, "not"))
        return parse_comparison(out, p);
    TRY(parse_enter(p));
    TRY(parse_not(&inner, p));
    TRY(join(out, p, NODE_NOT, inner, NULL));
    parse_leave(p);
done:
    return status;
}

static clora_status parse_and(node **out, parser *p) {
    clora_status status = CLORA_OK;

    TRY(parse_not(out, p));
    while (parse_take_name(p, "and")) {
        node *left = *out, *right = NULL;
        TRY(parse_not(&right, p));
        TRY(join(out, p, NODE_AND, left, right));
    }
done:
    return status;
}

clora_status parse_or(node **out, parser *p) {
    clora_status status = CLORA_OK;

    TRY(parse_and(out, p));
    while (parse_take_name(p, "or")) {
        node *left = *out, *right = NULL;
        TRY(parse_and(&right, p));
        TRY(join(out, p, NODE_OR, left, right));
    }
done:
    return status;
}

clora_status parse_expression(node **out, parser *p) {
    clora_status status = CLORA_OK;

    TRY(parse_enter(p));
    TRY(parse_or(out, p));
    while (parse_take_name(p, "if")) {
        node *choice = NULL;
        TRY(join(&choice, p, NODE_CHOICE, NULL, *out));
        TRY(parse_or(&choice->a, p));
        if (parse_take_name(p, "else"))
            TRY(parse_expression(&choice->c, p));
        *out = choice;
    }
    parse_leave(p);
done:
    return status;
}

clora_status parse_tuple(node **out, parser *p) {
    clora_status status = CLORA_OK;
    node *tuple = NULL;

    TRY(parse_expression(out, p));
    if (!parse_is_sign(p, ","))
        return CLORA_OK;
    TRY(parse_new(&tuple, p, NODE_TUPLE));
    tuple->list = *out;
    for (node **last = &tuple->list->next; parse_take_sign(p, ",") && !at_end_of_tuple(p); last = &(*last)->next)
        TRY(parse_expression(last, p));
    *out = tuple;
done:
    return status;
}
