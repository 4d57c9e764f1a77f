#include "base/note.h"

#include <clora/status.h>

#include <stdarg.h>
#include <stdio.h>

#include "base/plain.h"

enum { NOTE_SIZE = 4096 };

static clora_note_callback callback;
static void *callback_user;

void clora_set_note(clora_note_callback to, void *user) {
    callback = to;
    callback_user = user;
}

void note(const char *format, ...) {
    char text[NOTE_SIZE], line[NOTE_SIZE];
    va_list args;

    if (!callback)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    plain_copy(line, sizeof(line), text); /* names in it may come from anyone */
    callback(callback_user, line);
}
