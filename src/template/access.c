#include "template/render.h"

#include "base/utf8.h"

static void undefined(value *out, span name) {
    *out = (value){.kind = VALUE_UNDEFINED, .text = name};
}

/* ---- Attributes ---- */

/* What Python's types have besides: to take it for undefined would make another text. What changes a list or a
 * dict is undefined there too, as in every sandbox. */
static const char *const other_text_methods[] = {
    "casefold", "center",  "encode",     "expandtabs",   "format_map", "index",       "isalnum",
    "isalpha",  "isascii", "isdecimal",  "isidentifier", "isnumeric",  "isprintable", "isspace",
    "istitle",  "isupper", "islower",    "ljust",        "maketrans",  "partition",   "rfind",
    "rindex",   "rjust",   "rpartition", "swapcase",     "translate",  "zfill",       NULL};
static const char *const other_dict_methods[] = {"fromkeys", NULL};
static const char *const other_list_methods[] = {"copy", "count", "index", NULL};
static const char *const changing_methods[] = {"append", "clear", "extend",     "insert", "pop",     "popitem",
                                               "remove", "sort",  "setdefault", "update", "reverse", NULL};

static bool is_in(const char *const *names, span name) {
    for (; *names; names++)
        if (span_equal(name, (span){*names, strlen(*names)}))
            return true;
    return false;
}

static clora_status refuse_method(const value *of, span name) {
    return clora_fail(CLORA_ERROR_UNSUPPORTED, "the method %s.%.*s is not supported", value_type(of), (int)name.size,
                      name.data);
}

/* A method of a text or a dict; *found is false when it has none of this name. */
static clora_status find_method(value *out, bool *found, render *r, const value *of, span name) {
    const builtin *table = of->kind == VALUE_TEXT ? text_method_builtins : dict_method_builtins;
    clora_status status = CLORA_OK;
    bound_method *method = NULL;

    *found = false;
    if (of->kind != VALUE_TEXT && of->kind != VALUE_DICT)
        return CLORA_OK;
    if (is_in(of->kind == VALUE_TEXT ? other_text_methods : other_dict_methods, name))
        return refuse_method(of, name);
    for (const builtin *b = table; b->name && !*found; b++) {
        if (!span_equal(name, (span){b->name, strlen(b->name)}))
            continue;
        TRY(pool_take(&method, r->pool, 1, sizeof(*method)));
        *method = (bound_method){*of, b};
        *out = (value){.kind = VALUE_METHOD, .method = method};
        *found = true;
    }
done:
    return status;
}

static clora_status loop_attribute(value *out, const loop_state *loop, span name) {
    const int64_t index = (int64_t)loop->index, count = (int64_t)loop->list->count;
    const struct {
        const char *name;
        value value;
    } rows[] = {
        {"index", value_integer(index + 1)},        {"index0", value_integer(index)},
        {"revindex", value_integer(count - index)}, {"revindex0", value_integer(count - index - 1)},
        {"first", value_boolean(index == 0)},       {"last", value_boolean(index + 1 == count)},
        {"length", value_integer(count)},
    };

    if (span_equal(name, SPAN("previtem")) || span_equal(name, SPAN("nextitem"))) {
        const int64_t other = span_equal(name, SPAN("nextitem")) ? index + 1 : index - 1;
        if (other >= 0 && other < count)
            *out = loop->list->at[other];
        else
            undefined(out, name);
        return CLORA_OK;
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (span_equal(name, (span){rows[i].name, strlen(rows[i].name)})) {
            *out = rows[i].value;
            return CLORA_OK;
        }
    return clora_fail(CLORA_ERROR_UNSUPPORTED, "loop.%.*s is not supported", (int)name.size, name.data);
}

static clora_status get_key(value *out, const value *of, const value *key, span name) {
    const value *found = value_dict_find(of->dict, key);

    if (found)
        *out = *found;
    else
        undefined(out, name);
    return CLORA_OK;
}

clora_status access_attribute(value *out, render *r, const value *of, span name) {
    const value key = value_text(name);
    clora_status status = CLORA_OK;
    bool found = false;

    TRY(need_defined(of));
    undefined(out, name);
    if (of->kind == VALUE_LOOP)
        return loop_attribute(out, of->loop, name);
    if (of->kind == VALUE_NAMESPACE)
        return get_key(out, of, &key, name);
    if (of->kind == VALUE_MACRO)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "attributes of macros are not supported");
    if (value_is_sequence(of) && is_in(other_list_methods, name))
        return refuse_method(of, name);
    if ((of->kind == VALUE_LIST || of->kind == VALUE_DICT) && is_in(changing_methods, name))
        return CLORA_OK;
    TRY(find_method(out, &found, r, of, name));
    if (!found && of->kind == VALUE_DICT)
        return get_key(out, of, &key, name);
done:
    return status;
}

