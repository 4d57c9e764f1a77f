#include "template/token.h"

#include <ctype.h>

#include "base/c_locale.h"
#include "base/utf8.h"
#include "template/texts.h"

enum { NEST_MAX = 64 };

typedef struct lexer {
    pool *pool;
    const char *name;
    const char *at, *end;
    int line;
    bool starts_line; /* a line begins at `at` */
    token *tokens;
    size_t count, room;
    char open[NEST_MAX]; /* brackets of the tag that are open */
    int nest;
} lexer;

static clora_status fail(const lexer *l, const char *what) {
    return clora_fail(CLORA_ERROR_FORMAT, "%s: line %d: %s", l->name, l->line, what);
}

static clora_status push(lexer *l, token t) {
    clora_status status = CLORA_OK;

    if (l->count == l->room) {
        const size_t room = l->room ? 2 * l->room : 256;
        token *larger = NULL;
        TRY(pool_take(&larger, l->pool, room, sizeof(*larger)));
        if (l->count > 0)
            memcpy(larger, l->tokens, l->count * sizeof(*larger));
        l->tokens = larger;
        l->room = room;
    }
    t.line = l->line;
    l->tokens[l->count++] = t;
done:
    return status;
}

static bool begins(const lexer *l, const char *text) {
    const size_t size = strlen(text);

    return (size_t)(l->end - l->at) >= size && memcmp(l->at, text, size) == 0;
}

/* Go on to `to`, counting lines. */
static void advance(lexer *l, const char *to) {
    for (; l->at < to; l->at++)
        l->line += *l->at == '\n';
    l->starts_line = to[-1] == '\n';
}

static void skip_blanks(lexer *l) {
    const span rest = text_strip_left((span){l->at, (size_t)(l->end - l->at)}, NULL);

    if (rest.data > l->at)
        advance(l, rest.data);
}

/* The end of a tag is at `at`, with its sign: go on after it, and what it takes away. */
static void close_tag(lexer *l, bool trims) {
    const char sign = *l->at;

    advance(l, l->at + (sign == '-' || sign == '+' ? 3 : 2));
    if (sign == '-')
        skip_blanks(l);
    else if (trims && sign != '+' && l->at < l->end && *l->at == '\n')
        advance(l, l->at + 1);
}

/* Is the end of a tag here, such as %}, -%} or +%}? */
static bool at_close(const lexer *l, const char *close) {
    const lexer next = {.at = l->at + 1, .end = l->end};

    if (begins(l, close))
        return true;
    return l->at < l->end && (*l->at == '-' || (*l->at == '+' && *close != '}')) && begins(&next, close);
}

/* ---- Strings ---- */

