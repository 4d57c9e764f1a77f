#ifndef CLORA_BASE_UTF8_H
#define CLORA_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* UTF-8 as the Unicode standard has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool utf8_valid(const char *text, size_t size, size_t *bad_offset);
size_t utf8_write(char out[4], uint32_t c);

/* How many bytes at text form the longest prefix of a character; *complete says whether it is a whole one. 0: none. */
size_t utf8_prefix(const char *text, size_t size, bool *complete);

/* The character at text, which must be valid UTF-8, and its bytes. */
static inline size_t utf8_decode(const char *text, uint32_t *c) {
    const unsigned char *s = (const unsigned char *)text;

    if (s[0] < 0x80) {
        *c = s[0];
        return 1;
    }
    if (s[0] < 0xe0) {
        *c = (uint32_t)(s[0] & 0x1f) << 6 | (uint32_t)(s[1] & 0x3f);
        return 2;
    }
    if (s[0] < 0xf0) {
        *c = (uint32_t)(s[0] & 0x0f) << 12 | (uint32_t)(s[1] & 0x3f) << 6 | (uint32_t)(s[2] & 0x3f);
        return 3;
    }
    *c = (uint32_t)(s[0] & 0x07) << 18 | (uint32_t)(s[1] & 0x3f) << 12 | (uint32_t)(s[2] & 0x3f) << 6 |
         (uint32_t)(s[3] & 0x3f);
    return 4;
}

/* Bytes of the character that starts with this byte. */
static inline size_t utf8_length(char lead) {
    const unsigned char s = (unsigned char)lead;
    return s < 0x80 ? 1 : s < 0xe0 ? 2 : s < 0xf0 ? 3 : 4;
}

/* The character that ends just before text[end], and its bytes. */
size_t utf8_decode_before(const char *text, size_t end, uint32_t *c);

#endif
