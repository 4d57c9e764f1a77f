#include "template/render.h"

/* ---- Names ---- */

/* Names that Jinja has and we do not: without this they would be undefined, and the text another. */
static clora_status refuse_name(span name) {
    static const char *const names[] = {"caller", "varargs", "kwargs", "self", "super",
                                        "lipsum", "cycler",  "joiner", NULL};

    for (size_t i = 0; names[i]; i++)
        if (span_equal(name, (span){names[i], strlen(names[i])}))
            return clora_fail(CLORA_ERROR_UNSUPPORTED, "'%s' is not supported", names[i]);
    return CLORA_OK;
}

static clora_status evaluate_name(value *out, render *r, span name) {
    const value *found = scope_find(r, name);

    if (found) {
        *out = *found;
        return CLORA_OK;
    }
    *out = (value){.kind = VALUE_UNDEFINED, .text = name};
    for (const builtin *b = function_builtins; b->name; b++)
        if (span_equal(name, (span){b->name, strlen(b->name)}))
            *out = (value){.kind = VALUE_FUNCTION, .function = b};
    return out->kind == VALUE_FUNCTION ? CLORA_OK : refuse_name(name);
}

/* ---- Lists and the like ---- */

static clora_status evaluate_list(value *out, render *r, const node *n, value_kind kind) {
    clora_status status = CLORA_OK;
    size_t count = 0;

    for (const node *item = n->list; item; item = item->next)
        count++;
    TRY(value_list_new(out, r->pool, kind, count));
    count = 0;
    for (const node *item = n->list; item; item = item->next)
        TRY(evaluate(&out->list->at[count++], r, item));
done:
    return status;
}

static clora_status evaluate_dict(value *out, render *r, const node *n) {
    clora_status status = CLORA_OK;
    value key, v;

    TRY(value_dict_new(out, r->pool));
    for (const node *item = n->list; item; item = item->next->next) {
        TRY(evaluate(&key, r, item));
        TRY(evaluate(&v, r, item->next));
        if (key.kind > VALUE_TEXT)
            TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "a %s as a key is not supported", value_type(&key)));
        TRY(render_spend(r, out->dict->count + 1));
        TRY(value_dict_set(out->dict, r->pool, &key, &v));
    }
done:
    return status;
}

static clora_status evaluate_joined(value *out, render *r, const node *n) {
    text_out text = {.pool = r->pool};
    clora_status status = CLORA_OK;
    value v;

    for (const node *item = n->list; item; item = item->next) {
        TRY(evaluate(&v, r, item));
        TRY(text_put_value(&text, &v));
    }
    *out = value_text(text_of(&text));
done:
    return status;
}

/* ---- Parts ---- */

static clora_status evaluate_attribute(value *out, render *r, const node *n) {
    clora_status status = CLORA_OK;
    value of;

    TRY(evaluate(&of, r, n->a));
    TRY(access_attribute(out, r, &of, n->text));
done:
    return status;
}

static clora_status evaluate_item(value *out, render *r, const node *n) {
    clora_status status = CLORA_OK;
    value of, key;

    TRY(evaluate(&of, r, n->a));
    TRY(evaluate(&key, r, n->b));
    TRY(access_item(out, r, &of, &key));
done:
    return status;
}

static clora_status evaluate_slice(value *out, render *r, const node *n) {
    clora_status status = CLORA_OK;
    const node *bound = n->list;
    value of, part[3];

    TRY(evaluate(&of, r, n->a));
    for (int i = 0; i < 3; i++, bound = bound->next)
        TRY(evaluate(&part[i], r, bound));
    TRY(access_slice(out, r, &of, part));
done:
    return status;
}

/* ---- Arguments ---- */

static clora_status evaluate_arguments(call *c, render *r, const node *arguments) {
    clora_status status = CLORA_OK;
    size_t count = 0, named = 0;
    named_value *names = NULL;
    value *at = NULL;

    for (const node *n = arguments; n; n = n->next)
        n->kind == NODE_KEYWORD ? named++ : count++;
    TRY(pool_take(&at, r->pool, count, sizeof(*at)));
    TRY(pool_take(&names, r->pool, named, sizeof(*names)));
    c->at = at;
    c->named = names;
    for (const node *n = arguments; n; n = n->next) {
        if (n->kind != NODE_KEYWORD) {
            TRY(evaluate(&at[c->count++], r, n));
            continue;
        }
        names[c->named_count].name = n->text;
        TRY(evaluate(&names[c->named_count++].value, r, n->a));
    }
done:
    return status;
}

