#include "base/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/c_locale.h"
#include "base/file.h"
#include "base/json_literal.h"

/* jansson's answer to a number that fits no type, and to a word such as NaN. */
static bool may_be_number(const json_error_t *error) {
    return json_error_code(error) == json_error_numeric_overflow || json_error_code(error) == json_error_invalid_syntax;
}

json_t *json_parse(const char *text, size_t size, size_t flags, json_error_t *error) {
    const size_t all_flags = flags | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
    const locale_t before = c_locale_enter();
    char *wrapped = NULL;
    json_t *value;

    errno = 0;
    value = json_loadb(text, size, all_flags, error);
    if (!value && errno != ENOMEM && may_be_number(error))
        wrapped = json_literals_wrap(text, &size);
    if (wrapped)
        value = json_loadb(wrapped, size, all_flags, error);
    free(wrapped);
    if (errno == ENOMEM) { /* jansson seldom says so, and may have gone on without a character */
        json_decref(value);
        value = NULL;
        error->text[JSON_ERROR_TEXT_LENGTH - 1] = json_error_out_of_memory; /* where json_error_code() looks */
    }
    c_locale_leave(before);
    return value;
}

char *json_text(const json_t *value, size_t flags) {
    const locale_t before = c_locale_enter();
    char *text;

    errno = 0;
    text = json_dumps(value, flags);
    if (errno == ENOMEM) { /* a key may be missing */
        free(text);
        text = NULL;
    }
    c_locale_leave(before);
    return text;
}

static void keep_if(json_t **whole, bool added) {
    if (!added) {
        json_decref(*whole);
        *whole = NULL;
    }
}

void json_put(json_t **object, const char *key, json_t *value) {
    keep_if(object, json_object_set_new(*object, key, value) == 0);
}

void json_push(json_t **array, json_t *value) {
    keep_if(array, json_array_append_new(*array, value) == 0);
}

#define MOST_VALUES ((size_t)4 << 20)

/* Each value but the first comes after one of these; those inside strings count too, to be fast. */
static bool has_too_many_values(const char *data, size_t size) {
    size_t count = 0;

    for (size_t i = 0; size / 2 > MOST_VALUES && i < size; i++)
        count += data[i] == ',' || data[i] == '[' || data[i] == '{';
    return count > MOST_VALUES;
}

clora_status json_load_bytes(json_t **out, const char *data, size_t size, const char *what) {
    json_error_t error;

    *out = NULL;
    if (has_too_many_values(data, size))
        return clora_fail(CLORA_ERROR_FORMAT, "%s holds more than %zu values", what, MOST_VALUES);
    *out = json_parse(data ? data : "", size, 0, &error);
    if (*out)
        return CLORA_OK;
    if (json_error_code(&error) == json_error_out_of_memory)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", what);
    return clora_fail(CLORA_ERROR_FORMAT, "%s is not valid JSON: line %d, column %d: %s", what, error.line,
                      error.column, error.text);
}

clora_status json_load_path(json_t **out, const char *path, size_t limit_bytes) {
    clora_status status = CLORA_OK;
    char *text = NULL;
    size_t size = 0;

    *out = NULL;
    TRY(file_read_text(&text, &size, path, limit_bytes));
    TRY(json_load_bytes(out, text, size, path));
done:
    free(text);
    return status;
}

static const char *type_name(const json_t *value) {
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "an integer";
    case JSON_REAL: return "a number with a fraction";
    case JSON_TRUE: return "true";
    case JSON_FALSE: return "false";
    case JSON_NULL: return "null";
    }
    return "something else";
}

/* *value = object[key], or NULL where the fallback applies. */
static clora_status look_up(const json_t **value, const json_t *object, const char *key, const char *where) {
    *value = NULL;
    if (!json_is_object(object))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: wanted an object with the key \"%s\"", where, key);
    const json_t *found = json_object_get(object, key);
    *value = json_is_null(found) ? NULL : found;
    return CLORA_OK;
}

