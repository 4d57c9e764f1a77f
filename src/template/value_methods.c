#include "template/render.h"

#include "base/utf8.h"

/* Methods of texts and of dicts, as Python has them. */

static bool given(const value *v) {
    return v->kind != VALUE_ABSENT && v->kind != VALUE_NONE;
}

/* ---- Texts ---- */

/* The subject with another text: what `safe` has marked stays marked. */
static value like(const call *c, span text) {
    value v = c->subject;

    v.text = text;
    return v;
}

static clora_status change_case(value *out, render *r, const call *c, text_case how) {
    text_out text = {.pool = r->pool};
    const clora_status status = text_put_case(&text, c->subject.text, how);

    *out = like(c, text_of(&text));
    return status;
}

static clora_status run_capitalize(value *out, render *r, const call *c) {
    return change_case(out, r, c, CASE_CAPITAL);
}

static clora_status run_lower(value *out, render *r, const call *c) {
    return change_case(out, r, c, CASE_LOWER);
}

static clora_status run_title(value *out, render *r, const call *c) {
    return change_case(out, r, c, CASE_TITLE);
}

static clora_status run_upper(value *out, render *r, const call *c) {
    return change_case(out, r, c, CASE_UPPER);
}

static clora_status strip(value *out, const call *c, bool left, bool right) {
    clora_status status = CLORA_OK;
    span characters = {NULL, 0}, text = c->subject.text;

    if (given(&c->in[0]))
        TRY(need_text(&characters, &c->in[0], "strip"));
    const span *chars = given(&c->in[0]) ? &characters : NULL;
    text = right ? text_strip_right(text, chars) : text;
    *out = like(c, left ? text_strip_left(text, chars) : text);
done:
    return status;
}

static clora_status run_strip(value *out, render *r, const call *c) {
    (void)r;
    return strip(out, c, true, true);
}

static clora_status run_lstrip(value *out, render *r, const call *c) {
    (void)r;
    return strip(out, c, true, false);
}

static clora_status run_rstrip(value *out, render *r, const call *c) {
    (void)r;
    return strip(out, c, false, true);
}

/* Does the text begin or end with the argument, or with one of a tuple? */
static clora_status has_end(value *out, const call *c, bool (*has)(span, span)) {
    const value *with = &c->in[0];
    clora_status status = CLORA_OK;
    bool found = false;
    span part;

    if (with->kind != VALUE_TUPLE) {
        TRY(need_text(&part, with, "startswith or endswith"));
        found = has(c->subject.text, part);
    }
    for (size_t i = 0; with->kind == VALUE_TUPLE && i < with->list->count && !found; i++) {
        TRY(need_text(&part, &with->list->at[i], "startswith or endswith"));
        found = has(c->subject.text, part);
    }
    *out = value_boolean(found);
done:
    return status;
}

static clora_status run_startswith(value *out, render *r, const call *c) {
    (void)r;
    return has_end(out, c, text_has_beginning);
}

static clora_status run_endswith(value *out, render *r, const call *c) {
    (void)r;
    return has_end(out, c, text_has_ending);
}

static clora_status remove_end(value *out, const call *c, bool prefix) {
    clora_status status = CLORA_OK;
    span part, text = c->subject.text;

    TRY(need_text(&part, &c->in[0], "removeprefix or removesuffix"));
    if (prefix && text_has_beginning(text, part))
        text = (span){text.data + part.size, text.size - part.size};
    else if (!prefix && text_has_ending(text, part))
        text.size -= part.size;
    *out = like(c, text);
done:
    return status;
}

static clora_status run_removeprefix(value *out, render *r, const call *c) {
    (void)r;
    return remove_end(out, c, true);
}

static clora_status run_removesuffix(value *out, render *r, const call *c) {
    (void)r;
    return remove_end(out, c, false);
}