static clora_status call_named(value *out, render *r, const builtin *b, const value *subject, const node *arguments) {
    call c = {.subject = *subject};
    clora_status status = CLORA_OK;

    TRY(evaluate_arguments(&c, r, arguments));
    TRY(call_builtin(out, r, b, &c));
done:
    return status;
}

/* ---- Macros ---- */

static const value *find_argument(const call *c, size_t i, span name) {
    for (size_t k = 0; k < c->named_count; k++)
        if (span_equal(name, c->named[k].name))
            return &c->named[k].value;
    return i < c->count ? &c->at[i] : NULL;
}

static clora_status check_arguments(const macro *m, const call *c) {
    size_t count = 0;

    for (const node *p = m->node->a; p; p = p->next)
        count++;
    if (c->count > count)
        return clora_fail(CLORA_ERROR_FORMAT, "the macro %.*s takes at most %zu arguments", (int)m->node->text.size,
                          m->node->text.data, count);
    for (size_t i = 0; i < c->named_count; i++) {
        const node *p = m->node->a;
        while (p && !span_equal(p->text, c->named[i].name))
            p = p->next;
        if (!p)
            return clora_fail(CLORA_ERROR_FORMAT, "the macro %.*s has no argument '%.*s'", (int)m->node->text.size,
                              m->node->text.data, (int)c->named[i].name.size, c->named[i].name.data);
    }
    return CLORA_OK;
}

static clora_status bind_parameters(render *r, const macro *m, const call *c) {
    clora_status status = CLORA_OK;
    size_t i = 0;

    for (const node *p = m->node->a; p; p = p->next, i++) {
        const value *given = find_argument(c, i, p->text);
        value v = {.kind = VALUE_UNDEFINED, .text = p->text};
        if (given)
            v = *given;
        else if (p->a)
            TRY(evaluate(&v, r, p->a));
        TRY(scope_set(r, p->text, &v));
    }
done:
    return status;
}

static clora_status call_macro(value *out, render *r, const macro *m, const call *c) {
    scope *around = r->scope;
    clora_status status = CLORA_OK;

    TRY(check_arguments(m, c));
    TRY(scope_enter(r, m->scope));
    TRY(bind_parameters(r, m, c));
    TRY(r->keep(out, r, m->node->list));
done:
    r->scope = around;
    return status;
}

static clora_status call_value(value *out, render *r, const value *callee, const node *arguments) {
    clora_status status = CLORA_OK;
    call c = {.count = 0};

    TRY(need_defined(callee));
    TRY(evaluate_arguments(&c, r, arguments));
    if (callee->kind == VALUE_MACRO)
        return call_macro(out, r, callee->macro, &c);
    if (callee->kind == VALUE_FUNCTION)
        return call_builtin(out, r, callee->function, &c);
    if (callee->kind != VALUE_METHOD)
        return clora_fail(CLORA_ERROR_FORMAT, "a %s cannot be called", value_type(callee));
    c.subject = callee->method->subject;
    TRY(call_builtin(out, r, callee->method->method, &c));
done:
    return status;
}

/* ---- Calls ---- */

static clora_status evaluate_call(value *out, render *r, const node *n) {
    clora_status status = CLORA_OK;
    value callee;

    TRY(evaluate(&callee, r, n->a));
    TRY(call_value(out, r, &callee, n->list));
done:
    return status;
}

static clora_status apply_filter(value *out, render *r, const node *n, const value *subject) {
    const builtin *filter = filters_find(n->text);

    if (!filter)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "the filter '%.*s' is not supported", (int)n->text.size,
                          n->text.data);
    return call_named(out, r, filter, subject, n->list);
}

clora_status evaluate_filters(value *out, render *r, const node *chain, const value *subject) {
    clora_status status = CLORA_OK;
    value inner = *subject;

    *out = *subject;
    if (!chain)
        return CLORA_OK;
    if (++r->depth > RENDER_DEPTH_MAX)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "too many filters");
    TRY(evaluate_filters(&inner, r, chain->a, subject));
    TRY(apply_filter(out, r, chain, &inner));
    r->depth--;
done:
    return status;
}

static clora_status evaluate_filter(value *out, render *r, const node *n) {
    clora_status status = CLORA_OK;
    value subject;

    TRY(evaluate(&subject, r, n->a));
    TRY(apply_filter(out, r, n, &subject));
done:
    return status;
}

static clora_status evaluate_test(value *out, render *r, const node *n) {
    clora_status status = CLORA_OK;
    const builtin *test = NULL;
    value subject;

    TRY(evaluate(&subject, r, n->a));
    TRY(builtins_find(&test, "test", test_builtins, n->text));
    TRY(call_named(out, r, test, &subject, n->list));
done:
    return status;
}

