#include "template/render.h"

clora_status builtins_find(const builtin **out, const char *what, const builtin *table, span name) {
    for (*out = table; (*out)->name; ++*out)
        if (span_equal(name, (span){(*out)->name, strlen((*out)->name)}))
            return CLORA_OK;
    return clora_fail(CLORA_ERROR_UNSUPPORTED, "the %s '%.*s' is not supported", what,
                      (int)(name.size < 60 ? name.size : 60), name.data);
}

const builtin *filters_find(span name) {
    const builtin *const tables[] = {filter_builtins, item_filter_builtins};

    for (size_t t = 0; t < 2; t++)
        for (const builtin *b = tables[t]; b->name; b++)
            if (span_equal(name, (span){b->name, strlen(b->name)}))
                return b;
    return NULL;
}

/* ---- Arguments ---- */

static size_t parameter_count(const builtin *b) {
    size_t n = 0;

    while (n < 4 && b->parameters[n])
        n++;
    return n;
}

static clora_status bind(call *c, const builtin *b) {
    const size_t count = parameter_count(b);

    if (c->count > count)
        return clora_fail(CLORA_ERROR_FORMAT, "'%s' takes at most %zu arguments", b->name, count);
    for (size_t i = 0; i < 4; i++)
        c->in[i] = i < c->count ? c->at[i] : (value){.kind = VALUE_ABSENT};
    for (size_t i = 0; i < c->named_count; i++) {
        const span name = c->named[i].name;
        size_t k = 0;
        while (k < count && !span_equal(name, (span){b->parameters[k], strlen(b->parameters[k])}))
            k++;
        if (k == count)
            return clora_fail(CLORA_ERROR_UNSUPPORTED, "the argument '%.*s' of '%s' is not supported", (int)name.size,
                              name.data, b->name);
        c->in[k] = c->named[i].value;
    }
    for (int i = 0; i < b->needed; i++)
        if (c->in[i].kind == VALUE_ABSENT)
            return clora_fail(CLORA_ERROR_FORMAT, "'%s' lacks its argument '%s'", b->name, b->parameters[i]);
    return CLORA_OK;
}

clora_status call_builtin(value *out, render *r, const builtin *b, call *c) {
    clora_status status = CLORA_OK;

    if (b->needed != ANY)
        TRY(bind(c, b));
    if (c->subject.kind == VALUE_TEXT)
        TRY(render_spend(r, c->subject.text.size / 8));
    TRY(b->run(out, r, c));
done:
    return status;
}

clora_status call_filter(value *out, render *r, span name, call *c) {
    const builtin *filter = filters_find(name);

    if (!filter)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "the filter '%.*s' is not supported", (int)name.size, name.data);
    return call_builtin(out, r, filter, c);
}

clora_status call_test(bool *out, render *r, span name, call *c) {
    const builtin *test = NULL;
    clora_status status = CLORA_OK;
    value truth;

    TRY(builtins_find(&test, "test", test_builtins, name));
    TRY(call_builtin(&truth, r, test, c));
    *out = value_truth(&truth);
done:
    return status;
}
