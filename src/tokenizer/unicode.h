#ifndef CLORA_TOKENIZER_UNICODE_H
#define CLORA_TOKENIZER_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Properties of characters as the `tokenizers` package sees them: utf8proc's tables, corrected where the package's
 * versions of Unicode differ.
 */

/* Characters that PCRE2 may not know yet: general category ("Lu") and script ("Han", or "" where no pattern asks). */
typedef struct unicode_addition {
    uint32_t first, last;
    char category[3];
    const char *script;
} unicode_addition;

const unicode_addition *unicode_additions(size_t *count);

/* Does the text (valid UTF-8) hold any of them? Patterns then need their longer form. */
bool unicode_has_additions(const char *text, size_t size);

bool unicode_is_space(uint32_t c);       /* White_Space */
bool unicode_is_numeric(uint32_t c);     /* Nd, Nl, No */
bool unicode_is_punctuation(uint32_t c); /* ASCII punctuation and P* */
bool unicode_is_word(uint32_t c);        /* Alphabetic, M*, Nd, Pc, Join_Control */

/* Normalization leaves this character alone, whatever the tables here say of it. */
bool unicode_is_inert(uint32_t c);

/* What takes a character's place; the return value says how many they are, up to two. */
size_t unicode_lowercase(uint32_t out[2], uint32_t c);
size_t unicode_without_marks(uint32_t out[2], uint32_t c); /* M* go */
size_t unicode_nmt(uint32_t out[2], uint32_t c);           /* Nmt: control characters go, breaks become blanks */

#endif