static clora_status run_isdigit(value *out, render *r, const call *c) {
    const span text = c->subject.text;
    bool digits = text.size > 0;

    (void)r;
    for (size_t i = 0; i < text.size; i++) {
        if ((unsigned char)text.data[i] >= 0x80)
            return clora_fail(CLORA_ERROR_UNSUPPORTED, "isdigit() of other than ASCII is not supported");
        digits = digits && text.data[i] >= '0' && text.data[i] <= '9';
    }
    *out = value_boolean(digits);
    return CLORA_OK;
}

/* Where the argument begins, in characters; -1 when it is not there. */
static clora_status run_find(value *out, render *r, const call *c) {
    const span text = c->subject.text;
    clora_status status = CLORA_OK;
    span part;

    (void)r;
    TRY(need_text(&part, &c->in[0], "find"));
    const char *found = text_find(text, part);
    *out = value_integer(found ? (int64_t)text_length((span){text.data, (size_t)(found - text.data)}) : -1);
done:
    return status;
}

static clora_status run_count(value *out, render *r, const call *c) {
    clora_status status = CLORA_OK;
    span part, text = c->subject.text;
    int64_t count = 0;

    (void)r;
    TRY(need_text(&part, &c->in[0], "count"));
    if (part.size == 0)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "count() of nothing is not supported");
    for (const char *at = text_find(text, part); at; at = text_find(text, part), count++)
        text = (span){at + part.size, (size_t)(text.data + text.size - at) - part.size};
    *out = value_integer(count);
done:
    return status;
}

static clora_status run_replace(value *out, render *r, const call *c) {
    text_out result = {.pool = r->pool}, escaped = {.pool = r->pool};
    clora_status status = CLORA_OK;
    span text = c->subject.text, from, to;
    int64_t times = -1;

    TRY(need_text(&from, &c->in[0], "replace"));
    TRY(need_text(&to, &c->in[1], "replace"));
    if (given(&c->in[2]))
        TRY(need_integer(&times, &c->in[2], "the count of replace"));
    if (c->subject.markup && !c->in[1].markup) {
        TRY(text_put_escaped(&escaped, to));
        to = text_of(&escaped);
    }
    while (times != 0 && (text.size > 0 || from.size == 0)) {
        const char *at = text_find(text, from);
        if (!at)
            break;
        TRY(text_put(&result, (span){text.data, (size_t)(at - text.data)}));
        TRY(text_put(&result, to));
        text = (span){at + from.size, (size_t)(text.data + text.size - at) - from.size};
        times -= times > 0;
        if (from.size > 0)
            continue;
        if (text.size == 0) /* between all characters, and at both ends */
            break;
        const size_t n = utf8_length(*text.data);
        TRY(text_put(&result, (span){text.data, n}));
        text = (span){text.data + n, text.size - n};
    }
    TRY(text_put(&result, text));
    *out = like(c, text_of(&result));
done:
    return status;
}

/* ---- Texts apart ---- */

typedef struct parts {
    value list;
    size_t room;
} parts;

static clora_status add_part(parts *p, render *r, const call *c, span text) {
    clora_status status = CLORA_OK;
    value_list *list = p->list.list;

    TRY(render_spend(r, 1));
    if (list->count == p->room) {
        p->room = p->room ? 2 * p->room : 8;
        value *larger = NULL;
        TRY(pool_take(&larger, r->pool, p->room, sizeof(*larger)));
        if (list->count > 0)
            memcpy(larger, list->at, list->count * sizeof(*larger));
        list->at = larger;
    }
    list->at[list->count++] = like(c, text);
done:
    return status;
}

static clora_status split_at_blanks(parts *p, render *r, const call *c, int64_t times) {
    span text = text_strip_left(c->subject.text, NULL);
    clora_status status = CLORA_OK;

    for (; text.size > 0; text = text_strip_left(text, NULL)) {
        size_t size = 0;
        uint32_t character;
        if (times-- == 0)
            return add_part(p, r, c, text_strip_right(text, NULL));
        while (size < text.size) {
            const size_t n = utf8_decode(text.data + size, &character);
            if (text_is_blank(character))
                break;
            size += n;
        }
        TRY(add_part(p, r, c, (span){text.data, size}));
        text = (span){text.data + size, text.size - size};
    }
done:
    return status;
}

