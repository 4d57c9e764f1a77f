#include "tokenizer/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer/unicode.h"

#define DEEPEST_GROUP 100
#define LONGEST_PATTERN 65536
#define MOST_REPEATS 10000

/* Contents of character classes. */
#define SPACES \
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define NON_SPACES                                                                                                     \
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}" \
    "\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}"
#define HEX_DIGITS "0-9A-Fa-f"

typedef struct translator {
    const char *pattern, *at, *end, *where;
    text_buffer *out;
    bool additions, varies, ignore_case;
    uint32_t literal; /* the literal just before, 0 when something else came before */
    int depth;
} translator;

static clora_status alternatives(translator *t);

static clora_status unsupported(const translator *t, const char *what) {
    return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: the pattern has %s before byte %zu, which clora does not know",
                      t->where, what, (size_t)(t->at - t->pattern));
}

static clora_status malformed(const translator *t, const char *what) {
    return clora_fail(CLORA_ERROR_FORMAT, "%s: the pattern has %s at byte %zu", t->where, what,
                      (size_t)(t->at - t->pattern));
}

static bool looking_at(const translator *t, const char *text) {
    const size_t size = strlen(text);

    return (size_t)(t->end - t->at) >= size && memcmp(t->at, text, size) == 0;
}

static bool skip(translator *t, const char *text) {
    if (!looking_at(t, text))
        return false;
    t->at += strlen(text);
    return true;
}

static clora_status put(translator *t, const char *text) {
    return text_append(t->out, text, strlen(text));
}

