#define PCRE2_CODE_UNIT_WIDTH 8
#include "methods/target_pattern.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

struct pattern {
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    int index;        /* number of the group "idx", or an error of PCRE2's */
    char *text, *key; /* for errors */
};

/* Backtracking steps, and kilobytes for them, before an expression is given up: module names are short, so only a
 * runaway reaches these. */
enum { MATCH_LIMIT = 1000000, HEAP_LIMIT_KIB = 16 << 10 };

/* As much of an expression as a message of one line has room for: bytes, up to the end of a character. */
static int shown(const char *text) {
    enum { MOST = 200 };
    size_t n = strnlen(text, MOST + 1);

    if (n <= MOST)
        return (int)n;
    while (n > 0 && ((unsigned char)text[n - 1] & 0xc0) == 0x80)
        n--;
    return (int)n - 1;
}

clora_status pattern_create(pattern **out, const char *prefix, const char *text, const char *suffix, bool whole,
                            const char *key) {
    const uint32_t flags = PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED | (whole ? PCRE2_ENDANCHORED : 0);
    clora_status status = CLORA_OK;
    char *expression = alloc_format("%s%s%s", prefix, text, suffix);
    pattern *p = calloc(1, sizeof(*p));
    PCRE2_SIZE offset = 0;
    PCRE2_UCHAR reason[256];
    int error = 0;

    *out = NULL;
    if (!p || !expression || !(p->text = alloc_string(text)) || !(p->key = alloc_string(key)))
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a regular expression"));
    p->code = pcre2_compile((PCRE2_SPTR)expression, PCRE2_ZERO_TERMINATED, flags, &error, &offset, NULL);
    if (!p->code && error == PCRE2_ERROR_HEAP_FAILED)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a regular expression"));
    if (!p->code) {
        pcre2_get_error_message(error, reason, sizeof(reason));
        const size_t skipped = strlen(prefix), at = offset > skipped ? offset - skipped : 0;
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "%s: \"%.*s\" is not a regular expression: %s, at character %zu", key,
                       shown(text), text, (const char *)reason, at));
    }
    p->index = pcre2_substring_number_from_name(p->code, (PCRE2_SPTR) "idx");
    p->match = pcre2_match_data_create(p->index > 0 ? (uint32_t)p->index + 1 : 1, NULL);
    p->limits = pcre2_match_context_create(NULL);
    if (!p->match || !p->limits)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a regular expression"));
    pcre2_set_match_limit(p->limits, MATCH_LIMIT);
    pcre2_set_heap_limit(p->limits, HEAP_LIMIT_KIB);
    *out = p;
    p = NULL;
done:
    free(expression);
    pattern_free(p);
    return status;
}

void pattern_free(pattern *p) {
    if (!p)
        return;
    pcre2_match_context_free(p->limits);
    pcre2_match_data_free(p->match);
    pcre2_code_free(p->code);
    free(p->text);
    free(p->key);
    free(p);
}

clora_status pattern_match(bool *out, const pattern *p, const char *name) {
    const int found = pcre2_match(p->code, (PCRE2_SPTR)name, strlen(name), 0, 0, p->match, p->limits);
    PCRE2_UCHAR reason[256];

    *out = found >= 0;
    if (found >= 0 || found == PCRE2_ERROR_NOMATCH)
        return CLORA_OK;
    if (found == PCRE2_ERROR_NOMEMORY)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to match %s", name);
    pcre2_get_error_message(found, reason, sizeof(reason));
    return clora_fail(CLORA_ERROR_ARGUMENT, "%s: \"%.*s\" cannot be matched with %s: %s", p->key, shown(p->text),
                      p->text, name, (const char *)reason);
}

clora_status pattern_match_index(bool *out, size_t *begin, size_t *end, const pattern *p, const char *name) {
    const clora_status status = pattern_match(out, p, name);

    *begin = *end = 0;
    if (status != CLORA_OK || !*out)
        return status;
    const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer(p->match);
    *out = p->index > 0 && bounds[2 * p->index] != PCRE2_UNSET;
    if (*out) {
        *begin = bounds[2 * p->index];
        *end = bounds[2 * p->index + 1];
    }
    return CLORA_OK;
}
