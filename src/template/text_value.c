#include "template/texts.h"

#include <stdio.h>

#include <utf8proc.h>

#include "base/utf8.h"

enum { DEPTH_MAX = 100 };

static clora_status put_repr(text_out *out, const value *v, int depth);

/* Does Python's repr() write this character as it is? */
static bool is_printable(uint32_t c) {
    switch (utf8proc_category((int32_t)c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: return false;
    case UTF8PROC_CATEGORY_ZS: return c == ' ';
    default: return true;
    }
}

static clora_status put_quoted_char(text_out *out, uint32_t c, char quote) {
    static const char special[] = "\\\\\nn\rr\tt";
    char text[16];

    for (size_t i = 0; i + 1 < sizeof(special); i += 2)
        if (c == (unsigned char)special[i])
            return text_put(out, (span){(char[]){'\\', special[i + 1]}, 2});
    if (c == (unsigned char)quote)
        return text_put(out, (span){(char[]){'\\', quote}, 2});
    if (is_printable(c))
        return text_put_char(out, c);
    const char *format = c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x";
    const int n = snprintf(text, sizeof(text), format, (unsigned)c);
    return text_put(out, (span){text, (size_t)n});
}

static clora_status put_quoted(text_out *out, span text) {
    const bool has_single = text_find(text, SPAN("'")), has_double = text_find(text, SPAN("\""));
    const char quote = has_single && !has_double ? '"' : '\'';
    clora_status status = CLORA_OK;

    TRY(text_put(out, (span){&quote, 1}));
    for (size_t at = 0; at < text.size;) {
        uint32_t c;
        at += utf8_decode(text.data + at, &c);
        TRY(put_quoted_char(out, c, quote));
    }
    TRY(text_put(out, (span){&quote, 1}));
done:
    return status;
}

static clora_status put_list(text_out *out, const value *v, int depth) {
    const bool tuple = v->kind == VALUE_TUPLE;
    clora_status status = CLORA_OK;

    TRY(text_put(out, tuple ? SPAN("(") : SPAN("[")));
    for (size_t i = 0; i < v->list->count; i++) {
        if (i > 0)
            TRY(text_put(out, SPAN(", ")));
        TRY(put_repr(out, &v->list->at[i], depth));
    }
    if (tuple && v->list->count == 1)
        TRY(text_put(out, SPAN(",")));
    TRY(text_put(out, tuple ? SPAN(")") : SPAN("]")));
done:
    return status;
}

static clora_status put_dict(text_out *out, const value_dict *dict, int depth) {
    clora_status status = CLORA_OK;

    TRY(text_put(out, SPAN("{")));
    for (size_t i = 0; i < dict->count; i++) {
        if (i > 0)
            TRY(text_put(out, SPAN(", ")));
        TRY(put_repr(out, &dict->at[i].key, depth));
        TRY(text_put(out, SPAN(": ")));
        TRY(put_repr(out, &dict->at[i].value, depth));
    }
    TRY(text_put(out, SPAN("}")));
done:
    return status;
}

static clora_status put_repr(text_out *out, const value *v, int depth) {
    if (depth > DEPTH_MAX)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "lists and objects lie deeper than %d in each other", DEPTH_MAX);
    switch (v->kind) {
    case VALUE_NONE: return text_put(out, SPAN("None"));
    case VALUE_BOOLEAN: return text_put(out, v->boolean ? SPAN("True") : SPAN("False"));
    case VALUE_INTEGER: return text_put_integer(out, v->integer);
    case VALUE_REAL: return text_put_real(out, v->real);
    case VALUE_UNDEFINED: return text_put(out, SPAN("Undefined"));
    case VALUE_TEXT:
        if (!v->markup)
            return put_quoted(out, v->text);
        break;
    case VALUE_LIST:
    case VALUE_TUPLE: return put_list(out, v, depth + 1);
    case VALUE_DICT: return put_dict(out, v->dict, depth + 1);
    default: break;
    }
    return clora_fail(CLORA_ERROR_UNSUPPORTED, "a %s as text is not supported", v->markup ? "Markup" : value_type(v));
}

clora_status text_put_value(text_out *out, const value *v) {
    if (v->kind == VALUE_TEXT)
        return text_put(out, v->text);
    if (v->kind == VALUE_UNDEFINED)
        return CLORA_OK;
    return put_repr(out, v, 0);
}
