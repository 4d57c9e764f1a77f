#ifndef CLORA_TEMPLATE_VALUE_H
#define CLORA_TEMPLATE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <jansson.h>

#include "template/pool.h"

/*
 * What expressions of a template give: Python's values, as far as templates use them. Nothing but a namespace ever
 * changes, so that values share their parts; all of them live in a pool.
 */
typedef enum value_kind {
    VALUE_ABSENT, /* an argument that was not given */
    VALUE_UNDEFINED,
    VALUE_NONE,
    VALUE_BOOLEAN,
    VALUE_INTEGER,
    VALUE_REAL,
    VALUE_TEXT,
    VALUE_LIST,
    VALUE_TUPLE,
    VALUE_VIEW,     /* what items(), keys() and values() give: no index */
    VALUE_ITERATOR, /* what map and select give: can be walked once */
    VALUE_DICT,
    VALUE_NAMESPACE,
    VALUE_LOOP,
    VALUE_MACRO,
    VALUE_FUNCTION,
    VALUE_METHOD,
} value_kind;

/* Bytes of valid UTF-8; may hold NUL. */
typedef struct span {
    const char *data;
    size_t size;
} span;

typedef struct value value;

typedef struct value_list {
    value *at;
    size_t count;
    bool spent; /* an iterator that was walked */
} value_list;

typedef struct value_pair value_pair;

typedef struct value_dict {
    value_pair *at; /* in the order of insertion; keys differ */
    size_t count, room;
} value_dict;

struct value {
    value_kind kind;
    bool markup; /* a text that has gone through `safe`: what is added to it is escaped */
    union {
        bool boolean;
        int64_t integer;
        double real;
        span text; /* undefined: what is missing, for messages */
        value_list *list;
        value_dict *dict; /* of a namespace too */
        const struct loop_state *loop;
        const struct macro *macro;
        const struct builtin *function;
        const struct bound_method *method;
    };
};

struct value_pair {
    value key, value;
};

#define SPAN(literal) ((span){"" literal, sizeof(literal) - 1})

static inline bool span_equal(span a, span b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline value value_boolean(bool boolean) {
    return (value){.kind = VALUE_BOOLEAN, .boolean = boolean};
}
static inline value value_integer(int64_t integer) {
    return (value){.kind = VALUE_INTEGER, .integer = integer};
}
static inline value value_text(span text) {
    return (value){.kind = VALUE_TEXT, .text = text};
}
static inline bool value_is_sequence(const value *v) {
    return v->kind >= VALUE_LIST && v->kind <= VALUE_ITERATOR;
}

/* A list (tuple, view, iterator) with room for count values, all of them to be filled. */
clora_status value_list_new(value *out, pool *p, value_kind kind, size_t count);

clora_status value_dict_new(value *out, pool *p);
clora_status value_dict_set(value_dict *dict, pool *p, const value *key, const value *v); /* a key is no list */
const value *value_dict_find(const value_dict *dict, const value *key); /* NULL when it is not there */

/* As Python's bool() and type(v).__name__. */
bool value_truth(const value *v);
const char *value_type(const value *v);

/* As Python's ==. Lists may share their parts, so that comparing them takes any time: it takes from *left, and when
 * nothing is left the answer means nothing. */
bool value_equal(const value *a, const value *b, size_t *left);

/* A number as a double, -1, 0 or 1 for how two of them or two texts compare; false where Python has no order. */
bool value_number(double *out, const value *v);
bool value_compare(int *out, const value *a, const value *b);

/* JSON as a value, which has its own copy of everything. */
clora_status value_of_json(value *out, pool *p, const json_t *json);

#endif
