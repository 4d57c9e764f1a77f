#include "template/render.h"

#include <stdlib.h>

/* Filters that walk over the items of a value. */

static bool given(const value *v) {
    return v->kind != VALUE_ABSENT;
}

static clora_status run_length(value *out, render *r, const call *c) {
    const value *v = &c->subject;

    (void)r;
    if (v->kind == VALUE_UNDEFINED)
        *out = value_integer(0);
    else if (v->kind == VALUE_TEXT)
        *out = value_integer((int64_t)text_length(v->text));
    else if (v->kind == VALUE_DICT)
        *out = value_integer((int64_t)v->dict->count);
    else if (value_is_sequence(v) && v->kind != VALUE_ITERATOR)
        *out = value_integer((int64_t)v->list->count);
    else
        return clora_fail(CLORA_ERROR_FORMAT, "a %s has no length", value_type(v));
    return CLORA_OK;
}

/* A list of the items, which may be changed. */
static clora_status copy_items(value *out, render *r, const value *of, value_kind kind) {
    clora_status status = CLORA_OK;
    value_list *items = NULL;

    TRY(access_items(&items, r, of));
    TRY(value_list_new(out, r->pool, kind, items->count));
    if (items->count > 0)
        memcpy(out->list->at, items->at, items->count * sizeof(*items->at));
done:
    return status;
}

/* The same, to be walked once: what is false, None too, has none. */
static clora_status copy_for_walk(value *out, render *r, const value *of) {
    return copy_items(out, r, value_truth(of) ? of : &(value){.kind = VALUE_UNDEFINED}, VALUE_ITERATOR);
}

static clora_status run_list(value *out, render *r, const call *c) {
    return copy_items(out, r, &c->subject, VALUE_LIST);
}

static clora_status run_first(value *out, render *r, const call *c) {
    clora_status status = CLORA_OK;
    value_list *items = NULL;

    TRY(access_items(&items, r, &c->subject));
    *out = items->count ? items->at[0] : (value){.kind = VALUE_UNDEFINED, .text = SPAN("first")};
done:
    return status;
}

static clora_status run_last(value *out, render *r, const call *c) {
    clora_status status = CLORA_OK;
    value_list *items = NULL;

    if (c->subject.kind == VALUE_ITERATOR)
        return clora_fail(CLORA_ERROR_FORMAT, "a generator has no last item");
    TRY(access_items(&items, r, &c->subject));
    *out = items->count ? items->at[items->count - 1] : (value){.kind = VALUE_UNDEFINED, .text = SPAN("last")};
done:
    return status;
}

static clora_status run_join(value *out, render *r, const call *c) {
    text_out text = {.pool = r->pool};
    value between = value_text(SPAN(""));
    clora_status status = CLORA_OK;
    value_list *items = NULL;

    if (given(&c->in[0]))
        TRY(text_of_value(&between, r, &c->in[0]));
    TRY(access_items(&items, r, &c->subject));
    for (size_t i = 0; i < items->count; i++) {
        value item = items->at[i];
        if (given(&c->in[1]) && c->in[1].kind != VALUE_NONE)
            TRY(access_path(&item, r, &items->at[i], &c->in[1]));
        if (i > 0)
            TRY(text_put(&text, between.text));
        TRY(text_put_value(&text, &item));
    }
    *out = value_text(text_of(&text));
done:
    return status;
}

static clora_status pairs(value *out, render *r, const value_dict *dict, value_kind kind) {
    clora_status status = CLORA_OK;

    TRY(value_list_new(out, r->pool, kind, dict->count));
    for (size_t i = 0; i < dict->count; i++) {
        value *pair = &out->list->at[i];
        TRY(value_list_new(pair, r->pool, VALUE_TUPLE, 2));
        pair->list->at[0] = dict->at[i].key;
        pair->list->at[1] = dict->at[i].value;
    }
done:
    return status;
}

static clora_status run_items(value *out, render *r, const call *c) {
    if (c->subject.kind == VALUE_UNDEFINED)
        return value_list_new(out, r->pool, VALUE_ITERATOR, 0);
    if (c->subject.kind != VALUE_DICT)
        return clora_fail(CLORA_ERROR_FORMAT, "a %s has no items()", value_type(&c->subject));
    return pairs(out, r, c->subject.dict, VALUE_ITERATOR);
}

/* ---- Order ---- */

typedef struct keyed {
    value key, item;
    size_t place;
} keyed;

/* What a value is sorted by: a text without its capitals, unless told otherwise. */
static clora_status sort_key(value *out, render *r, const value *v, bool exact) {
    text_out text = {.pool = r->pool};
    clora_status status = CLORA_OK;

    *out = *v;
    if (v->kind != VALUE_TEXT || exact)
        return CLORA_OK;
    TRY(text_put_case(&text, v->text, CASE_LOWER));
    *out = value_text(text_of(&text));
done:
    return status;
}

static int compare_keyed(const void *a, const void *b) {
    const keyed *x = a, *y = b;
    int order = 0;

    value_compare(&order, &x->key, &y->key);
    return order ? order : (x->place > y->place) - (x->place < y->place);
}

