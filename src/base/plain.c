#include "base/plain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ESCAPED = 6 }; /* bytes of \u001b */

/* The control character that text begins with, in one byte (C0, DEL) or two of UTF-8 (C1); 0 if it is another. */
static unsigned control(const unsigned char *text) {
    if (text[0] < 0x20 || text[0] == 0x7f)
        return text[0];
    return text[0] == 0xc2 && text[1] >= 0x80 && text[1] < 0xa0 ? text[1] : 0;
}

size_t plain_copy(char *out, size_t room, const char *text) {
    size_t used = 0;

    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        const unsigned code = control(at);
        if (used + (code ? ESCAPED : 1) >= room)
            break;
        if (code)
            used += (size_t)snprintf(out + used, room - used, "\\u%04x", code);
        else
            out[used++] = (char)*at;
        at += code >= 0x80;
    }
    out[used] = '\0';
    return used;
}

char *plain_text(const char *text) {
    const size_t length = strlen(text);
    char *out = calloc(length + 1, ESCAPED); /* which sees a product that is too large */

    if (out)
        plain_copy(out, (length + 1) * ESCAPED, text);
    return out;
}