static clora_status split_at(parts *p, render *r, const call *c, span by, int64_t times) {
    span text = c->subject.text;
    clora_status status = CLORA_OK;

    if (by.size == 0)
        return clora_fail(CLORA_ERROR_FORMAT, "split() by nothing");
    for (; times != 0; times--) {
        const char *at = text_find(text, by);
        if (!at)
            break;
        TRY(add_part(p, r, c, (span){text.data, (size_t)(at - text.data)}));
        text = (span){at + by.size, (size_t)(text.data + text.size - at) - by.size};
    }
    TRY(add_part(p, r, c, text));
done:
    return status;
}

static clora_status run_split(value *out, render *r, const call *c) {
    clora_status status = CLORA_OK;
    int64_t times = -1;
    parts p = {.room = 0};
    span by;

    TRY(value_list_new(&p.list, r->pool, VALUE_LIST, 0));
    if (given(&c->in[1]))
        TRY(need_integer(&times, &c->in[1], "the count of split"));
    if (given(&c->in[0])) {
        TRY(need_text(&by, &c->in[0], "split"));
        TRY(split_at(&p, r, c, by, times));
    } else {
        TRY(split_at_blanks(&p, r, c, times));
    }
    *out = p.list;
done:
    return status;
}

/* From the right, found from the end. */
static clora_status run_rsplit(value *out, render *r, const call *c) {
    span text = c->subject.text, by;
    clora_status status = CLORA_OK;
    int64_t times = -1;
    parts p = {.room = 0};

    TRY(value_list_new(&p.list, r->pool, VALUE_LIST, 0));
    if (!given(&c->in[0]))
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "rsplit() at blanks is not supported");
    if (given(&c->in[1]))
        TRY(need_integer(&times, &c->in[1], "the count of rsplit"));
    TRY(need_text(&by, &c->in[0], "rsplit"));
    if (by.size == 0)
        return clora_fail(CLORA_ERROR_FORMAT, "rsplit() by nothing");
    for (; times != 0; times--) {
        TRY(render_spend(r, text.size / 8));
        const char *at = text_find_last(text, by);
        if (!at)
            break;
        const char *rest = at + by.size;
        TRY(add_part(&p, r, c, (span){rest, (size_t)(text.data + text.size - rest)}));
        text.size = (size_t)(at - text.data);
    }
    TRY(add_part(&p, r, c, text));
    for (size_t i = 0, k = p.list.list->count - 1; i < k; i++, k--) {
        const value first = p.list.list->at[i];
        p.list.list->at[i] = p.list.list->at[k];
        p.list.list->at[k] = first;
    }
    *out = p.list;
done:
    return status;
}

static clora_status run_splitlines(value *out, render *r, const call *c) {
    clora_status status = CLORA_OK;
    span text = c->subject.text, line;
    parts p = {.room = 0};

    TRY(value_list_new(&p.list, r->pool, VALUE_LIST, 0));
    if (given(&c->in[0]) && value_truth(&c->in[0]))
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "splitlines() that keeps line ends is not supported");
    while (text.size > 0) {
        text_take_line(&line, &text);
        TRY(add_part(&p, r, c, line));
    }
    *out = p.list;
done:
    return status;
}

static clora_status run_join(value *out, render *r, const call *c) {
    text_out text = {.pool = r->pool};
    clora_status status = CLORA_OK;
    value_list *items = NULL;
    span part;

    TRY(access_items(&items, r, &c->in[0]));
    for (size_t i = 0; i < items->count; i++) {
        TRY(need_text(&part, &items->at[i], "join"));
        if (i > 0)
            TRY(text_put(&text, c->subject.text));
        TRY(text_put(&text, part));
    }
    *out = value_text(text_of(&text));
done:
    return status;
}