static clora_status put_code(translator *t, uint32_t c) {
    char text[16];

    if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
        return text_append_char(t->out, c);
    snprintf(text, sizeof(text), "\\x{%x}", (unsigned)c);
    return put(t, text);
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(translator *t, uint32_t *c, int least, int most) {
    int n = 0;

    for (*c = 0; n < most && t->at < t->end && hex_digit(*t->at) >= 0; n++)
        *c = *c * 16 + (uint32_t)hex_digit(*t->at++);
    return n >= least && *c < 0x110000 && !(*c >= 0xd800 && *c < 0xe000);
}

/* A backslash and what follows, where it stands for one character. *found is false, and nothing is read, where not. */
static clora_status escaped_character(translator *t, uint32_t *c, bool *found) {
    static const char letters[] = "nrtfvae", meanings[] = "\n\r\t\f\v\a\x1b";
    const char *start = t->at;

    *found = true;
    if (t->end - t->at < 2)
        return malformed(t, "a \\ at its end");
    t->at++;
    const char *letter = *t->at ? strchr(letters, *t->at) : NULL;
    if (letter) {
        t->at++;
        *c = (unsigned char)meanings[letter - letters];
        return CLORA_OK;
    }
    if (skip(t, "x{"))
        return read_hex(t, c, 1, 8) && skip(t, "}") ? CLORA_OK : malformed(t, "a \\x{...} that is no character");
    if (skip(t, "x")) /* a byte in Oniguruma: a character only in ASCII */
        return read_hex(t, c, 1, 2) && *c < 0x80 ? CLORA_OK : malformed(t, "a \\x that is no character");
    if (skip(t, "u"))
        return read_hex(t, c, 4, 4) ? CLORA_OK : malformed(t, "a \\u that is no character");
    if ((*t->at >= '0' && *t->at <= '9') || (*t->at >= 'A' && *t->at <= 'Z') || (*t->at >= 'a' && *t->at <= 'z')) {
        *found = false;
        t->at = start;
        return CLORA_OK;
    }
    t->at += utf8_decode(t->at, c);
    return CLORA_OK;
}

/* The contents of a class for a property: what PCRE2 knows, and what it may not know yet. */
static clora_status put_property(translator *t, const char *category, const char *script) {
    clora_status status = CLORA_OK;
    size_t count;
    const unicode_addition *list = unicode_additions(&count);

    if (category)
        TRY(put(t, "\\p{"));
    else if (PCRE2_MAJOR > 10 || PCRE2_MINOR >= 40)
        TRY(put(t, "\\p{sc:")); /* without sc: these versions take script extensions as well */
    else
        TRY(put(t, "\\p{"));
    TRY(put(t, category ? category : script));
    TRY(put(t, "}"));
    for (size_t i = 0; i < count; i++) {
        if (category ? strncmp(list[i].category, category, strlen(category)) : strcmp(list[i].script, script))
            continue;
        t->varies = true;
        if (!t->additions)
            break;
        TRY(put_code(t, list[i].first));
        TRY(put(t, "-"));
        TRY(put_code(t, list[i].last));
    }
done:
    return status;
}

static clora_status put_words(translator *t) {
    static const char *const categories[] = {"L", "M", "Nd", "Nl", "Pc"};
    clora_status status = CLORA_OK;

    /* enclosed letters; and Latin-1's raised digits and fractions, which Oniguruma counts, but not those of other
     * blocks */
    TRY(put(t, "\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}"));
    TRY(put(t, "\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}"));
    for (size_t i = 0; i < sizeof(categories) / sizeof(categories[0]); i++)
        TRY(put_property(t, categories[i], NULL));
done:
    return status;
}

static clora_status named_property(translator *t) {
    static const char categories[] = " L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So "
                                     "Z Zs Zl Zp Cc Cf Co ";
    static const char scripts[] = " Han Hiragana Katakana Hangul Latin Cyrillic Greek Arabic Thai Hebrew Devanagari ";
    const char *close = memchr(t->at, '}', (size_t)(t->end - t->at));
    char name[24], spaced[32];

    if (!close)
        return malformed(t, "a \\p without }");
    snprintf(name, sizeof(name), "%.*s", close - t->at > 20 ? 20 : (int)(close - t->at), t->at);
    snprintf(spaced, sizeof(spaced), " %s ", name);
    t->at = close + 1;
    if (t->ignore_case && strstr(" Lu Ll Lt ", spaced))
        return unsupported(t, "a property of letter case where case is ignored");
    if (!strchr(name, ' ') && strstr(categories, spaced))
        return put_property(t, name, NULL);
    if (!strchr(name, ' ') && strstr(scripts, spaced))
        return put_property(t, NULL, name);
    return unsupported(t, "an unknown property \\p{...}");
}

/*
 * A backslash and what follows, where it stands for a set. Inside a class its contents are written; outside, a class.
 * *found is false, and nothing is read, where it is no set.
 */
static clora_status escaped_set(translator *t, bool inside, bool *found) {
    clora_status status = CLORA_OK;
    const char letter = t->end - t->at < 2 || *t->at != '\\' ? '\0' : t->at[1];

    *found = letter && strchr("sSdDwWhHpP", letter);
    if (!*found)
        return CLORA_OK;
    t->at += 2;
    bool negated = letter >= 'A' && letter <= 'Z';
    if ((letter == 'p' || letter == 'P') && !skip(t, "{"))
        return unsupported(t, "\\p without {");
    if ((letter == 'p' || letter == 'P') && skip(t, "^"))
        negated = !negated;
    if (inside && letter == 'S')
        return put(t, NON_SPACES);
    if (inside && negated)
        return unsupported(t, "a negated set inside a class");
    if (!inside)
        TRY(put(t, negated ? "[^" : "["));
    switch (letter) {
    case 's':
    case 'S': TRY(put(t, SPACES)); break;
    case 'd':
    case 'D': TRY(put_property(t, "Nd", NULL)); break;
    case 'w':
    case 'W': TRY(put_words(t)); break;
    case 'h':
    case 'H': TRY(put(t, HEX_DIGITS)); break;
    default: TRY(named_property(t));
    }
    if (!inside)
        TRY(put(t, "]"));
done:
    return status;
}

/* One character of a class, plain or escaped. */
static clora_status class_character(translator *t, uint32_t *c) {
    clora_status status = CLORA_OK;
    bool found = true;

    if (t->at < t->end && *t->at == '\\')
        TRY(escaped_character(t, c, &found));
    else if (t->at < t->end && *t->at != '[' && !looking_at(t, "&&"))
        t->at += utf8_decode(t->at, c);
    else
        found = false;
    if (!found)
        TRY(unsupported(t, "an unknown escape, a class inside a class or &&"));
    if (t->ignore_case && *c >= 0x80)
        TRY(unsupported(t, "a character beyond ASCII where case is ignored"));
done:
    return status;
}

static clora_status class_range(translator *t) {
    clora_status status = CLORA_OK;
    uint32_t first, last;

    TRY(class_character(t, &first));
    TRY(put_code(t, first));
    if (!looking_at(t, "-") || looking_at(t, "-]"))
        return CLORA_OK;
    t->at++;
    TRY(class_character(t, &last));
    if (last < first)
        TRY(malformed(t, "a range that runs backwards"));
    TRY(put(t, "-"));
    TRY(put_code(t, last));
done:
    return status;
}

static clora_status character_class(translator *t) {
    clora_status status = CLORA_OK;
    bool set;

    t->at++;
    TRY(put(t, skip(t, "^") ? "[^" : "["));
    if (looking_at(t, "]"))
        TRY(unsupported(t, "a class that begins with ]"));
    while (!looking_at(t, "]")) {
        if (t->at == t->end)
            TRY(malformed(t, "a class without ]"));
        TRY(escaped_set(t, true, &set));
        if (set && looking_at(t, "-") && !looking_at(t, "-]"))
            TRY(unsupported(t, "a range that begins with a set"));
        if (!set)
            TRY(class_range(t));
    }
    t->at++;
    TRY(put(t, "]"));
done:
    return status;
}

static clora_status group(translator *t) {
    static const char *const kinds[] = {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!", "(?i:", "(?-i:"};
    clora_status status = CLORA_OK;
    const bool ignored_case = t->ignore_case;
    size_t i = 0;

    if (++t->depth > DEEPEST_GROUP)
        TRY(unsupported(t, "too many groups inside groups"));
    while (i < sizeof(kinds) / sizeof(kinds[0]) && !skip(t, kinds[i]))
        i++;
    if (i < sizeof(kinds) / sizeof(kinds[0])) {
        TRY(put(t, kinds[i]));
    } else if (!looking_at(t, "(?") && !looking_at(t, "(*")) {
        t->at++;
        TRY(put(t, "(?:")); /* nobody asks for what a group matched */
    } else {
        TRY(unsupported(t, "an unknown kind of group"));
    }
    if (i == 6 || i == 7)
        t->ignore_case = i == 6;
    t->literal = 0;
    TRY(alternatives(t));
    if (!skip(t, ")"))
        TRY(malformed(t, "a group without )"));
    TRY(put(t, ")"));
    t->ignore_case = ignored_case;
    t->depth--;
done:
    return status;
}

/* Where case is ignored, Oniguruma lets ss match sharp s, and fi and the like their ligatures: PCRE2 does not. */
static clora_status literal(translator *t, uint32_t c) {
    const uint32_t last = t->literal | 0x20, now = c | 0x20;

    if (t->ignore_case && c >= 0x80)
        return unsupported(t, "a character beyond ASCII where case is ignored");
    if (t->ignore_case &&
        ((last == 's' && (now == 's' || now == 't')) || (last == 'f' && (now == 'f' || now == 'i' || now == 'l'))))
        return unsupported(t, "letters of a ligature where case is ignored");
    t->literal = c;
    return put_code(t, c);
}

static clora_status escape(translator *t) {
    clora_status status = CLORA_OK;
    uint32_t c;
    bool found;

    TRY(escaped_set(t, false, &found));
    if (found) {
        t->literal = 0;
        return CLORA_OK;
    }
    TRY(escaped_character(t, &c, &found));
    if (found)
        return literal(t, c);
    t->literal = 0;
    if (looking_at(t, "\\A") || looking_at(t, "\\z") || looking_at(t, "\\Z")) {
        TRY(text_append(t->out, t->at, 2));
    } else if (looking_at(t, "\\b") || looking_at(t, "\\B")) {
        const bool boundary = t->at[1] == 'b';
        TRY(put(t, "(?:(?<=["));
        TRY(put_words(t));
        TRY(put(t, boundary ? "])(?![" : "])(?=["));
        TRY(put_words(t));
        TRY(put(t, "])|(?<!["));
        TRY(put_words(t));
        TRY(put(t, boundary ? "])(?=[" : "])(?!["));
        TRY(put_words(t));
        TRY(put(t, "]))"));
    } else if (looking_at(t, "\\R")) {
        TRY(put(t, "(?>\\x{d}\\x{a}|[\\x{a}-\\x{d}\\x{85}\\x{2028}\\x{2029}])"));
    } else {
        t->at += 2;
        TRY(unsupported(t, "an unknown escape"));
    }
    t->at += 2;
done:
    return status;
}

static clora_status atom(translator *t) {
    uint32_t c;

    switch (*t->at) {
    case '(': return group(t);
    case '\\': return escape(t);
    case '[': t->literal = 0; return character_class(t);
    case '*':
    case '+':
    case '?': return malformed(t, "a repetition of nothing");
    case '.':
    case '^':
    case '$': t->literal = 0; return text_append(t->out, t->at++, 1);
    default: t->at += utf8_decode(t->at, &c); return literal(t, c);
    }
}

/* {n}, {n,}, {,m} or {n,m}. Anything else that begins with { is literal. */
static bool interval(translator *t, long *least, long *most) {
    const char *start = t->at;
    bool comma, low, high;

    if (!skip(t, "{"))
        return false;
    low = t->at < t->end && *t->at >= '0' && *t->at <= '9';
    for (*least = 0; t->at < t->end && *t->at >= '0' && *t->at <= '9' && *least <= MOST_REPEATS; t->at++)
        *least = *least * 10 + (*t->at - '0');
    comma = skip(t, ",");
    high = t->at < t->end && *t->at >= '0' && *t->at <= '9';
    for (*most = 0; t->at < t->end && *t->at >= '0' && *t->at <= '9' && *most <= MOST_REPEATS; t->at++)
        *most = *most * 10 + (*t->at - '0');
    if (!comma)
        *most = *least;
    else if (!high)
        *most = -1;
    if (!skip(t, "}") || !(low || high) || (!comma && !low)) {
        t->at = start;
        return false;
    }
    return true;
}

/* (?:atom{n,m})+ : a + after an interval repeats it, while PCRE2 would make it possessive. */
static clora_status repeat_from(translator *t, size_t start) {
    clora_status status = CLORA_OK;
    text_buffer repeated = {0};

    TRY(text_append(&repeated, t->out->data + start, t->out->size - start));
    t->out->size = start;
    TRY(put(t, "(?:"));
    TRY(text_append(t->out, repeated.data, repeated.size));
    TRY(put(t, ")+"));
done:
    text_finish(&repeated);
    return status;
}

static clora_status repetition(translator *t, size_t start) {
    clora_status status = CLORA_OK;
    char text[48];
    long least, most;

    if (t->at == t->end)
        return CLORA_OK;
    if (interval(t, &least, &most)) {
        if (least > MOST_REPEATS || most > MOST_REPEATS || (most >= 0 && most < least))
            TRY(unsupported(t, "an interval out of order or too large"));
        if (most < 0)
            snprintf(text, sizeof(text), "{%ld,}", least);
        else
            snprintf(text, sizeof(text), "{%ld,%ld}", least, most);
        TRY(put(t, text));
        if (least == most && looking_at(t, "?"))
            TRY(unsupported(t, "{n}?"));
        if (skip(t, "?"))
            TRY(put(t, "?"));
        else if (skip(t, "+"))
            TRY(repeat_from(t, start));
    } else if (*t->at == '*' || *t->at == '+' || *t->at == '?') {
        TRY(text_append(t->out, t->at++, 1));
        if (skip(t, "?"))
            TRY(put(t, "?"));
        else if (skip(t, "+"))
            TRY(put(t, "+"));
    } else {
        return CLORA_OK;
    }
    t->literal = 0;
    if (looking_at(t, "*") || looking_at(t, "+") || looking_at(t, "?") || interval(t, &least, &most))
        TRY(unsupported(t, "a repetition of a repetition"));
done:
    return status;
}

static clora_status alternatives(translator *t) {
    clora_status status = CLORA_OK;

    while (t->at < t->end && *t->at != ')') {
        if (skip(t, "|")) {
            t->literal = 0;
            TRY(put(t, "|"));
            continue;
        }
        const size_t start = t->out->size;
        TRY(atom(t));
        TRY(repetition(t, start));
    }
    t->literal = 0;
done:
    return status;
}

clora_status pattern_translate(text_buffer *out, bool *varies, const char *pattern, size_t size, bool additions,
                               const char *where) {
    translator t = {.pattern = pattern, .at = pattern, .end = pattern + size, .where = where, .out = out};
    clora_status status = CLORA_OK;

    t.additions = additions;
    out->size = 0;
    if (size > LONGEST_PATTERN)
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: a pattern of %zu bytes", where, size));
    if (skip(&t, "(?i)")) {
        t.ignore_case = true;
        TRY(put(&t, "(?i)"));
    }
    TRY(alternatives(&t));
    if (t.at < t.end)
        TRY(malformed(&t, "a ) without a group"));
    TRY(text_append(out, "", 1));
    *varies = t.varies;
done:
    return status;
}