/* ---- Items ---- */

static clora_status text_item(value *out, render *r, const value *of, int64_t index) {
    const int64_t count = (int64_t)text_length(of->text);
    clora_status status = CLORA_OK;

    TRY(render_spend(r, of->text.size / 8));
    index += index < 0 ? count : 0;
    if (index >= 0 && index < count) {
        const char *at = of->text.data + text_offset(of->text, (size_t)index);
        *out = *of;
        out->text = (span){at, utf8_length(*at)};
    }
done:
    return status;
}

clora_status access_item(value *out, render *r, const value *of, const value *key) {
    const bool is_index = key->kind == VALUE_INTEGER || key->kind == VALUE_BOOLEAN;
    clora_status status = CLORA_OK;

    TRY(need_defined(of));
    undefined(out, key->kind == VALUE_TEXT ? key->text : SPAN("an item"));
    if (of->kind == VALUE_DICT) {
        TRY(render_spend(r, of->dict->count));
        const value *found = value_dict_find(of->dict, key);
        if (found) {
            *out = *found;
            return CLORA_OK;
        }
    }
    if (is_index) {
        int64_t index = key->kind == VALUE_INTEGER ? key->integer : key->boolean;
        if (of->kind == VALUE_TEXT)
            return text_item(out, r, of, index);
        if (of->kind != VALUE_LIST && of->kind != VALUE_TUPLE)
            return CLORA_OK;
        index += index < 0 ? (int64_t)of->list->count : 0;
        if (index >= 0 && index < (int64_t)of->list->count)
            *out = of->list->at[index];
    } else if (key->kind == VALUE_TEXT) {
        status = access_attribute(out, r, of, key->text);
    }
done:
    return status;
}

clora_status access_path(value *out, render *r, const value *of, const value *path) {
    clora_status status = CLORA_OK;
    value part;

    *out = *of;
    if (path->kind != VALUE_TEXT)
        return access_item(out, r, of, path);
    for (const char *at = path->text.data, *end = at + path->text.size; at <= end;) {
        const char *dot = at;
        bool digits = true;
        for (; dot < end && *dot != '.'; dot++)
            digits = digits && *dot >= '0' && *dot <= '9';
        part = value_text((span){at, (size_t)(dot - at)});
        if (digits && dot > at && dot - at < 10) {
            int64_t index = 0;
            for (; at < dot; at++)
                index = 10 * index + (*at - '0');
            part = value_integer(index);
        }
        const value inner = *out;
        TRY(access_item(out, r, &inner, &part));
        at = dot + 1;
    }
done:
    return status;
}

/* ---- Slices ---- */

static int64_t clamp(int64_t at, int64_t low, int64_t high) {
    return at < low ? low : at > high ? high : at;
}

/* One bound of a slice, as Python has it. */
static clora_status get_bound(int64_t *out, const value *bound, int64_t count, bool backwards, bool is_end) {
    const int64_t low = backwards ? -1 : 0, high = backwards ? count - 1 : count;
    clora_status status = CLORA_OK;

    if (bound->kind == VALUE_NONE) {
        *out = is_end == backwards ? low : high;
        return CLORA_OK;
    }
    TRY(need_integer(out, bound, "a slice"));
    *out = clamp(*out, -count - 1, count + 1);
    *out = clamp(*out < 0 ? *out + count : *out, low, high);
done:
    return status;
}

