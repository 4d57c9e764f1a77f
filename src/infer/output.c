#include "infer/output.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"

/* The first n bytes that were held are sure: what of them is shown joins the text and is sent. */
static clora_status release(output *o, size_t n) {
    const size_t before = o->size;
    clora_status status = CLORA_OK;

    TRY(alloc_grow((void **)&o->text, &o->capacity, o->size + n + 1, 1));
    for (size_t i = 0; i < n; i++)
        if (o->shown[i])
            o->text[o->size++] = o->held[i];
    o->text[o->size] = '\0';
    o->held_size -= n;
    if (n > 0 && o->held_size > 0) {
        memmove(o->held, o->held + n, o->held_size);
        memmove(o->shown, o->shown + n, o->held_size * sizeof(*o->shown));
    }
    if (o->size > before && o->callback && !o->cancelled)
        o->cancelled = o->callback(o->user, o->text + before, o->size - before) != 0;
done:
    return status;
}

/* Where the earliest stop text begins; held_size when there is none. */
static size_t find_stop(const output *o) {
    size_t first = o->held_size;

    for (const char *const *s = o->stop; s && *s; s++) {
        const char *hit = **s ? memmem(o->held, o->held_size, *s, strlen(*s)) : NULL;
        if (hit && (size_t)(hit - o->held) < first)
            first = (size_t)(hit - o->held);
    }
    return first;
}

/* How many bytes at the end could be the beginning of a stop text. */
static size_t possible_stop(const output *o) {
    size_t most = 0;

    for (const char *const *s = o->stop; s && *s; s++) {
        const size_t length = strlen(*s);
        for (size_t n = length ? length - 1 : 0; n > most; n--)
            if (n <= o->held_size && memcmp(o->held + o->held_size - n, *s, n) == 0)
                most = n;
    }
    return most;
}

static clora_status add(output *o, const char *piece, size_t size, bool shown) {
    const size_t all = o->held_size + size;
    clora_status status = CLORA_OK;

    if (o->stopped || size == 0)
        return CLORA_OK;
    TRY(alloc_grow((void **)&o->held, &o->held_capacity, all, 1));
    TRY(alloc_grow((void **)&o->shown, &o->shown_capacity, all, sizeof(*o->shown)));
    memcpy(o->held + o->held_size, piece, size);
    for (size_t i = o->held_size; i < all; i++)
        o->shown[i] = shown;
    o->held_size = all;
    const size_t stop = find_stop(o);
    o->stopped = stop < all;
    TRY(release(o, o->stopped ? stop : all - possible_stop(o)));
    if (o->stopped)
        o->held_size = 0;
done:
    return status;
}

clora_status output_add(output *o, const char *piece, size_t size) {
    return add(o, piece, size, true);
}

clora_status output_add_special(output *o, const char *token, size_t size) {
    return o->stop ? add(o, token, size, false) : CLORA_OK;
}

clora_status output_flush(output *o) {
    return release(o, o->held_size);
}

void output_finish(output *o) {
    free(o->text);
    free(o->held);
    free(o->shown);
    *o = (output){0};
}
