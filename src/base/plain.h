#ifndef CLORA_BASE_PLAIN_H
#define CLORA_BASE_PLAIN_H

#include <stddef.h>

/*
 * Text from a file, for people: control characters become \u001b and the like, so that nothing in it begins a line,
 * moves a cursor or colours a terminal.
 */

/* Fill out with as much as its room holds, ended by '\0'; the length. */
size_t plain_copy(char *out, size_t room, const char *text);

/* All of it in fresh memory that the caller frees; NULL without memory. */
char *plain_text(const char *text);

#endif