static clora_status slice_items(value *out, render *r, value_kind kind, const value *from, const int64_t at[3]) {
    clora_status status = CLORA_OK;
    size_t n = 0;

    for (int64_t i = at[0]; at[2] > 0 ? i < at[1] : i > at[1]; i += at[2])
        n++;
    TRY(render_spend(r, n));
    TRY(value_list_new(out, r->pool, kind, n));
    n = 0;
    for (int64_t i = at[0]; at[2] > 0 ? i < at[1] : i > at[1]; i += at[2])
        out->list->at[n++] = from[i];
done:
    return status;
}

static clora_status join_text(value *out, render *r, const value *characters, bool markup) {
    text_out text = {.pool = r->pool};
    clora_status status = CLORA_OK;

    for (size_t i = 0; i < characters->list->count; i++)
        TRY(text_put(&text, characters->list->at[i].text));
    *out = value_text(text_of(&text));
    out->markup = markup;
done:
    return status;
}

clora_status access_slice(value *out, render *r, const value *of, const value part[3]) {
    clora_status status = CLORA_OK;
    value_list *items = NULL;
    int64_t at[3] = {0, 0, 1};
    value chosen;

    TRY(need_defined(of));
    if (of->kind != VALUE_TEXT && of->kind != VALUE_LIST && of->kind != VALUE_TUPLE)
        return clora_fail(CLORA_ERROR_FORMAT, "a %s has no slices", value_type(of));
    if (part[2].kind != VALUE_NONE)
        TRY(need_integer(&at[2], &part[2], "a slice"));
    const int64_t count = of->kind == VALUE_TEXT ? (int64_t)text_length(of->text) : (int64_t)of->list->count;
    if (at[2] == 0)
        return clora_fail(CLORA_ERROR_FORMAT, "a slice whose step is 0");
    at[2] = clamp(at[2], -count - 1, count + 1);
    TRY(get_bound(&at[0], &part[0], count, at[2] < 0, false));
    TRY(get_bound(&at[1], &part[1], count, at[2] < 0, true));
    if (of->kind == VALUE_TEXT && at[2] == 1) {
        const size_t from = text_offset(of->text, (size_t)at[0]), to = text_offset(of->text, (size_t)at[1]);
        TRY(render_spend(r, of->text.size / 8));
        *out = *of;
        out->text = (span){of->text.data + from, to > from ? to - from : 0};
        return CLORA_OK;
    }
    TRY(access_items(&items, r, of));
    TRY(slice_items(&chosen, r, of->kind == VALUE_TEXT ? VALUE_LIST : of->kind, items->at, at));
    *out = chosen;
    if (of->kind == VALUE_TEXT)
        TRY(join_text(out, r, &chosen, of->markup));
done:
    return status;
}

/* ---- All items ---- */

static clora_status characters(value_list **out, render *r, const value *of) {
    clora_status status = CLORA_OK;
    size_t at = 0;
    value list;

    TRY(value_list_new(&list, r->pool, VALUE_LIST, text_length(of->text)));
    for (size_t i = 0; i < list.list->count; i++) {
        const size_t n = utf8_length(of->text.data[at]);
        list.list->at[i] = *of;
        list.list->at[i].text = (span){of->text.data + at, n};
        at += n;
    }
    *out = list.list;
done:
    return status;
}

static clora_status keys(value_list **out, render *r, const value_dict *dict) {
    clora_status status = CLORA_OK;
    value list;

    TRY(value_list_new(&list, r->pool, VALUE_LIST, dict->count));
    for (size_t i = 0; i < dict->count; i++)
        list.list->at[i] = dict->at[i].key;
    *out = list.list;
done:
    return status;
}

clora_status access_items(value_list **out, render *r, const value *of) {
    static value_list nothing;

    *out = &nothing;
    switch (of->kind) {
    case VALUE_UNDEFINED: return CLORA_OK;
    case VALUE_TEXT: return characters(out, r, of);
    case VALUE_DICT: return keys(out, r, of->dict);
    case VALUE_LIST:
    case VALUE_TUPLE:
    case VALUE_VIEW: *out = of->list; return render_spend(r, of->list->count);
    case VALUE_ITERATOR:
        if (!of->list->spent)
            *out = of->list;
        of->list->spent = true;
        return render_spend(r, of->list->count);
    default: return clora_fail(CLORA_ERROR_FORMAT, "a %s has no items to walk over", value_type(of));
    }
}