/* ---- Operators ---- */

static clora_status evaluate_arithmetic(value *out, render *r, const node *n) {
    clora_status status = CLORA_OK;
    value a, b;

    TRY(evaluate(&a, r, n->a));
    TRY(evaluate(&b, r, n->b));
    TRY(operate(out, r, n->text, &a, &b));
done:
    return status;
}

static clora_status evaluate_sign(value *out, render *r, const node *n) {
    const value zero = value_integer(0);
    clora_status status = CLORA_OK;
    value a;

    TRY(evaluate(&a, r, n->a));
    if (a.kind == VALUE_REAL)
        *out = (value){.kind = VALUE_REAL, .real = n->kind == NODE_NEGATIVE ? -a.real : a.real};
    else
        TRY(operate(out, r, n->kind == NODE_NEGATIVE ? SPAN("-") : SPAN("+"), &zero, &a));
done:
    return status;
}

static clora_status evaluate_compare(value *out, render *r, const node *n) {
    clora_status status = CLORA_OK;
    bool truth = true;
    value a, b;

    TRY(evaluate(&a, r, n->a));
    for (const node *operand = n->list; operand && truth; operand = operand->next) {
        TRY(evaluate(&b, r, operand->a));
        TRY(operate_compare(&truth, r, operand->text, &a, &b));
        a = b;
    }
    *out = value_boolean(truth);
done:
    return status;
}

/* The first if it decides, else the second: as they are. */
static clora_status evaluate_logic(value *out, render *r, const node *n) {
    clora_status status = CLORA_OK;

    TRY(evaluate(out, r, n->a));
    if (value_truth(out) == (n->kind == NODE_AND))
        TRY(evaluate(out, r, n->b));
done:
    return status;
}

static clora_status evaluate_not(value *out, render *r, const node *n) {
    clora_status status = CLORA_OK;
    value a;

    TRY(evaluate(&a, r, n->a));
    *out = value_boolean(!value_truth(&a));
done:
    return status;
}

static clora_status evaluate_choice(value *out, render *r, const node *n) {
    clora_status status = CLORA_OK;
    value truth;

    TRY(evaluate(&truth, r, n->a));
    if (value_truth(&truth))
        return evaluate(out, r, n->b);
    if (n->c)
        return evaluate(out, r, n->c);
    *out = (value){.kind = VALUE_UNDEFINED, .text = SPAN("a choice without else")};
done:
    return status;
}

static clora_status evaluate_kind(value *out, render *r, const node *n) {
    switch (n->kind) {
    case NODE_CONSTANT: *out = n->constant; return CLORA_OK;
    case NODE_NOTHING: *out = (value){.kind = VALUE_NONE}; return CLORA_OK;
    case NODE_NAME: return evaluate_name(out, r, n->text);
    case NODE_LIST: return evaluate_list(out, r, n, VALUE_LIST);
    case NODE_TUPLE: return evaluate_list(out, r, n, VALUE_TUPLE);
    case NODE_DICT: return evaluate_dict(out, r, n);
    case NODE_ATTRIBUTE: return evaluate_attribute(out, r, n);
    case NODE_ITEM: return evaluate_item(out, r, n);
    case NODE_SLICE: return evaluate_slice(out, r, n);
    case NODE_CALL: return evaluate_call(out, r, n);
    case NODE_FILTER: return evaluate_filter(out, r, n);
    case NODE_TEST: return evaluate_test(out, r, n);
    case NODE_NOT: return evaluate_not(out, r, n);
    case NODE_NEGATIVE:
    case NODE_POSITIVE: return evaluate_sign(out, r, n);
    case NODE_ARITHMETIC: return evaluate_arithmetic(out, r, n);
    case NODE_COMPARE: return evaluate_compare(out, r, n);
    case NODE_AND:
    case NODE_OR: return evaluate_logic(out, r, n);
    case NODE_JOINED: return evaluate_joined(out, r, n);
    default: return evaluate_choice(out, r, n);
    }
}

clora_status evaluate(value *out, render *r, const node *n) {
    const int line = r->line;
    clora_status status = CLORA_OK;

    if (++r->depth > RENDER_DEPTH_MAX)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "macros or expressions lie too deep in each other");
    r->line = n->line;
    TRY(render_spend(r, 10));
    TRY(evaluate_kind(out, r, n));
    r->line = line;
    r->depth--;
done:
    return status;
}