static clora_status wrong_type(const json_t *value, const char *key, const char *wanted, const char *where) {
    if (json_literal(value))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"%s\" must be %s in range, not %.60s", where, key, wanted,
                          json_literal(value));
    return clora_fail(CLORA_ERROR_FORMAT, "%s: \"%s\" must be %s, not %s", where, key, wanted, type_name(value));
}

clora_status json_get_int(int64_t *out, const json_t *object, const char *key, int64_t fallback, const char *where) {
    const json_t *value;
    clora_status status = look_up(&value, object, key, where);

    *out = fallback;
    if (status != CLORA_OK || !value)
        return status;
    if (json_is_integer(value)) {
        *out = json_integer_value(value);
        return CLORA_OK;
    }
    /* some writers say 16.0 where they mean 16 */
    const double real = json_real_value(value);
    if (!json_is_real(value) || real != floor(real))
        return wrong_type(value, key, "an integer", where);
    if (fabs(real) > 0x1p53)
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"%s\" must be an integer in range, not %.17g", where, key, real);
    *out = (int64_t)real;
    return CLORA_OK;
}

clora_status json_get_real(double *out, const json_t *object, const char *key, double fallback, const char *where) {
    const json_t *value;
    clora_status status = look_up(&value, object, key, where);

    *out = fallback;
    if (status != CLORA_OK || !value)
        return status;
    if (!json_is_number(value))
        return wrong_type(value, key, "a number", where);
    *out = json_number_value(value);
    return CLORA_OK;
}

clora_status json_get_bool(bool *out, const json_t *object, const char *key, bool fallback, const char *where) {
    const json_t *value;
    clora_status status = look_up(&value, object, key, where);

    *out = fallback;
    if (status != CLORA_OK || !value)
        return status;
    if (!json_is_boolean(value))
        return wrong_type(value, key, "true or false", where);
    *out = json_is_true(value);
    return CLORA_OK;
}

clora_status json_get_text(const char **out, const json_t *object, const char *key, const char *fallback,
                           const char *where) {
    const json_t *value;
    clora_status status = look_up(&value, object, key, where);

    *out = fallback;
    if (status != CLORA_OK || !value)
        return status;
    if (!json_is_string(value))
        return wrong_type(value, key, "a string", where);
    if (strlen(json_string_value(value)) != json_string_length(value))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"%s\" holds a NUL character", where, key);
    *out = json_string_value(value);
    return CLORA_OK;
}

bool json_is_off(const json_t *value) {
    return json_is_null(value) || json_is_false(value) || (json_is_number(value) && json_number_value(value) == 0) ||
           (json_is_string(value) && json_string_length(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

/* The fewest significant digits that give every real back: 0.1 is written as 0.1, as other writers do. */
static size_t digits_needed(const json_t *value, size_t digits) {
    char text[64];
    const char *key;
    json_t *child;
    size_t i;

    if (json_is_real(value)) {
        const double real = json_real_value(value);
        while (digits < 17) {
            snprintf(text, sizeof(text), "%.*g", (int)digits, real);
            if (strtod(text, NULL) == real)
                break;
            digits++;
        }
    } else if (json_is_array(value)) {
        json_array_foreach (value, i, child)
            digits = digits_needed(child, digits);
    } else if (json_is_object(value)) {
        json_object_foreach ((json_t *)value, key, child)
            digits = digits_needed(child, digits);
    }
    return digits;
}

json_t *json_decimal(float value) {
    char text[32] = "";

    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value)
            break;
    }
    return json_real(strtod(text, NULL));
}

static clora_status save(const json_t *value, const char *path, size_t flags) {
    char *text = json_text(value, flags | JSON_INDENT(2) | JSON_REAL_PRECISION(digits_needed(value, 6)));

    if (!text)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to write %s", path);
    size_t size = strlen(text);
    json_literals_unwrap(text, &size);
    text[size++] = '\n'; /* the terminator's place: what is written is counted, not terminated */
    clora_status status = file_write_text(path, text, size);
    free(text);
    return status;
}

clora_status json_save_path(const json_t *value, const char *path) {
    return save(value, path, JSON_SORT_KEYS);
}

clora_status json_save_ordered_path(const json_t *value, const char *path) {
    return save(value, path, 0);
}
