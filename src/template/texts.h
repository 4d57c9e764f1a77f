#ifndef CLORA_TEMPLATE_TEXTS_H
#define CLORA_TEMPLATE_TEXTS_H

#include "template/value.h"

/* Python's texts: blanks are those of str.isspace(), indices count characters. */

/* Without what stands at an end: blanks, or any of the characters of *chars. */
span text_strip_left(span text, const span *chars);
span text_strip_right(span text, const span *chars);

bool text_is_blank(uint32_t c);
size_t text_length(span text);                   /* in characters */
size_t text_offset(span text, size_t character); /* of a character in bytes; its size for one beyond the end */
const char *text_find(span text, span part);     /* NULL when it is not there */
const char *text_find_last(span text, span part);
bool text_has_beginning(span text, span with);
bool text_has_ending(span text, span with);

/* Take the first line off a text, without its end as str.splitlines() knows them; false when it has none. */
bool text_take_line(span *line, span *text);

/* A text that grows in a pool. Zeroed but for its pool is empty. */
typedef struct text_out {
    pool *pool;
    char *data;
    size_t size, room;
} text_out;

clora_status text_put(text_out *out, span text);
clora_status text_put_char(text_out *out, uint32_t c);
clora_status text_put_integer(text_out *out, int64_t integer);
clora_status text_put_real(text_out *out, double real); /* as Python's repr() */
static inline span text_of(const text_out *out) {
    return (span){out->data ? out->data : "", out->size};
}

/* As Python's str(); a value whose text no template should show is an error. */
clora_status text_put_value(text_out *out, const value *v);

/* With & < > " ' as HTML writes them: what `safe` makes of a text that is added to one. */
clora_status text_put_escaped(text_out *out, span text);

typedef enum text_case { CASE_LOWER, CASE_UPPER, CASE_CAPITAL, CASE_TITLE } text_case;
clora_status text_put_case(text_out *out, span text, text_case how);

/* As Python's json.dumps(). */
typedef struct json_style {
    bool ascii, sorted, indented;
    int64_t indent;
    span item, key; /* separators */
} json_style;
clora_status text_put_json(text_out *out, const value *v, const json_style *style);

#endif
