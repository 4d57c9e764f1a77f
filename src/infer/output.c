#include "infer/output.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"

static void send(output *o, size_t end) {
    if (end > o->sent && o->callback && !o->cancelled)
        o->cancelled = o->callback(o->user, o->text + o->sent, end - o->sent) != 0;
    o->sent = end;
}

/* The earliest stop text at or after `from`; size when there is none. */
static size_t find_stop(const output *o, size_t from) {
    size_t first = o->size;

    for (const char *const *s = o->stop; s && *s; s++) {
        const char *hit = **s ? memmem(o->text + from, o->size - from, *s, strlen(*s)) : NULL;
        if (hit && (size_t)(hit - o->text) < first)
            first = (size_t)(hit - o->text);
    }
    return first;
}

/* How many bytes at the end could be the beginning of a stop text. */
static size_t held_back(const output *o) {
    size_t most = 0;

    for (const char *const *s = o->stop; s && *s; s++) {
        const size_t length = strlen(*s), unsent = o->size - o->sent;
        for (size_t n = length ? length - 1 : 0; n > most; n--)
            if (n <= unsent && memcmp(o->text + o->size - n, *s, n) == 0)
                most = n;
    }
    return most;
}

clora_status output_add(output *o, const char *piece, size_t size, bool *found) {
    clora_status status = CLORA_OK;

    *found = false;
    TRY(alloc_grow((void **)&o->text, &o->capacity, o->size + size + 1, 1));
    memcpy(o->text + o->size, piece, size);
    o->size += size;
    const size_t stop = find_stop(o, o->sent);
    if (stop < o->size) {
        *found = true;
        o->size = stop;
    }
    o->text[o->size] = '\0';
    send(o, *found ? o->size : o->size - held_back(o));
done:
    return status;
}

void output_flush(output *o) {
    send(o, o->size);
}

void output_finish(output *o) {
    free(o->text);
    *o = (output){0};
}
