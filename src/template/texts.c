#include "template/texts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/c_locale.h"
#include "base/utf8.h"

#include <utf8proc.h>

bool text_is_blank(uint32_t c) {
    return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

static bool is_stripped(uint32_t c, const span *chars) {
    if (!chars)
        return text_is_blank(c);
    for (size_t at = 0; at < chars->size;) {
        uint32_t other;
        at += utf8_decode(chars->data + at, &other);
        if (c == other)
            return true;
    }
    return false;
}

span text_strip_left(span text, const span *chars) {
    while (text.size > 0) {
        uint32_t c;
        const size_t n = utf8_decode(text.data, &c);
        if (!is_stripped(c, chars))
            break;
        text = (span){text.data + n, text.size - n};
    }
    return text;
}

span text_strip_right(span text, const span *chars) {
    while (text.size > 0) {
        uint32_t c;
        const size_t n = utf8_decode_before(text.data, text.size, &c);
        if (!is_stripped(c, chars))
            break;
        text.size -= n;
    }
    return text;
}

size_t text_length(span text) {
    size_t n = 0;

    for (size_t i = 0; i < text.size; i++)
        n += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    return n;
}

size_t text_offset(span text, size_t character) {
    size_t at = 0;

    while (character-- > 0 && at < text.size)
        at += utf8_length(text.data[at]);
    return at;
}

const char *text_find(span text, span part) {
    if (part.size == 0)
        return text.data;
    return text.size == 0 ? NULL : memmem(text.data, text.size, part.data, part.size);
}

const char *text_find_last(span text, span part) {
    for (size_t at = text.size + 1; at-- > 0;)
        if (text.size - at >= part.size && span_equal((span){text.data + at, part.size}, part))
            return text.data + at;
    return NULL;
}

bool text_has_beginning(span text, span with) {
    return text.size >= with.size && span_equal((span){text.data, with.size}, with);
}

bool text_has_ending(span text, span with) {
    return text.size >= with.size && span_equal((span){text.data + text.size - with.size, with.size}, with);
}

static bool ends_line(uint32_t c) {
    return (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

bool text_take_line(span *line, span *text) {
    for (size_t at = 0; at < text->size;) {
        uint32_t c;
        const size_t begin = at;
        at += utf8_decode(text->data + at, &c);
        if (!ends_line(c))
            continue;
        at += c == '\r' && at < text->size && text->data[at] == '\n';
        *line = (span){text->data, begin};
        *text = (span){text->data + at, text->size - at};
        return true;
    }
    *line = *text;
    *text = (span){text->data + text->size, 0};
    return false;
}

/* ---- Texts that grow ---- */

clora_status text_put(text_out *out, span text) {
    clora_status status = CLORA_OK;

    if (text.size > out->room - out->size) {
        const size_t room = 2 * out->room + text.size + 64;
        char *larger = NULL;
        TRY(pool_take(&larger, out->pool, room, 1));
        if (out->size > 0)
            memcpy(larger, out->data, out->size);
        out->data = larger;
        out->room = room;
    }
    if (text.size > 0)
        memcpy(out->data + out->size, text.data, text.size);
    out->size += text.size;
done:
    return status;
}

clora_status text_put_char(text_out *out, uint32_t c) {
    char bytes[4];

    return text_put(out, (span){bytes, utf8_write(bytes, c)});
}

clora_status text_put_integer(text_out *out, int64_t integer) {
    char digits[32];
    const int n = snprintf(digits, sizeof(digits), "%lld", (long long)integer);

    return text_put(out, (span){digits, (size_t)n});
}

static int format_real(char *out, size_t size, const char *format, ...) {
    va_list args;

    va_start(args, format);
    const int n = c_locale_format(out, size, format, args);
    va_end(args);
    return n;
}

/* The digits of the shortest text that reads back as the number, without the point, and its exponent. */
static int shortest_digits(char digits[32], double real, int *exponent) {
    char text[40];
    int n = 0;

    for (int precision = 0; precision < 17; precision++) {
        format_real(text, sizeof(text), "%.*e", precision, real);
        if (c_locale_number(text, NULL) == real)
            break;
    }
    for (const char *at = text; *at != 'e'; at++)
        if (*at >= '0' && *at <= '9')
            digits[n++] = *at;
    *exponent = atoi(strchr(text, 'e') + 1);
    digits[n] = '\0';
    return n;
}

static clora_status put_digits(text_out *out, const char *digits, int from, int to) {
    return from < to ? text_put(out, (span){digits + from, (size_t)(to - from)}) : CLORA_OK;
}

static clora_status put_zeros(text_out *out, int count) {
    clora_status status = CLORA_OK;

    for (int i = 0; i < count && status == CLORA_OK; i++)
        status = text_put(out, SPAN("0"));
    return status;
}

clora_status text_put_real(text_out *out, double real) {
    clora_status status = CLORA_OK;
    char digits[32], exponent_text[16];
    int exponent = 0;

    if (isnan(real))
        return text_put(out, SPAN("nan"));
    if (signbit(real))
        TRY(text_put(out, SPAN("-")));
    if (isinf(real))
        return text_put(out, SPAN("inf"));
    const int n = shortest_digits(digits, fabs(real), &exponent);
    if (exponent < -4 || exponent >= 16) {
        TRY(put_digits(out, digits, 0, 1));
        if (n > 1)
            TRY(text_put(out, SPAN(".")));
        TRY(put_digits(out, digits, 1, n));
        snprintf(exponent_text, sizeof(exponent_text), "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
        return text_put(out, (span){exponent_text, strlen(exponent_text)});
    }
    if (exponent < 0) {
        TRY(text_put(out, SPAN("0.")));
        TRY(put_zeros(out, -exponent - 1));
        return put_digits(out, digits, 0, n);
    }
    const int whole = exponent + 1 < n ? exponent + 1 : n;
    TRY(put_digits(out, digits, 0, whole));
    TRY(put_zeros(out, exponent + 1 - whole));
    TRY(text_put(out, SPAN(".")));
    status = whole < n ? put_digits(out, digits, whole, n) : text_put(out, SPAN("0"));
done:
    return status;
}

clora_status text_put_escaped(text_out *out, span text) {
    static const char special[] = "&<>\"'";
    static const span written[] = {{"&amp;", 5}, {"&lt;", 4}, {"&gt;", 4}, {"&#34;", 5}, {"&#39;", 5}};
    clora_status status = CLORA_OK;

    for (size_t i = 0; i < text.size; i++) {
        const char *found = text.data[i] ? strchr(special, text.data[i]) : NULL;
        TRY(text_put(out, found ? written[found - special] : (span){text.data + i, 1}));
    }
done:
    return status;
}

/* Characters that Python writes as several, or by what follows them: utf8proc knows one for one. */
static bool has_own_case(uint32_t c, bool upper) {
    if (!upper)
        return c == 0x130 || c == 0x3a3;
    return c == 0x149 || c == 0x1f0 || c == 0x390 || c == 0x3b0 || c == 0x587 || (c >= 0x1e96 && c <= 0x1e9e) ||
           (c >= 0x1f50 && c <= 0x1ffc) || (c >= 0xfb00 && c <= 0xfb17);
}

clora_status text_put_case(text_out *out, span text, text_case how) {
    clora_status status = CLORA_OK;
    bool begins = true;

    for (size_t at = 0; at < text.size;) {
        uint32_t c;
        at += utf8_decode(text.data + at, &c);
        const bool is_first = begins && (how == CASE_CAPITAL || how == CASE_TITLE);
        const int32_t in = (int32_t)c;
        if (has_own_case(c, how == CASE_UPPER || is_first))
            TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "the other case of U+%04X is not supported", (unsigned)c));
        if (c == 0xdf && (how == CASE_UPPER || is_first))
            TRY(text_put(out, how == CASE_UPPER ? SPAN("SS") : SPAN("Ss")));
        else if (is_first)
            TRY(text_put_char(out, (uint32_t)utf8proc_totitle(in)));
        else
            TRY(text_put_char(out, (uint32_t)(how == CASE_UPPER ? utf8proc_toupper(in) : utf8proc_tolower(in))));
        begins = how == CASE_TITLE && utf8proc_toupper(in) == in && utf8proc_tolower(in) == in;
    }
done:
    return status;
}
