#include "base/json_literal.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define KEY "a number as written"
#define MOST_LITERALS (1 << 16) /* each takes some 30 times as much room as in the file */
#define SAFE_DIGITS 18          /* any integer of so many fits into 64 bits */

static const char before[] = "{\"" KEY "\":\"", after[] = "\"}";

typedef struct wrapping {
    char *out;
    size_t size, capacity;
    int count;
} wrapping;

static clora_status append(wrapping *w, const char *text, size_t size) {
    clora_status status = alloc_grow((void **)&w->out, &w->capacity, w->size + size + 1, 1);

    if (status != CLORA_OK)
        return status;
    memcpy(w->out + w->size, text, size);
    w->size += size;
    return CLORA_OK;
}

static bool begins(const char *text, size_t size, const char *word) {
    return size >= strlen(word) && memcmp(text, word, strlen(word)) == 0;
}

/* Bytes of the literal that begins here, 0 for something else. */
static size_t literal_size(const char *text, size_t size) {
    const size_t sign = size > 0 && text[0] == '-';
    size_t n = sign;

    if (begins(text, size, "NaN"))
        return 3;
    if (begins(text + sign, size - sign, "Infinity"))
        return sign + 8;
    while (n < size && text[n] != '\0' && strchr("0123456789.eE+-", text[n]))
        n++;
    return n > sign && text[sign] >= '0' && text[sign] <= '9' ? n : 0;
}

static bool is_out_of_range(const char *literal, size_t size) {
    json_error_t error;

    if (literal[size - 1] == 'N' || literal[size - 1] == 'y') /* NaN, Infinity */
        return true;
    if (size <= SAFE_DIGITS && !memchr(literal, 'e', size) && !memchr(literal, 'E', size))
        return false;
    json_t *value = json_loadb(literal, size, JSON_DECODE_ANY, &error);
    json_decref(value);
    return !value && json_error_code(&error) == json_error_numeric_overflow;
}

/* After the string that begins at its quote. */
static size_t skip_string(const char *text, size_t size, size_t at) {
    for (at++; at < size && text[at] != '"'; at++)
        if (text[at] == '\\')
            at++;
    return at < size ? at + 1 : size;
}

static char *wrap(wrapping *w, const char *text, size_t length) {
    size_t copied = 0, n;
    clora_status status = CLORA_OK;

    for (size_t at = 0; at < length; at += n ? n : 1) {
        n = text[at] == '"' ? skip_string(text, length, at) - at : literal_size(text + at, length - at);
        if (n == 0 || text[at] == '"' || !is_out_of_range(text + at, n))
            continue;
        if (++w->count > MOST_LITERALS)
            return NULL;
        TRY(append(w, text + copied, at - copied));
        TRY(append(w, before, sizeof(before) - 1));
        TRY(append(w, text + at, n));
        TRY(append(w, after, sizeof(after) - 1));
        copied = at + n;
    }
    if (w->count > 0)
        TRY(append(w, text + copied, length - copied));
done:
    return status == CLORA_OK ? w->out : NULL;
}

char *json_literals_wrap(const char *text, size_t *size) {
    wrapping w = {0};
    char *out = wrap(&w, text, *size);

    if (out)
        *size = w.size;
    else
        free(w.out);
    return out;
}

/* jansson writes such an object with blanks of its own: from its brace, *literal is what it holds. Bytes, or 0. */
static size_t wrapped_size(const char *text, const char **literal, size_t *literal_length) {
    static const char blanks[] = " \n";
    const char *at = text + 1 + strspn(text + 1, blanks);

    if (strncmp(at, "\"" KEY "\":", sizeof(KEY) + 2) != 0)
        return 0;
    at += sizeof(KEY) + 2;
    at += strspn(at, blanks);
    if (*at != '"')
        return 0;
    *literal = at + 1;
    *literal_length = strcspn(*literal, "\"\\");
    at = *literal + *literal_length + 1;
    at += strspn(at, blanks);
    return literal_size(*literal, *literal_length) == *literal_length && *at == '}' ? (size_t)(at + 1 - text) : 0;
}

void json_literals_unwrap(char *text, size_t *size) {
    const char *literal = NULL;
    size_t to = 0, length, n;

    for (size_t at = 0; at < *size; at += n) {
        n = text[at] == '"' ? skip_string(text, *size, at) - at : 1;
        const size_t wrapped = text[at] == '{' ? wrapped_size(text + at, &literal, &length) : 0;
        if (wrapped > 0)
            n = wrapped;
        const char *from = wrapped ? literal : text + at;
        const size_t kept = wrapped ? length : n;
        memmove(text + to, from, kept);
        to += kept;
    }
    text[to] = '\0';
    *size = to;
}

const char *json_literal(const json_t *value) {
    return json_object_size(value) == 1 ? json_string_value(json_object_get(value, KEY)) : NULL;
}
