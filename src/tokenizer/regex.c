#include "tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "tokenizer/pattern.h"
#include "tokenizer/text_buffer.h"
#include "tokenizer/unicode.h"

/* Enough for a megabyte of blanks before every alternative of known patterns; an endless search ends with an error. */
#define MATCH_LIMIT 100000000u
#define HEAP_LIMIT_KIB (1024u * 1024u)
#define JIT_STACK_MOST ((size_t)256 << 20)

struct regex {
    char *literal; /* or else code */
    size_t literal_size;
    pcre2_code *code;
    pcre2_code *longer; /* the form that knows the additions to Unicode; NULL when it is the same */
};

static clora_status compile(pcre2_code **out, const char *pattern, const char *where) {
    const uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    PCRE2_SIZE offset;
    int error;

    if (!context)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a pattern");
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    *out = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, options, &error, &offset, context);
    pcre2_compile_context_free(context);
    if (!*out && error == PCRE2_ERROR_HEAP_FAILED)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a pattern");
    if (!*out) {
        PCRE2_UCHAR message[120];
        pcre2_get_error_message(error, message, sizeof(message));
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: PCRE2 does not take the pattern: %s", where, (char *)message);
    }
    (void)pcre2_jit_compile(*out, PCRE2_JIT_COMPLETE); /* without JIT the interpreter does it, more slowly */
    return CLORA_OK;
}

clora_status regex_create(regex **out, const char *pattern, size_t size, const char *where) {
    clora_status status = CLORA_OK;
    text_buffer translated = {0};
    regex *rx = calloc(1, sizeof(*rx));
    bool varies;

    *out = NULL;
    if (!rx)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a pattern");
    TRY(pattern_translate(&translated, &varies, pattern, size, false, where));
    TRY(compile(&rx->code, translated.data, where));
    if (varies) {
        TRY(pattern_translate(&translated, &varies, pattern, size, true, where));
        TRY(compile(&rx->longer, translated.data, where));
    }
    *out = rx;
    rx = NULL;
done:
    regex_free(rx);
    text_finish(&translated);
    return status;
}

static clora_status create_literal(regex **out, const char *text, size_t size) {
    regex *rx = calloc(1, sizeof(*rx));

    if (rx)
        rx->literal = alloc_string_n(text, size);
    if (!rx || !rx->literal) {
        regex_free(rx);
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a pattern");
    }
    rx->literal_size = size;
    *out = rx;
    return CLORA_OK;
}

clora_status regex_create_json(regex **out, const json_t *pattern, const char *where) {
    const json_t *literal = json_object_get(pattern, "String"), *code = json_object_get(pattern, "Regex");

    *out = NULL;
    if (json_is_string(literal) && !code)
        return create_literal(out, json_string_value(literal), json_string_length(literal));
    if (json_is_string(code) && !literal)
        return regex_create(out, json_string_value(code), json_string_length(code), where);
    return clora_fail(CLORA_ERROR_FORMAT, "%s: \"pattern\" must be {\"String\": text} or {\"Regex\": text}", where);
}

void regex_free(regex *rx) {
    if (!rx)
        return;
    pcre2_code_free(rx->code);
    pcre2_code_free(rx->longer);
    free(rx->literal);
    free(rx);
}

bool regex_is_character(const regex *rx) {
    return rx->literal && rx->literal_size > 0 && rx->literal_size == utf8_length(rx->literal[0]);
}

static clora_status workspace_prepare(regex_workspace *workspace) {
    if (!workspace->match)
        workspace->match = pcre2_match_data_create(1, NULL);
    if (!workspace->context) {
        workspace->context = pcre2_match_context_create(NULL);
        if (workspace->context) {
            pcre2_set_match_limit(workspace->context, MATCH_LIMIT);
            pcre2_set_heap_limit(workspace->context, HEAP_LIMIT_KIB);
        }
    }
    if (!workspace->match || !workspace->context)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to search for a pattern");
    return CLORA_OK;
}

void regex_workspace_finish(regex_workspace *workspace) {
    pcre2_match_data_free(workspace->match);
    pcre2_match_context_free(workspace->context);
    pcre2_jit_stack_free(workspace->stack);
    memset(workspace, 0, sizeof(*workspace));
}

clora_status regex_search_begin(regex_search *search, const regex *rx, regex_workspace *workspace, const char *text,
                                size_t size) {
    *search = (regex_search){.rx = rx, .workspace = workspace, .text = text ? text : "", .size = size};
    search->additions = rx->longer && unicode_has_additions(search->text, size);
    return rx->literal ? CLORA_OK : workspace_prepare(workspace);
}

static bool find_literal(const regex_search *search, size_t *start, size_t *end) {
    const char *from = search->text + search->at;
    const char *found = memmem(from, search->size - search->at, search->rx->literal, search->rx->literal_size);

    if (!found)
        return false;
    *start = (size_t)(found - search->text);
    *end = *start + search->rx->literal_size;
    return true;
}

static int run(const regex_search *search, uint32_t options) {
    const pcre2_code *code = search->additions ? search->rx->longer : search->rx->code;

    return pcre2_match(code, (PCRE2_SPTR)search->text, search->size, search->at, options | PCRE2_NO_UTF_CHECK,
                       search->workspace->match, search->workspace->context);
}

static clora_status find_pattern(const regex_search *search, bool *found, size_t *start, size_t *end) {
    regex_workspace *workspace = search->workspace;
    int result = run(search, 0);

    if (result == PCRE2_ERROR_JIT_STACKLIMIT && !workspace->stack) {
        workspace->stack = pcre2_jit_stack_create(32 * 1024, JIT_STACK_MOST, NULL);
        if (workspace->stack)
            pcre2_jit_stack_assign(workspace->context, NULL, workspace->stack);
        result = run(search, 0);
    }
    if (result == PCRE2_ERROR_JIT_STACKLIMIT)
        result = run(search, PCRE2_NO_JIT);
    *found = result >= 0;
    if (result == PCRE2_ERROR_NOMEMORY)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to search for a pattern");
    if (*found) {
        const PCRE2_SIZE *range = pcre2_get_ovector_pointer(workspace->match);
        *start = range[0];
        *end = range[1];
    } else if (result != PCRE2_ERROR_NOMATCH) {
        PCRE2_UCHAR message[120];
        pcre2_get_error_message(result, message, sizeof(message));
        return clora_fail(CLORA_ERROR_UNSUPPORTED,
                          "splitting the text at byte %zu with the tokenizer's pattern failed: %s", search->at,
                          (char *)message);
    }
    return CLORA_OK;
}

clora_status regex_search_next(regex_search *search, bool *found, size_t *start, size_t *end) {
    clora_status status = CLORA_OK;

    for (;;) {
        *found = false;
        if (search->at > search->size)
            return CLORA_OK;
        if (search->rx->literal)
            *found = find_literal(search, start, end);
        else
            TRY(find_pattern(search, found, start, end));
        if (!*found) {
            search->at = search->size + 1;
            return CLORA_OK;
        }
        if (*start != *end || !search->matched || search->last_end != *end)
            break;
        /* empty, right after the last match: look again one character further on */
        search->at += search->at < search->size ? utf8_length(search->text[search->at]) : 1;
    }
    search->at = search->last_end = *end;
    search->matched = true;
done:
    return status;
}