static int compare_reversed(const void *a, const void *b) {
    const keyed *x = a, *y = b;
    int order = 0;

    value_compare(&order, &y->key, &x->key);
    return order ? order : (x->place > y->place) - (x->place < y->place);
}

/* Keys for all items of a list: of the attribute, if one is given. */
static clora_status make_keys(keyed **out, render *r, const value_list *list, const value *attribute, bool exact) {
    clora_status status = CLORA_OK;
    keyed *all = NULL;
    int order;

    TRY(render_spend(r, 20 * list->count));
    TRY(pool_take(&all, r->pool, list->count, sizeof(*all)));
    for (size_t i = 0; i < list->count; i++) {
        value part = list->at[i];
        if (given(attribute) && attribute->kind != VALUE_NONE)
            TRY(access_path(&part, r, &list->at[i], attribute));
        TRY(sort_key(&all[i].key, r, &part, exact));
        all[i].item = list->at[i];
        all[i].place = i;
        if (list->count > 1 && !value_compare(&order, &all[0].key, &all[i].key))
            TRY(clora_fail(CLORA_ERROR_FORMAT, "%s and %s have no order", value_type(&all[0].key),
                           value_type(&all[i].key)));
    }
    *out = all;
done:
    return status;
}

static clora_status sort_list(value *list, render *r, const value *attribute, bool exact, bool reverse) {
    clora_status status = CLORA_OK;
    keyed *all = NULL;

    TRY(make_keys(&all, r, list->list, attribute, exact));
    if (list->list->count > 0)
        qsort(all, list->list->count, sizeof(*all), reverse ? compare_reversed : compare_keyed);
    for (size_t i = 0; i < list->list->count; i++)
        list->list->at[i] = all[i].item;
done:
    return status;
}

static bool is_true(const value *v) {
    return given(v) && value_truth(v);
}

static clora_status run_sort(value *out, render *r, const call *c) {
    clora_status status = CLORA_OK;

    TRY(copy_items(out, r, &c->subject, VALUE_LIST));
    TRY(sort_list(out, r, &c->in[2], is_true(&c->in[1]), is_true(&c->in[0])));
done:
    return status;
}

static clora_status run_dictsort(value *out, render *r, const call *c) {
    const bool by_value = c->in[1].kind == VALUE_TEXT && span_equal(c->in[1].text, SPAN("value"));
    const value place = value_integer(by_value);
    clora_status status = CLORA_OK;

    if (c->subject.kind != VALUE_DICT)
        return clora_fail(CLORA_ERROR_FORMAT, "dictsort takes a dict, not a %s", value_type(&c->subject));
    TRY(pairs(out, r, c->subject.dict, VALUE_LIST));
    TRY(sort_list(out, r, &place, is_true(&c->in[0]), is_true(&c->in[2])));
done:
    return status;
}

static clora_status run_unique(value *out, render *r, const call *c) {
    clora_status status = CLORA_OK;
    keyed *all = NULL;
    size_t count = 0;

    TRY(copy_items(out, r, &c->subject, VALUE_ITERATOR));
    TRY(make_keys(&all, r, out->list, &c->in[1], is_true(&c->in[0])));
    for (size_t i = 0; i < out->list->count; i++) {
        bool known = false;
        TRY(render_spend(r, count));
        for (size_t k = 0; k < count && !known; k++)
            known = value_equal(&all[k].key, &all[i].key, &r->left);
        if (known)
            continue;
        all[count].key = all[i].key;
        out->list->at[count++] = all[i].item;
    }
    out->list->count = count;
done:
    return status;
}

static clora_status extreme(value *out, render *r, const call *c, int sign) {
    clora_status status = CLORA_OK;
    value_list *items = NULL;
    keyed *all = NULL;
    size_t best = 0;
    int order = 0;

    TRY(access_items(&items, r, &c->subject));
    TRY(make_keys(&all, r, items, &c->in[1], is_true(&c->in[0])));
    for (size_t i = 1; i < items->count; i++)
        if (value_compare(&order, &all[i].key, &all[best].key) && order * sign > 0)
            best = i;
    *out = items->count ? items->at[best] : (value){.kind = VALUE_UNDEFINED, .text = SPAN("the least of nothing")};
done:
    return status;
}

static clora_status run_min(value *out, render *r, const call *c) {
    return extreme(out, r, c, -1);
}

static clora_status run_max(value *out, render *r, const call *c) {
    return extreme(out, r, c, 1);
}

static clora_status run_reverse(value *out, render *r, const call *c) {
    clora_status status = CLORA_OK;
    value_list *items = NULL;

    if (c->subject.kind == VALUE_TEXT)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "the filter 'reverse' of a text is not supported");
    TRY(access_items(&items, r, &c->subject));
    TRY(value_list_new(out, r->pool, VALUE_ITERATOR, items->count));
    for (size_t i = 0; i < items->count; i++)
        out->list->at[i] = items->at[items->count - 1 - i];
done:
    return status;
}