static int hex_digits(uint32_t *out, const char *at, const char *end, int digits) {
    *out = 0;
    for (int i = 0; i < digits; i++) {
        if (at + i >= end || !isxdigit((unsigned char)at[i]))
            return 0;
        const char c = at[i];
        *out = *out * 16 + (uint32_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
    }
    return digits;
}

static int octal_digits(uint32_t *out, const char *at, const char *end) {
    int n = 0;

    for (*out = 0; n < 3 && at + n < end && at[n] >= '0' && at[n] <= '7'; n++)
        *out = *out * 8 + (uint32_t)(at[n] - '0');
    return n;
}

/* One escape, whose backslash is before `at`, as Python has them; returns its bytes, 0 for one that is wrong. */
static size_t unescape(char *out, size_t *size, const char *at, const char *end) {
    static const char from[] = "n\nt\tr\r\\\\'\'\"\"a\ab\bf\fv\v";
    uint32_t c = 0;
    int n = 0;

    for (size_t i = 0; i + 1 < sizeof(from); i += 2)
        if (*at == from[i]) {
            out[(*size)++] = from[i + 1];
            return 1;
        }
    if (*at == '\n')
        return 1;
    if (*at == 'x' || *at == 'u' || *at == 'U') {
        n = hex_digits(&c, at + 1, end, *at == 'x' ? 2 : *at == 'u' ? 4 : 8);
        if (n == 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
            return 0;
        n++;
    } else {
        n = octal_digits(&c, at, end);
    }
    if (n > 0) {
        *size += utf8_write(out + *size, c);
        return (size_t)n;
    }
    out[(*size)++] = '\\';
    return *at == 'N' ? 0 : (out[(*size)++] = *at, 1);
}

/* Strings side by side are one: the text of the one before goes first. */
static clora_status read_string(lexer *l) {
    token *before = l->count > 0 && l->tokens[l->count - 1].kind == TOKEN_STRING ? &l->tokens[l->count - 1] : NULL;
    const char quote = *l->at, *from = l->at + 1, *to = from;
    clora_status status = CLORA_OK;
    token t = {.kind = TOKEN_STRING};
    char *out = NULL;

    while (to < l->end && *to != quote)
        to += *to == '\\' && to + 1 < l->end ? 2 : 1;
    if (to >= l->end)
        return fail(l, "a string that does not end");
    const size_t known = before ? before->text.size : 0; /* besides, no escape is shorter than what it stands for */
    TRY(pool_take(&out, l->pool, known + (size_t)(to - from) + 1, 1));
    if (known > 0)
        memcpy(out, before->text.data, known);
    t.text.size = known;
    for (const char *at = from; at < to;) {
        if (*at != '\\') {
            out[t.text.size++] = *at++;
            continue;
        }
        const size_t n = unescape(out, &t.text.size, at + 1, to);
        if (n == 0)
            TRY(fail(l, "an escape in a string that means no character"));
        at += n + 1;
    }
    t.text.data = out;
    l->count -= before != NULL;
    TRY(push(l, t));
    advance(l, to + 1);
done:
    return status;
}

/* ---- Tags ---- */

static bool is_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || isdigit((unsigned char)c) || c == '_' ||
           (unsigned char)c >= 0x80;
}

/* The digits of a number with _ between them, without those; returns what follows. */
static const char *read_digits(char *out, size_t *size, size_t room, const char *at, const char *end) {
    for (; at < end && (isdigit((unsigned char)*at) || (*at == '_' && at + 1 < end && isdigit((unsigned char)at[1])));
         at++)
        if (*at != '_' && *size + 1 < room)
            out[(*size)++] = *at;
    out[*size] = '\0';
    return at;
}

static clora_status read_number(lexer *l) {
    const bool after_dot = l->count > 0 && l->at[-1] == '.';
    token t = {.kind = TOKEN_INTEGER};
    clora_status status = CLORA_OK;
    char digits[400];
    size_t size = 0;
    const char *at = read_digits(digits, &size, sizeof(digits), l->at, l->end);

    if (!after_dot && at + 1 < l->end && *at == '.' && isdigit((unsigned char)at[1])) {
        t.kind = TOKEN_REAL;
        digits[size++] = '.';
        at = read_digits(digits, &size, sizeof(digits) - 1, at + 1, l->end);
    }
    if (!after_dot && at + 1 < l->end && (*at | 32) == 'e' && size + 2 < sizeof(digits)) {
        const char *exponent = at + 1 + (at[1] == '-' || at[1] == '+');
        if (exponent < l->end && isdigit((unsigned char)*exponent)) {
            t.kind = TOKEN_REAL;
            digits[size++] = 'e';
            if (exponent > at + 1)
                digits[size++] = at[1];
            at = read_digits(digits, &size, sizeof(digits), exponent, l->end);
        }
    }
    if (t.kind == TOKEN_REAL) {
        t.real = c_locale_number(digits, NULL);
    } else if (size > 18) {
        return fail(l, "an integer beyond 18 digits is not supported");
    } else {
        for (size_t i = 0; i < size; i++)
            t.integer = 10 * t.integer + (digits[i] - '0');
    }
    t.text = (span){l->at, (size_t)(at - l->at)};
    TRY(push(l, t));
    advance(l, at);
done:
    return status;
}

static clora_status read_name(lexer *l) {
    const char *to = l->at;
    clora_status status = CLORA_OK;

    while (to < l->end && is_name(*to))
        to++;
    TRY(push(l, (token){.kind = TOKEN_NAME, .text = {l->at, (size_t)(to - l->at)}}));
    advance(l, to);
done:
    return status;
}

/* Brackets must match, and %} or }} within them ends no tag. */
static clora_status balance(lexer *l, char c) {
    static const char pairs[] = "()[]{}";
    const char *found = c ? strchr(pairs, c) : NULL;

    if (!found)
        return CLORA_OK;
    if ((found - pairs) % 2 == 0) {
        if (l->nest == NEST_MAX)
            return fail(l, "too many brackets in each other");
        l->open[l->nest++] = found[1];
        return CLORA_OK;
    }
    if (l->nest == 0 || l->open[--l->nest] != c)
        return fail(l, "a bracket that closes none");
    return CLORA_OK;
}

static clora_status read_sign(lexer *l) {
    static const char *const pairs[] = {"**", "//", "==", "!=", ">=", "<=", NULL};
    clora_status status = CLORA_OK;
    size_t size = 1;

    for (size_t i = 0; pairs[i]; i++)
        size = begins(l, pairs[i]) ? 2 : size;
    if (size == 1 && (!*l->at || !strchr("+-*/%~()[]{}<>=.:,|", *l->at)))
        return fail(l, "a character that begins nothing");
    TRY(balance(l, *l->at));
    TRY(push(l, (token){.kind = TOKEN_SIGN, .text = {l->at, size}}));
    advance(l, l->at + size);
done:
    return status;
}

static clora_status read_tag(lexer *l, const char *close, token_kind end) {
    clora_status status = CLORA_OK;

    for (l->nest = 0;;) {
        skip_blanks(l);
        if (l->at >= l->end)
            return fail(l, "a tag that does not end");
        if (l->nest == 0 && at_close(l, close)) {
            TRY(push(l, (token){.kind = end, .text = {l->at, 2}}));
            close_tag(l, end == TOKEN_BLOCK_END);
            return CLORA_OK;
        }
        const char c = *l->at;
        if (c == '\'' || c == '"')
            TRY(read_string(l));
        else if (isdigit((unsigned char)c))
            TRY(read_number(l));
        else if (is_name(c))
            TRY(read_name(l));
        else
            TRY(read_sign(l));
    }
done:
    return status;
}

/* ---- Outside of tags ---- */

/* The text from `at` to a tag, whose sign and kind say what goes at its end. */
static clora_status push_text(lexer *l, const char *to, bool is_output) {
    const char sign = to + 2 < l->end ? to[2] : '\0';
    clora_status status = CLORA_OK;
    span text = {l->at, (size_t)(to - l->at)};

    if (sign == '-') {
        text = text_strip_right(text, NULL);
    } else if (sign != '+' && !is_output) {
        size_t line = text.size;
        while (line > 0 && text.data[line - 1] != '\n')
            line--;
        const span last = {text.data + line, text.size - line};
        if ((line > 0 || l->starts_line) && text_strip_right(last, NULL).size == 0)
            text.size = line;
    }
    if (text.size > 0)
        TRY(push(l, (token){.kind = TOKEN_TEXT, .text = text}));
    if (to > l->at)
        advance(l, to);
done:
    return status;
}

/* Where the next tag begins, or the end. */
static const char *find_tag(const char *at, const char *end) {
    for (; at + 1 < end; at++)
        if (*at == '{' && (at[1] == '{' || at[1] == '%' || at[1] == '#'))
            return at;
    return end;
}

static clora_status skip_comment(lexer *l) {
    advance(l, l->at + 2);
    while (l->at < l->end && !begins(l, "#}") && !begins(l, "-#}") && !begins(l, "+#}"))
        advance(l, l->at + 1);
    if (l->at >= l->end)
        return fail(l, "a comment that does not end");
    close_tag(l, true);
    return CLORA_OK;
}

/* After the opening of a block, its sign and the blanks: does "raw" or "endraw" and an end stand there? */
static const char *find_word(const char *at, const char *end, const char *word) {
    const size_t size = strlen(word);

    at += 2;
    at += at < end && (*at == '-' || *at == '+');
    at = text_strip_left((span){at, (size_t)(end - at)}, NULL).data;
    if ((size_t)(end - at) < size || memcmp(at, word, size) != 0)
        return NULL;
    at = text_strip_left((span){at + size, (size_t)(end - at) - size}, NULL).data;
    const lexer here = {.at = at, .end = end};
    return at_close(&here, "%}") ? at : NULL;
}

/* {% raw %}: `at` is at its end sign. */
static clora_status read_raw(lexer *l, const char *at) {
    clora_status status = CLORA_OK;

    advance(l, at);
    close_tag(l, false);
    for (const char *tag = l->at; tag < l->end; tag++) {
        tag = find_tag(tag, l->end);
        const char *close = tag < l->end && tag[1] == '%' ? find_word(tag, l->end, "endraw") : NULL;
        if (!close)
            continue;
        TRY(push_text(l, tag, false));
        advance(l, close);
        close_tag(l, true);
        return CLORA_OK;
    }
    return fail(l, "a raw block that does not end");
done:
    return status;
}

static clora_status read_all(lexer *l) {
    clora_status status = CLORA_OK;

    while (l->at < l->end) {
        const char *tag = find_tag(l->at, l->end);
        if (tag == l->end) {
            TRY(push(l, (token){.kind = TOKEN_TEXT, .text = {l->at, (size_t)(tag - l->at)}}));
            advance(l, tag);
            break;
        }
        const char *raw = tag[1] == '%' ? find_word(tag, l->end, "raw") : NULL;
        TRY(push_text(l, tag, tag[1] == '{'));
        if (tag[1] == '#') {
            TRY(skip_comment(l));
        } else if (raw) {
            TRY(read_raw(l, raw));
        } else {
            const bool output = tag[1] == '{';
            TRY(push(l, (token){.kind = output ? TOKEN_OUTPUT : TOKEN_BLOCK, .text = {tag, 2}}));
            const bool has_sign = tag + 2 < l->end && (tag[2] == '-' || tag[2] == '+');
            advance(l, tag + 2 + has_sign);
            TRY(read_tag(l, output ? "}}" : "%}", output ? TOKEN_OUTPUT_END : TOKEN_BLOCK_END));
        }
    }
    TRY(push(l, (token){.kind = TOKEN_END}));
done:
    return status;
}

/* The source with lines that end in LF, without the last one's end. */
static clora_status normalize_lines(span *out, pool *p, span source) {
    clora_status status = CLORA_OK;
    char *data = NULL;
    size_t size = 0;

    TRY(pool_take(&data, p, source.size + 1, 1));
    for (size_t i = 0; i < source.size; i++) {
        if (source.data[i] == '\r' && i + 1 < source.size && source.data[i + 1] == '\n')
            continue;
        data[size++] = source.data[i] == '\r' ? '\n' : source.data[i];
    }
    size -= size > 0 && data[size - 1] == '\n';
    data[size] = '\0';
    *out = (span){data, size};
done:
    return status;
}

clora_status tokens_read(token **out, pool *p, const char *name, span source) {
    lexer l = {.pool = p, .name = name, .line = 1, .starts_line = true};
    clora_status status = CLORA_OK;
    span text;

    TRY(normalize_lines(&text, p, source));
    l.at = text.data;
    l.end = text.data + text.size;
    TRY(read_all(&l));
    *out = l.tokens;
done:
    return status;
}
