#ifndef CLORA_TOKENIZER_REGEX_H
#define CLORA_TOKENIZER_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/status.h"

/* A pattern of tokenizer.json: {"Regex": "..."} or {"String": "..."}. Immutable; shared by threads. */
typedef struct regex regex;

clora_status regex_create(regex **out, const char *pattern, size_t size, const char *where);
clora_status regex_create_json(regex **out, const json_t *pattern, const char *where);
void regex_free(regex *rx);

/* A literal of one character: what it matches does not depend on what is around it. */
bool regex_is_character(const regex *rx);

/* What a search needs besides the pattern; one per thread. Zeroed is ready. */
typedef struct regex_workspace {
    struct pcre2_real_match_data_8 *match;
    struct pcre2_real_match_context_8 *context;
    struct pcre2_real_jit_stack_8 *stack;
} regex_workspace;

void regex_workspace_finish(regex_workspace *workspace);

/* All matches from left to right. An empty match right after another match does not count. */
typedef struct regex_search {
    const regex *rx;
    regex_workspace *workspace;
    const char *text;
    size_t size, at, last_end;
    bool matched, additions;
} regex_search;

clora_status regex_search_begin(regex_search *search, const regex *rx, regex_workspace *workspace, const char *text,
                                size_t size);

/* *found is false after the last match. */
clora_status regex_search_next(regex_search *search, bool *found, size_t *start, size_t *end);

#endif
