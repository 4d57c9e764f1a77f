#include "data/json_rows.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/json_literal.h"
#include "data/data_bytes.h"

typedef struct row_reader {
    data_source *source;
    const char *name;
    json_row row;
    void *user;
    const char *text; /* the line */
    size_t size;
    size_t line;
    bool in_array;
} row_reader;

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static const char *skip_blanks(const char *at, const char *end) {
    while (at < end && is_blank(*at))
        at++;
    return at;
}

static const char *skip_blanks_back(const char *begin, const char *end) {
    while (end > begin && is_blank(end[-1]))
        end--;
    return end;
}

/* The next line with its end; *more is false after the last. */
static clora_status next_line(row_reader *r, bool *more) {
    clora_status status = CLORA_OK;
    dataset_text text;

    TRY(data_source_line(&text, more, r->source));
    r->text = text.data;
    r->size = text.size;
    if (!*more)
        return CLORA_OK;
    if (++r->line == 1)
        TRY(data_check_kind(r->name, r->text, r->size));
    TRY(data_check_text(r->name, r->line, r->text, r->size));
done:
    return status;
}

/* ---- One row ---- */

static clora_status fail_row(const row_reader *r, size_t line, const json_error_t *error) {
    if (json_error_code(error) == json_error_out_of_memory)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a row of %s", r->name);
    line += error->line > 1 ? (size_t)error->line - 1 : 0;
    if (json_error_code(error) == json_error_premature_end_of_input && !r->in_array)
        return clora_fail(
            CLORA_ERROR_FORMAT,
            "%s: line %zu: not JSON: the value does not end in this line; an object must be in one line, or "
            "all of them in one array (jq -c . makes lines)",
            r->name, line);
    return clora_fail(CLORA_ERROR_FORMAT, "%s: line %zu: not JSON: %s%s", r->name, line, error->text,
                      r->in_array ? "" : "; each line must be one object");
}

static clora_status read_row(const row_reader *r, const char *text, size_t size, size_t line) {
    clora_status status = CLORA_OK;
    json_error_t error;
    json_t *object = json_parse(text, size, JSON_DECODE_ANY, &error);

    if (!object)
        return fail_row(r, line, &error);
    if (json_is_object(object) && !json_literal(object))
        status = r->row(r->user, object, line);
    else
        status = clora_fail(CLORA_ERROR_FORMAT, "%s: line %zu: not a JSON object%s", r->name, line,
                            json_is_array(object) && !r->in_array
                                ? "; an array must be all of the file, or be taken apart (jq -c '.[]')"
                                : "");
    json_decref(object);
    return status;
}

/* ---- An array ---- */

/* Where in the values of an array the text has come to. */
typedef struct value_scan {
    size_t depth;
    bool quoted, escaped;
} value_scan;

/* The comma or bracket that ends a value of the array, or `end` when it goes on. */
static const char *find_end(value_scan *s, const char *at, const char *end) {
    for (; at < end; at++) {
        if (s->quoted) {
            s->quoted = s->escaped || *at != '"';
            s->escaped = !s->escaped && *at == '\\';
        } else if (*at == '"') {
            s->quoted = true;
        } else if (*at == '{' || *at == '[') {
            s->depth++;
        } else if (s->depth == 0 && (*at == ',' || *at == ']')) {
            break;
        } else if (*at == '}' || *at == ']') {
            s->depth -= s->depth > 0;
        }
    }
    return at;
}

/* The text of a value, put together from lines. */
typedef struct value_text {
    char *data;
    size_t size, capacity;
    size_t line; /* where it begins */
} value_text;

static clora_status append(value_text *value, const char *from, const char *to, size_t line) {
    clora_status status = CLORA_OK;

    if (value->size == 0) {
        from = skip_blanks(from, to);
        value->line = line;
    }
    if (from == to)
        return CLORA_OK;
    const size_t n = (size_t)(to - from);
    TRY(alloc_grow((void **)&value->data, &value->capacity, value->size + n, 1));
    memcpy(value->data + value->size, from, n);
    value->size += n;
done:
    return status;
}

/* From after the bracket to the one that closes it; *at is after that. */
static clora_status read_values(row_reader *r, value_text *value, const char **at) {
    const size_t begin = r->line;
    clora_status status = CLORA_OK;
    bool more = true, first = true;
    value_scan scan = {0};

    for (;;) {
        const char *end = r->text + r->size, *stop = find_end(&scan, *at, end);
        TRY(append(value, *at, stop, r->line));
        *at = stop + 1;
        if (stop == end) {
            TRY(next_line(r, &more));
            if (!more)
                TRY(clora_fail(CLORA_ERROR_FORMAT,
                               "%s: the array that begins in line %zu never ends: is the file complete?", r->name,
                               begin));
            *at = r->text;
            continue;
        }
        if (value->size > 0)
            TRY(read_row(r, value->data, value->size, value->line));
        else if (!first || *stop == ',')
            TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: line %zu: not JSON: a comma of the array has no value beside it",
                           r->name, r->line));
        if (*stop == ']')
            break;
        value->size = 0;
        first = false;
    }
done:
    return status;
}

static clora_status read_array(row_reader *r, const char *at) {
    clora_status status = CLORA_OK;
    value_text value = {0};
    bool more = true;

    r->in_array = true;
    TRY(read_values(r, &value, &at));
    while (more) {
        if (skip_blanks(at, r->text + r->size) < r->text + r->size)
            TRY(clora_fail(CLORA_ERROR_FORMAT,
                           "%s: line %zu: text after the end of the array, which must be all of the file", r->name,
                           r->line));
        TRY(next_line(r, &more));
        at = r->text;
    }
done:
    free(value.data);
    return status;
}

/* ---- A file ---- */

static clora_status read_all(row_reader *r) {
    clora_status status = CLORA_OK;
    bool more, begun = false;

    for (;;) {
        TRY(next_line(r, &more));
        if (!more)
            return CLORA_OK;
        const char *end = skip_blanks_back(r->text, r->text + r->size);
        const size_t mark = r->line == 1 ? data_mark_size(r->text, r->size) : 0;
        const char *at = skip_blanks(r->text + mark, end);
        if (at >= end)
            continue;
        if (*at == '[' && !begun)
            return read_array(r, at + 1);
        TRY(read_row(r, at, (size_t)(end - at), r->line));
        begun = true;
    }
done:
    return status;
}

clora_status json_rows_read(data_source *source, json_row row, void *user) {
    row_reader r = {.source = source, .name = data_source_name(source), .row = row, .user = user};

    return read_all(&r);
}