static clora_status run_sum(value *out, render *r, const call *c) {
    clora_status status = CLORA_OK;
    value_list *items = NULL;

    *out = given(&c->in[1]) ? c->in[1] : value_integer(0);
    TRY(access_items(&items, r, &c->subject));
    for (size_t i = 0; i < items->count; i++) {
        const value before = *out;
        value item = items->at[i];
        if (given(&c->in[0]) && c->in[0].kind != VALUE_NONE)
            TRY(access_path(&item, r, &items->at[i], &c->in[0]));
        TRY(operate(out, r, SPAN("+"), &before, &item));
    }
done:
    return status;
}

/* ---- map, select, reject ---- */

static const value *named(const call *c, const char *name) {
    for (size_t i = 0; i < c->named_count; i++)
        if (span_equal(c->named[i].name, (span){name, strlen(name)}))
            return &c->named[i].value;
    return NULL;
}

static clora_status map_attribute(value *list, render *r, const value *attribute, const value *standard) {
    clora_status status = CLORA_OK;

    for (size_t i = 0; i < list->list->count; i++) {
        const value item = list->list->at[i];
        TRY(access_path(&list->list->at[i], r, &item, attribute));
        if (standard && list->list->at[i].kind == VALUE_UNDEFINED)
            list->list->at[i] = *standard;
    }
done:
    return status;
}

static clora_status run_map(value *out, render *r, const call *c) {
    const value *attribute = named(c, "attribute");
    clora_status status = CLORA_OK;
    span name;

    TRY(copy_for_walk(out, r, &c->subject));
    if (attribute)
        return map_attribute(out, r, attribute, named(c, "default"));
    if (c->count == 0)
        return clora_fail(CLORA_ERROR_FORMAT, "'map' lacks the name of a filter");
    TRY(need_text(&name, &c->at[0], "map"));
    for (size_t i = 0; i < out->list->count; i++) {
        call one = {.subject = out->list->at[i],
                    .at = c->at + 1,
                    .count = c->count - 1,
                    .named = c->named,
                    .named_count = c->named_count};
        TRY(render_spend(r, 10));
        TRY(call_filter(&out->list->at[i], r, name, &one));
    }
done:
    return status;
}

/* Does an item pass the test that the arguments from `skip` on name; without one, is it true? */
static clora_status passes(bool *out, render *r, const value *item, const call *c, size_t skip) {
    call one = {.subject = *item};
    clora_status status = CLORA_OK;
    span name;

    *out = value_truth(item);
    if (c->count <= skip)
        return CLORA_OK;
    one.at = c->at + skip + 1;
    one.count = c->count - skip - 1;
    TRY(need_text(&name, &c->at[skip], "the name of a test"));
    TRY(call_test(out, r, name, &one));
done:
    return status;
}

static clora_status choose(value *out, render *r, const call *c, bool wanted, bool by_attribute) {
    clora_status status = CLORA_OK;
    size_t count = 0;

    if (by_attribute && c->count == 0)
        return clora_fail(CLORA_ERROR_FORMAT, "'selectattr' lacks the name of an attribute");
    TRY(copy_for_walk(out, r, &c->subject));
    for (size_t i = 0; i < out->list->count; i++) {
        value part = out->list->at[i];
        bool passed = false;
        TRY(render_spend(r, 10));
        if (by_attribute)
            TRY(access_path(&part, r, &out->list->at[i], &c->at[0]));
        TRY(passes(&passed, r, &part, c, by_attribute));
        if (passed == wanted)
            out->list->at[count++] = out->list->at[i];
    }
    out->list->count = count;
done:
    return status;
}

static clora_status run_select(value *out, render *r, const call *c) {
    return choose(out, r, c, true, false);
}

static clora_status run_reject(value *out, render *r, const call *c) {
    return choose(out, r, c, false, false);
}

static clora_status run_selectattr(value *out, render *r, const call *c) {
    return choose(out, r, c, true, true);
}

static clora_status run_rejectattr(value *out, render *r, const call *c) {
    return choose(out, r, c, false, true);
}

const builtin item_filter_builtins[] = {
    {"count", 0, {NULL}, run_length},
    {"dictsort", 0, {"case_sensitive", "by", "reverse"}, run_dictsort},
    {"first", 0, {NULL}, run_first},
    {"items", 0, {NULL}, run_items},
    {"join", 0, {"d", "attribute"}, run_join},
    {"last", 0, {NULL}, run_last},
    {"length", 0, {NULL}, run_length},
    {"list", 0, {NULL}, run_list},
    {"map", ANY, {NULL}, run_map},
    {"max", 0, {"case_sensitive", "attribute"}, run_max},
    {"min", 0, {"case_sensitive", "attribute"}, run_min},
    {"reject", ANY, {NULL}, run_reject},
    {"rejectattr", ANY, {NULL}, run_rejectattr},
    {"reverse", 0, {NULL}, run_reverse},
    {"select", ANY, {NULL}, run_select},
    {"selectattr", ANY, {NULL}, run_selectattr},
    {"sort", 0, {"reverse", "case_sensitive", "attribute"}, run_sort},
    {"sum", 0, {"attribute", "start"}, run_sum},
    {"unique", 0, {"case_sensitive", "attribute"}, run_unique},
    {.name = NULL},
};
