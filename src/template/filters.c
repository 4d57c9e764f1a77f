#include "template/render.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

#include "base/c_locale.h"

/* Filters of one value. Those that walk over items are in item_filters.c. */

static bool given(const value *v) {
    return v->kind != VALUE_ABSENT;
}

static clora_status change_case(value *out, render *r, const call *c, text_case how) {
    text_out text = {.pool = r->pool};
    clora_status status = CLORA_OK;
    value subject;

    TRY(text_of_value(&subject, r, &c->subject));
    TRY(text_put_case(&text, subject.text, how));
    *out = value_text(text_of(&text));
    out->markup = subject.markup;
done:
    return status;
}

static clora_status run_capitalize(value *out, render *r, const call *c) {
    return change_case(out, r, c, CASE_CAPITAL);
}

static clora_status run_lower(value *out, render *r, const call *c) {
    return change_case(out, r, c, CASE_LOWER);
}

static clora_status run_upper(value *out, render *r, const call *c) {
    return change_case(out, r, c, CASE_UPPER);
}

static clora_status run_default(value *out, render *r, const call *c) {
    const bool also_false = given(&c->in[1]) && value_truth(&c->in[1]);

    (void)r;
    *out = c->subject;
    if (c->subject.kind == VALUE_UNDEFINED || (also_false && !value_truth(&c->subject)))
        *out = given(&c->in[0]) ? c->in[0] : value_text(SPAN(""));
    return CLORA_OK;
}

static clora_status run_string(value *out, render *r, const call *c) {
    return text_of_value(out, r, &c->subject);
}

static clora_status run_safe(value *out, render *r, const call *c) {
    const clora_status status = text_of_value(out, r, &c->subject);

    out->markup = true;
    return status;
}

static clora_status run_trim(value *out, render *r, const call *c) {
    const bool chosen = given(&c->in[0]) && c->in[0].kind != VALUE_NONE;
    clora_status status = CLORA_OK;
    span characters = {NULL, 0};

    if (chosen)
        TRY(need_text(&characters, &c->in[0], "trim"));
    TRY(text_of_value(out, r, &c->subject));
    out->text = text_strip_left(text_strip_right(out->text, chosen ? &characters : NULL), chosen ? &characters : NULL);
done:
    return status;
}

static clora_status run_replace(value *out, render *r, const call *c) {
    value text, from, to;
    clora_status status = CLORA_OK;
    call method = {.count = 0};
    const builtin *replace = NULL;

    TRY(text_of_value(&text, r, &c->subject));
    TRY(text_of_value(&from, r, &c->in[0]));
    TRY(text_of_value(&to, r, &c->in[1]));
    text.markup = false;
    const value arguments[] = {from, to, c->in[2]};
    method = (call){.subject = text, .at = arguments, .count = given(&c->in[2]) ? 3 : 2};
    TRY(builtins_find(&replace, "method", text_method_builtins, SPAN("replace")));
    TRY(call_builtin(out, r, replace, &method));
done:
    return status;
}

static clora_status run_tojson(value *out, render *r, const call *c) {
    json_style style = {.ascii = given(&c->in[0]) && value_truth(&c->in[0]),
                        .sorted = given(&c->in[3]) && value_truth(&c->in[3]),
                        .item = SPAN(", "),
                        .key = SPAN(": ")};
    text_out text = {.pool = r->pool};
    clora_status status = CLORA_OK;

    if (given(&c->in[1]) && c->in[1].kind != VALUE_NONE) {
        TRY(need_integer(&style.indent, &c->in[1], "the indent of tojson"));
        style.indented = true;
        style.indent = style.indent < 0 ? 0 : style.indent > 64 ? 64 : style.indent;
        style.item = SPAN(",");
    }
    if (given(&c->in[2]) && c->in[2].kind != VALUE_NONE) {
        const value *pair = &c->in[2];
        if (!value_is_sequence(pair) || pair->list->count != 2)
            TRY(clora_fail(CLORA_ERROR_FORMAT, "the separators of tojson are two texts"));
        TRY(need_text(&style.item, &pair->list->at[0], "a separator of tojson"));
        TRY(need_text(&style.key, &pair->list->at[1], "a separator of tojson"));
    }
    TRY(text_put_json(&text, &c->subject, &style));
    *out = value_text(text_of(&text));
done:
    return status;
}

/* ---- Numbers ---- */

