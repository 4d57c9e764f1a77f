#include "base/utf8.h"

size_t utf8_write(char out[4], uint32_t c) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* The range of the second byte decides about overlong forms, surrogates and the end of the code space (Unicode, table
 * 3-7). */
size_t utf8_prefix(const char *text, size_t size, bool *complete) {
    const unsigned char *s = (const unsigned char *)text;
    unsigned char low = 0x80, high = 0xbf;
    size_t length, n;

    *complete = false;
    if (size == 0 || (s[0] >= 0x80 && s[0] < 0xc2) || s[0] > 0xf4)
        return 0;
    length = utf8_length(text[0]);
    if (s[0] == 0xe0)
        low = 0xa0;
    else if (s[0] == 0xed)
        high = 0x9f;
    else if (s[0] == 0xf0)
        low = 0x90;
    else if (s[0] == 0xf4)
        high = 0x8f;
    for (n = 1; n < length && n < size; n++) {
        if (s[n] < low || s[n] > high)
            return n;
        low = 0x80;
        high = 0xbf;
    }
    *complete = n == length;
    return n;
}

bool utf8_valid(const char *text, size_t size, size_t *bad_offset) {
    size_t i = 0;
    bool complete;

    while (i < size) {
        if ((unsigned char)text[i] < 0x80) {
            i++;
            continue;
        }
        const size_t n = utf8_prefix(text + i, size - i, &complete);
        if (!complete) {
            *bad_offset = i;
            return false;
        }
        i += n;
    }
    return true;
}

size_t utf8_decode_before(const char *text, size_t end, uint32_t *c) {
    size_t start = end - 1;

    while (((unsigned char)text[start] & 0xc0) == 0x80)
        start--;
    utf8_decode(text + start, c);
    return end - start;
}
