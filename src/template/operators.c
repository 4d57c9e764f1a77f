#include <math.h>

#include "template/render.h"

static bool is(span sign, const char *text) {
    return span_equal(sign, (span){text, strlen(text)});
}

static clora_status fail_types(span sign, const value *a, const value *b) {
    return clora_fail(CLORA_ERROR_FORMAT, "%.*s goes not with %s and %s", (int)sign.size, sign.data, value_type(a),
                      value_type(b));
}

/* ---- Numbers ---- */

static int64_t as_integer(const value *v) {
    return v->kind == VALUE_INTEGER ? v->integer : v->boolean;
}

static clora_status divide(int64_t *out, char sign, int64_t a, int64_t b) {
    if (b == -1) { /* which overflows for the least integer */
        *out = sign == '%' ? 0 : -a;
        return a == INT64_MIN ? clora_fail(CLORA_ERROR_UNSUPPORTED, "an integer beyond 64 bits") : CLORA_OK;
    }
    const int64_t rest = a % b != 0 && (a % b < 0) != (b < 0) ? a % b + b : a % b;

    *out = sign == '%' ? rest : a / b - (a % b != 0 && (a % b < 0) != (b < 0));
    return CLORA_OK;
}

static clora_status operate_integers(value *out, char sign, int64_t a, int64_t b) {
    clora_status status = CLORA_OK;
    bool over = false;
    int64_t result = 0;

    if (sign == '+')
        over = __builtin_add_overflow(a, b, &result);
    else if (sign == '-')
        over = __builtin_sub_overflow(a, b, &result);
    else if (sign == '*')
        over = __builtin_mul_overflow(a, b, &result);
    else
        TRY(divide(&result, sign, a, b));
    if (over)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "an integer beyond 64 bits");
    *out = value_integer(result);
done:
    return status;
}

static double operate_reals(char sign, double a, double b) {
    switch (sign) {
    case '+': return a + b;
    case '-': return a - b;
    case '*': return a * b;
    case '%': return a - b * floor(a / b);
    default: return floor(a / b);
    }
}

static clora_status operate_numbers(value *out, span sign, const value *a, const value *b) {
    const bool integers = a->kind != VALUE_REAL && b->kind != VALUE_REAL, divides = is(sign, "/");
    const char which = divides ? '/' : *sign.data;
    double x = 0, y = 0;

    value_number(&x, a);
    value_number(&y, b);
    if ((which == '/' || which == '%') && y == 0)
        return clora_fail(CLORA_ERROR_FORMAT, "a division by zero");
    if (integers && !divides)
        return operate_integers(out, which, as_integer(a), as_integer(b));
    *out = (value){.kind = VALUE_REAL, .real = divides ? x / y : operate_reals(which, x, y)};
    return CLORA_OK;
}

/* ---- Texts and lists ---- */

static clora_status add_texts(value *out, render *r, const value *a, const value *b) {
    text_out text = {.pool = r->pool};
    const bool markup = a->markup || b->markup;
    clora_status status = CLORA_OK;

    TRY(markup && !a->markup ? text_put_escaped(&text, a->text) : text_put(&text, a->text));
    TRY(markup && !b->markup ? text_put_escaped(&text, b->text) : text_put(&text, b->text));
    *out = value_text(text_of(&text));
    out->markup = markup;
done:
    return status;
}

static clora_status add_lists(value *out, render *r, const value *a, const value *b) {
    clora_status status = CLORA_OK;

    TRY(render_spend(r, a->list->count + b->list->count));
    TRY(value_list_new(out, r->pool, a->kind, a->list->count + b->list->count));
    for (size_t i = 0; i < out->list->count; i++)
        out->list->at[i] = i < a->list->count ? a->list->at[i] : b->list->at[i - a->list->count];
done:
    return status;
}

static clora_status repeat(value *out, render *r, const value *a, int64_t times) {
    text_out text = {.pool = r->pool};
    clora_status status = CLORA_OK;

    for (int64_t i = 0; i < times && a->text.size > 0; i++) {
        TRY(render_spend(r, 1));
        TRY(text_put(&text, a->text));
    }
    *out = *a;
    out->text = text_of(&text);
done:
    return status;
}

clora_status operate(value *out, render *r, span sign, const value *a, const value *b) {
    clora_status status = CLORA_OK;
    double number;

    TRY(need_defined(a));
    TRY(need_defined(b));
    if (value_number(&number, a) && value_number(&number, b))
        return operate_numbers(out, sign, a, b);
    if (is(sign, "+") && a->kind == VALUE_TEXT && b->kind == VALUE_TEXT)
        return add_texts(out, r, a, b);
    if (is(sign, "+") && a->kind == b->kind && (a->kind == VALUE_LIST || a->kind == VALUE_TUPLE))
        return add_lists(out, r, a, b);
    if (is(sign, "*") && a->kind == VALUE_TEXT && b->kind == VALUE_INTEGER)
        return repeat(out, r, a, b->integer);
    if (is(sign, "*") && a->kind == VALUE_INTEGER && b->kind == VALUE_TEXT)
        return repeat(out, r, b, a->integer);
    if (is(sign, "%") && a->kind == VALUE_TEXT)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "formatting with %% is not supported");
    if (is(sign, "*") && (value_is_sequence(a) || value_is_sequence(b)))
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "repeating a list with * is not supported");
    status = fail_types(sign, a, b);
done:
    return status;
}

/* ---- Comparisons ---- */

static clora_status are_equal(bool *out, render *r, const value *a, const value *b) {
    const size_t size = a->kind == VALUE_TEXT ? a->text.size / 64 : 0;
    clora_status status = CLORA_OK;

    TRY(render_spend(r, size + 1));
    *out = value_equal(a, b, &r->left);
    status = render_spend(r, 1);
done:
    return status;
}

static clora_status is_among(bool *out, render *r, const value *part, const value *whole) {
    clora_status status = CLORA_OK;
    value_list *items = NULL;

    *out = false;
    if (whole->kind == VALUE_TEXT) {
        span text;
        TRY(need_text(&text, part, "'in' a text"));
        TRY(render_spend(r, (text.size + whole->text.size) / 16));
        *out = text_find(whole->text, text) != NULL;
        return CLORA_OK;
    }
    if (whole->kind == VALUE_DICT) {
        TRY(render_spend(r, whole->dict->count));
        *out = value_dict_find(whole->dict, part) != NULL;
        return CLORA_OK;
    }
    TRY(access_items(&items, r, whole));
    for (size_t i = 0; i < items->count && !*out; i++)
        TRY(are_equal(out, r, &items->at[i], part));
done:
    return status;
}

clora_status operate_compare(bool *out, render *r, span sign, const value *a, const value *b) {
    clora_status status = CLORA_OK;
    int order = 0;

    if (is(sign, "==") || is(sign, "!=")) {
        TRY(are_equal(out, r, a, b));
        *out = *out == is(sign, "==");
        return CLORA_OK;
    }
    if (is(sign, "in") || is(sign, "not in")) {
        TRY(is_among(out, r, a, b));
        *out = *out == is(sign, "in");
        return CLORA_OK;
    }
    TRY(need_defined(a));
    TRY(need_defined(b));
    if (!value_compare(&order, a, b))
        return fail_types(sign, a, b);
    *out = is(sign, "<") ? order < 0 : is(sign, "<=") ? order <= 0 : is(sign, ">") ? order > 0 : order >= 0;
done:
    return status;
}