/* int() of a text: blanks around a sign and digits. */
static bool read_integer(int64_t *out, span text) {
    bool negative = false;

    text = text_strip_left(text_strip_right(text, NULL), NULL);
    if (text.size > 0 && (*text.data == '-' || *text.data == '+')) {
        negative = *text.data == '-';
        text = (span){text.data + 1, text.size - 1};
    }
    *out = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (!isdigit((unsigned char)text.data[i]) || i > 17)
            return false;
        *out = 10 * *out + (text.data[i] - '0');
    }
    *out = negative ? -*out : *out;
    return text.size > 0;
}

static clora_status run_int(value *out, render *r, const call *c) {
    const value *v = &c->subject;
    clora_status status = CLORA_OK;
    int64_t integer = 0;

    (void)r;
    TRY(need_defined(v));
    if (v->kind == VALUE_REAL && fabs(v->real) < 9e18)
        *out = value_integer((int64_t)v->real);
    else if (v->kind == VALUE_INTEGER || v->kind == VALUE_BOOLEAN)
        *out = value_integer(v->kind == VALUE_INTEGER ? v->integer : v->boolean);
    else if (v->kind == VALUE_TEXT && read_integer(&integer, v->text))
        *out = value_integer(integer);
    else if (v->kind == VALUE_TEXT && text_find(v->text, SPAN(".")))
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "the filter 'int' of a text with a point is not supported");
    else
        *out = given(&c->in[0]) ? c->in[0] : value_integer(0);
done:
    return status;
}

static clora_status run_abs(value *out, render *r, const call *c) {
    clora_status status = CLORA_OK;

    (void)r;
    *out = c->subject;
    if (out->kind == VALUE_REAL) {
        out->real = fabs(out->real);
        return CLORA_OK;
    }
    int64_t integer;
    TRY(need_integer(&integer, &c->subject, "abs"));
    if (integer == INT64_MIN)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "an integer beyond 64 bits");
    *out = value_integer(integer < 0 ? -integer : integer);
done:
    return status;
}

/* ---- Indent ---- */

/* The indent is a number of blanks or a text. */
static clora_status get_indent(span *out, render *r, const value *width) {
    text_out blanks = {.pool = r->pool};
    clora_status status = CLORA_OK;
    int64_t n = 4;

    if (width->kind == VALUE_TEXT) {
        *out = width->text;
        return CLORA_OK;
    }
    if (given(width))
        TRY(need_integer(&n, width, "indent"));
    for (int64_t i = 0; i < n; i++) {
        TRY(render_spend(r, 1));
        TRY(text_put(&blanks, SPAN(" ")));
    }
    *out = text_of(&blanks);
done:
    return status;
}

static clora_status run_indent(value *out, render *r, const call *c) {
    const bool first = given(&c->in[1]) && value_truth(&c->in[1]), blank = given(&c->in[2]) && value_truth(&c->in[2]);
    text_out text = {.pool = r->pool};
    clora_status status = CLORA_OK;
    span indent, line;
    value subject;

    TRY(get_indent(&indent, r, &c->in[0]));
    TRY(text_of_value(&subject, r, &c->subject));
    for (bool is_first = true, more = true; more; is_first = false) {
        more = text_take_line(&line, &subject.text);
        if (!is_first)
            TRY(text_put(&text, SPAN("\n")));
        if (is_first ? first : line.size > 0 || blank)
            TRY(text_put(&text, indent));
        TRY(text_put(&text, line));
    }
    *out = value_text(text_of(&text));
done:
    return status;
}

const builtin filter_builtins[] = {
    {"abs", 0, {NULL}, run_abs},
    {"capitalize", 0, {NULL}, run_capitalize},
    {"d", 0, {"default_value", "boolean"}, run_default},
    {"default", 0, {"default_value", "boolean"}, run_default},
    {"indent", 0, {"width", "first", "blank"}, run_indent},
    {"int", 0, {"default"}, run_int},
    {"lower", 0, {NULL}, run_lower},
    {"replace", 2, {"old", "new", "count"}, run_replace},
    {"safe", 0, {NULL}, run_safe},
    {"string", 0, {NULL}, run_string},
    {"tojson", 0, {"ensure_ascii", "indent", "separators", "sort_keys"}, run_tojson},
    {"trim", 0, {"chars"}, run_trim},
    {"upper", 0, {NULL}, run_upper},
    {.name = NULL},
};
