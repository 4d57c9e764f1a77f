#include "template/value.h"

#include "base/json_literal.h"

enum { DEPTH_MAX = 64 };

clora_status value_list_new(value *out, pool *p, value_kind kind, size_t count) {
    clora_status status = CLORA_OK;
    value_list *list = NULL;

    TRY(pool_take(&list, p, 1, sizeof(*list)));
    TRY(pool_take(&list->at, p, count, sizeof(*list->at)));
    list->count = count;
    *out = (value){.kind = kind, .list = list};
done:
    return status;
}

clora_status value_dict_new(value *out, pool *p) {
    clora_status status = CLORA_OK;
    value_dict *dict = NULL;

    TRY(pool_take(&dict, p, 1, sizeof(*dict)));
    *out = (value){.kind = VALUE_DICT, .dict = dict};
done:
    return status;
}

static bool is_same_key(const value *a, const value *b) {
    size_t enough = 1;

    return !value_is_sequence(b) && value_equal(a, b, &enough);
}

const value *value_dict_find(const value_dict *dict, const value *key) {
    for (size_t i = 0; i < dict->count; i++)
        if (is_same_key(&dict->at[i].key, key))
            return &dict->at[i].value;
    return NULL;
}

static clora_status add_pair(value_dict *dict, pool *p, const value *key, const value *v) {
    clora_status status = CLORA_OK;

    if (dict->count == dict->room) {
        const size_t room = dict->room ? 2 * dict->room : 8;
        value_pair *larger = NULL;
        TRY(pool_take(&larger, p, room, sizeof(*larger)));
        if (dict->count > 0)
            memcpy(larger, dict->at, dict->count * sizeof(*larger));
        dict->at = larger;
        dict->room = room;
    }
    dict->at[dict->count++] = (value_pair){*key, *v};
done:
    return status;
}

clora_status value_dict_set(value_dict *dict, pool *p, const value *key, const value *v) {
    value *there = (value *)value_dict_find(dict, key);

    if (!there)
        return add_pair(dict, p, key, v);
    *there = *v;
    return CLORA_OK;
}

bool value_truth(const value *v) {
    switch (v->kind) {
    case VALUE_ABSENT:
    case VALUE_UNDEFINED:
    case VALUE_NONE: return false;
    case VALUE_BOOLEAN: return v->boolean;
    case VALUE_INTEGER: return v->integer != 0;
    case VALUE_REAL: return v->real != 0;
    case VALUE_TEXT: return v->text.size > 0;
    case VALUE_LIST:
    case VALUE_TUPLE:
    case VALUE_VIEW: return v->list->count > 0;
    case VALUE_DICT: return v->dict->count > 0;
    default: return true;
    }
}

bool value_number(double *out, const value *v) {
    if (v->kind == VALUE_BOOLEAN)
        *out = v->boolean;
    else if (v->kind == VALUE_INTEGER)
        *out = (double)v->integer;
    else if (v->kind == VALUE_REAL)
        *out = v->real;
    return v->kind == VALUE_BOOLEAN || v->kind == VALUE_INTEGER || v->kind == VALUE_REAL;
}

static bool equal_lists(const value_list *a, const value_list *b, size_t *left) {
    if (a->count != b->count)
        return false;
    for (size_t i = 0; a != b && i < a->count; i++)
        if (!value_equal(&a->at[i], &b->at[i], left))
            return false;
    return true;
}

static bool equal_dicts(const value_dict *a, const value_dict *b, size_t *left) {
    if (a->count != b->count)
        return false;
    for (size_t i = 0; a != b && i < a->count; i++) {
        const value *other = value_dict_find(b, &a->at[i].key);
        if (!other || !value_equal(&a->at[i].value, other, left))
            return false;
    }
    return true;
}

/* Take from what is left; false when there is no more. */
static bool spend(size_t *left, size_t cost) {
    *left -= cost < *left ? cost : *left;
    return *left > 0;
}

bool value_equal(const value *a, const value *b, size_t *left) {
    double x, y;

    if (a->kind == VALUE_TEXT && b->kind == VALUE_TEXT)
        return span_equal(a->text, b->text);
    if (a->kind == VALUE_INTEGER && b->kind == VALUE_INTEGER)
        return a->integer == b->integer;
    if (value_number(&x, a) && value_number(&y, b))
        return x == y;
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case VALUE_UNDEFINED:
    case VALUE_NONE: return true;
    case VALUE_LIST:
    case VALUE_TUPLE: return spend(left, 1 + a->list->count) && equal_lists(a->list, b->list, left);
    case VALUE_DICT: return spend(left, 1 + a->dict->count * b->dict->count) && equal_dicts(a->dict, b->dict, left);
    default: return a->list == b->list; /* the same one */
    }
}

