#ifndef CLORA_TOKENIZER_PATTERN_H
#define CLORA_TOKENIZER_PATTERN_H

#include <stdbool.h>

#include "tokenizer/text_buffer.h"

/*
 * Rewrite a pattern from tokenizer.json, which is in Oniguruma's syntax, for PCRE2 (UTF, UCP, multi-line, newline LF):
 * \s, \w, \d, \h, \v and \b mean something else there, and properties follow another version of Unicode. What has no
 * exact counterpart is CLORA_ERROR_UNSUPPORTED, by name.
 *
 * With `additions` properties also take the characters that PCRE2 may not know yet (unicode_additions); *varies says
 * that this makes a difference. The result is zero-terminated.
 */
clora_status pattern_translate(text_buffer *out, bool *varies, const char *pattern, size_t size, bool additions,
                               const char *where);

#endif