/* {} alone: what it may hold is not supported. */
static clora_status run_format(value *out, render *r, const call *c) {
    text_out text = {.pool = r->pool};
    const span form = c->subject.text;
    clora_status status = CLORA_OK;
    size_t next = 0;

    for (size_t i = 0; i < form.size; i++) {
        const char a = form.data[i], b = i + 1 < form.size ? form.data[i + 1] : '\0';
        if ((a == '{' || a == '}') && a == b) {
            TRY(text_put(&text, (span){form.data + i++, 1}));
        } else if (a == '{' && b == '}') {
            if (next == c->count)
                return clora_fail(CLORA_ERROR_FORMAT, "format() has too few arguments");
            TRY(need_defined(&c->at[next]));
            TRY(text_put_value(&text, &c->at[next++]));
            i++;
        } else if (a == '{' || a == '}') {
            return clora_fail(CLORA_ERROR_UNSUPPORTED, "format() of more than {} is not supported");
        } else {
            TRY(text_put(&text, (span){form.data + i, 1}));
        }
    }
    *out = value_text(text_of(&text));
done:
    return status;
}

const builtin text_method_builtins[] = {
    {"capitalize", 0, {NULL}, run_capitalize},
    {"count", 1, {"sub"}, run_count},
    {"endswith", 1, {"suffix"}, run_endswith},
    {"find", 1, {"sub"}, run_find},
    {"format", ANY, {NULL}, run_format},
    {"isdigit", 0, {NULL}, run_isdigit},
    {"join", 1, {"iterable"}, run_join},
    {"lower", 0, {NULL}, run_lower},
    {"lstrip", 0, {"chars"}, run_lstrip},
    {"removeprefix", 1, {"prefix"}, run_removeprefix},
    {"removesuffix", 1, {"suffix"}, run_removesuffix},
    {"replace", 2, {"old", "new", "count"}, run_replace},
    {"rsplit", 0, {"sep", "maxsplit"}, run_rsplit},
    {"rstrip", 0, {"chars"}, run_rstrip},
    {"split", 0, {"sep", "maxsplit"}, run_split},
    {"splitlines", 0, {"keepends"}, run_splitlines},
    {"startswith", 1, {"prefix"}, run_startswith},
    {"strip", 0, {"chars"}, run_strip},
    {"title", 0, {NULL}, run_title},
    {"upper", 0, {NULL}, run_upper},
    {.name = NULL},
};

/* ---- Dicts ---- */

static clora_status run_get(value *out, render *r, const call *c) {
    clora_status status = CLORA_OK;

    TRY(render_spend(r, c->subject.dict->count));
    const value *found = value_dict_find(c->subject.dict, &c->in[0]);
    *out = found ? *found : c->in[1].kind == VALUE_ABSENT ? (value){.kind = VALUE_NONE} : c->in[1];
done:
    return status;
}

static clora_status run_copy(value *out, render *r, const call *c) {
    (void)r;
    *out = c->subject; /* which never changes */
    return CLORA_OK;
}

static clora_status run_items(value *out, render *r, const call *c) {
    clora_status status = CLORA_OK;
    call filter = {.subject = c->subject};

    TRY(call_filter(out, r, SPAN("items"), &filter));
    out->kind = VALUE_VIEW;
done:
    return status;
}

static clora_status view(value *out, render *r, const call *c, bool keys) {
    const value_dict *dict = c->subject.dict;
    clora_status status = CLORA_OK;

    TRY(value_list_new(out, r->pool, VALUE_VIEW, dict->count));
    for (size_t i = 0; i < dict->count; i++)
        out->list->at[i] = keys ? dict->at[i].key : dict->at[i].value;
done:
    return status;
}

static clora_status run_keys(value *out, render *r, const call *c) {
    return view(out, r, c, true);
}

static clora_status run_values(value *out, render *r, const call *c) {
    return view(out, r, c, false);
}

const builtin dict_method_builtins[] = {
    {"copy", 0, {NULL}, run_copy}, {"get", 1, {"key", "default"}, run_get}, {"items", 0, {NULL}, run_items},
    {"keys", 0, {NULL}, run_keys}, {"values", 0, {NULL}, run_values},       {.name = NULL},
};