bool value_compare(int *out, const value *a, const value *b) {
    double x, y;

    if (a->kind == VALUE_TEXT && b->kind == VALUE_TEXT) {
        const size_t least = a->text.size < b->text.size ? a->text.size : b->text.size;
        const int order = least ? memcmp(a->text.data, b->text.data, least) : 0;
        *out = order ? order : (a->text.size > b->text.size) - (a->text.size < b->text.size);
        return true;
    }
    if (a->kind == VALUE_INTEGER && b->kind == VALUE_INTEGER) {
        *out = (a->integer > b->integer) - (a->integer < b->integer);
        return true;
    }
    if (!value_number(&x, a) || !value_number(&y, b))
        return false;
    *out = (x > y) - (x < y);
    return x == x && y == y;
}

const char *value_type(const value *v) {
    switch (v->kind) {
    case VALUE_ABSENT:
    case VALUE_UNDEFINED: return "Undefined";
    case VALUE_NONE: return "NoneType";
    case VALUE_BOOLEAN: return "bool";
    case VALUE_INTEGER: return "int";
    case VALUE_REAL: return "float";
    case VALUE_TEXT: return "str";
    case VALUE_LIST: return "list";
    case VALUE_TUPLE: return "tuple";
    case VALUE_VIEW: return "dict view";
    case VALUE_ITERATOR: return "generator";
    case VALUE_DICT: return "dict";
    case VALUE_NAMESPACE: return "Namespace";
    case VALUE_LOOP: return "LoopContext";
    case VALUE_MACRO: return "Macro";
    default: return "function";
    }
}

/* ---- JSON ---- */

static clora_status of_json(value *out, pool *p, const json_t *json, int depth);

static clora_status text_of_json(value *out, pool *p, const char *data, size_t size) {
    *out = value_text((span){NULL, size});
    return pool_copy(&out->text.data, p, data, size);
}

static clora_status list_of_json(value *out, pool *p, const json_t *json, int depth) {
    clora_status status = CLORA_OK;
    size_t i;
    json_t *item;

    TRY(value_list_new(out, p, VALUE_LIST, json_array_size(json)));
    json_array_foreach (json, i, item)
        TRY(of_json(&out->list->at[i], p, item, depth));
done:
    return status;
}

static clora_status dict_of_json(value *out, pool *p, json_t *json, int depth) {
    clora_status status = CLORA_OK;

    TRY(value_dict_new(out, p));
    for (void *at = json_object_iter(json); at; at = json_object_iter_next(json, at)) {
        const char *name = json_object_iter_key(at); /* jansson's keys hold no NUL */
        value key, v;
        TRY(text_of_json(&key, p, name, strlen(name)));
        TRY(of_json(&v, p, json_object_iter_value(at), depth));
        TRY(add_pair(out->dict, p, &key, &v));
    }
done:
    return status;
}

static clora_status of_json(value *out, pool *p, const json_t *json, int depth) {
    const char *literal = json_literal(json);

    if (literal)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "the number %.40s is beyond what a template can take", literal);
    if (depth > DEPTH_MAX)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "lists and objects lie deeper than %d in each other", DEPTH_MAX);
    switch (json_typeof(json)) {
    case JSON_OBJECT: return dict_of_json(out, p, (json_t *)json, depth + 1);
    case JSON_ARRAY: return list_of_json(out, p, json, depth + 1);
    case JSON_STRING: return text_of_json(out, p, json_string_value(json), json_string_length(json));
    case JSON_INTEGER: *out = value_integer(json_integer_value(json)); break;
    case JSON_REAL: *out = (value){.kind = VALUE_REAL, .real = json_real_value(json)}; break;
    case JSON_TRUE:
    case JSON_FALSE: *out = value_boolean(json_is_true(json)); break;
    case JSON_NULL: *out = (value){.kind = VALUE_NONE}; break;
    }
    return CLORA_OK;
}

clora_status value_of_json(value *out, pool *p, const json_t *json) {
    return of_json(out, p, json, 0);
}
