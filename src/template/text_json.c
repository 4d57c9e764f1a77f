#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "template/texts.h"

enum { DEPTH_MAX = 100 };

typedef struct json_writer {
    text_out *out;
    const json_style *style;
    int depth;
} json_writer;

static clora_status put_json(json_writer *w, const value *v);

static clora_status put_unicode(text_out *out, uint32_t c) {
    char text[16];
    int n;

    if (c >= 0x10000)
        n = snprintf(text, sizeof(text), "\\u%04x\\u%04x", (unsigned)(0xd800 + ((c - 0x10000) >> 10)),
                     (unsigned)(0xdc00 + ((c - 0x10000) & 0x3ff)));
    else
        n = snprintf(text, sizeof(text), "\\u%04x", (unsigned)c);
    return text_put(out, (span){text, (size_t)n});
}

static clora_status put_string_char(const json_writer *w, uint32_t c) {
    static const char special[] = "\"\"\\\\\nn\rr\tt\ff\bb";

    for (size_t i = 0; i + 1 < sizeof(special); i += 2)
        if (c == (unsigned char)special[i])
            return text_put(w->out, (span){(char[]){'\\', special[i + 1]}, 2});
    if (c < 0x20 || (w->style->ascii && c > 0x7f))
        return put_unicode(w->out, c);
    return text_put_char(w->out, c);
}

static clora_status put_string(const json_writer *w, span text) {
    clora_status status = CLORA_OK;

    TRY(text_put(w->out, SPAN("\"")));
    for (size_t at = 0; at < text.size;) {
        uint32_t c;
        at += utf8_decode(text.data + at, &c);
        TRY(put_string_char(w, c));
    }
    TRY(text_put(w->out, SPAN("\"")));
done:
    return status;
}

/* A new line where the style has them, with the indent of the depth. */
static clora_status put_line(const json_writer *w) {
    clora_status status = CLORA_OK;

    if (!w->style->indented)
        return CLORA_OK;
    TRY(text_put(w->out, SPAN("\n")));
    for (int64_t i = 0; i < w->style->indent * w->depth; i++)
        TRY(text_put(w->out, SPAN(" ")));
done:
    return status;
}

static clora_status put_real(const json_writer *w, double real) {
    if (isnan(real))
        return text_put(w->out, SPAN("NaN"));
    if (isinf(real))
        return text_put(w->out, real < 0 ? SPAN("-Infinity") : SPAN("Infinity"));
    return text_put_real(w->out, real);
}

static clora_status put_list(json_writer *w, const value_list *list) {
    clora_status status = CLORA_OK;

    if (list->count == 0)
        return text_put(w->out, SPAN("[]"));
    TRY(text_put(w->out, SPAN("[")));
    w->depth++;
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0)
            TRY(text_put(w->out, w->style->item));
        TRY(put_line(w));
        TRY(put_json(w, &list->at[i]));
    }
    w->depth--;
    TRY(put_line(w));
    TRY(text_put(w->out, SPAN("]")));
done:
    return status;
}

static clora_status put_key(json_writer *w, const value *key) {
    clora_status status = CLORA_OK;

    if (key->kind == VALUE_TEXT)
        return put_string(w, key->text);
    if (key->kind == VALUE_TUPLE)
        return clora_fail(CLORA_ERROR_FORMAT, "tojson: a tuple is no key");
    TRY(text_put(w->out, SPAN("\"")));
    TRY(put_json(w, key));
    TRY(text_put(w->out, SPAN("\"")));
done:
    return status;
}

static int compare_keys(const void *a, const void *b) {
    int order = 0;

    value_compare(&order, &((const value_pair *)a)->key, &((const value_pair *)b)->key);
    return order;
}

static clora_status sort_pairs(value_dict *sorted, const json_writer *w, const value_dict *dict) {
    clora_status status = CLORA_OK;

    *sorted = *dict;
    TRY(pool_take(&sorted->at, w->out->pool, dict->count, sizeof(*dict->at)));
    for (size_t i = 0; i < dict->count; i++) {
        if (dict->at[i].key.kind != VALUE_TEXT)
            TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "tojson: sorting keys that are no texts is not supported"));
        sorted->at[i] = dict->at[i];
    }
    qsort(sorted->at, sorted->count, sizeof(*sorted->at), compare_keys);
done:
    return status;
}

static clora_status put_dict(json_writer *w, const value_dict *given) {
    clora_status status = CLORA_OK;
    value_dict dict = *given;

    if (dict.count == 0)
        return text_put(w->out, SPAN("{}"));
    if (w->style->sorted)
        TRY(sort_pairs(&dict, w, given));
    TRY(text_put(w->out, SPAN("{")));
    w->depth++;
    for (size_t i = 0; i < dict.count; i++) {
        if (i > 0)
            TRY(text_put(w->out, w->style->item));
        TRY(put_line(w));
        TRY(put_key(w, &dict.at[i].key));
        TRY(text_put(w->out, w->style->key));
        TRY(put_json(w, &dict.at[i].value));
    }
    w->depth--;
    TRY(put_line(w));
    TRY(text_put(w->out, SPAN("}")));
done:
    return status;
}

static clora_status put_json(json_writer *w, const value *v) {
    if (w->depth > DEPTH_MAX)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "tojson: lists and objects lie deeper than %d in each other",
                          DEPTH_MAX);
    switch (v->kind) {
    case VALUE_NONE: return text_put(w->out, SPAN("null"));
    case VALUE_BOOLEAN: return text_put(w->out, v->boolean ? SPAN("true") : SPAN("false"));
    case VALUE_INTEGER: return text_put_integer(w->out, v->integer);
    case VALUE_REAL: return put_real(w, v->real);
    case VALUE_TEXT: return put_string(w, v->text);
    case VALUE_LIST:
    case VALUE_TUPLE: return put_list(w, v->list);
    case VALUE_DICT: return put_dict(w, v->dict);
    default:
        return clora_fail(CLORA_ERROR_FORMAT, "tojson: %s%s is not JSON", v->kind == VALUE_UNDEFINED ? "" : "a ",
                          v->kind == VALUE_UNDEFINED ? "what is undefined" : value_type(v));
    }
}

clora_status text_put_json(text_out *out, const value *v, const json_style *style) {
    json_writer w = {.out = out, .style = style};

    return put_json(&w, v);
}
